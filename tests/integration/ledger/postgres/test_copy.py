"""Private copies of a ledger in a database: of one moment, and nothing is changed there."""

import contextlib

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.postgres import copy
from suno_cover_async.models import CoverTask, Track
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.ledger_steps import FAILED, FILES, details, entries
from tests.support.shared_ledgers import OTHERS, Session, at_the_same_time


def filled(one: Session) -> int:
    """A ledger that has had a run, with every state, and a run that has begun."""
    run = one.begin()
    one.fill(7)
    one.do(steps.take_in([Track("odd", title="Söng 🎵\0", columns={"a": [1, None, "x"]})]))
    for number in range(2, 8):
        one.claim(run)
        one.do(steps.submitting(number, run))
        task = CoverTask(cover_task_id=f"c{number}", music_task_id=f"m{number}", adopted=number > 5)
        if number > 2:
            one.do(steps.Submitted(number=number, task=task, run=run, base_url="https://a"))
        if number > 3:
            one.do(steps.covered(number, run, details(f"c{number}")))
        if number in (5, 6):
            one.hold(number, run)
        if number == 5:
            one.do(steps.ended(number, run, TrackState.FAILED, FAILED))
        if number == 6:
            one.do(steps.ended(number, run, TrackState.ATTENTION, ValueError("why")))
    one.do(steps.change_run(run, balance_before=50.0, balance_after=8.5))
    one.there.set_catalog("fingerprint")
    one.do(run_steps.end_run(run))
    return run


async def test_a_copy_has_the_same_entries_counts_runs_and_outlook(
    one: Session, url: DatabaseUrl
) -> None:
    run = filled(one)
    (entry,) = [row for row in one.do(steps.page([], 0, 99)) if row.number == 7]
    one.hold(7, run)
    one.do(steps.saved(entry, run, FILES))
    original = Ledger(url.conninfo)
    whole: list[LedgerEntry] = [entry async for entry in original.entries()]
    async with Ledger.copy_of(url.conninfo) as copied:
        assert await entries(copied) == whole
        assert await copied.count() == await original.totals()
        assert await copied.outlook() == one.do(steps.outlook)
        assert await copied.submits() == one.there.submits() == 6
        assert await copied.has_answered("https://a")
        assert not await copied.has_answered("https://b")
        assert one.run(run)["submitted"] == 3
    assert {entry.state for entry in whole} == {*TrackState}
    assert len(whole) == 8


async def test_a_copy_is_of_one_moment_and_changes_nothing(one: Session, url: DatabaseUrl) -> None:
    filled(one)
    before = one.contents()
    async with Ledger.copy_of(url.conninfo) as copied:
        one.fill(1)
        after = one.contents()
        assert sum((await copied.count()).values()) == len(before["tracks"])
        async with copied.lease("account"):
            (first, *_) = await copied.claim([TrackState.WAITING], 9)
            assert await copied.submitting(first)
            await copied.take_in([Track("new")])
        assert one.contents() == after


async def test_a_copy_belongs_to_no_account_and_keeps_what_was_put_off(
    one: Session, url: DatabaseUrl
) -> None:
    one.fill(2)
    runs = [one.begin(OTHERS) for _ in range(3)]
    one.do(steps.put_off(1, runs[-1]))
    async with Ledger.copy_of(url.conninfo) as copied, copied.lease("an account"):
        found = await copied.claim([TrackState.WAITING], 9)  # by a run with a higher number
    assert [entry.number for entry in found] == [1, 2]
    for run in runs:
        assert one.claim(run, 1) == ([2] if run == runs[0] else [])


def test_a_copy_has_nothing_that_was_committed_while_it_was_read(
    one: Session, url: DatabaseUrl, watcher: Session
) -> None:
    one.fill(3)
    one.execute("BEGIN")
    one.execute("LOCK TABLE tracks")
    with at_the_same_time(lambda: copy.open_copy(url)) as copies:
        while not watcher.execute(
            "SELECT 1 FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 "
            "AND datname = current_database()"
        ):
            pass
        one.execute("DELETE FROM tracks WHERE number = 1")
        one.execute("COMMIT")
    with contextlib.closing(copies[0]) as copied:
        assert copied.execute("SELECT count(*) FROM tracks").fetchone() == (3,)


async def test_many_tracks_are_copied_in_parts(
    one: Session, url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.fill(25)
    monkeypatch.setattr(copy, "_ROWS", 4)
    async with Ledger.copy_of(url.conninfo) as copied:
        assert (await copied.count())[TrackState.WAITING] == 25


async def test_what_cannot_be_copied_says_why(url: DatabaseUrl, one: Session) -> None:
    with pytest.raises(LedgerError, match="no ledger yet"):
        await Ledger.copy_of(f"{url.conninfo}?schema=elsewhere").__aenter__()
    one.execute("UPDATE ledger SET version = 99")
    with pytest.raises(LedgerError, match="update suno-cover-async"):
        await Ledger.copy_of(url.conninfo).__aenter__()
    port = url.conninfo.rpartition(":")[2].partition("/")[0]
    gone = url.conninfo.replace(f":{port}/", ":1/")
    with pytest.raises(LedgerError, match="cannot be used"):
        await Ledger.copy_of(gone).__aenter__()
