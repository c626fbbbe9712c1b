"""`details`, and how its wait and that of `credits` show on a terminal."""

import json
import shlex
import signal
from pathlib import Path

import pytest

from suno_cover_async import SunoCoverClient
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.commands import (
    KEY,
    Run,
    at,
    finish,
    names,
    needs_posix,
    on_a_terminal,
    sandbox_with,
    start,
    waits_for_details,
)
from tests.support.waiting import until


async def test_details_can_wait_and_save_by_the_cover_task_id_alone(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(polls=6)
    sandbox.add_music(["song"])
    await run("generate", "song", "--timeout", "0.1", *at(sandbox))
    task = sandbox.journal.bills[0].cover_task_id

    poll = await run("details", task, "--json", *at(sandbox))
    ended = await run("details", task, "--wait", "--out", "art", *at(sandbox))

    assert json.loads(poll.out)["status"] in {"PENDING", "GENERATING"}
    assert ended.code == ExitCode.DONE
    assert "SUCCESS" in ended.out
    assert names(tmp_path / "art") == ["song-1.png", "song-2.png"]


async def test_details_of_an_unknown_cover_task_fail(run: Run, sandbox: Sandbox) -> None:
    ended = await run("details", "unknown", *at(sandbox))

    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith("Error: the API knows no cover task unknown")
    assert "next: is it a music task's id? then: suno-cover generate ID" in ended.err


async def test_a_wait_that_is_too_long_says_how_to_wait_twice_as_long(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(polls=9, image_size=16)
    sandbox.add_music(["song"])
    await run("generate", "song", "--timeout", "0.1", *at(sandbox))
    task = sandbox.journal.bills[0].cover_task_id

    late = await run("details", task, "--wait", "--out", "my art", "--timeout", "0.1", *at(sandbox))
    _, *longer = shlex.split(late.err.splitlines()[-1])
    again = await run(*longer, "--timeout", "60")

    assert late.code == ExitCode.TIMED_OUT
    assert f"Error: cover task {task}" in late.err
    assert longer[:3] == ["details", task, "--wait"]
    assert longer[longer.index("--timeout") + 1] == "0.2"
    assert again.code == ExitCode.DONE
    assert names(tmp_path / "my art") == ["song-1.png", "song-2.png"]


@needs_posix
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)],
)
async def test_ctrl_c_during_a_wait_says_how_to_continue_with_the_same_options(
    number: signal.Signals, code: int, run: Run, tmp_path: Path
) -> None:
    async with sandbox_with(Scenario(seconds=3600, image_size=16)) as sandbox:
        sandbox.add_music(["song"])
        await run("generate", "song", "--timeout", "0.1", *at(sandbox))
        task = sandbox.journal.bills[0].cover_task_id
        asked = len(sandbox.journal.of("details"))
        given = ("details", task, "--wait", "--out", "a b", "--json", *at(sandbox))
        process = await start(*given, cwd=tmp_path)
        await waits_for_details(sandbox, asked + 1)
        process.send_signal(number)

        ended = await finish(process)

        words, command = ended.err.splitlines()
        assert ended.code == code
        assert words == "the cover task goes on at the host; to continue:"
        assert shlex.split(command) == ["suno-cover", *given]
        assert KEY not in ended.err + ended.out
        assert ended.out == ""


@needs_posix
async def test_ctrl_c_while_images_are_saved_says_how_to_save_them(
    run: Run, tmp_path: Path
) -> None:
    slow = Scenario(seconds=0, image_size=16, slow=1.0, slow_seconds=60, faults_on={"image"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])
        async with SunoCoverClient(KEY, base_url=sandbox.url) as client:
            task = await client.submit("song")
        given = ("details", task.cover_task_id, "--wait", "--out", "a b", *at(sandbox))
        process = await start(*given, cwd=tmp_path)
        await until(lambda: bool(sandbox.journal.of("image")), every=0.01)
        process.send_signal(signal.SIGINT)

        ended = await finish(process)
        words, command = ended.err.splitlines()
        sandbox.scenario = Scenario()
        again = await run(*shlex.split(command)[1:])

    assert ended.code == ExitCode.INTERRUPTED
    assert words == "the cover is finished; to save its images:"
    assert shlex.split(command) == ["suno-cover", *given]
    assert again.code == ExitCode.DONE
    assert names(tmp_path / "a b") == ["song-1.png", "song-2.png"]


@needs_posix
async def test_ctrl_c_during_a_single_request_promises_nothing(sandbox: Sandbox) -> None:
    sandbox.scenario = Scenario(slow=1.0, slow_seconds=60)
    process = await start("details", "task", *at(sandbox))
    await waits_for_details(sandbox, 1)
    process.send_signal(signal.SIGINT)

    ended = await finish(process)

    assert (ended.code, ended.err) == (ExitCode.INTERRUPTED, "")


@needs_posix
async def test_on_a_terminal_each_wait_shows_its_age_until_it_ends(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(seconds=8.0, image_size=16)  # the command needs time to start
    sandbox.add_music(["song"])
    await run("generate", "song", "--timeout", "0.1", *at(sandbox))
    task = sandbox.journal.bills[0].cover_task_id
    cover = await on_a_terminal("details", task, "--wait", *at(sandbox), cwd=tmp_path)
    sandbox.scenario = Scenario(slow=1.0, slow_seconds=1.5, rate_limit=None)
    details = await on_a_terminal("details", task, *at(sandbox), cwd=tmp_path)
    balance = await on_a_terminal("credits", *at(sandbox), cwd=tmp_path)

    for screen, words in (
        (cover, "waiting for the cover: 0:01"),
        (details, "waiting for the details: 0:01"),
        (balance, "waiting for the balance: 0:01"),
    ):
        frames, _, rest = screen.rpartition(words)
        assert frames
        assert "\x1b[2K" in rest
    assert "SUCCESS" in cover
    assert balance.endswith("999999\r\n")
