"""A ledger that is read by whoever does not write it."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from suno_cover_async import Ledger, LedgerError, Track, TrackState
from tests.support.ledger_steps import TASK, details

ACCOUNT = "0123456789abcdef"


async def saved_and_waiting(path: Path) -> None:
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        await ledger.take_in([Track("m1"), Track("m2"), Track("m3")])
        first, second, _ = await ledger.claim([TrackState.WAITING], 9)
        for entry in (first, second):
            await ledger.submitting(entry)
            await ledger.submitted(entry, TASK)
            await ledger.covered(entry, details())
        await ledger.saved(first, [Path("a-1.png"), Path("a-2.png")])


async def test_entries_totals_runs_and_unsaved_covers_are_read_without_opening_it(
    path: Path,
) -> None:
    await saved_and_waiting(path)
    before = path.read_bytes()
    ledger = Ledger(path)

    entries = [entry async for entry in ledger.entries()]
    waiting = [entry.number async for entry in ledger.entries(TrackState.WAITING)]
    totals = await ledger.totals()
    (run,) = await ledger.runs()
    unsaved = await ledger.unsaved(9)

    assert [entry.music_task_id for entry in entries] == ["m1", "m2", "m3"]
    assert waiting == [3]
    assert (totals[TrackState.SAVED], totals[TrackState.COVERED]) == (1, 1)
    assert (run.submitted, run.ended_at is not None) == (2, True)
    assert [entry.number for entry in unsaved] == [2]
    assert path.read_bytes() == before


async def test_it_is_read_while_a_run_writes_it(path: Path) -> None:
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        await ledger.take_in([Track("m1")])

        assert [entry.number async for entry in Ledger(path).entries()] == [1]
        assert (await Ledger(path).runs())[0].ended_at is None


async def test_no_run_shares_a_file_and_none_is_given_up(path: Path) -> None:
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        await ledger.take_in([Track("m1")])

        assert await Ledger(path).holders() == ()
        with pytest.raises(LedgerError, match=r"no run 1 is at work with the ledger .*covers\.db"):
            await Ledger(path).give_up(1)
        assert await ledger.claim([TrackState.WAITING], 9)


async def test_a_file_is_not_made_by_a_step_of_its_own(path: Path) -> None:
    with pytest.raises(LedgerError, match="is a file, which is made when a run opens it"):
        await Ledger(path).init()
    assert not path.exists()


async def test_the_entry_of_a_music_task_is_found_and_another_one_is_none(path: Path) -> None:
    await saved_and_waiting(path)

    found = await Ledger(path).find("m2")
    assert found is not None
    assert (found.number, found.state) == (2, TrackState.COVERED)
    assert await Ledger(path).find("m9") is None


async def test_a_damaged_entry_is_found_to_be_damaged(path: Path) -> None:
    await saved_and_waiting(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE tracks SET images = '7' WHERE number = 2")

    with pytest.raises(LedgerError, match="damaged"):
        await Ledger(path).find("m2")
