"""The state that the parts of a run share: counts, tracks in flight, and the ways to end."""

import asyncio
import contextlib
import gc
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    Failed,
    Ledger,
    LedgerEntry,
    LedgerError,
    ServerError,
    Step,
    Track,
    TrackState,
)
from suno_cover_async.batch.error_policy import Consequence
from suno_cover_async.batch.queues import TrackQueue
from suno_cover_async.batch.run_state import RunState
from suno_cover_async.ledger.run_steps import Others
from tests.support.ledger_steps import COVERED, SAVED, SUBMITTED, entries

ERROR = ServerError("HTTP 500", retryable=True)


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    """A ledger in memory with three tracks."""
    async with Ledger(None) as ledger, ledger.lease("0123456789abcdef"):
        await ledger.take_in([Track("m1"), Track("m2"), Track("m3")])
        yield ledger


@pytest.fixture
def tracks(ledger: Ledger) -> TrackQueue:
    async def never() -> None:
        raise AssertionError("it waits for other runs")

    return TrackQueue(ledger, complete=False, saves_images=True, on_wait=never)


@pytest.fixture
def state(ledger: Ledger, tracks: TrackQueue) -> RunState:
    return RunState(ledger, tracks)


async def first(ledger: Ledger) -> LedgerEntry:
    return (await entries(ledger))[0]


class Shared(Ledger):
    """A ledger that two other runs share, one of which is submitting."""

    def others_at_work(self) -> "asyncio.Future[Others]":
        found: asyncio.Future[Others] = asyncio.get_running_loop().create_future()
        found.set_result(Others(hosts=("here", "there"), submitting=1))
        return found


async def test_what_other_runs_are_submitting_is_not_possibly_billed_by_this_one() -> None:
    async with Shared(None) as ledger, ledger.lease("0123456789abcdef"):
        await ledger.take_in([Track("m1"), Track("m2")])
        for entry in await entries(ledger):
            await ledger.submitting(entry)

        async def never() -> None:
            raise AssertionError("it waits for other runs")

        queue = TrackQueue(ledger, complete=True, saves_images=True, on_wait=never)
        state = RunState(ledger, queue)
        await state.count(saves_images=True)

    assert (state.progress.possibly_billed, state.progress.other_runs) == (1, 2)


@pytest.mark.parametrize(("saves_images", "done"), [(True, 1), (False, 2)])
async def test_a_track_is_done_once_it_is_saved_or_covered_where_nothing_is_saved(
    ledger: Ledger, state: RunState, saves_images: bool, done: int
) -> None:
    one, two, three = await entries(ledger)
    for entry, steps in ((one, SAVED), (two, COVERED)):
        for step in steps:
            await step(ledger, entry)
    await ledger.submitting(three)

    await state.count(saves_images=saves_images)

    progress = state.progress
    assert (progress.total, progress.done, progress.failed) == (3, done, 0)
    assert progress.possibly_billed == 1


async def test_failed_tracks_and_those_that_need_attention_count_as_failed(
    ledger: Ledger, state: RunState
) -> None:
    one, two, _ = await entries(ledger)
    await state.end(one, ERROR, Consequence.FAILED)
    await state.end(two, ERROR, Consequence.ATTENTION)
    assert state.progress.failed == 2

    await state.count(saves_images=True)
    assert state.progress.failed == 2


async def test_a_track_is_in_flight_for_as_long_as_its_step(
    ledger: Ledger, state: RunState
) -> None:
    entry = await first(ledger)
    with suppress(LookupError), state.doing(Step.SAVE, entry):
        assert state.in_flight["m1"].step is Step.SAVE
        assert state.in_flight["m1"].track == entry.tracks[0]
        assert state.progress.in_flight == 1
        raise LookupError

    assert not state.in_flight
    assert state.progress.in_flight == 0


@pytest.mark.parametrize(
    ("what", "kept"),
    [
        (Consequence.LEFT, TrackState.WAITING),
        (Consequence.FAILED, TrackState.FAILED),
        (Consequence.ATTENTION, TrackState.ATTENTION),
        (Consequence.WRONG_TASK, TrackState.ATTENTION),
    ],
)
async def test_an_error_of_a_track_is_its_outcome_and_ends_nothing_else(
    ledger: Ledger, state: RunState, what: Consequence, kept: TrackState
) -> None:
    error = ServerError("HTTP 500", retryable=True)
    (outcome,) = await state.end(await first(ledger), error, what)

    assert isinstance(outcome, Failed)
    assert outcome.error is error
    assert outcome.error.retryable is (what is Consequence.LEFT)
    assert (await first(ledger)).state is kept
    assert not state.finishing
    assert state.reason is None


async def test_a_cover_task_of_another_song_is_forgotten(ledger: Ledger, state: RunState) -> None:
    for step in SUBMITTED:
        await step(ledger, await first(ledger))

    await state.end(await first(ledger), ERROR, Consequence.WRONG_TASK)

    assert (await first(ledger)).task is None


