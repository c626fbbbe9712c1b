"""What `ledger show` says of the runs that share a ledger."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from suno_cover_async import LedgerHolder, LedgerRun
from suno_cover_async.cli.actions.ledger_show import holder_in_words, show_to_people
from suno_cover_async.cli.actions.unsaved import Unsaved
from tests.support.terminal import log, said

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOLDER = LedgerHolder(
    run=7,
    host="studio-\x1b[2J7",
    process=123,
    began_at=NOON - timedelta(minutes=2),
    has_ended=False,
    heard_at=NOON,
    tracks=20,
    holds_since=NOON - timedelta(minutes=1),
    submitted=30,
)

RUN = LedgerRun(
    number=1,
    began_at=NOON,
    ended_at=None,
    balance_before=None,
    balance_after=None,
    submitted=3,
    adopted=0,
)


def at(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %z}"


def test_a_run_at_work_is_one_line_of_who_what_since_when_heard_and_its_rate() -> None:
    since, heard = at(NOON - timedelta(minutes=1)), at(NOON)

    assert holder_in_words(HOLDER) == (
        f"run 7 on studio-?[2J7, process 123: holds 20 tracks since {since}, "
        f"last heard of {heard}, 30 submitted, 15.0 a minute"
    )


def test_a_run_has_no_rate_before_a_minute() -> None:
    young = attrs.evolve(HOLDER, began_at=NOON - timedelta(seconds=59))

    assert holder_in_words(young).endswith(", 30 submitted")


def test_a_run_without_tracks_and_one_that_ended_are_told_from_it() -> None:
    idle = holder_in_words(attrs.evolve(HOLDER, tracks=0, holds_since=None))
    ended = holder_in_words(attrs.evolve(HOLDER, tracks=1, has_ended=True))

    assert "process 123: holds no track, last heard of" in idle
    assert "holds 1 track since" in ended
    assert "it ended, and a submit may be on its way: others take that track later" in ended
    assert "a minute" not in ended


def test_they_are_listed_only_where_there_are_any() -> None:
    alone, shared = log(200), log(200)

    show_to_people(alone, "covers.db", {}, (), (), unsaved=Unsaved(covers=0))
    show_to_people(
        shared, "postgresql://h/d", {}, (), (), unsaved=Unsaved(covers=0), holders=[HOLDER]
    )

    assert "runs that hold tracks" not in said(alone)
    assert "runs that hold tracks or are at work; the times are those of the database's clock" in (
        said(shared)
    )
    assert "run 7 on" in said(shared)


@pytest.mark.parametrize(("many", "told"), [(5, False), (6, True)])
def test_of_more_than_five_runs_the_latest_five_are_shown_and_that_there_are_more(
    many: int, told: bool
) -> None:
    runs = [attrs.evolve(RUN, number=number) for number in range(1, many + 1)]
    console = log(200)

    show_to_people(console, "postgresql://h/d", {}, runs, (), unsaved=Unsaved(covers=0), holders=())

    lines = said(console).splitlines()
    shown = [line.split(",")[0].strip() for line in lines if line.startswith("  run ")]
    assert shown == [f"run {run.number}" for run in runs[-5:]]
    assert ("latest runs (5, and there are older ones); a balance" in said(console)) is told


def test_the_runs_of_a_database_have_numbers_and_one_that_was_given_up_is_told() -> None:
    runs = [attrs.evolve(RUN, number=number) for number in (8, 7)]
    shared, alone = log(200), log(200)

    show_to_people(
        shared, "postgresql://h/d", {}, runs, (), unsaved=Unsaved(covers=0), holders=[HOLDER]
    )
    show_to_people(alone, "covers.db", {}, runs, (), unsaved=Unsaved(covers=0))

    noon = f"{NOON.astimezone():%Y-%m-%d %H:%M %z}"
    assert f"run 8, {noon}, no longer at work: 3 submitted" in said(shared)
    assert f"run 7, {noon}, not ended: 3 submitted" in said(shared)
    assert f"  {noon}, not ended: 3 submitted" in said(alone)
    assert "no longer" not in said(alone)
