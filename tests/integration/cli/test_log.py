"""What the log of a command, or of a program with the SDK, shows of its requests."""

import re
import sys

import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Fault, Sandbox
from tests.support.commands import KEY, Run, at, environment, finish, start

PROGRAM = """
import asyncio
from suno_cover_async import SunoCoverClient

async def main() -> None:
    for _ in range(2):
        async with SunoCoverClient() as client:
            print(await client.credits())

asyncio.run(main())
asyncio.run(main())
"""

CREDITS = r"\d\d:\d\d:\d\d INFO GET /api/v1/generate/credit: 200, code 200, \d+ ms"


async def test_v_shows_method_path_status_and_milliseconds_of_each_request(
    run: Run, sandbox: Sandbox
) -> None:
    (song,) = sandbox.add_music(1)

    ended = await run("generate", song, "-v", *at(sandbox))

    lines = [line for line in ended.err.splitlines() if " INFO " in line]
    assert len(lines) == len(sandbox.journal.arrivals)
    assert re.search(r"POST /api/v1/suno/cover/generate: 200, code 200, \d+ ms\n", ended.err)
    assert re.search(r"GET http://127.0.0.1:\d+/\S+: 200, \d+ ms, [\d,]+ bytes\n", ended.err)
    assert KEY not in ended.err


async def test_without_v_no_request_is_shown(run: Run, sandbox: Sandbox) -> None:
    ended = await run("credits", *at(sandbox))

    assert (ended.code, ended.err) == (ExitCode.DONE, "")


@pytest.mark.parametrize("flags", [(), ("-v",)])
@pytest.mark.parametrize("level", ["info", "debug"])
async def test_the_variable_shows_each_request_of_a_command_once(
    level: str, flags: tuple[str, ...], sandbox: Sandbox
) -> None:
    process = await start("credits", *flags, *at(sandbox), env=environment(SUNO_LOG=level))

    ended = await finish(process)

    assert ended.code == ExitCode.DONE
    assert re.fullmatch(CREDITS + "\n", ended.err)


async def test_an_unknown_level_is_an_error_of_a_command_before_any_request(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_LOG", "loud")

    ended = await run("credits", *at(sandbox))

    assert ended.code == ExitCode.USAGE
    assert "SUNO_LOG must be debug, info or warning" in ended.err
    assert not sandbox.journal.arrivals


@pytest.mark.parametrize("refused", [False, True])
async def test_the_variable_shows_each_request_of_a_program_with_the_sdk(
    refused: bool, sandbox: Sandbox
) -> None:
    sandbox.script("credits", *[Fault.SERVER_ERROR] * refused)
    environ = environment(SUNO_LOG="debug", SUNO_BASE_URL=sandbox.url)
    program = (sys.executable, "-c", PROGRAM)

    ended = await finish(await start(program=program, env=environ))

    lines = [line for line in ended.err.splitlines() if " INFO " in line]
    assert len(lines) == len(sandbox.journal.arrivals) == 4 + refused
    assert re.fullmatch(CREDITS, lines[-1])
    assert ("code 500" in lines[0]) is refused
    assert KEY not in ended.err


async def test_without_the_variable_a_program_with_the_sdk_shows_nothing(sandbox: Sandbox) -> None:
    environ = environment(SUNO_BASE_URL=sandbox.url, SUNO_LOG="")

    ended = await finish(await start(program=(sys.executable, "-c", PROGRAM), env=environ))

    assert ended.err == ""


async def test_an_unknown_level_is_a_warning_of_a_program_with_the_sdk(sandbox: Sandbox) -> None:
    environ = environment(SUNO_BASE_URL=sandbox.url, SUNO_LOG="loud")

    ended = await finish(await start(program=(sys.executable, "-c", PROGRAM), env=environ))

    assert ended.err == "SUNO_LOG must be debug, info or warning, or unset\n"
    assert len(ended.lines) == 4
