"""One run after another over the songs that an agent asks for, as long as its server lives.

It owns which song may enter the ledger: only one that a call asks for now, and only while the
ledger's life has covers left. `batch/` covers the songs, and `tools.py` has the words for agents.
It must not know the protocol.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from suno_cover_async.agents.feed import Feed
from suno_cover_async.agents.news import (
    ENDED,
    Asked,
    Budget,
    LimitReachedError,
    ServerEndingError,
    ended_error,
    was_refused,
)
from suno_cover_async.agents.songs import Song, Songs
from suno_cover_async.batch.catalog_run import CatalogRun
from suno_cover_async.batch.outcomes import Failed, Outcome, Step
from suno_cover_async.batch.runner import cover_catalog
from suno_cover_async.client import SunoCoverClient
from suno_cover_async.errors import LedgerError, SunoCoverError
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.log_fields import fields
from suno_cover_async.models import Track

T = TypeVar("T")

_log = logging.getLogger("suno_cover_async")

_HEARD_EVERY = 5.0  # seconds between two notices of progress
_LONGEST_DRAIN = 20.0  # seconds for answers to submits that are on the wire
_CHECK_EVERY = 0.1  # seconds, whether submits are on the wire

Heard = Callable[[float, str], Awaitable[None]]
"""Is told of progress: the seconds since the call, and the step in words."""


class AgentRun:
    """Covers the songs that are asked for; use it as an async context manager.

    A run of `cover_catalog` takes them as they come. It goes on without calls, so that covers which
    are paid for are saved. Where it stopped early, or left a song to the next run, the next call
    begins another one. Each run begins with the songs that are paid for or asked for now: others,
    which nobody waits for, are dropped from the ledger if nothing was sent for them.
    """

    def __init__(
        self, client: SunoCoverClient, ledger: Ledger, *, into: Path, max_covers: int
    ) -> None:
        """Prepare; the client and the ledger must be open on entry, and are not closed here."""
        self._client = client
        self._ledger = ledger
        self._into = into
        self._max_covers = max_covers
        self._songs = Songs()
        self._turn = asyncio.Lock()
        self._asking: set[asyncio.Task[Any]] = set()
        self._feed = Feed()
        self._run: CatalogRun | None = None
        self._work: asyncio.Task[None] | None = None
        self._has_left_some = False
        self._is_ending = False
        self.trouble: Exception | None = None
        """Why the latest run ended early; None if it did not, or goes on."""

    async def __aenter__(self) -> Self:
        """Begin the first run.

        Raises:
            LedgerError: The ledger belongs to another account, or cannot be written.
        """
        dropped = await self._ledger.forget_waiting()
        if dropped:
            _log.warning(
                "the ledger %s had a catalog: %d of its tracks that were not submitted are dropped;"
                " suno-cover batch adds them again",
                *(self._ledger.name, dropped),
                extra=fields("catalog_replaced", ledger=self._ledger.name, dropped=dropped),
            )
        await self._begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the run; an answer to a submit that was sent is awaited and recorded."""
        self._is_ending = True
        if self._asking:
            for asking in self._asking:
                asking.cancel()
            await asyncio.wait(self._asking)
        await self._stop()
        self._songs.tell_all(ServerEndingError())
        with contextlib.suppress(LedgerError):  # the next server does it otherwise
            await self._ledger.forget_waiting()

    async def cover(self, track: Track, *, patience: float, heard: Heard) -> Asked:
        """Ask for a song, and wait for its cover; asking again, or at once, is one cover.

        A caller that is cancelled only stops waiting.

        Args:
            track: The song. Its title counts if the ledger does not know the song yet.
            patience: The most seconds to wait.
            heard: Is told of progress at once, and every 5 s.

        Raises:
            LimitReachedError: The ledger has no covers left for a new song.
            SunoCoverError: No run can begin, or the ledger cannot be read.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        song = await self._uninterrupted(self._ask(track))
        while not song.told.done() and (left := began + patience - clock()) > 0:
            await heard(clock() - began, self._step(track.music_task_id))
            await asyncio.wait([song.told], timeout=min(left, _HEARD_EVERY))
        entry = await self._ledger.find(track.music_task_id)
        return Asked(entry=entry, error=song.told.result() if song.told.done() else self.trouble)

    async def status(self, music_task_id: str) -> Asked:
        """Return how far a song is; a run that ended is begun again if the song is paid for."""
        entry = await self._ledger.find(music_task_id)
        if entry is not None and entry.state not in {*ENDED, TrackState.SAVED}:
            await self._uninterrupted(self._begin_if_stale())
            entry = await self._ledger.find(music_task_id)
        return Asked(entry=entry, error=self.trouble)

    async def budget(self) -> Budget:
        """Return the covers of the ledger's life."""
        found = await self._ledger.outlook()
        # What still waits when a run takes no more is dropped before the next one begins.
        waiting = 0 if self._feed.has_ended else found.totals[TrackState.WAITING]
        return Budget(begun=found.submits + waiting + found.again, max_covers=self._max_covers)

    async def drain(self) -> bool:
        """Submit nothing more, and wait for submits on the wire, for 20 s at most.

        Returns:
            Whether every submit that was sent is answered, and its answer recorded.
        """
        self._is_ending = True
        if self._run is None:
            return True
        self._run.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_DRAIN):
                while Step.SUBMIT in self._steps():  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(_CHECK_EVERY)
                return True
        return False

    async def _uninterrupted(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work to its end, whenever the caller is cancelled.

        Another run that is begun by half would take no song, and the next call would wait for ever.
        """
        asking = asyncio.create_task(work)
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        return await asyncio.shield(asking)

    def _asked(self, asking: asyncio.Task[Any]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # else asyncio logs it, if the caller was cancelled

    async def _ask(self, track: Track) -> Song:
        """Return the song of this track, new or known."""
        async with self._turn:
            if self._is_ending:
                raise ServerEndingError
            known = self._songs.get(track.music_task_id)
            if known is not None and not self._is_stale:
                return known
            # The song is listed before the ledger is read: an outcome that arrives later is told.
            song = self._songs.add(track)
            try:
                if self._is_stale:
                    await self._begin(asked_last=song)
                await self._place(song)
            except Exception as error:
                self._songs.tell(track.music_task_id, error)
                raise
            return song

    async def _place(self, song: Song) -> None:
        """Give a song to the run, unless the run has it already, or the song has ended."""
        if song.told.done():
            return
        entry = await self._ledger.find(song.track.music_task_id)
        state = None if entry is None else entry.state
        if entry is not None and was_refused(entry):
            await self._check_limit()
            await self._ledger.retry_refused(entry)
        elif entry is not None and state in {TrackState.SAVED, *ENDED}:
            self._songs.tell(entry.music_task_id, ended_error(entry))
            return
        elif state is None:
            await self._check_limit()
        elif state is not TrackState.WAITING:  # the run has it
            return
        if not await self._feed.add(song.track):
            self._songs.tell(song.track.music_task_id, self._why_unsent())

    async def _check_limit(self) -> None:
        """Raise LimitReachedError if no further song may be submitted.

        Songs are asked for one at a time, and each is in the ledger before the next: none that
        waits for its turn is forgotten here. So a song that is refused never enters the ledger,
        where a later run with a larger limit would submit it.
        """
        if not (await self.budget()).left:
            raise LimitReachedError(self._max_covers)

    @property
    def _is_stale(self) -> bool:
        """Whether a song that is asked for now needs another run."""
        return self._has_left_some or self._feed.has_ended

    async def _begin_if_stale(self) -> None:
        async with self._turn:
            if self._is_stale and not self._is_ending:
                await self._begin()

    async def _begin(self, *, asked_last: Song | None = None) -> None:
        """End the run, and begin another one with the songs that were asked for before."""
        await self._stop()
        self._feed, self._has_left_some, self.trouble = Feed(), False, None
        try:
            await self._ledger.forget_waiting()
            begun = asyncio.get_running_loop().create_future()
            self._work = asyncio.create_task(self._follow(self._feed, begun))
            await asyncio.wait([begun, self._work], return_when=asyncio.FIRST_COMPLETED)
            if not begun.done():
                await self._work
        except SunoCoverError as error:
            self._feed.end()
            self._songs.tell_all(error)
            raise
        for song in [one for one in self._songs if one is not asked_last]:
            try:
                await self._place(song)
            except LimitReachedError as error:
                self._songs.tell(song.track.music_task_id, error)

    async def _stop(self) -> None:
        """Leave the run, if there is one: a submit that was sent is awaited and recorded."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
            self._work = None

    async def _follow(self, feed: Feed, begun: "asyncio.Future[None]") -> None:
        """Do one run to its end; tell each song what became of it."""
        run = cover_catalog(
            self._client,
            feed,
            ledger=self._ledger,
            into=self._into,
            max_covers=self._max_covers,
        )
        try:
            async with run as self._run:
                begun.set_result(None)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._tell_unsent(feed, self._run))
                    await self._read(self._run)
                    feed.end()
            self._songs.tell_all(self._why_unsent())
        finally:
            feed.end()
            if self._run is not None:
                await self._read(self._run)  # what was finished while the run was left
            self._run = None

    async def _read(self, run: CatalogRun) -> None:
        """Tell the outcomes, up to the last one or the error that stops the run."""
        try:
            async for outcome in run:
                self._tell_outcome(outcome)
        except (SunoCoverError, OSError) as error:
            self.trouble = error

    async def _tell_unsent(self, feed: Feed, run: CatalogRun) -> None:
        """Once a run submits nothing more, tell the songs for which it sent nothing.

        It may go on for minutes, to finish what is paid for.
        """
        await feed.ended()
        if isinstance(run.reason, Exception):
            self.trouble = run.reason
        with contextlib.suppress(SunoCoverError):  # the end of the run tells the rest
            for song in self._songs:
                entry = await self._ledger.find(song.track.music_task_id)
                if entry is None or entry.state is TrackState.WAITING:
                    self._songs.tell(song.track.music_task_id, self._why_unsent())

    def _why_unsent(self) -> Exception:
        if self.trouble is not None:
            return self.trouble
        if self._run is not None and self._run.reached_max_covers:
            return LimitReachedError(self._max_covers)
        return ServerEndingError()

    def _tell_outcome(self, outcome: Outcome) -> None:
        error = outcome.error if isinstance(outcome, Failed) else None
        if error is not None and error.retryable:
            self._has_left_some = True
        self._songs.tell(outcome.track.music_task_id, error)

    def _steps(self) -> list[Step]:
        return [] if self._run is None else [one.step for one in self._run.in_flight.values()]

    def _step(self, music_task_id: str) -> str:
        """Return what is done for a song at this moment, in words."""
        found = None if self._run is None else self._run.in_flight.get(music_task_id)
        return "waiting for its turn" if found is None else _WORDS[found.step]


_WORDS = {
    Step.SUBMIT: "submitting the song",
    Step.WAIT: "the cover is being made",
    Step.SAVE: "saving the images",
}
