"""`generate` interrupted by signals."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.commands import (
    HANG_UP,
    KEY,
    PATIENCE,
    at,
    emptied,
    finish,
    has_billed,
    interrupt,
    line_with,
    needs_posix,
    sandbox_with,
    start,
)


@needs_posix
@pytest.mark.parametrize("command", ["generate -", "credits --key-file -"])
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, -signal.SIGTERM)],  # a shell's 143
)
async def test_waiting_for_standard_input_can_be_interrupted(
    command: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"song")
    process = await start(*command.split(), cwd=tmp_path, stdin=reader)
    await emptied(reader)
    process.send_signal(number)

    ended = await finish(process)
    os.close(reader)
    os.close(writer)

    assert ended.code == code
    assert "Traceback" not in ended.err


async def is_waited_for(sandbox: Sandbox) -> None:
    """Return once a client asks for the details of a cover, whose cover task it knows by then."""
    async with asyncio.timeout(PATIENCE):
        while not sandbox.journal.of("details"):  # noqa: ASYNC110 - nothing tells of a request
            await asyncio.sleep(0.01)


STOPS = [
    ([signal.SIGINT, signal.SIGINT], ExitCode.INTERRUPTED),
    ([signal.SIGTERM], ExitCode.TERMINATED),
    ([HANG_UP], ExitCode.HUNG_UP),
]


@needs_posix
async def test_ctrl_c_finishes_the_songs_that_are_paid_for(tmp_path: Path) -> None:
    async with sandbox_with(Scenario(seconds=0.5)) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", *at(sandbox), cwd=tmp_path)
        await is_waited_for(sandbox)
        process.send_signal(signal.SIGINT)

        said = await line_with(process.stderr, "finishing 1 cover that is paid for")
        ended = await finish(process)

        assert "Ctrl-C again stops now, nothing is lost" in said
        assert ended.code == ExitCode.INTERRUPTED
        assert len(ended.lines) == 2
        assert "saved 1 of 1 song" in ended.err
        assert "suno-cover generate" not in ended.err  # there is nothing to go on with


@needs_posix
@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize(("signals", "code"), STOPS)
async def test_an_interruption_names_what_was_paid_for_and_how_to_go_on(
    signals: list[signal.Signals], code: int, tmp_path: Path
) -> None:
    async with sandbox_with(Scenario(seconds=1.0)) as sandbox:
        sandbox.add_music(["song"])
        place = at(sandbox)
        process = await start("generate", "song", *place, cwd=tmp_path)
        await is_waited_for(sandbox)
        await interrupt(process, *signals)

        ended = await finish(process)
        again = await finish(await start("generate", "song", *place, cwd=tmp_path))

        assert ended.code == code
        assert "interrupted" in ended.err
        assert "1 song is paid for and not finished" in ended.err
        assert f"song: cover task {sandbox.journal.bills[0].cover_task_id}" in ended.err
        assert f"suno-cover generate --out covers --base-url {sandbox.url}" in ended.err
        assert "Traceback" not in ended.err
        assert KEY not in ended.err + ended.out
        assert again.code == ExitCode.DONE
        assert len(sandbox.journal.bills) == 1


@needs_posix
async def test_an_interruption_while_images_are_saved_names_their_cover_task(
    tmp_path: Path,
) -> None:
    slow = Scenario(seconds=0.02, slow=1.0, slow_seconds=60, faults_on={"image"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", "--json", *at(sandbox), cwd=tmp_path)
        async with asyncio.timeout(PATIENCE):
            while not sandbox.journal.of("image"):  # noqa: ASYNC110 - nothing tells of a request
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)

        ended = await finish(process)

        task = sandbox.journal.bills[0].cover_task_id
        assert f"song: cover task {task}" in ended.err
        found = json.loads(ended.lines[0])
        assert (found["state"], found["cover_task_id"]) == ("unfinished", task)
        assert len(found["images"]) == 2


@needs_posix
@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize(("signals", "code"), STOPS)
async def test_a_submit_on_its_way_is_awaited_and_its_cover_task_is_named(
    signals: list[signal.Signals], code: int, tmp_path: Path
) -> None:
    slow = Scenario(seconds=60, slow=1.0, slow_seconds=0.5, faults_on={"submit"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", *at(sandbox), cwd=tmp_path)
        await has_billed(sandbox)
        await interrupt(process, *signals)

        ended = await finish(process)

        assert ended.code == code
        assert f"song: cover task {sandbox.journal.bills[0].cover_task_id}" in ended.err


@needs_posix
async def test_a_third_interruption_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    slow = Scenario(slow=1.0, slow_seconds=60, faults_on={"submit"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", "--json", *at(sandbox), cwd=tmp_path)
        await has_billed(sandbox)
        await interrupt(process, signal.SIGINT, signal.SIGINT, signal.SIGINT)

        ended = await finish(process)

        assert ended.code == ExitCode.INTERRUPTED
        assert json.loads(ended.lines[0])["state"] == "unfinished"
        assert "1 song possibly billed:\n  song\n" in ended.err
        assert ended.err.rstrip().endswith("-- song")
        assert "Traceback" not in ended.err


@needs_posix
async def test_an_interrupted_run_tells_programs_what_is_unfinished(tmp_path: Path) -> None:
    async with sandbox_with(Scenario(seconds=60)) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", "--json", *at(sandbox), cwd=tmp_path)
        await is_waited_for(sandbox)
        process.send_signal(signal.SIGTERM)

        found, last = map(json.loads, (await finish(process)).lines)

        assert found["state"] == "unfinished"
        assert found["cover_task_id"] == sandbox.journal.bills[0].cover_task_id
        assert (last["summary"]["left"], last["summary"]["billed"]) == (1, 1)
