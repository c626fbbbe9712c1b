"""A whole catalog: covered as fast as the limit allows, interrupted at any moment, and resumed.

It owns what is durable before what, who may be at work at once, and when all ends. What is
remembered is `ledger.py`'s, who goes first `agenda.py`'s, what an error means `fates.py`'s; how one
cover is submitted, waited for and downloaded is the client's.
"""

import asyncio
import logging
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
    Sequence,
)
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import attrs

from suno_cover_async import arguments
from suno_cover_async.agenda import Agenda, Backlog
from suno_cover_async.catalog import Catalog
from suno_cover_async.client import SunoCoverClient
from suno_cover_async.entry import LedgerEntry, TrackState
from suno_cover_async.errors import (
    ClientUsageError,
    CoverExpiredError,
    CoverTimeoutError,
    LedgerError,
    RateLimitError,
    SunoCoverError,
)
from suno_cover_async.fates import Fate, Step, fate
from suno_cover_async.files import file_stem, in_thread, sweep
from suno_cover_async.ledger import Ledger
from suno_cover_async.models import CoverDetails, CoverTask, Track
from suno_cover_async.outage import OutageGate
from suno_cover_async.sharing import begin_work

T = TypeVar("T")

_log = logging.getLogger("suno_cover_async")

_SUBMITS_AT_ONCE = 20  # a window of the documented limit: looks need not queue behind hundreds
_SAVES_AT_ONCE = 8
_TAKEN_IN_AT_ONCE = 5_000
_MOST_UNREAD = 1_000  # outcomes that nobody has asked for yet
_MOST_ROUNDS = 3  # of one track in trouble while all others fare well
_PATIENCE_ALONE = 8  # times as many rounds where there are no others
_LONGEST_TITLE = 40  # characters of it in the name of a file
_CLOSED = "the client was closed while a catalog was at work"
_FED_NO_MORE = "what brings the tracks was cancelled, and not by the catalog"


@attrs.frozen(kw_only=True)
class Covered:
    """A track that has its cover.

    Attributes:
        track: The track.
        details: Of its cover, a success.
        files: Its images, where they were to be saved.
    """

    track: Track
    details: CoverDetails
    files: tuple[Path, ...] = ()


@attrs.frozen(kw_only=True)
class Failed:
    """A track that has no cover, or no files of it, in this run.

    Attributes:
        track: The track.
        error: Why. When it is `retryable`, the next run goes on with this track; otherwise only
            one with `retry_failed` does.
    """

    track: Track
    error: SunoCoverError


Outcome = Covered | Failed


