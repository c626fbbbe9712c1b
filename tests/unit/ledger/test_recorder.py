"""What a run holds of a ledger, and how many submits that counts, and refuses, in its life."""

import asyncio
from pathlib import Path

import pytest

from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.run_steps import Intake
from suno_cover_async.models import Track
from tests.support.ledger_steps import FAILED, TASK, entries, entry_of
from tests.support.private_statements import ALONE


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


@ALONE
async def test_a_failed_cover_that_is_submitted_again_is_counted_again(ledger: Ledger) -> None:
    entry = await entry_of(ledger)
    await ledger.submitting(entry)
    await ledger.submitted(entry, TASK)
    await ledger.ended(entry, TrackState.FAILED, FAILED)
    await ledger.retry_failed()

    assert await ledger.submitting(entry, at_most=2)
    assert await ledger.submits() == 2


async def test_only_an_entry_whose_submit_was_refused_waits_again(ledger: Ledger) -> None:
    refused = await entry_of(ledger, "m1")
    await ledger.submitting(refused)
    await ledger.unsent(refused)
    await ledger.ended(refused, TrackState.FAILED, FAILED)
    paid = await entry_of(ledger, "m2")
    await ledger.submitting(paid)
    await ledger.submitted(paid, TASK)
    await ledger.ended(paid, TrackState.FAILED, FAILED)

    assert await ledger.retry_refused(refused)
    assert not await ledger.retry_refused(refused)
    assert not await ledger.retry_refused(paid)
    assert [entry.state for entry in await entries(ledger)] == [
        TrackState.WAITING,
        TrackState.FAILED,
    ]


@ALONE
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


@ALONE
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


ACCOUNT = "0123456789abcdef"
WAITING, SUBMITTED = TrackState.WAITING, TrackState.SUBMITTED


@ALONE
async def test_reading_holds_nothing(ledger: Ledger) -> None:
    await ledger.take_in([Track("m1"), Track("m2")])
    async with ledger.lease(ACCOUNT):
        read = await ledger.next_open(WAITING, 0, 9)
        claimed = await ledger.claim([WAITING], 9)

        assert read == claimed == await ledger.next_open(WAITING, 0, 9)
        assert await ledger.claim([WAITING], 9) == []


@ALONE
async def test_of_many_claims_at_once_each_track_is_in_one(ledger: Ledger) -> None:
    await ledger.take_in([Track(f"m{n}") for n in range(100)])
    async with ledger.lease(ACCOUNT):
        pages = await asyncio.gather(*(ledger.claim([WAITING], 7) for _ in range(20)))

    assert [entry.number for page in pages for entry in page] == [*range(1, 101)]


@ALONE
async def test_what_is_released_is_claimed_again_one_or_all_that_waits(ledger: Ledger) -> None:
    await ledger.take_in([Track(f"m{n}") for n in range(4)])
    async with ledger.lease(ACCOUNT):
        one, two, three, four = await ledger.claim([WAITING], 9)
        await ledger.submitted(two, TASK)
        await ledger.release(three)
        assert await ledger.claim([SUBMITTED, WAITING], 9) == [three]

        await ledger.release_waiting()

        assert await ledger.claim([SUBMITTED, WAITING], 9) == [one, three, four]
        assert await ledger.claim([SUBMITTED, WAITING], 9) == []


@ALONE
async def test_what_a_run_puts_off_is_claimed_in_the_next_and_in_no_earlier_one(
    ledger: Ledger,
) -> None:
    claimed: list[list[int]] = []
    await ledger.take_in([Track("m1"), Track("m2")])
    async with ledger.lease(ACCOUNT):
        first, second = await ledger.claim([WAITING], 9)
        await ledger.put_off(first)
        await ledger.release(first)
        await ledger.release(second)
        claimed.append([entry.number for entry in await ledger.claim([WAITING], 9)])
    for _ in range(2):
        async with ledger.lease(ACCOUNT):
            claimed.append([entry.number for entry in await ledger.claim([WAITING], 9)])

    assert claimed == [[2], [1, 2], [1, 2]]


@ALONE
async def test_a_run_of_a_file_shares_it_with_no_other(ledger: Ledger) -> None:
    await ledger.take_in([Track("m1")])
    async with ledger.lease(ACCOUNT):
        await ledger.claim([WAITING], 9)

        assert not await ledger.others_hold(TrackState)
        await ledger.follow()
        assert await ledger.begin_intake("fingerprint") is Intake.OURS


async def test_a_song_that_comes_twice_in_one_page_is_added_once_with_both_titles(
    ledger: Ledger,
) -> None:
    page = [Track("m1", title="One"), Track("m2"), Track("m1", title="Two"), Track("m1")]

    assert await ledger.take_in(page) == 2
    assert [[track.title for track in entry.tracks] for entry in await entries(ledger)] == [
        ["One", "Two", ""],
        [""],
    ]
