"""A whole catalog: covered as fast as the limit allows, interrupted at any moment, and resumed.

It owns what is durable before what, who may be at work at once, and when all ends. What is
remembered is `ledger.py`'s, who goes first `agenda.py`'s, what an error means `fates.py`'s; how one
cover is submitted, waited for and downloaded is the client's.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

import attrs

from suno_cover_async import arguments
from suno_cover_async.agenda import Agenda, Backlog
from suno_cover_async.catalog import Catalog
from suno_cover_async.client import SunoCoverClient
from suno_cover_async.errors import (
    CoverTimeoutError,
    LedgerError,
    RateLimitError,
    SunoCoverError,
)
from suno_cover_async.fates import Fate, Step, fate
from suno_cover_async.files import in_thread, sweep
from suno_cover_async.ledger import Ledger, LedgerEntry, TrackState
from suno_cover_async.models import CoverDetails, CoverTask, Track
from suno_cover_async.outage import OutageGate
from suno_cover_async.retry import SOONEST_RESUBMIT

T = TypeVar("T")

_SUBMITS_AT_ONCE = 20  # a window of the documented limit: looks need not queue behind hundreds
_SAVES_AT_ONCE = 8
_TAKEN_IN_AT_ONCE = 5_000
_MOST_UNREAD = 1_000  # outcomes that nobody has asked for yet
_MOST_ROUNDS = 5  # of one track in trouble while all others fare well
_PATIENCE_IN_OUTAGES = 20  # times as many rounds while none does
_LONGEST_TITLE = 40  # characters of it in the name of a file


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

        with Ledger("covers.db") as ledger:
            async with cover_catalog(client, tracks, ledger=ledger, into="covers") as outcomes:
                async for outcome in outcomes: ...

    Run again with the same ledger, it goes on: outcomes of earlier runs do not come again, what
    was paid for comes first, and nothing that ended is submitted. Memory is bounded, whatever the
    catalog's size: at most `client.concurrency` covers are in flight.

    An outage is no track's fate: everything pauses, one request at a time probes, after
    `RetryPolicy.probe_first` seconds growing to `probe_longest`, and then all goes on. Meanwhile
    other calls of this client wait as well, up to their own patience.

    Leaving the block early stops at once: no further submit goes out, the answer of one on the wire
    is awaited and kept, and all else is left to the next run.

    Args:
        client: What to cover with.
        tracks: `read_catalog(...)`, or tracks or music task ids of your own. What can be iterated
            plainly is taken in as a whole before anything is submitted; what can be iterated
            asynchronously, as it comes. A music task that comes twice is one cover, with an
            outcome and files for each of its titles.
        ledger: Where to remember; None remembers for this run only.
        into: The folder for the images, two files a track, called after title and music task id;
            None saves none.
        retry_failed: Begin anew with what failed in earlier runs. A cover that failed is submitted
            again, which may be billed again: that is documented nowhere.

    Raises:
        ValueError: A track is wrong; nothing was submitted.
        TypeError: An argument is of the wrong type.
        LedgerError: The ledger is not open, in use by another catalog, or cannot be written.
    """
    arguments.instance("client", client, SunoCoverClient)
    with ExitStack() as stack:
        if ledger is None:
            ledger = stack.enter_context(Ledger(None))
        stack.enter_context(arguments.instance("ledger", ledger, Ledger).lease())
        for gate in (client.outage, client.submit_outage, client.image_outage):
            stack.enter_context(gate.armed())
        if retry_failed:
            await ledger.retry_failed()
        feed = await _take_in(ledger, tracks)
        folder = None if into is None else Path(into)
        outcomes = Outcomes(client, ledger, folder, complete=feed is None)
        work = asyncio.create_task(outcomes.work(feed))
        try:
            yield outcomes
        finally:
            work.cancel()
            await asyncio.wait([work])


