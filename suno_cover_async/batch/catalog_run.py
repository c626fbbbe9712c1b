"""The run over a catalog: start each track in turn, wait for its cover, return the outcomes.

It owns how many tracks are in flight, and when the run ends. `intake.py` adds tracks to the ledger,
`queues.py` chooses the next one, `track_submitter.py` submits it, `image_saver.py` saves its
images, and `error_policy.py` decides what an error means.
"""

import asyncio
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Self, cast

from suno_cover_async.batch.error_policy import consequence_of
from suno_cover_async.batch.image_saver import Folder, ImageSaver
from suno_cover_async.batch.intake import add_each
from suno_cover_async.batch.outcomes import (
    Covered,
    InFlight,
    Outcome,
    OutcomeQueue,
    Progress,
    Step,
)
from suno_cover_async.batch.queues import DownloadQueue, TrackQueue
from suno_cover_async.batch.run_state import RunState
from suno_cover_async.batch.track_submitter import TrackSubmitter
from suno_cover_async.common.tasks import begin_work, raise_inner_cancellation
from suno_cover_async.covers.service import CoverService
from suno_cover_async.emitter import operation
from suno_cover_async.errors import (
    ClientUsageError,
    CoverTimeoutError,
    LedgerError,
    SunoCoverError,
)
from suno_cover_async.events import Operation
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import CoverDetails, CoverTask, Track
from suno_cover_async.policies import RetryPolicy

_SAVES_AT_ONCE = 8
_SOONEST_COUNT, _LATEST_COUNT = 5.0, 120.0  # seconds between two counts of a shared ledger
_COUNT_REST = 50  # times as long as the last one took: ten million tracks take about a second
_closed = partial(ClientUsageError, "the client was closed while a catalog was at work")
_iterator_cancelled = partial(
    ClientUsageError, "the track iterator was cancelled from outside the batch"
)


