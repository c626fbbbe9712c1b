"""The queue of a run that shares its ledger: it waits for what other runs may leave."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import pytest

from suno_cover_async import Ledger, LedgerEntry, Track, TrackState
from suno_cover_async.batch.queues import TrackQueue
from tests.support.ledger_steps import TASK, entries
from tests.support.virtual_time import run

ACCOUNT = "0123456789abcdef"
WAITING, SUBMITTING, SUBMITTED = TrackState.WAITING, TrackState.SUBMITTING, TrackState.SUBMITTED
COVERED = TrackState.COVERED


class SharedLedger(Ledger):
    """A ledger in memory of which another run holds tracks.

    Attributes:
        others: The states of the tracks that the other run holds.
        asked: The states for which this run asked, and when.
        on_asked: Called when it asks.
        waits: When the queue began to wait.
    """

    def __init__(self, others: Iterable[TrackState]) -> None:
        super().__init__(None)
        self.others = {*others}
        self.asked: list[tuple[float, set[TrackState]]] = []
        self.on_asked: Callable[[], None] = lambda: None
        self.waits: list[float] = []

    def others_hold(self, states: Iterable[TrackState]) -> "asyncio.Future[bool]":
        wanted = {*states}
        self.asked.append((asyncio.get_running_loop().time(), wanted))
        self.on_asked()
        return self._store.do(lambda _: bool(wanted & self.others))


def play(
    scene: Callable[[SharedLedger, TrackQueue], Coroutine[Any, Any, None]],
    *others: TrackState,
    saves_images: bool = True,
) -> None:
    """Play a scene in virtual time."""

    async def whole() -> None:
        async def on_wait() -> None:
            ledger.waits.append(asyncio.get_running_loop().time())

        async with SharedLedger(others) as ledger, asyncio.timeout(1_000), ledger.lease(ACCOUNT):
            queue = TrackQueue(ledger, complete=True, saves_images=saves_images, on_wait=on_wait)
            await scene(ledger, queue)

    run(whole())


def test_a_run_waits_for_others_and_takes_what_they_leave() -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(12)
        assert not reading.done()
        assert ledger.waits == [0, 0.5, 1.5, 3.5, 7.5]

        await ledger.take_in([Track("m1")])  # as if the other had released it
        entry = await reading

        assert entry is not None
        assert entry.music_task_id == "m1"
        assert asyncio.get_running_loop().time() == 12.5
        assert ledger.waits == [0, 0.5, 1.5, 3.5, 7.5]

    play(scene, WAITING)


def test_the_waits_for_others_are_5_s_at_most_and_short_again_after_a_track() -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(17)
        assert ledger.waits == [0, 0.5, 1.5, 3.5, 7.5, 12.5]
        await ledger.take_in([Track("m1")])
        assert await reading is not None
        ledger.waits.clear()

        again = asyncio.create_task(queue.next())
        await asyncio.sleep(1)
        ledger.others.clear()

        assert ledger.waits == [17.5, 18]
        assert await again is None

    play(scene, WAITING)


def test_a_run_ends_once_others_hold_nothing_that_may_come_to_it() -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(7)
        ledger.others.clear()

        assert await reading is None
        assert not await queue.ready()
        assert ledger.waits == [0, 0.5, 1.5, 3.5]
        assert asyncio.get_running_loop().time() == 7.5

    play(scene, SUBMITTED)


@pytest.mark.parametrize("saves_images", [True, False])
def test_covers_that_others_save_are_awaited_where_images_are_saved(*, saves_images: bool) -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(0.4)

        assert reading.done() is not saves_images
        assert len(ledger.waits) == int(saves_images)
        ledger.others.clear()
        assert await reading is None

    play(scene, COVERED, saves_images=saves_images)


def test_nobody_is_asked_about_while_there_is_something_to_do() -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        await ledger.take_in([Track(f"m{number}") for number in range(50)])
        found = [await queue.next() for _ in range(50)]

        assert None not in found
        assert ledger.asked == []
        assert ledger.waits == []

    play(scene, WAITING)


def test_while_the_catalog_is_read_others_are_not_awaited() -> None:
    async def scene(ledger: SharedLedger, _: TrackQueue) -> None:
        async def never() -> None:
            raise AssertionError("it waits for other runs")

        queue = TrackQueue(ledger, complete=False, saves_images=True, on_wait=never)

        assert await queue.next() is None
        assert ledger.asked == []

    play(scene, WAITING)


def test_where_nothing_new_is_submitted_only_what_is_paid_for_or_may_be_is_awaited() -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        queue.submit_nothing_new()

        assert await queue.next() is None
        assert [states for _, states in ledger.asked] == [{SUBMITTED, SUBMITTING, COVERED}]

    play(scene, WAITING)


@pytest.mark.parametrize("end", [TrackQueue.finish, TrackQueue.close])
@pytest.mark.parametrize("first", [True, False])
def test_a_run_that_is_told_to_end_awaits_no_others(
    end: Callable[[TrackQueue], None], *, first: bool
) -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        if first:
            end(queue)
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(0.4)
        end(queue)

        assert await reading is None
        assert not await queue.ready()
        assert asyncio.get_running_loop().time() == 0.4
        assert len(ledger.waits) == (0 if first else 1)

    play(scene, WAITING, SUBMITTED)


@pytest.mark.parametrize("end", [TrackQueue.finish, TrackQueue.close])
def test_an_order_to_end_during_the_question_is_noticed_at_once(
    end: Callable[[TrackQueue], None],
) -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        ledger.on_asked = lambda: end(queue)

        assert await queue.next() is None
        assert asyncio.get_running_loop().time() == 0

    play(scene, WAITING, SUBMITTED)


def test_a_run_that_finishes_while_it_waits_still_gets_what_is_paid_for() -> None:
    async def scene(ledger: SharedLedger, queue: TrackQueue) -> None:
        reading = asyncio.create_task(queue.next())
        await asyncio.sleep(1)
        await ledger.take_in([Track("m1"), Track("m2")])
        first, _ = await entries(ledger)
        await ledger.submitted(first, TASK)
        queue.finish()
        found: LedgerEntry | None = await reading

        assert found is not None
        assert found.task == TASK
        assert await queue.next() is None

    play(scene, WAITING)