class Outcomes:
    """The outcomes of a catalog's tracks, to be iterated; and the work that brings them.

    After the last outcome the iteration ends, or raises why not all was done: the key was refused
    (`AuthenticationError`), credits ran out (`InsufficientCreditsError`), the edge turned us away
    (`ClientBlockedError`), the ledger or an image could not be written (`LedgerError`,
    `DownloadError`), the answers are not this API's (`UnexpectedResponseError`). What was paid for
    was finished before, as far as that was possible; the rest is left to the next run.

    Attributes:
        tally: How far it is.
    """

    def __init__(
        self, client: SunoCoverClient, ledger: Ledger, into: Path | None, *, complete: bool
    ) -> None:
        """Prepare; `cover_catalog` makes them."""
        self.tally: Tally = Tally()
        self._client = client
        self._ledger = ledger
        self._into = into
        self._agenda = Agenda(ledger, complete=complete)
        self._backlog = Backlog(ledger, _SAVES_AT_ONCE)
        self._submits = asyncio.Semaphore(_SUBMITS_AT_ONCE)
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
        """Submit nothing more; the iteration ends when what was paid for is finished."""
        self._finishing = True
        self._agenda.finish()

    async def work(self, feed: AsyncIterable[Track | str] | None) -> None:
        """Do all the work, up to the last outcome; `feed` brings further tracks."""
        try:
            await self._count()
            async with asyncio.TaskGroup() as group:
                if feed is not None:
                    group.create_task(self._take_in(feed))
                if self._into is not None:
                    await in_thread(partial(sweep, self._into))
                    for _ in range(_SAVES_AT_ONCE):
                        group.create_task(self._save_all(self._into))
                await self._cover_all()
        except SunoCoverError as error:
            self._reason = error
        except BaseExceptionGroup as errors:
            self._reason = _first(errors)
        finally:
            with suppress(SunoCoverError):
                await self._count()
            self._unread.put_nowait(None)

    async def _take_in(self, feed: AsyncIterable[Track | str]) -> None:
        async for track in feed:
            self.tally.total += await self._ledger.take_in([_track(track)])
            self._agenda.grown()
        await self._ledger.took_in(None)
        self._agenda.completed()

    async def _cover_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._client.concurrency):
                group.create_task(self._cover_some())
        self._backlog.completed()

    async def _cover_some(self) -> None:
        """Cover one track after the other: first the right to have it in flight, then the track."""
        while await self._agenda.ready():
            async with self._client.slot():
                entry = await self._agenda.next()
                if entry is None:
                    continue
                self.tally.in_flight += 1
                try:
                    await self._cover(entry)
                finally:
                    self.tally.in_flight -= 1

    async def _cover(self, entry: LedgerEntry) -> None:
        task = entry.task or await self._submit(entry)
        if task is None:
            return
        try:
            details = await self._wait(task)
        except SunoCoverError as error:
            await self._end(entry, error, Step.WAIT)
            return
        await self._ledger.covered(entry, details)
        if self._into is None:
            self.tally.done += 1
            await self._tell(*(Covered(track=track, details=details) for track in entry.tracks))
        self._backlog.grown()

    async def _submit(self, entry: LedgerEntry) -> CoverTask | None:
        """Submit, once that is on record; what comes of it is on record before anything else."""
        async with self._submits:
            await self._client.image_outage.opened()
            if self._finishing:
                return None
            try:
                await self._ledger.submitting(entry)
                task = await self._persist(
                    partial(self._client.submit, entry.music_task_id), self._client.submit_outage
                )
            except LedgerError:
                raise
            except SunoCoverError as error:
                await self._recall(entry)
                await self._end(entry, error, Step.SUBMIT)
                return None
            except asyncio.CancelledError:
                await self._recall(entry)
                raise
            await self._submitted(entry, task)
        return task

    async def _submitted(self, entry: LedgerEntry, task: CoverTask) -> None:
        self.tally.adopted += task.adopted
        self.tally.billed += not task.adopted
        await self._ledger.submitted(entry, task)

    async def _recall(self, entry: LedgerEntry) -> None:
        """Record what is known of a submit that failed: its task, or that none went out."""
        for task in self._client.unclaimed:
            if task.music_task_id == entry.music_task_id:
                await self._submitted(entry, task)
                return
        doubted = entry.state is TrackState.SUBMITTING  # by an earlier run
        if not doubted and entry.music_task_id not in self._client.uncertain:
            await self._ledger.unsent(entry)

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
                await self._save(entry, folder)
            finally:
                self._backlog.leave(entry)

    async def _save(self, entry: LedgerEntry, folder: Path) -> None:
        """Save the images under each of the track's names."""
        covered: list[Covered] = []
        try:
            for track in entry.tracks:
                name = _stem(track)
                fetch = partial(self._client.download, entry.details, folder, name=name)
                files = await self._persist(fetch, self._client.image_outage)
                covered.append(Covered(track=track, details=entry.details, files=files))
        except SunoCoverError as error:
            await self._end(entry, error, Step.SAVE)
        else:
            await self._ledger.saved(entry, [file for one in covered for file in one.files])
            self.tally.done += 1
            await self._tell(*covered)

    async def _persist(self, act: Callable[[], Awaitable[T]], gate: OutageGate) -> T:
        """Act until it succeeds, or fails for a reason of its own; an outage is none.

        While there is one, `act` waits at the gate by itself, so that somebody always probes.
        """
        rounds = 0.0
        while True:
            try:
                return await act()
            except SunoCoverError as error:
                if not isinstance(error, RateLimitError):
                    rounds += 1 if gate.is_open else 1 / _PATIENCE_IN_OUTAGES
                if not error.retryable or rounds >= _MOST_ROUNDS:
                    raise
                if self._finishing and gate is self._client.submit_outage:
                    raise
                pause = SOONEST_RESUBMIT if error.perhaps_billed else 0.0
            await asyncio.sleep(pause)

    async def _end(self, entry: LedgerEntry, error: SunoCoverError, step: Step) -> None:
        """Do what an error calls for: record it and tell of it, or stop for its sake."""
        what = fate(error, step)
        if step is Step.SAVE and what in {Fate.LEFT, Fate.SCARCE, Fate.HOPELESS}:
            await self._ledger.put_off(entry)
        if what in {Fate.SCARCE, Fate.HOPELESS}:
            self._halt(error, hopeless=what is Fate.HOPELESS)
            return
        if what is not Fate.LEFT:
            state = TrackState.FAILED if what is Fate.FAILED else TrackState.ATTENTION
            await self._ledger.ended(entry, state, error, task_known=what is not Fate.STRANGER)
            self.tally.failed += 1
        await self._tell(*(Failed(track=track, error=error) for track in entry.tracks))

    async def _tell(self, *outcomes: Outcome) -> None:
        """Hand over outcomes; wait while too many are unread."""
        for outcome in outcomes:
            await self._room.acquire()
            self._unread.put_nowait(outcome)

    def _halt(self, error: SunoCoverError, *, hopeless: bool) -> None:
        """End for this reason: now, or once what was paid for is finished."""
        self._reason = self._reason or error
        self.finish()
        if hopeless:
            self._agenda.close()

    async def _count(self) -> None:
        """Count what the ledger says."""
        found = await self._ledger.count()
        tally, state = self.tally, TrackState
        tally.total = sum(found.values())
        tally.done = found[state.SAVED] + (found[state.COVERED] if self._into is None else 0)
        tally.failed = found[state.FAILED] + found[state.ATTENTION]
        tally.ambiguous = found[state.SUBMITTING]


