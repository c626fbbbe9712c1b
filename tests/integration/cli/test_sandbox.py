"""`sandbox` and `demo`."""

import asyncio
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async.cli.actions.sandbox import README_SONG
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox
from tests.support.commands import (
    HANG_UP,
    Run,
    environment,
    finish,
    line_with,
    needs_posix,
    start,
)

README = (Path(__file__).parents[3] / "README.md").read_text()
FIRST_PROGRAM = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]


@needs_posix
async def test_the_sandbox_command_prints_a_python_line_that_runs_as_it_is() -> None:
    process = await start("sandbox", "--port", "0", "--seconds", "0", "--music", "0")
    line = await line_with(process.stdout, "SunoCoverClient(")
    await line_with(process.stdout, "music tasks: 1")

    names: dict[str, Any] = {}
    exec(line, names)  # noqa: S102 - the claim is that it runs
    async with names["client"] as client:
        details = await client.generate(README_SONG, timeout=50)
    process.send_signal(signal.SIGINT)
    ended = await finish(process)

    assert details.music_task_id == README_SONG
    assert len(details.images) == 2
    assert ended.code == ExitCode.DONE


@needs_posix
async def test_the_sandbox_command_prints_the_variables_with_which_readmes_programs_run(
    tmp_path: Path,
) -> None:
    process = await start("sandbox", "--port", "0", "--seconds", "0", "--music", "3")
    line = await line_with(process.stdout, "SUNO_BASE_URL=")
    variables = dict(word.split("=", 1) for word in line.split()[1:])
    program = tmp_path / "first.py"
    program.write_text(FIRST_PROGRAM)

    ended = await finish(
        await asyncio.create_subprocess_exec(
            *(sys.executable, str(program)),
            cwd=tmp_path,
            env=environment(**variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    )
    process.send_signal(signal.SIGINT)
    await finish(process)

    assert ended.code == 0, ended.err
    assert sorted(path.name for path in (tmp_path / "covers").iterdir()) == [
        f"{README_SONG}-1.png",
        f"{README_SONG}-2.png",
    ]


@needs_posix
async def test_the_sandbox_command_prints_one_line_to_export_with_key_and_base_url() -> None:
    process = await start("sandbox", "--port", "0", "--music", "1")
    printed: list[str] = []
    while not (printed and printed[-1].startswith("music tasks")):
        printed.append(await line_with(process.stdout, ""))
    process.send_signal(signal.SIGINT)
    await finish(process)

    (line,) = [line for line in printed if line.startswith("export")]
    variables = [word.partition("=")[0] for word in line.split()[1:]]
    assert variables == ["SUNO_API_KEY", "SUNO_BASE_URL"]


def test_the_sandbox_command_knows_the_song_of_readmes_programs() -> None:
    assert set(re.findall(r'"([0-9a-f]{32})"', README)) == {README_SONG}


@needs_posix
async def test_the_sandbox_command_serves_what_it_says_until_it_is_ended(tmp_path: Path) -> None:
    process = await start("sandbox", "--port", "0", "--seconds", "0", "--music", "3")
    await line_with(process.stdout, "export SUNO_API_KEY=")
    *_, url = (await line_with(process.stdout, "suno-cover credits")).split()
    *_, song, _, _, _, _ = (await line_with(process.stdout, "suno-cover generate")).split()
    environ = environment(SUNO_API_KEY="sandbox-key")
    options = ("--poll", "0.05", "--base-url", url)

    covered = await finish(await start("generate", song, *options, cwd=tmp_path, env=environ))
    shown = await line_with(process.stderr, "POST")
    process.send_signal(signal.SIGINT)
    ended = await finish(process)

    assert covered.code == ExitCode.DONE
    assert "/api/v1/suno/cover/generate  200  (1 billed so far)" in shown
    assert ended.code == ExitCode.DONE
    assert "Traceback" not in ended.err


@needs_posix
@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, HANG_UP])
async def test_the_sandbox_command_has_done_all_when_a_signal_ends_it(
    number: signal.Signals,
) -> None:
    process = await start("sandbox", "--port", "0", "--music", "1")
    await line_with(process.stdout, "music tasks: 1")
    process.send_signal(number)
    ended = await finish(process)

    assert ended.code == ExitCode.DONE
    assert ended.err == ""


async def test_the_sandbox_command_says_what_to_do_when_its_port_is_taken(
    run: Run, sandbox: Sandbox
) -> None:
    ended = await run("sandbox", "--port", sandbox.url.rpartition(":")[2])

    assert ended.code == ExitCode.FAILED
    assert "next: give another --port; 0 takes a free one" in ended.err