@attrs.define(kw_only=True)
class Tally:
    """How far a catalog is; all are numbers of music tasks.

    Attributes:
        total: In the ledger.
        done: Covered, and saved where that is wanted, in this run or an earlier one.
        failed: Failed or in need of attention, in this run or an earlier one.
        in_flight: At work at this moment.
        billed: Submits of this run that the API accepted as new.
        adopted: Submits of this run that brought a cover task which existed already.
        ambiguous: Perhaps billed, for all that is known. Counted at the start and at the end.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    billed: int = 0
    adopted: int = 0
    ambiguous: int = 0

    @property
    def left(self) -> int:
        """What the next run would go on with."""
        return self.total - self.done - self.failed


@asynccontextmanager
async def cover_catalog(
    client: SunoCoverClient,
    tracks: Iterable[Track | str] | AsyncIterable[Track | str],
    *,
    ledger: Ledger | None = None,
    into: str | os.PathLike[str] | None = None,
    retry_failed: bool = False,
) -> AsyncGenerator["Outcomes", None]:
    """Cover a whole catalog; each track's outcome comes as soon as it is known, in any order.

    ::

        async with Ledger("covers.db") as ledger:
            async with cover_catalog(client, tracks, ledger=ledger, into="covers") as outcomes:
                async for outcome in outcomes: ...

    Run again with the same ledger, it goes on: outcomes of earlier runs do not come again, what
    was paid for comes first, and nothing that ended is submitted. Memory is bounded, whatever the
    catalog's size: at most `client.concurrency` covers are in flight.

    An outage is no track's fate: everything pauses, one request at a time probes, after
    `RetryPolicy.probe_first` seconds growing to `probe_longest`, and then all goes on. Meanwhile
    other calls of this client wait as well, up to their own patience.

    Leaving the block early stops at once: no further submit goes out, the answer of one on the wire
    is awaited and kept, and all else is left to the next run. A cancellation while the block is
    being left ends that wait; the answer is kept all the same, and the ledger closes after it.

    Where 1,000 outcomes are unread, all work waits until they are read.

    Args:
        client: What to cover with.
        tracks: `read_catalog(...)`, or tracks or music task ids of your own. What can be iterated
            plainly is taken in as a whole before anything is submitted, and takes the place of
            what an earlier catalog left waiting; what can be iterated asynchronously is taken in
            as it comes, and added to that. A music task that comes twice is one cover, with an
            outcome and files for each of its titles.
        ledger: Where to remember; None remembers for this run only.
        into: The folder for the images, two files a track, called after title and music task id;
            None saves none.
        retry_failed: Begin anew with all in the ledger that failed or needs attention. A cover
            that failed is submitted again, which may be billed again: that is documented nowhere.

    Raises:
        ValueError: A track is wrong, or `into` can be no path; nothing was submitted. (A track that
            comes asynchronously ends the iteration so.)
        TypeError: An argument is of the wrong type.
        LedgerError: The ledger is not open, in use by another catalog, belongs to another account,
            or cannot be written.
    """
    arguments.instance("client", client, SunoCoverClient)
    folder = None if into is None else arguments.folder("into", into)
    async with AsyncExitStack() as stack:
        if ledger is None:
            ledger = await stack.enter_async_context(Ledger(None))
        arguments.instance("ledger", ledger, Ledger)
        await stack.enter_async_context(ledger.lease(client.account))
        for gate in (client.outage, client.submit_outage, client.image_outage):
            stack.enter_context(gate.armed())
        feed = tracks if isinstance(tracks, AsyncIterable) else None
        if await ledger.has_answered(client.base_url):
            client.trust_base_url()
        if not isinstance(tracks, AsyncIterable):
            await _read_whole(ledger, tracks)
        if retry_failed:
            await ledger.retry_failed()
        outcomes = Outcomes(client, ledger, folder, feed)
        await outcomes.count()
        # From here on the work owns the lease and the breakers. It is cancelled once, here, so that
        # it can wait for a submit on the wire and record what that brings; whoever leaves the block
        # may be cancelled any number of times while it waits for the work to end.
        work = asyncio.create_task(outcomes.work(stack.pop_all()))
        client.used_by(work)
        ledger.used_by(work)
    try:
        await asyncio.sleep(0)  # so that it has begun, whatever comes
        yield outcomes
    finally:
        work.cancel()
        await asyncio.wait([work])


class Outcomes:
    """The outcomes of a catalog's tracks, to be iterated; and the work that brings them.

    After the last outcome the iteration ends, or raises why not all was done: the key was refused
    (`AuthenticationError`), credits ran out (`InsufficientCreditsError`), a gateway blocks this
    client (`ClientBlockedError`), the base URL is wrong (`WrongAddressError`), the API's answers to
    submits cannot be read (`UnexpectedResponseError`), the ledger or an image could not be written
    (`LedgerError`, `DownloadError`), the client was closed, or what brings the tracks was cancelled
    (`ClientUsageError`), or that failed, with an error of its own. What was paid for was finished
    before, as far as that was possible; the rest is left to the next run.

    Attributes:
        tally: How far it is.
    """

    def __init__(
        self,
        client: SunoCoverClient,
        ledger: Ledger,
        into: Path | None,
        feed: AsyncIterable[Track | str] | None,
    ) -> None:
        """Prepare; `cover_catalog` makes them. `feed` brings further tracks."""
        self.tally: Tally = Tally()
        self._client = client
        self._ledger = ledger
        self._into = into
        self._feed = feed
        self._agenda = Agenda(ledger, complete=feed is None)
        self._backlog = Backlog(ledger, _SAVES_AT_ONCE)
        self._submits = asyncio.Semaphore(_SUBMITS_AT_ONCE)
        self._unfinished: set[asyncio.Task[Any]] = set()  # what finishing cuts short
        self._unread: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_MOST_UNREAD)
        self._finishing = False
        self._reason: BaseException | None = None

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> Outcome:
        """Wait for the next outcome.

        Raises:
            SunoCoverError: Why not all was done, after the last outcome.
        """
        outcome = await self._unread.get()
        if outcome is not None:
            self._room.release()
            return outcome
        self._unread.put_nowait(None)  # for whoever asks again
        if self._reason is not None:
            raise self._reason
        raise StopAsyncIteration

    def finish(self) -> None:
        """Submit nothing more; the iteration ends when what was paid for is finished.

        A submit that waits for its turn is taken back; one on the wire is awaited.
        """
        if self._finishing:
            return
        self._finishing = True
        self._agenda.finish()
        for task in self._unfinished:
            _cancel_once(task)

    async def count(self) -> None:
        """Count what the ledger says."""
        found = await self._ledger.count()
        tally, state = self.tally, TrackState
        tally.total = sum(found.values())
        tally.done = found[state.SAVED] + (found[state.COVERED] if self._into is None else 0)
        tally.failed = found[state.FAILED] + found[state.ATTENTION]
        tally.ambiguous = found[state.SUBMITTING]

    async def work(self, stack: AsyncExitStack) -> None:
        """Do all the work, up to the last outcome; `stack` is closed after it."""
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
                        group.create_task(_on_its_own(partial(self._save_all, self._into)))
                await self._cover_all()
        except BaseExceptionGroup as errors:
            self._reason = self._reason or _first(errors)
        finally:
            try:
                with suppress(SunoCoverError):
                    await self.count()
            finally:  # whoever iterates waits for this, also where the count was cancelled
                self._unread.put_nowait(None)

    async def _follow(self, feed: AsyncIterable[Track | str]) -> None:
        """Take in what the feed brings; if it breaks, finish what was paid for."""
        try:
            await _on_its_own(partial(self._take_in, feed), _FED_NO_MORE)
        except LedgerError:
            raise
        except Exception as error:  # noqa: BLE001 - a feed may raise anything
            self._halt(error, hopeless=False)
        self._agenda.completed()

    async def _take_in(self, feed: AsyncIterable[Track | str]) -> None:
        brought = aiter(feed)
        async with AsyncExitStack() as stack:
            if isinstance(brought, AsyncGenerator):
                stack.push_async_callback(brought.aclose)
            async for track in brought:
                self.tally.total += await self._ledger.take_in([_track(track)])
                self._agenda.grown()
                self._backlog.grown()  # it may be a further name of what was saved

    async def _cover_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._client.concurrency):
                group.create_task(_on_its_own(self._cover_some))
        self._backlog.completed()

    async def _cover_some(self) -> None:
        """Cover one track after the other: first the right to have it in flight, then the track."""
        while await self._agenda.ready():
            await self._images_can_be_had()
            async with self._client.slot():
                entry = await self._agenda.next()
                if entry is None:
                    continue
                self.tally.in_flight += 1
                try:
                    outcomes = await self._cover(entry)
                finally:
                    self.tally.in_flight -= 1
            await self._tell(outcomes)

    async def _images_can_be_had(self) -> None:
        """Pay for nothing while the image host is in trouble; finishing ends the wait."""
        if not self._finishing:
            opened = asyncio.create_task(self._client.image_outage.opened())
            await self._unless_finishing(opened)

    async def _cover(self, entry: LedgerEntry) -> Sequence[Outcome]:
        """Submit, unless it is paid for, and wait; returns what is to be told."""
        step = Step.WAIT if entry.state is TrackState.SUBMITTED else Step.SUBMIT
        try:
            task = entry.task if step is Step.WAIT else await self._submit(entry)
            if task is None:
                return ()
            step = Step.WAIT
            with self._client.holding(task):
                details = await self._wait(task)
        except LedgerError:
            raise
        except SunoCoverError as error:
            return await self._end(entry, error, fate(error, step))
        await self._ledger.covered(entry, details)
        self._backlog.grown()
        if self._into is not None:
            return ()
        self.tally.done += 1
        return [Covered(track=track, details=details) for track in entry.tracks]

    async def _submit(self, entry: LedgerEntry) -> CoverTask | None:
        """Submit; what comes of it is on record before anything else happens."""
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
        """Submit, once it is on record that this may happen.

        When it is cancelled, it ends once the request on the wire, if there is one, was answered.
        """
        if entry.state is TrackState.SUBMITTING:
            self._client.doubt(entry.music_task_id, failed=entry.task)
        await self._ledger.submitting(entry)
        submit = partial(self._client.submit, entry.music_task_id)
        try:
            return await self._persist(submit, self._client.submit_outage)
        except asyncio.CancelledError:
            await self._client.settled(entry.music_task_id)
            raise

    async def _unless_finishing(self, task: asyncio.Task[Any]) -> None:
        """Wait for a task to end, which finishing cancels, and a cancellation of ours as well.

        It is cancelled once, and waited for: a request on the wire is to be answered first.
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
        """Record what came of a submit: its task, or that none went out; raises its error."""
        error: BaseException | None = None
        if submit.done() and not submit.cancelled():
            error = submit.exception()
            if error is None:
                return await self._submitted(entry, submit.result())
        for task in self._client.unclaimed:
            if task.music_task_id == entry.music_task_id:
                return await self._submitted(entry, task)
        in_doubt = not submit.done() or entry.state is TrackState.SUBMITTING
        if not in_doubt and not self._client.perhaps_billed(entry.music_task_id):
            await self._ledger.unsent(entry)
        if error is not None:
            raise error
        return None

    async def _submitted(self, entry: LedgerEntry, task: CoverTask) -> CoverTask:
        self.tally.adopted += task.adopted
        self.tally.billed += not task.adopted
        self._client.keep(task)  # until it is waited for, if it ever is
        await self._ledger.submitted(entry, task, base_url=self._client.base_url)
        return task

    async def _wait(self, task: CoverTask) -> CoverDetails:
        """Wait for a cover; the time of an outage does not count."""
        outage = self._client.outage
        while True:
            began = outage.closures if outage.is_open else None
            try:
                return await self._client.wait(task)
            except CoverTimeoutError:
                if outage.is_open and outage.closures == began:
                    raise

    async def _save_all(self, folder: Path) -> None:
        while (entry := await self._backlog.next()) is not None:
            try:
                outcomes = await self._save(entry, folder)
            finally:
                self._backlog.leave(entry)
            await self._tell(outcomes)

    async def _save(self, entry: LedgerEntry, folder: Path) -> Sequence[Outcome]:
        """Save the images under each of the track's names that has none yet."""
        nameless = [track for track in entry.tracks if not _is_among(track, entry.files)]
        covered: list[Covered] = []
        try:
            for track in nameless:
                name = _stem(track)
                fetch = partial(self._client.download, entry.details, folder, name=name)
                files = await self._persist(fetch, self._client.image_outage)
                covered.append(Covered(track=track, details=entry.details, files=files))
        except SunoCoverError as error:
            what = fate(error, Step.SAVE)
            if isinstance(error, CoverExpiredError) and entry.is_young:
                what, error.retryable = Fate.LEFT, True  # the image host errs, or so one hopes
            if entry.files and what in {Fate.FAILED, Fate.ATTENTION}:
                await self._ledger.saved(entry, entry.files)  # under its other names
                return [Failed(track=track, error=error) for track in nameless]
            if what in {Fate.LEFT, Fate.SCARCE, Fate.HOPELESS}:
                await self._ledger.put_off(entry)
            return await self._end(entry, error, what)
        saved = [file for one in covered for file in one.files]
        await self._ledger.saved(entry, [*entry.files, *saved])
        self.tally.done += 1
        return covered

    async def _persist(self, act: Callable[[], Awaitable[T]], gate: OutageGate) -> T:
        """Act until it succeeds, or fails for a reason of its own; an outage is none.

        While there is one, `act` waits at the gate by itself.
        """
        rounds = 0.0
        while True:
            try:
                return await act()
            except SunoCoverError as error:
                if gate.is_open and not isinstance(error, RateLimitError):
                    rounds += 1
                elif not gate.waiting:  # nobody is left to say whether it is an outage at all
                    rounds += 1 / _PATIENCE_ALONE
                if not error.retryable or rounds >= _MOST_ROUNDS:
                    raise

    async def _end(
        self, entry: LedgerEntry, error: SunoCoverError, what: Fate
    ) -> Sequence[Outcome]:
        """Do what an error calls for: record it and tell of it, or stop for its sake."""
        if what in {Fate.SCARCE, Fate.HOPELESS}:
            self._halt(error, hopeless=what is Fate.HOPELESS)
            return ()
        if what is not Fate.LEFT:
            state = TrackState.FAILED if what is Fate.FAILED else TrackState.ATTENTION
            await self._ledger.ended(entry, state, error, task_known=what is not Fate.STRANGER)
            self.tally.failed += 1
        return [Failed(track=track, error=error) for track in entry.tracks]

    async def _tell(self, outcomes: Sequence[Outcome]) -> None:
        """Hand over outcomes; wait while too many are unread."""
        for outcome in outcomes:
            await self._room.acquire()
            self._unread.put_nowait(outcome)

    def _halt(self, error: Exception, *, hopeless: bool) -> None:
        """End for this reason: now, or once what was paid for is finished."""
        self._reason = self._reason or error
        self.finish()
        if hopeless:
            self._agenda.close()


