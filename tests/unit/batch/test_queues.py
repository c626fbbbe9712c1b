"""Which track a run covers next, and which images it saves next."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from suno_cover_async import Ledger, LedgerEntry, LedgerError, Track, TrackState
from suno_cover_async.batch.queues import DownloadQueue, TrackQueue
from tests.support.ledger_steps import NOON, TASK, details, entries
from tests.support.virtual_time import run

ACCOUNT = "0123456789abcdef"

Scene = Callable[[Ledger], Coroutine[Any, Any, None]]


def play(scene: Scene, tracks: int) -> None:
    """Play a scene over a ledger with some tracks, m1 and so on, in virtual time."""

    async def whole() -> None:
        async with Ledger(None) as ledger, asyncio.timeout(1_000), ledger.lease(ACCOUNT):
            await add(ledger, *range(1, tracks + 1))
            await scene(ledger)

    run(whole())


async def add(ledger: Ledger, *numbers: int) -> None:
    await ledger.take_in([Track(f"m{number}") for number in numbers])


def track_queue(ledger: Ledger, *, complete: bool) -> TrackQueue:
    """Return the queue of a run that is alone with its ledger, so it never waits for others."""

    async def never() -> None:
        raise AssertionError("it waits for other runs")

    return TrackQueue(ledger, complete=complete, saves_images=True, on_wait=never)


async def left(queue: TrackQueue | DownloadQueue) -> list[int]:
    found: list[int] = []
    while (entry := await queue.next()) is not None:
        found.append(entry.number)
    return found


def test_what_is_paid_for_comes_first_then_what_may_be_and_then_the_catalog() -> None:
    async def scene(ledger: Ledger) -> None:
        found = await entries(ledger)
        for paid in (found[5], found[2]):
            await ledger.submitted(paid, TASK)
        for possibly_billed in (found[6], found[1]):
            await ledger.submitting(possibly_billed)
        await ledger.covered(found[3], details())
        queue = track_queue(ledger, complete=True)

        assert await queue.ready()
        assert await left(queue) == [3, 6, 2, 7, 1, 5]
        assert not await queue.ready()

    play(scene, tracks=7)


def test_each_track_comes_once_however_many_there_are_and_whoever_asks() -> None:
    async def scene(ledger: Ledger) -> None:
        queue = track_queue(ledger, complete=True)

        found = await asyncio.gather(*(left(queue) for _ in range(7)))

        assert sorted(number for some in found for number in some) == [*range(1, 252)]

    play(scene, tracks=251)


def test_a_track_that_is_submitted_meanwhile_does_not_come_again() -> None:
    async def scene(ledger: Ledger) -> None:
        queue = track_queue(ledger, complete=True)
        found: list[int] = []
        while entry := await queue.next():
            found.append(entry.number)
            await ledger.submitted(entry, TASK)

        assert found == [*range(1, 151)]

    play(scene, tracks=150)


def test_a_track_that_is_put_off_or_left_undone_does_not_come_again() -> None:
    async def scene(ledger: Ledger) -> None:
        await ledger.submitted((await entries(ledger))[1], TASK)
        queue = track_queue(ledger, complete=True)
        found: list[int] = []
        while entry := await queue.next():
            found.append(entry.number)
            if entry.number % 2:
                await ledger.put_off(entry)

        assert found == [2, 1, *range(3, 51)]

    play(scene, tracks=50)


def test_two_queues_of_a_ledger_share_its_tracks() -> None:
    async def scene(ledger: Ledger) -> None:
        queues = [track_queue(ledger, complete=True) for _ in range(2)]

        found = await asyncio.gather(*map(left, queues))

        assert sorted(found[0] + found[1]) == [*range(1, 101)]
        assert all(found)

    play(scene, tracks=100)


def test_while_the_catalog_is_read_the_queue_waits_for_more() -> None:
    async def scene(ledger: Ledger) -> None:
        queue = track_queue(ledger, complete=False)
        assert await left(queue) == [1, 2]
        waiting = asyncio.create_task(queue.ready())
        await asyncio.sleep(10)
        assert not waiting.done()

        await add(ledger, 3)
        queue.grown()

        assert await waiting
        assert await left(queue) == [3]
        queue.completed()
        assert await queue.ready()
        assert await left(queue) == []
        assert not await queue.ready()

    play(scene, tracks=2)


def test_where_nothing_new_is_submitted_what_is_paid_for_or_may_be_still_comes() -> None:
    async def scene(ledger: Ledger) -> None:
        found = await entries(ledger)
        for possibly_billed in found[2:5]:
            await ledger.submitting(possibly_billed)
        await ledger.submitted(found[5], TASK)
        queue = track_queue(ledger, complete=False)
        first = await queue.next()
        assert first is not None

        queue.submit_nothing_new()

        assert [first.number, *await left(queue)] == [6, 3, 4, 5]
        assert not await queue.ready()

    play(scene, tracks=6)


def test_what_is_paid_for_comes_though_it_is_read_while_the_order_changes() -> None:
    async def scene(ledger: Ledger) -> None:
        paid, possibly_billed, _ = await entries(ledger)
        await ledger.submitted(paid, TASK)
        await ledger.submitting(possibly_billed)
        queue = track_queue(ledger, complete=True)
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(0)  # it has begun to read

        queue.submit_nothing_new()

        first = await reading
        assert first is not None
        assert [first.number, *await left(queue)] == [1, 2]

    play(scene, tracks=3)


@pytest.mark.parametrize(
    "change", [TrackQueue.submit_nothing_new, TrackQueue.finish, TrackQueue.close]
)
def test_new_tracks_that_are_read_while_the_order_changes_come_to_other_runs(
    change: Callable[[TrackQueue], None],
) -> None:
    """After `finish` the page that is read still comes; nobody submits it, and it is released."""

    async def scene(ledger: Ledger) -> None:
        queue = track_queue(ledger, complete=True)
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(0)  # it has begun to read

        change(queue)
        await ledger.release_waiting()

        found = [entry.number for entry in (await reading,) if entry] + await left(queue)
        assert found == ([1, 2, 3] if change is TrackQueue.finish else [])
        assert len(await ledger.claim([TrackState.WAITING], 9)) == 3

    play(scene, tracks=3)


def test_where_nothing_new_is_submitted_a_page_of_new_tracks_is_dropped() -> None:
    async def scene(ledger: Ledger) -> None:
        queue = track_queue(ledger, complete=True)
        assert await queue.next() is not None

        queue.submit_nothing_new()

        assert await left(queue) == []
        assert not await queue.ready()

    play(scene, tracks=250)


@pytest.mark.parametrize(
    "end",
    [
        TrackQueue.completed,
        TrackQueue.submit_nothing_new,
        TrackQueue.finish,
        TrackQueue.close,
    ],
)
def test_an_end_of_the_catalog_wakes_who_waits(end: Callable[[TrackQueue], None]) -> None:
    async def scene(ledger: Ledger) -> None:
        queue = track_queue(ledger, complete=False)
        assert await queue.next() is None
        waiting = asyncio.create_task(queue.ready())
        await asyncio.sleep(10)

        end(queue)

        assert await waiting
        assert await queue.next() is None
        assert not await queue.ready()

    play(scene, tracks=0)


@pytest.mark.parametrize("change", [TrackQueue.grown, TrackQueue.completed])
def test_a_change_during_a_read_is_noticed(change: Callable[[TrackQueue], None]) -> None:
    async def scene(ledger: Ledger) -> None:
        queue = track_queue(ledger, complete=False)
        assert await queue.next() is None
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(0)  # it has begun to read
        adding = ledger.take_in([Track("m1")])
        change(queue)

        assert await reading is None
        await adding
        async with asyncio.timeout(10):
            assert await queue.ready()
        assert await left(queue) == [1]

    play(scene, tracks=0)


def test_after_finish_only_what_is_paid_for_comes() -> None:
    async def scene(ledger: Ledger) -> None:
        _, second, third, _ = await entries(ledger)
        await ledger.submitting(second)
        await ledger.submitted(third, TASK)
        queue = track_queue(ledger, complete=False)
        queue.finish()

        assert await left(queue) == [3]
        assert not await queue.ready()

    play(scene, tracks=4)


def test_after_finish_the_page_that_is_read_still_comes() -> None:
    async def scene(ledger: Ledger) -> None:
        queue = track_queue(ledger, complete=True)
        assert await queue.next() is not None

        queue.finish()

        assert await left(queue) == [*range(2, 21)]
        assert not await queue.ready()

    play(scene, tracks=150)


def test_after_close_nothing_comes() -> None:
    async def scene(ledger: Ledger) -> None:
        await ledger.submitted((await entries(ledger))[0], TASK)
        queue = track_queue(ledger, complete=False)
        assert await queue.next() is not None

        queue.close()

        assert await left(queue) == []
        assert not await queue.ready()

    play(scene, tracks=3)


Queue = TrackQueue | DownloadQueue


async def queue_of(kind: type[Queue], ledger: Ledger) -> Queue:
    """Return a complete queue of 3 and 4, or, for images, of 1 and 2."""
    for entry in await entries(ledger):
        await ledger.covered(entry, details())
    await add(ledger, 3, 4)
    queue: Queue = (
        track_queue(ledger, complete=True) if kind is TrackQueue else DownloadQueue(ledger, 2)
    )
    queue.completed()
    return queue


@pytest.mark.parametrize("kind", [TrackQueue, DownloadQueue])
def test_a_cancellation_during_a_read_leaves_its_entries_to_the_next_run(
    kind: type[Queue],
) -> None:
    """Only a run that ends cancels a read."""

    async def whole() -> None:
        async with Ledger(None) as ledger:
            async with ledger.lease(ACCOUNT):
                await add(ledger, 1, 2)
                queue = await queue_of(kind, ledger)
                reading = asyncio.create_task(queue.next())
                await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading
            async with ledger.lease(ACCOUNT):
                next_queue: Queue = (
                    track_queue(ledger, complete=True)
                    if kind is TrackQueue
                    else DownloadQueue(ledger, 2)
                )
                next_queue.completed()

                assert await left(next_queue) == ([3, 4] if kind is TrackQueue else [1, 2])

    run(whole())


async def test_a_ledger_that_cannot_be_read_is_an_error_of_both_queues() -> None:
    ledger = Ledger(None)

    for queue in (track_queue(ledger, complete=True), DownloadQueue(ledger, 1)):
        with pytest.raises(LedgerError, match="is not open"):
            await queue.next()


async def cover(ledger: Ledger, ages: list[int]) -> None:
    """Cover the tracks, each so many days before noon."""
    for entry, age in zip(await entries(ledger), ages, strict=True):
        await ledger.covered(entry, details(completed_at=NOON - timedelta(days=age)))


async def taken(queue: DownloadQueue) -> LedgerEntry:
    entry = await queue.next()
    assert entry is not None
    return entry


def test_the_oldest_images_come_first_and_each_once() -> None:
    async def scene(ledger: Ledger) -> None:
        await cover(ledger, [2, 4, 1, 3])
        queue = DownloadQueue(ledger, workers=4)
        queue.completed()

        assert await left(queue) == [2, 4, 1, 3]

    play(scene, tracks=4)


def test_images_come_once_in_a_run_though_they_are_not_saved() -> None:
    async def scene(ledger: Ledger) -> None:
        await cover(ledger, [2, 1])
        queue = DownloadQueue(ledger, workers=2)
        queue.completed()
        first = await taken(queue)
        await ledger.put_off(first)
        second = await taken(queue)
        await ledger.saved(second, ())

        assert await queue.next() is None

    play(scene, tracks=2)


def test_images_that_got_another_title_while_they_were_saved_come_again() -> None:
    async def scene(ledger: Ledger) -> None:
        await cover(ledger, [1])
        queue = DownloadQueue(ledger, workers=2)
        first = await taken(queue)
        await ledger.take_in([Track("m1", title="Another")])
        await ledger.saved(first, ())
        queue.completed()

        again = await taken(queue)

        assert [track.title for track in again.tracks] == ["", "Another"]
        await ledger.saved(again, ())
        assert await queue.next() is None

    play(scene, tracks=1)


def test_workers_wait_for_covers_and_end_with_the_last() -> None:
    async def scene(ledger: Ledger) -> None:
        queue = DownloadQueue(ledger, workers=2)
        workers = [asyncio.create_task(queue.next()) for _ in range(2)]
        await asyncio.sleep(10)
        assert not any(worker.done() for worker in workers)

        await cover(ledger, [1])
        queue.grown()
        await asyncio.sleep(10)
        assert [worker.done() for worker in workers] == [True, False]
        queue.completed()

        first, second = await asyncio.gather(*workers)
        assert first is not None
        assert (first.number, second) == (1, None)

    play(scene, tracks=1)


@pytest.mark.parametrize("change", [DownloadQueue.grown, DownloadQueue.completed])
def test_a_cover_that_comes_during_a_read_is_noticed(
    change: Callable[[DownloadQueue], None],
) -> None:
    async def scene(ledger: Ledger) -> None:
        (entry,) = await entries(ledger)
        queue = DownloadQueue(ledger, workers=1)
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(0)  # it has begun its first read
        covering = ledger.covered(entry, details())
        change(queue)
        await covering

        async with asyncio.timeout(10):
            found = await reading
        assert found is not None or change is DownloadQueue.completed
        queue.completed()
        assert await left(queue) == ([] if found else [1])

    play(scene, tracks=1)
