"""How many submits a ledger counts in its life, and that it refuses more than it may."""

import asyncio
from pathlib import Path

import pytest

from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Track
from tests.support.ledger_steps import FAILED, TASK, entries, entry_of


async def test_a_submit_that_may_be_sent_is_counted_once(ledger: Ledger) -> None:
    entry = await entry_of(ledger)

    assert await ledger.submits() == 0
    assert await ledger.submitting(entry)
    assert await ledger.submitting(entry)  # its answer was lost
    assert await ledger.submits() == 1


async def test_a_submit_that_was_not_sent_or_was_refused_is_not_counted(ledger: Ledger) -> None:
    entry = await entry_of(ledger)
    await ledger.submitting(entry)
    await ledger.unsent(entry)
    await ledger.unsent(entry)

    assert await ledger.submits() == 0


async def test_a_failed_cover_that_is_submitted_again_is_counted_again(ledger: Ledger) -> None:
    entry = await entry_of(ledger)
    await ledger.submitting(entry)
    await ledger.submitted(entry, TASK)
    await ledger.ended(entry, TrackState.FAILED, FAILED)
    await ledger.retry_failed()

    assert await ledger.submitting(entry, at_most=2)
    assert await ledger.submits() == 2


async def test_a_submit_beyond_the_limit_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    await ledger.take_in([Track(f"m{n}") for n in range(4)])
    found = await entries(ledger)
    for entry in found[:2]:
        assert await ledger.submitting(entry, at_most=2)

    assert not await ledger.submitting(found[2], at_most=2)
    assert not await ledger.submitting(found[2], at_most=1)
    assert not await ledger.submitting(found[2], at_most=0)
    assert (await entries(ledger))[2] == found[2]
    assert await ledger.submits() == 2
    assert await ledger.submitting(found[2], at_most=3)


async def test_a_submit_that_is_possibly_billed_is_repeated_beyond_the_limit(
    ledger: Ledger,
) -> None:
    entry = await entry_of(ledger)
    await ledger.submitting(entry)

    assert await ledger.submitting(entry, at_most=0)
    assert await ledger.submits() == 1


async def test_tracks_that_are_dropped_leave_the_count(ledger: Ledger) -> None:
    first, second = await entry_of(ledger, "m1"), await entry_of(ledger, "m2")
    for entry in (first, second):
        await ledger.submitting(entry)
    await ledger.ended(second, TrackState.FAILED, ValueError("no cover task"))
    await ledger.retry_failed()

    assert await ledger.forget_waiting() == 1
    assert await ledger.submits() == 2


async def test_of_many_at_once_as_many_are_counted_as_may_be(ledger: Ledger) -> None:
    await ledger.take_in([Track(f"m{n}") for n in range(20)])
    answers = [ledger.submitting(entry, at_most=7) for entry in await entries(ledger)]

    assert sum(await asyncio.gather(*answers)) == 7
    assert await ledger.submits() == 7


@pytest.mark.parametrize("submits", [0, 3])
async def test_the_count_lasts_as_long_as_the_file(tmp_path: Path, submits: int) -> None:
    path = tmp_path / "covers.db"

    async def submit(ledger: Ledger, entry: LedgerEntry) -> bool:
        return await ledger.submitting(entry, at_most=submits)

    async with Ledger(path) as ledger:
        await ledger.take_in([Track(f"m{n}") for n in range(9)])
        found = await entries(ledger)
        assert [await submit(ledger, entry) for entry in found].count(True) == submits
    async with Ledger(path) as ledger:
        assert await ledger.submits() == submits
        assert not await submit(ledger, found[-1])