async def _read_whole(ledger: Ledger, tracks: Iterable[Track | str]) -> None:
    """Take in a catalog as a whole, unless it is there already."""
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
            "the ledger %s had another catalog: %d of its tracks that waited are dropped, unless "
            "they are in this one too",
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
    return Track(given) if isinstance(given, str) else arguments.instance("track", given, Track)


def _stem(track: Track) -> str:
    """Name a track's files: by its title, and by its id, since titles need not differ."""
    title = track.title[:_LONGEST_TITLE].strip()
    return f"{title} {track.music_task_id}" if title else track.music_task_id


def _is_among(track: Track, files: Sequence[Path]) -> bool:
    """Whether files are called after this track."""
    stem = file_stem(_stem(track))
    return any(file.stem.rpartition("-")[0] == stem for file in files)  # less `-1`, `-2`


async def _on_its_own(work: Callable[[], Awaitable[None]], why: str = _CLOSED) -> None:
    """Do a share of the work; a cancellation that nobody asked this task for is an error.

    It comes from what was awaited, such as a look-up of a host that ends with its client, and a
    task group would take it for an end like any other.
    """
    try:
        await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ClientUsageError(why) from None


def _cancel_once(task: asyncio.Task[Any]) -> None:
    """Tell a task to end, unless it was told: a second cancellation would not let it finish."""
    if not task.cancelling():
        task.cancel()


def _first(error: BaseException) -> BaseException:
    """Find the error that ended a group of tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
