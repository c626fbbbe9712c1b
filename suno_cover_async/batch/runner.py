"""Run a catalog: submit each track, wait for its cover and save the images.

This module owns the order in which steps become durable, how many tracks are in flight, and when
the run ends. The ledger stores the state of each track, `queues.py` chooses the next one, and
`error_policy.py` decides what an error means. The client submits, waits and downloads.
"""

import asyncio
import logging
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from suno_cover_async.batch.catalog import Catalog
from suno_cover_async.batch.error_policy import Consequence, consequence_of
from suno_cover_async.batch.outcomes import (
    Covered,
    Failed,
    InFlight,
    Outcome,
    OutcomeQueue,
    Progress,
    Step,
)
from suno_cover_async.batch.queues import DownloadQueue, TrackQueue
from suno_cover_async.client import SunoCoverClient, covers_of
from suno_cover_async.common import validation
from suno_cover_async.common.disk import in_thread
from suno_cover_async.common.tasks import begin_work
from suno_cover_async.covers.service import CoverService
from suno_cover_async.errors import (
    ClientUsageError,
    CoverExpiredError,
    CoverTimeoutError,
    LedgerError,
    SunoCoverError,
)
from suno_cover_async.images.files import file_stem, sweep
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import CoverDetails, CoverTask, Track
from suno_cover_async.policies import RetryPolicy

T = TypeVar("T")

_log = logging.getLogger("suno_cover_async")

_SUBMITS_AT_ONCE = 20  # the documented limit: polls do not queue behind hundreds of submits
_SAVES_AT_ONCE = 8
_TAKEN_IN_AT_ONCE = 5_000
_LONGEST_TITLE = 40  # characters of it in the name of a file
_CLOSED = "the client was closed while a catalog was at work"
_ITERATOR_CANCELLED = "the track iterator was cancelled from outside the batch"


@asynccontextmanager
async def cover_catalog(
    client: SunoCoverClient,
    tracks: Iterable[Track | str] | AsyncIterable[Track | str],
    *,
    ledger: Ledger | None = None,
    into: str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
    wait_out_outages: bool = True,
) -> AsyncGenerator["CatalogRun", None]:
    """Cover a whole catalog and iterate over the outcomes of its tracks as they arrive.

    ::

        async with Ledger("covers.db") as ledger:
            async with cover_catalog(client, tracks, ledger=ledger, into="covers") as outcomes:
                async for outcome in outcomes: ...

    A further run with the same ledger resumes the work: tracks that are paid for come first, tracks
    that ended are not submitted, and outcomes of earlier runs are not returned again. Memory does
    not grow with the catalog: at most `client.concurrency` covers are in flight, and no further
    track starts while 1,000 outcomes are unread.

    An outage fails no track. All requests pause except one probe at a time, sent after
    `RetryPolicy.probe_delay` seconds growing to `max_probe_delay`; when the host answers, the run
    continues. Other calls of this client wait too, up to their own timeouts.

    Leaving the block early stops the run: nothing more is submitted, the run waits for the answer
    to a submit that was already sent and records it, and the next run continues with the rest. A
    cancellation while the block is being left ends this wait. The answer is recorded all the same,
    and the ledger is closed after that.

    Args:
        client: The client that sends the requests.
        tracks: `read_catalog(...)`, or an iterable of tracks or music task ids. A plain iterable is
            read to its end before anything is submitted, and replaces the tracks that an earlier
            catalog left waiting. An asynchronous one is covered as it yields, in addition to those.
            A music task that appears twice is one cover, with an outcome and files for each title.
        ledger: Where to record the tracks; None records them in memory, for this run only.
        into: The folder for the images, two files a track, named by title and music task id; None
            saves no images.
        retry_failed: Start again all tracks of the ledger that failed or need attention. A cover
            that failed is submitted again. The API does not document whether that is billed again.
        wait_out_outages: Whether tracks wait until an outage ends. If not, they end with their own
            retries and timeouts, and the next run continues with them.

    Raises:
        ValueError: A track is invalid, or `into` is no valid path; nothing was submitted. (For an
            asynchronous iterable, the iteration over outcomes raises it.)
        TypeError: An argument is of the wrong type.
        LedgerError: The ledger is not open, is in use by another catalog, belongs to another
            account, or cannot be written.
    """
    validation.instance("client", client, SunoCoverClient)
    folder = None if into is None else validation.folder("into", into)
    async with AsyncExitStack() as stack:
        if ledger is None:
            ledger = await stack.enter_async_context(Ledger(None))
        validation.instance("ledger", ledger, Ledger)
        await stack.enter_async_context(ledger.lease(client.account))
        if wait_out_outages:
            stack.enter_context(client.breakers.armed())
        feed = tracks if isinstance(tracks, AsyncIterable) else None
        if await ledger.has_answered(client.base_url):
            client.trust_base_url()
        if not isinstance(tracks, AsyncIterable):
            await _read_whole(ledger, tracks)
        if retry_failed:
            await ledger.retry_failed()
        covers = covers_of(client)
        retry = covers.account.retry
        outcomes = CatalogRun(
            covers, ledger, folder, feed, retry.for_batch() if wait_out_outages else retry
        )
        await outcomes.count()
        # From here on a separate task owns the lease and the breakers. It is cancelled once, and
        # only below, so it can wait for the answer to a submit that was already sent and record it.
        # If the caller's own task did this, a second cancellation would interrupt that wait, and a
        # paid cover task would be lost. The caller may be cancelled any number of times while it
        # waits for this task to end.
        work = asyncio.create_task(outcomes.work(stack.pop_all()))
        covers.used_by(work)
        ledger.used_by(work)
    try:
        await asyncio.sleep(0)  # a task cancelled before its first step would never close `stack`
        yield outcomes
    finally:
        work.cancel()
        await asyncio.wait([work])


