"""A row for each track: its name, its step, and how long it took."""

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from suno_cover_async import (
    CoverDetails,
    Covered,
    CoverStatus,
    Failed,
    InFlight,
    InvalidRequestError,
    ServerError,
    Step,
    SunoCoverError,
    Track,
)
from suno_cover_async.cli.output.rows import Rows, _Row, clock, named
from tests.support.terminal import console, said

SONG = Track("song", title="Blue Moon")
COVERED = Covered(track=SONG, details=CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS))


def going(step: Step, track: Track = SONG, *, ago: float = 0.0) -> dict[str, InFlight]:
    since = time.monotonic() - ago
    return {track.music_task_id: InFlight(track=track, step=step, since=since)}


def drawn(rows: Rows, in_flight: dict[str, InFlight], *, width: int = 80) -> list[str]:
    there = console(width)
    there.print(rows.draw(in_flight, moving=False))
    return said(there).splitlines()


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0:00"),
        (59.9, "0:59"),
        (60, "1:00"),
        (3_599, "59:59"),
        (3_600, "1:00:00"),
        (4 * 86_400 + 61, "96:01:01"),
    ],
)
def test_a_length_is_minutes_and_from_an_hour_on_hours_too(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_track_is_named_by_its_title_in_one_line_or_by_its_id() -> None:
    assert named(SONG) == "Blue Moon"
    assert named(Track("song")) == "song"
    assert named(Track("song", title="two\nlines")) == "two?lines"
    assert named(Track("song", title="x" * 81)) == "x" * 80


def test_a_row_shows_the_current_step_and_then_the_outcome() -> None:
    rows = Rows(console())
    steps = [drawn(rows, going(step))[0].split()[1:4] for step in Step]
    rows.end(COVERED)
    after = drawn(rows, going(Step.SAVE))

    assert steps == [["Blue", "Moon", step.value] for step in Step]
    assert len(after) == 1
    assert after[0].split()[:4] == ["✓", "Blue", "Moon", "saved"]


@pytest.mark.parametrize(
    ("error", "mark"), [(InvalidRequestError("x"), "✗"), (ServerError("x"), "·")]
)
def test_a_failure_and_what_is_left_have_marks_of_their_own(
    error: SunoCoverError, mark: str
) -> None:
    rows = Rows(console())

    rows.end(Failed(track=SONG, error=error))

    assert drawn(rows, {})[0].startswith(mark)


def test_rows_stay_in_the_order_in_which_their_tracks_began() -> None:
    rows = Rows(console())
    drawn(rows, going(Step.SUBMIT, Track("b")))
    drawn(rows, going(Step.SUBMIT, Track("a")))
    rows.end(Failed(track=Track("b"), error=ServerError("x")))

    assert [line.split()[1] for line in drawn(rows, {})] == ["b", "a"]


def test_the_time_is_counted_from_the_first_step_on_and_stops_with_the_outcome() -> None:
    rows = Rows(console())
    drawn(rows, going(Step.SUBMIT, ago=3_600))
    drawn(rows, going(Step.WAIT, ago=10))
    (running,) = drawn(rows, {})

    assert running.split()[-1].startswith("1:0")
    assert _Row(name="", began=3.0, state="saved", ended=8.0).seconds == 5.0


def test_a_short_time_is_in_tenths_of_a_second() -> None:
    (line,) = drawn(Rows(console()), going(Step.WAIT, Track("song"), ago=9))

    assert line.split()[-1] == "s"
    assert float(line.split()[-2]) >= 9.0


@pytest.mark.parametrize("width", [30, 80])
def test_a_long_name_is_cut_and_the_state_and_the_time_are_not(width: int) -> None:
    long = Track("song", title="W" * 200)

    (line,) = drawn(Rows(console(width)), going(Step.SUBMIT, long, ago=3_600), width=width)

    assert len(line) <= width
    assert "…" in line
    assert "submitting" in line
    assert line.split()[-1].startswith("1:0")


def test_a_terminal_without_unicode_gets_marks_of_ascii(tmp_path: Path) -> None:
    with (tmp_path / "terminal").open("w", encoding="ascii") as file:
        there = Console(file=file, force_terminal=True)
        rows = Rows(there)
        rows.end(COVERED)
        rows.end(Failed(track=Track("b"), error=InvalidRequestError("x")))
        there.print(rows.draw(going(Step.WAIT, Track("c")), moving=True))

    first, second, third = (tmp_path / "terminal").read_text("ascii").splitlines()
    assert ("+" in first, "x" in second) == (True, True)
    assert any(mark in third for mark in "-\\|/")


def test_a_spinner_turns_only_where_the_picture_moves() -> None:
    still, moving = Console(file=io.StringIO()), Console(file=io.StringIO())
    for there, moves in ((still, False), (moving, True)):
        there.print(Rows(there).draw(going(Step.WAIT), moving=moves))

    assert said(still).startswith("·")
    assert not said(moving).startswith("·")