async def test_an_error_of_all_tracks_ends_the_run_and_leaves_the_track(
    ledger: Ledger, state: RunState, tracks: TrackQueue
) -> None:
    entry = await first(ledger)
    assert await state.end(entry, ERROR, Consequence.STOP_SUBMITTING) == ()
    assert await state.end(entry, ServerError("a later one"), Consequence.ABORT) == ()

    assert state.finishing
    assert state.reason is ERROR  # the first one
    assert (await first(ledger)).state is TrackState.WAITING
    assert await tracks.next() is None


async def test_a_run_that_finishes_takes_no_track_that_is_not_paid_for(
    state: RunState, tracks: TrackQueue
) -> None:
    state.finish()

    assert state.reason is None
    assert await tracks.next() is None


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_end_at_once_leaves_what_is_paid_for(
    ledger: Ledger, state: RunState, tracks: TrackQueue, at_once: bool
) -> None:
    for step in SUBMITTED:
        await step(ledger, await first(ledger))

    state.halt(ERROR, at_once=at_once)

    entry = await tracks.next()
    assert (None if entry is None else entry.music_task_id) == (None if at_once else "m1")


@pytest.mark.parametrize("caller_leaves", [False, True])
async def test_finishing_cancels_a_task_once_and_waits_for_its_end(
    state: RunState, caller_leaves: bool
) -> None:
    cancelled = 0
    answered = asyncio.Event()

    async def request() -> None:
        nonlocal cancelled
        while not answered.is_set():
            try:
                await answered.wait()
            except asyncio.CancelledError:
                cancelled += 1

    task = asyncio.create_task(request())
    waiting = asyncio.create_task(state.unless_finishing(task))
    await _turns()
    state.finish()
    state.finish()
    if caller_leaves:
        waiting.cancel()
    await _turns()
    waited = not waiting.done()
    answered.set()
    await asyncio.wait([waiting])

    assert waited
    assert waiting.cancelled() is caller_leaves
    assert cancelled == 1


async def test_a_wait_that_is_cancelled_cancels_its_task_and_waits_for_its_end(
    state: RunState,
) -> None:
    ended: list[str] = []

    async def request() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await _turns()
            ended.append("request")

    waiting = asyncio.create_task(state.unless_finishing(asyncio.create_task(request())))
    await _turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["request"]


async def test_what_ended_before_is_not_cancelled_by_finishing(state: RunState) -> None:
    task: asyncio.Task[int] = asyncio.create_task(_seven())
    await state.unless_finishing(task)
    state.finish()

    assert await task == 7
    assert not task.cancelling()


async def test_a_task_for_finish_to_cancel_is_cancelled(state: RunState) -> None:
    endless: Coroutine[None, None, object] = asyncio.Event().wait()
    task = asyncio.create_task(endless)
    state.cancelled_by_finish(task)
    await _turns()
    state.finish()
    await asyncio.wait([task])

    assert task.cancelled()


async def _seven() -> int:
    return 7


async def _turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_what_waits_is_left_to_other_runs_once_nothing_new_is_submitted(
    ledger: Ledger, state: RunState
) -> None:
    found = await ledger.claim([TrackState.WAITING], 9)
    await ledger.submitting(found[1])

    state.reach_max_covers()

    left = await ledger.claim([TrackState.WAITING, TrackState.SUBMITTING], 9)
    assert [entry.number for entry in left] == [1, 3]
    state.finish()
    assert await ledger.claim([TrackState.WAITING], 9) == left
    assert await ledger.claim([TrackState.SUBMITTING], 9) == []


async def test_a_run_is_told_to_finish_without_an_error_after_its_ledger_was_closed() -> None:
    async with Ledger(None) as ledger:
        state = RunState(
            ledger, TrackQueue(ledger, complete=False, saves_images=True, on_wait=_turns)
        )

    state.finish()


async def test_the_error_of_a_release_that_cannot_be_written_is_not_lost(tmp_path: Path) -> None:
    lost: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
    path = tmp_path / "covers.db"
    async with Ledger(path) as ledger, ledger.lease("0123456789abcdef"):
        await ledger._store.do(_wait_for_nobody)
        state = RunState(
            ledger, TrackQueue(ledger, complete=False, saves_images=True, on_wait=_turns)
        )
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as beside:
            beside.execute("BEGIN IMMEDIATE")  # nobody else can write
            state.finish()
            with pytest.raises(LedgerError):
                await ledger.count()
            beside.execute("ROLLBACK")
        await _turns()
        gc.collect()

    assert lost == []


def _wait_for_nobody(there: Any) -> None:
    """Have a commit fail at once while another connection writes."""
    there.execute("PRAGMA busy_timeout = 0")