class CatalogRun:
    """A run over a catalog; iterate over it to read the outcomes of the tracks.

    After the last outcome the iteration ends, or raises the reason why the run stopped early: the
    key was refused (`AuthenticationError`), credits ran out (`InsufficientCreditsError`), a gateway
    blocks this client (`ClientBlockedError`), the base URL is wrong (`WrongAddressError`), an
    answer to a submit cannot be read (`UnexpectedResponseError`), the ledger or an image cannot be
    written (`LedgerError`, `DownloadError`), the client was closed or the track iterator cancelled
    (`ClientUsageError`), or an error that the track iterator raised. Where possible, the run
    finishes the covers that are paid for before it raises; the next run continues with the rest.

    Attributes:
        progress: How far the run is.
    """

    def __init__(
        self,
        covers: CoverService,
        ledger: Ledger,
        into: Path | None,
        feed: AsyncIterable[Track | str] | None,
        retry: RetryPolicy,
    ) -> None:
        """Prepare a run for `cover_catalog`; `feed` is an iterator of further tracks."""
        self.progress: Progress = Progress()
        self._covers = covers
        self._retry = retry
        self._ledger = ledger
        self._into = into
        self._feed = feed
        self._tracks = TrackQueue(ledger, complete=feed is None)
        self._images = DownloadQueue(ledger, _SAVES_AT_ONCE)
        self._submits = asyncio.Semaphore(_SUBMITS_AT_ONCE)
        self._unfinished: set[asyncio.Task[Any]] = set()  # `finish` cancels them
        self._in_flight: dict[str, InFlight] = {}
        self._unread = OutcomeQueue()
        self._finishing = False
        self._reason: BaseException | None = None

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
        if self._reason is not None:
            raise self._reason
        raise StopAsyncIteration

    def finish(self) -> None:
        """Submit nothing more; the iteration ends once every cover that is paid for is finished.

        A submit that is still waiting for its turn is withdrawn. One that was sent is awaited.
        """
        if self._finishing:
            return
        self._finishing = True
        self._tracks.finish()
        for task in self._unfinished:
            _cancel_once(task)

    @property
    def in_flight(self) -> Mapping[str, InFlight]:
        """Return the tracks in progress by music task id, the oldest step first.

        The mapping is a copy; it does not change while you read it.
        """
        return dict(self._in_flight)

    async def count(self) -> None:
        """Count the tracks of the ledger into `progress`."""
        found = await self._ledger.count()
        progress, state = self.progress, TrackState
        progress.total = sum(found.values())
        progress.done = found[state.SAVED] + (found[state.COVERED] if self._into is None else 0)
        progress.failed = found[state.FAILED] + found[state.ATTENTION]
        progress.possibly_billed = found[state.SUBMITTING]

    async def work(self, stack: AsyncExitStack) -> None:
        """Run until the last outcome, then close `stack`."""
        begin_work()
        async with stack:
            await self._work()

    async def _work(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                if self._feed is not None:
                    feeding = group.create_task(self._follow(self._feed))
                    self._unfinished.add(feeding)
                    feeding.add_done_callback(self._unfinished.discard)
                if self._into is not None:
                    await in_thread(partial(sweep, self._into))
                    for _ in range(_SAVES_AT_ONCE):
                        group.create_task(
                            _raise_foreign_cancellation(partial(self._save_all, self._into))
                        )
                await self._cover_all()
        except BaseExceptionGroup as errors:
            self._reason = self._reason or _first(errors)
        finally:
            try:
                with suppress(SunoCoverError):
                    await self.count()
            finally:  # otherwise the reader would wait forever when the count is cancelled
                self._unread.end()

    async def _follow(self, feed: AsyncIterable[Track | str]) -> None:
        """Add the tracks of the feed to the ledger; if it fails, finish what is paid for."""
        try:
            await _raise_foreign_cancellation(partial(self._take_in, feed), _ITERATOR_CANCELLED)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - a feed may raise anything
            self._halt(error, at_once=False)
        self._tracks.completed()

    async def _take_in(self, feed: AsyncIterable[Track | str]) -> None:
        brought = aiter(feed)
        async with AsyncExitStack() as stack:
            if isinstance(brought, AsyncGenerator):
                stack.push_async_callback(brought.aclose)
            async for track in brought:
                self.progress.total += await self._ledger.take_in([_track(track)])
                self._tracks.grown()
                self._images.grown()  # it may be another title of a music task that is saved

    async def _cover_all(self) -> None:
        """Start a task for each track, one at a time: the next once the last has its slot."""
        async with asyncio.TaskGroup() as tracks:
            while await self._tracks.ready():
                started = asyncio.Event()
                tracks.create_task(_raise_foreign_cancellation(partial(self._cover_next, started)))
                await started.wait()
        self._images.completed()

    async def _cover_next(self, started: asyncio.Event) -> None:
        """Take a slot, then the next track, and cover it; set `started` once it has both."""
        # No track starts while the outcome queue is full, so unread outcomes stay bounded. This
        # task takes its slot itself: if the dispatcher took it and passed it on, a task cancelled
        # before its first step would never release it.
        await self._unread.has_capacity()
        await self._wait_for_image_host()
        async with self._covers.slot():
            entry = await self._tracks.next()
            started.set()
            if entry is None:
                return
            outcomes = await self._cover(entry)
        await self._unread.put(outcomes)

    @contextmanager
    def _doing(self, step: Step, entry: LedgerEntry) -> Generator[None]:
        """List a track in `in_flight` while the run does a step for it."""
        since = asyncio.get_running_loop().time()
        in_flight = InFlight(track=entry.tracks[0], step=step, since=since)
        self._in_flight[entry.music_task_id] = in_flight
        self.progress.in_flight = len(self._in_flight)
        try:
            yield
        finally:
            del self._in_flight[entry.music_task_id]
            self.progress.in_flight = len(self._in_flight)

    async def _wait_for_image_host(self) -> None:
        """Wait until the image host is available, or until `finish` ends the wait.

        Images expire, so no cover is submitted while its images cannot be fetched.
        """
        if not self._finishing:
            opened = asyncio.create_task(self._covers.account.breakers.images.wait_until_closed())
            await self._unless_finishing(opened)

    async def _cover(self, entry: LedgerEntry) -> Sequence[Outcome]:
        """Submit the track unless that is paid for, wait for the cover, return the outcomes."""
        step = Step.WAIT if entry.state is TrackState.SUBMITTED else Step.SUBMIT
        try:
            task = entry.task
            if step is Step.SUBMIT:
                with self._doing(step, entry):
                    task = await self._submit(entry)
            if task is None:
                return ()
            step = Step.WAIT
            with self._doing(step, entry), self._covers.state.holding(task):
                details = await self._wait(task)
        except LedgerError:
            raise
        except SunoCoverError as error:
            return await self._end(entry, error, consequence_of(error, step))
        await self._ledger.covered(entry, details)
        self._images.grown()
        if self._into is not None:
            return ()
        self.progress.done += 1
        return [Covered(track=track, details=details) for track in entry.tracks]

    async def _submit(self, entry: LedgerEntry) -> CoverTask | None:
        """Submit the track, and record the result before doing anything else."""
        # The submit runs in a separate task, so a cancellation here cannot separate the answer from
        # its record. When this task is cancelled, it still waits for an answer to a submit that was
        # sent and writes it to the ledger; otherwise a paid cover task would be lost.
        async with self._submits:
            if self._finishing:
                return None
            submit = asyncio.create_task(self._record_and_submit(entry))
            try:
                await self._unless_finishing(submit)
            except asyncio.CancelledError:
                with suppress(SunoCoverError):
                    await self._record(entry, submit)
                raise
            return await self._record(entry, submit)

    async def _record_and_submit(self, entry: LedgerEntry) -> CoverTask:
        """Record that a submit may be sent, then submit.

        When cancelled, it ends once the request that was sent is answered.
        """
        # The order matters. SUBMITTING is on the disk before the request is sent: after a crash
        # between the two, the next run knows that the track is possibly billed and repeats the
        # submit without paying twice. In the other order, a crash would leave a paid cover that
        # the ledger lists as never sent.
        if entry.state is TrackState.SUBMITTING:
            self._covers.mark_possibly_billed(entry.music_task_id, failed=entry.task)
        await self._ledger.submitting(entry)
        try:
            return await self._covers.submit(
                entry.music_task_id, callback_timeout=self._covers.poll.timeout, policy=self._retry
            )
        except asyncio.CancelledError:
            await self._covers.settled(entry.music_task_id)
            raise

    async def _unless_finishing(self, task: asyncio.Task[Any]) -> None:
        """Wait for a task; `finish`, or a cancellation of this wait, cancels the task once.

        The wait continues until the task ends, because its request may already be sent.
        """
        self._unfinished.add(task)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            _cancel_once(task)
            await asyncio.wait([task])
            raise
        finally:
            self._unfinished.discard(task)

    async def _record(
        self, entry: LedgerEntry, submit: asyncio.Task[CoverTask]
    ) -> CoverTask | None:
        """Record the cover task of a submit, or that none was sent; raise the submit's error."""
        # A track becomes WAITING again only when it is certain that nothing was billed: no submit
        # was sent, or the API refused it. If the submit did not end, or the track was or is
        # possibly billed, it stays SUBMITTING, so the next run treats it as possibly billed.
        error: BaseException | None = None
        if submit.done() and not submit.cancelled():
            error = submit.exception()
            if error is None:
                return await self._submitted(entry, submit.result())
        task = self._covers.state.unclaimed.get(entry.music_task_id)
        if task is not None:
            return await self._submitted(entry, task)
        possibly_billed = not submit.done() or entry.state is TrackState.SUBMITTING
        if not possibly_billed and not self._covers.state.is_possibly_billed(entry.music_task_id):
            await self._ledger.unsent(entry)
        if error is not None:
            raise error
        return None

    async def _submitted(self, entry: LedgerEntry, task: CoverTask) -> CoverTask:
        self.progress.adopted += task.adopted
        self.progress.billed += not task.adopted
        self._covers.state.keep(task)  # `unclaimed`, until it is waited for
        await self._ledger.submitted(entry, task, base_url=self._covers.account.base_url)
        return task

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

    async def _save_all(self, folder: Path) -> None:
        while (entry := await self._images.next()) is not None:
            try:
                with self._doing(Step.SAVE, entry):
                    outcomes = await self._save(entry, folder)
            finally:
                self._images.release(entry)
            await self._unread.put(outcomes)

    async def _save(self, entry: LedgerEntry, folder: Path) -> Sequence[Outcome]:
        """Save the images under each title of the track that has no files yet."""
        without_files = [track for track in entry.tracks if not _is_among(track, entry.files)]
        covered: list[Covered] = []
        try:
            for track in without_files:
                stem = folder / file_stem(_stem(track))
                files = await self._covers.download(entry.details, stem, policy=self._retry)
                covered.append(Covered(track=track, details=entry.details, files=files))
        except SunoCoverError as error:
            what = consequence_of(error, Step.SAVE)
            if isinstance(error, CoverExpiredError) and entry.is_young:
                # The API keeps images for 14 days, so the image host's answer is wrong.
                what, error.retryable = Consequence.LEFT, True
            # The entry stays SAVED if an earlier title of the same music task has files: the user
            # has its images, so it did not fail. Only the outcomes of the new titles say so.
            if entry.files and what in {Consequence.FAILED, Consequence.ATTENTION}:
                await self._ledger.saved(entry, entry.files)
                return [Failed(track=track, error=error) for track in without_files]
            if what in {Consequence.LEFT, Consequence.STOP_SUBMITTING, Consequence.ABORT}:
                await self._ledger.put_off(entry)
            return await self._end(entry, error, what)
        saved = [file for one in covered for file in one.files]
        await self._ledger.saved(entry, [*entry.files, *saved])
        self.progress.done += 1
        return covered

    async def _end(
        self, entry: LedgerEntry, error: SunoCoverError, what: Consequence
    ) -> Sequence[Outcome]:
        """Record an error and return the outcomes, or stop the run."""
        if what in {Consequence.STOP_SUBMITTING, Consequence.ABORT}:
            self._halt(error, at_once=what is Consequence.ABORT)
            return ()
        if what is not Consequence.LEFT:
            error.retryable = False  # the next run does not continue with this track
            state = TrackState.FAILED if what is Consequence.FAILED else TrackState.ATTENTION
            await self._ledger.ended(
                entry, state, error, task_known=what is not Consequence.WRONG_TASK
            )
            self.progress.failed += 1
        return [Failed(track=track, error=error) for track in entry.tracks]

    def _halt(self, error: Exception, *, at_once: bool) -> None:
        """End the run for this reason: now, or once every cover that is paid for is finished."""
        self._reason = self._reason or error
        self.finish()
        if at_once:
            self._tracks.close()


async def _read_whole(ledger: Ledger, tracks: Iterable[Track | str]) -> None:
    """Add a whole catalog to the ledger, unless the ledger has it already."""
    if isinstance(tracks, str | bytes):
        raise TypeError("tracks must be an iterable; for a file, give read_catalog(path)")
    fingerprint = None
    if isinstance(tracks, Catalog):
        fingerprint = await in_thread(tracks.fingerprint)
        if fingerprint is not None and await ledger.holds(fingerprint):
            return
    dropped = await ledger.forget_waiting()
    if dropped:
        _log.warning(
            "the ledger %s had another catalog: %d of its tracks that were not submitted are "
            "dropped, unless they are in this catalog too",
            *(ledger.name, dropped),
        )
    try:
        rest = map(_track, tracks)
        while some := list(islice(rest, _TAKEN_IN_AT_ONCE)):
            await ledger.take_in(some)
    except BaseException:
        await ledger.forget_waiting()
        raise
    await ledger.took_in(fingerprint)


def _track(given: Track | str) -> Track:
    return Track(given) if isinstance(given, str) else validation.instance("track", given, Track)


def _stem(track: Track) -> str:
    """Return the name of a track's files: title and id, since two tracks may share a title."""
    title = track.title[:_LONGEST_TITLE].strip()
    return f"{title} {track.music_task_id}" if title else track.music_task_id


def _is_among(track: Track, files: Sequence[Path]) -> bool:
    """Return whether one of these files has the name of this track."""
    stem = file_stem(_stem(track))
    return any(file.stem.rpartition("-")[0] == stem for file in files)  # less `-1`, `-2`


async def _raise_foreign_cancellation(
    work: Callable[[], Awaitable[None]], why: str = _CLOSED
) -> None:
    """Run a part of the work; raise ClientUsageError for a CancelledError from inside the work.

    A CancelledError passes unchanged when this task was cancelled. Otherwise it came from the
    awaited work, such as a DNS lookup cancelled because its client was closed. A TaskGroup would
    treat that as a normal end of the task, and the track would silently have no outcome.
    """
    try:
        await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ClientUsageError(why) from None


def _cancel_once(task: asyncio.Task[Any]) -> None:
    """Cancel a task unless it was cancelled; a second cancellation would stop its clean-up."""
    if not task.cancelling():
        task.cancel()


def _first(error: BaseException) -> BaseException:
    """Return the first single error of a nested exception group."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