class CatalogRun:
    """A run over a catalog; iterate over it to read the outcomes of the tracks.

    After the last outcome the iteration ends, or raises the reason why the run stopped early: the
    key was refused (`AuthenticationError`), credits ran out (`InsufficientCreditsError`), a gateway
    blocks this client (`ClientBlockedError`), the base URL is wrong (`WrongAddressError`), an
    answer to a submit cannot be read (`UnexpectedResponseError`), the ledger or an image cannot be
    written (`LedgerError`, `DownloadError`), the client was closed or the track iterator cancelled
    (`ClientUsageError`), or an error that the track iterator raised. Where possible, the run
    finishes the covers that are paid for before it raises; the next run continues with the rest.

    Where `max_covers` holds tracks back, the iteration ends without an error once all that is paid
    for is finished: `reached_max_covers` is true then, and `progress.left` counts what waits.

    Attributes:
        progress: How far the run is.
    """

    def __init__(
        self,
        covers: CoverService,
        ledger: Ledger,
        into: Folder | None,
        feed: AsyncIterable[Track | str] | None,
        retry: RetryPolicy,
        *,
        max_covers: int | None = None,
    ) -> None:
        """Prepare a run for `cover_catalog`; `feed` is an iterator of further tracks."""
        self._covers = covers
        self._ledger = ledger
        self._feed = feed
        self._tracks = TrackQueue(
            ledger,
            complete=feed is None,
            saves_images=into is not None,
            on_wait=self._look_around,
        )
        self._images = DownloadQueue(ledger, _SAVES_AT_ONCE)
        self._unread = OutcomeQueue(covers.account.events)
        self._run = RunState(ledger, self._tracks)
        self._submitter = TrackSubmitter(covers, ledger, self._run, retry, max_covers=max_covers)
        self._saver = None if into is None else ImageSaver(covers, ledger, self._run, retry, into)
        self.progress: Progress = self._run.progress

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Outcome:
        """Wait for the next outcome.

        Raises:
            SunoCoverError: The reason why the run stopped early; raised after the last outcome.
        """
        outcome = await self._unread.get()
        if outcome is not None:
            return outcome
        if self._run.reason is not None:
            raise self._run.reason
        raise StopAsyncIteration

    def finish(self) -> None:
        """Submit nothing more; the iteration ends once every cover that is paid for is finished.

        A submit that is still waiting for its turn is withdrawn. One that was sent is awaited.
        """
        self._run.finish()

    @property
    def reached_max_covers(self) -> bool:
        """Return whether tracks wait that were not submitted because of `max_covers`."""
        return self._run.reached_max_covers

    @property
    def reason(self) -> BaseException | None:
        """Return why the run stops early, as soon as that is known; None if it does not.

        The iteration raises it after the last outcome.
        """
        return self._run.reason

    @property
    def in_flight(self) -> Mapping[str, InFlight]:
        """Return the tracks in progress by music task id, the oldest step first.

        The mapping is a copy; it does not change while you read it.
        """
        return dict(self._run.in_flight)

    async def count(self) -> None:
        """Count the tracks of the ledger into `progress`."""
        # Where the ledger cannot be read, what this run itself knows stands: a submit that only
        # waited for the limit is not possibly billed, although it is recorded as begun.
        known = self._covers.state
        self.progress.possibly_billed = len(known.possibly_billed.keys() | known.under_way)
        await self._run.count(saves_images=self._saver is not None)

    async def _count_now_and_then(self) -> None:
        """Count a ledger that others share every few seconds, less often where that takes long."""
        clock = asyncio.get_running_loop().time
        while self._ledger.is_shared:
            began = clock()
            await self.count()
            longer = _COUNT_REST * (clock() - began)
            await asyncio.sleep(min(max(_SOONEST_COUNT, longer), _LATEST_COUNT))

    async def work(self, stack: AsyncExitStack) -> None:
        """Run until the last outcome, then close `stack`."""
        begin_work()
        async with stack:
            with operation(self._covers.account.events, Operation.CATALOG) as running:
                await self._work()
                if running is not None:
                    running.failure = self._run.reason

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as watch:
                watching = watch.create_task(self._ledger.lost())
                counting = watch.create_task(self._count_now_and_then())
                await self._cover_and_save()
                watching.cancel()
                counting.cancel()
        except BaseExceptionGroup as errors:
            self._run.reason = self._run.reason or _first(errors)
        finally:
            try:
                with suppress(SunoCoverError):
                    await self.count()
            finally:  # otherwise the reader would wait forever when the count is cancelled
                self._unread.end()

    async def _cover_and_save(self) -> None:
        async with asyncio.TaskGroup() as group:
            if self._feed is not None:
                feeding = group.create_task(self._follow(self._feed))
                self._run.cancelled_by_finish(feeding)
            if self._saver is not None:
                await self._saver.sweep()
                save_all = partial(self._saver.save_all, self._images, self._unread)
                for _ in range(_SAVES_AT_ONCE):
                    group.create_task(raise_inner_cancellation(save_all, _closed))
            await self._cover_all()

    async def _look_around(self) -> None:
        """See what other runs have done meanwhile, and save covers that they left."""
        self._images.grown()
        await self.count()

    async def _follow(self, feed: AsyncIterable[Track | str]) -> None:
        """Add the tracks of the feed to the ledger; if it fails, finish what is paid for."""
        try:
            add = partial(add_each, self._ledger, feed, self._added, self._covers.check_music_id)
            await raise_inner_cancellation(add, _iterator_cancelled)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - a feed may raise anything
            self._run.halt(error, at_once=False)
        self._tracks.completed()

    def _added(self, music_tasks: int) -> None:
        self.progress.total += music_tasks
        self._tracks.grown()
        self._images.grown()  # it may be another title of a music task that is saved

    async def _cover_all(self) -> None:
        """Start a task for each track, one at a time: the next once the last has its slot."""
        async with asyncio.TaskGroup() as tracks:
            while await self._tracks.ready():
                started = asyncio.Event()
                cover_next = partial(self._cover_next, started)
                tracks.create_task(raise_inner_cancellation(cover_next, _closed))
                await started.wait()
        if self._run.reached_max_covers:
            self._run.finish()  # a feed may never end
        self._images.completed()

    async def _cover_next(self, started: asyncio.Event) -> None:
        """Take a slot, then the next track, and cover it; set `started` once it has both."""
        # No track starts while the outcome queue is full, so unread outcomes stay bounded. This
        # task takes its slot itself: if the dispatcher took it and passed it on, a task cancelled
        # before its first step would never release it.
        await self._unread.has_capacity()
        await self._wait_for_image_host()
        async with self._covers.slot():
            await self._submitter.turn_is_free()
            entry = await self._tracks.next()
            started.set()
            if entry is None:
                return
            outcomes = await self._cover(entry)
        await self._unread.put(outcomes)

    async def _wait_for_image_host(self) -> None:
        """Wait until the image host is available, or until `finish` ends the wait.

        Images expire, so no cover is submitted while its images cannot be fetched.
        """
        if not self._run.finishing:
            opened = asyncio.create_task(self._covers.account.breakers.images.wait_until_closed())
            await self._run.unless_finishing(opened)

    async def _cover(self, entry: LedgerEntry) -> Sequence[Outcome]:
        """Submit the track unless that is paid for, wait for the cover, return the outcomes."""
        step = Step.WAIT if entry.state is TrackState.SUBMITTED else Step.SUBMIT
        try:
            task = entry.task
            if step is Step.SUBMIT:
                with self._run.doing(step, entry):
                    task = await self._submitter.submit(entry)
            if task is None:
                await self._leave(entry)
                return ()
            step = Step.WAIT
            with self._run.doing(step, entry), self._covers.state.holding(task):
                details = await self._wait(task)
        except LedgerError:
            raise
        except SunoCoverError as error:
            return await self._run.end(entry, error, consequence_of(error, step))
        await self._ledger.covered(entry, details)
        self._images.grown()
        if self._saver is not None:
            return ()
        self.progress.done += 1
        return [Covered(track=track, details=details) for track in entry.tracks]

    async def _leave(self, entry: LedgerEntry) -> None:
        """Leave a track that is not submitted, since the run submits nothing more."""
        if entry.state is TrackState.WAITING or self._run.finishing:
            await self._ledger.release(entry)  # other runs that share the ledger go on
        else:
            await self._ledger.put_off(entry)  # or this run would take it again

    async def _wait(self, task: CoverTask) -> CoverDetails:
        """Wait for a cover; restart the timeout if an outage overlapped it."""
        # A timeout that overlaps an outage measures the outage, not the cover. `times_opened` is
        # compared as well, because the breaker may have opened and closed again during the wait.
        breaker = self._covers.account.breakers.api
        while True:
            began = None if breaker.is_open else breaker.times_opened
            try:
                return await self._covers.wait(task, self._covers.poll.timeout)
            except CoverTimeoutError:
                if not breaker.is_open and breaker.times_opened == began:
                    raise


def _first(error: BaseException) -> BaseException:
    """Return the first single error of a nested exception group."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
