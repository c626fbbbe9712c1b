"""The spinner: what a command waits for, and for how long already, on a terminal only."""

import asyncio
import contextlib
import io

import pytest
from rich.console import Console

from suno_cover_async.cli.output.spinner import waiting
from tests.support.streams import Terminal
from tests.support.terminal import log, said
from tests.support.virtual_time import run

CLEARED = "\x1b[1A\x1b[2K"


def shown(seconds: float, *, width: int = 80, error: type[BaseException] | None = None) -> str:
    """What is drawn in a wait of so many seconds, the last frame included."""
    terminal = Terminal()
    there = Console(file=terminal, width=width, _environ={"TERM": "xterm"}, color_system=None)

    async def scenario() -> None:
        await asyncio.sleep(1_000)
        with waiting(there, "waiting for the cover"):
            await asyncio.sleep(seconds)
            if error is not None:
                raise error

    with contextlib.nullcontext() if error is None else pytest.raises(error):
        run(scenario())
    return terminal.shown


def test_a_wait_of_less_than_a_second_draws_nothing() -> None:
    assert shown(0.9) == ""


@pytest.mark.parametrize(
    ("seconds", "age"), [(1.5, "0:01"), (47.0, "0:47"), (754.0, "12:34"), (3_723.0, "1:02:03")]
)
def test_a_longer_wait_shows_what_is_waited_for_and_its_age(seconds: float, age: str) -> None:
    drawn = shown(seconds)

    assert f" waiting for the cover: {age}" in drawn


def test_the_spinner_is_cleared_when_the_wait_ends() -> None:
    assert shown(5).endswith(CLEARED)


@pytest.mark.parametrize("there", [log(), Console(file=io.StringIO(), force_terminal=True)])
def test_a_pipe_gets_no_spinner(there: Console) -> None:
    async def scenario() -> None:
        with waiting(there, "x"):
            await asyncio.sleep(5)

    run(scenario())

    assert said(there) == ""


@pytest.mark.parametrize(("width", "frame"), [(15, " waiting for …\n"), (40, "cover: 0:05\n")])
def test_a_spinner_takes_one_line_of_any_width(width: int, frame: str) -> None:
    assert frame in shown(5, width=width)


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
def test_a_wait_that_fails_or_is_cancelled_clears_the_spinner_too(
    error: type[BaseException],
) -> None:
    assert shown(5, error=error).endswith(CLEARED)