async def _take_in(
    ledger: Ledger, tracks: Iterable[Track | str] | AsyncIterable[Track | str]
) -> AsyncIterable[Track | str] | None:
    """Take in a catalog as a whole, unless it is there already; or return it, if it is a feed."""
    if isinstance(tracks, str | bytes):
        raise TypeError("tracks must be an iterable; for a file, give read_catalog(path)")
    fingerprint = None
    if isinstance(tracks, Catalog):
        fingerprint = await in_thread(tracks.fingerprint)
        if fingerprint is not None and await ledger.holds(fingerprint):
            return None
    await ledger.forget_waiting()
    if isinstance(tracks, AsyncIterable):
        return tracks
    try:
        rest = map(_track, tracks)
        while some := list(islice(rest, _TAKEN_IN_AT_ONCE)):
            await ledger.take_in(some)
    except BaseException:
        await ledger.forget_waiting()
        raise
    await ledger.took_in(fingerprint)
    return None


def _track(given: Track | str) -> Track:
    return Track(given) if isinstance(given, str) else arguments.instance("track", given, Track)


def _stem(track: Track) -> str:
    """Name a track's files: by its title, and by its id, since titles need not differ."""
    title = track.title[:_LONGEST_TITLE].strip()
    return f"{title} {track.music_task_id}" if title else track.music_task_id


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Find the error that ended a group of tasks."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
