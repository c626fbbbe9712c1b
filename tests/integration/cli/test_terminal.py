"""`generate` on a terminal."""

import asyncio
import re
import signal
from pathlib import Path

import pytest

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.commands import (
    at,
    has_billed,
    needs_posix,
    on_a_terminal,
    sandbox_with,
)

ERASED, COLOUR, CURSOR = r"\x1b\[2K", r"\x1b\[\d+m", r"\x1b\[\?25h"


@needs_posix
async def test_on_a_terminal_progress_is_redrawn_and_paths_come_last(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["one", "two"])

    screen = await on_a_terminal("generate", "one", "two", *at(sandbox), cwd=tmp_path)

    assert "2 of 2" in screen
    assert "saved 2 of 2 songs" in screen
    drawn, _, _ = screen.partition("saved 2 of 2 songs")
    assert drawn.index("covers/one-1.png") > drawn.rindex("2 of 2")


@needs_posix
async def test_many_songs_on_a_terminal_are_one_bar(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.scenario = Scenario(rate_limit=None, failures=1.0)
    ids = [f"unknown-{number}" for number in range(18)]

    screen = await on_a_terminal("generate", *ids, *at(sandbox), cwd=tmp_path, LINES="12")

    drawn, _, said = screen.partition("songs failed")
    assert "18 failed" in drawn
    assert "unknown-3" not in drawn
    assert "unknown-3" in said


@needs_posix
@pytest.mark.parametrize(
    ("seconds", "number", "explanation"),
    [
        (0.5, signal.SIGINT, rf"{ERASED}({COLOUR})?finishing what is under way"),
        (60, signal.SIGTERM, rf"{CURSOR}({COLOUR})?stopping: waiting for an answer"),
    ],
)
async def test_on_a_terminal_an_interruption_is_explained_beside_the_display(
    seconds: float, number: signal.Signals, explanation: str, tmp_path: Path
) -> None:
    slow = Scenario(seconds=seconds, slow=1.0, slow_seconds=0.8, faults_on={"submit"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])

        async def interrupt(process: asyncio.subprocess.Process) -> None:
            await has_billed(sandbox)
            process.send_signal(number)

        command = ("generate", "song", *at(sandbox))
        screen = await on_a_terminal(*command, cwd=tmp_path, meanwhile=interrupt)

        assert re.search(explanation, screen)
        ended = f"cover task {sandbox.journal.bills[0].cover_task_id}"
        assert (ended if number is signal.SIGTERM else "saved 1 of 1 song") in screen
