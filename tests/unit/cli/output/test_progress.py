"""Progress of a run, drawn for people: rows, a bar, notes, and lines for a log."""

import io
import re
from datetime import UTC, datetime

import attrs
import pytest
from rich.console import Console

from suno_cover_async import (
    CoverDetails,
    Covered,
    CoverStatus,
    Failed,
    InFlight,
    InvalidRequestError,
    Outcome,
    ServerError,
    Step,
    Track,
)
from suno_cover_async.cli.output.progress import Lines, Pause, Standing, progress
from tests.support.terminal import console, said


def test_further_lines_come_after_ten_seconds_and_one_percent() -> None:
    there, now, done = Console(file=io.StringIO(), width=200), 0.0, 0
    lines = Lines(there, lambda: Standing(total=1_000, done=done), lambda: now)
    for seconds, ended in ((9, 500), (10, 500), (30, 509), (39, 509), (40, 510), (49, 900)):
        now, done = float(seconds), ended
        lines.move()

    assert [line.split()[2] for line in said(there).splitlines()] == ["0", "500", "510"]


LIMIT = "the account's limit of 20 requests in 10 s"
DETAILS = CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS)


def plain(there: Console) -> str:
    """What was drawn, less what moves the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said(there))


def pictures(there: Console, standings: list[Standing], outcomes: list[Outcome]) -> str:
    """Draw the first standing, tell of the outcomes, and draw the last one at the end."""
    left = list(standings)
    with progress(there, lambda: left[0], live=True) as tell:
        left[:] = left[-1:]
        for outcome in outcomes:
            tell(outcome)
    return plain(there)


@pytest.mark.parametrize("width", [30, 40, 80, 120])
def test_what_is_shown_never_breaks_a_line(width: int) -> None:
    busy = Standing(
        total=100_000_000,
        done=31_234_567,
        failed=1_234,
        in_flight=in_flight(100),
        per_minute=61.4,
        credits_used=312_345.25,
        finishing=False,
    )
    trouble = "no answer from https://api.example: " + "x" * 200
    moment = datetime(2026, 1, 2, 12, 3, tzinfo=UTC)
    paused = Standing(total=10, done=1, pause=Pause(what="the API", since=moment, trouble=trouble))
    few = Standing(total=3, done=0, in_flight=in_flight(3, title="x" * 200))
    for standing, word in (
        (busy, "31,234,567 of 100,000,000"),
        (paused, "the API paused since"),
        (few, "waiting"),
    ):
        drawn = pictures(console(width), [standing], [])

        assert word in drawn
        assert max(map(len, re.split(r"[\r\n]+", drawn))) <= width


def test_there_is_a_row_for_each_track_where_all_fit() -> None:
    begun = Standing(total=4, done=0, in_flight=in_flight(4))
    one, two, three, _ = (of.track for of in begun.in_flight.values())
    outcomes: list[Outcome] = [
        Covered(track=one, details=DETAILS),
        Failed(track=two, error=InvalidRequestError("x")),
        Failed(track=three, error=ServerError("x")),
    ]

    high = pictures(console(height=10), [begun, Standing(total=4, done=1, failed=1)], outcomes)
    low = pictures(console(height=9), [begun, Standing(total=4, done=1, failed=1)], outcomes)

    rows = [line.split() for line in high.splitlines() if "title" in line]
    states = ["waiting"] * 4 + ["saved", "failed", "left", "waiting"]
    assert [state in row for state, row in zip(states, rows, strict=True)] == [True] * 8
    assert [row[0] for row in rows[4:]] == ["✓", "✗", "·", "·"]
    assert "title" not in low
    assert "0 of 4" in low


def test_the_rows_of_this_run_are_counted_without_what_ended_before() -> None:
    resumed = Standing(total=1_000, done=997, in_flight=in_flight(3))

    assert pictures(console(), [resumed], []).count("title") == 6  # at first, and in the end


def test_the_last_picture_stays_with_its_rows_and_without_notes() -> None:
    begun = Standing(total=1, done=0, in_flight=in_flight(1))

    drawn = pictures(console(), [begun], [])

    assert drawn.count("1 in flight") == 1
    assert "0 of 1" in drawn.splitlines()[-1]
    assert drawn.splitlines()[-3].startswith("·")


def queued(total: int = 500, submitted: int = 2, ended: int = 100) -> Standing:
    tracks = in_flight(20)
    for number, (song, one) in enumerate(tracks.items()):
        if number >= submitted:
            tracks[song] = attrs.evolve(one, step=Step.SUBMIT)
    return Standing(total=total, done=ended, in_flight=tracks, queued_by=LIMIT)


def test_queued_tracks_are_told_from_those_whose_covers_are_made() -> None:
    notes = [note for note, _ in queued().notes()]
    free = [note for note, _ in attrs.evolve(queued(), queued_by=None).notes()]

    assert notes == ["2 in flight", "398 queued"]
    assert free == ["20 in flight"]


def test_a_database_that_does_not_answer_is_the_only_note_and_no_limit_is_named() -> None:
    away = attrs.evolve(queued(), trouble="the database does not answer")

    assert [*away.notes(reasons=True)] == [("the database does not answer; trying again", "yellow")]
    assert away.holds_back
    drawn = pictures(console(height=8), [away], [])
    assert "the database does not answer; trying again" in drawn
    assert LIMIT not in drawn


def test_a_line_of_a_log_says_what_queued_tracks_wait_for() -> None:
    there = Console(file=io.StringIO(), width=200)

    Lines(there, queued)

    assert said(there).endswith(f" 100 of 500, 2 in flight, 398 queued: {LIMIT}\n")


@pytest.mark.parametrize(
    ("width", "shown"),
    [(80, f"queued: {LIMIT}"), (50, f"\n{LIMIT}"), (30, "\nthe account's limit")],
)
def test_a_display_says_what_queued_tracks_wait_for(width: int, shown: str) -> None:
    there = console(width)

    drawn = pictures(there, [queued()], [])

    assert shown in drawn
    assert max(map(len, re.split(r"[\r\n]+", drawn))) <= width


def test_an_outage_takes_the_place_of_the_queue() -> None:
    moment = datetime(2026, 1, 2, 12, 3, tzinfo=UTC)
    pause = Pause(what="the API", since=moment, trouble="down")

    drawn = pictures(console(), [attrs.evolve(queued(), pause=pause)], [])

    assert "the API paused since 12:03, probing: down" in drawn
    assert "queued" not in drawn


@pytest.mark.parametrize("paused", [True, False])
def test_a_row_is_queued_or_submitting_as_its_turn_is(paused: bool) -> None:
    few = queued(total=20, ended=0)
    few = few if paused else attrs.evolve(few, queued_by=None)

    drawn = pictures(console(height=30), [few], [])

    rows = [line.split() for line in drawn.splitlines() if "A title" in line][:20]
    states = ["waiting"] * 2 + ["queued" if paused else "submitting"] * 18
    assert [state in row for state, row in zip(states, rows, strict=True)] == [True] * 20


def in_flight(many: int, title: str = "A title of some length") -> dict[str, InFlight]:
    tracks = (Track(f"song{number}", title=title) for number in range(many))
    return {
        track.music_task_id: InFlight(track=track, step=Step.WAIT, since=0.0) for track in tracks
    }


def test_the_notes_begin_with_what_matters_most() -> None:
    standing = Standing(
        total=1_000,
        done=300,
        failed=3,
        in_flight=in_flight(9),
        per_minute=10.0,
        credits_used=303.0,
    )

    notes = [note for note, _ in standing.notes()]

    assert notes == [
        *("3 failed", "about 1 h 10 min left", "9 in flight", "10.0 a minute"),
        "303 credits used",
    ]


def test_numbers_of_several_runs_are_told_as_such_and_queued_ones_may_be_at_others() -> None:
    alone = Standing(total=400, done=129, in_flight=in_flight(9), queued_by="the limit")
    shared = attrs.evolve(alone, other_runs=1)
    wide, narrow = (pictures(console(width), [shared], []) for width in (80, 30))

    assert "262 queued" in [note for note, _ in alone.notes()]
    assert "262 queued or at other runs" in [note for note, _ in shared.notes()]
    assert (alone.saved, shared.saved) == ("129 of 400", "129 of 400 by all 2 runs")
    assert "129 of 400 by all 2 runs" in wide
    assert "129 of 400" in narrow
    assert "by all" not in narrow
