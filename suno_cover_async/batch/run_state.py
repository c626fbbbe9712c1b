"""What the parts of one run share: its progress, the tracks in flight, and how it ends.

It owns the counts, the reason why a run stops, and the order to finish. It submits and saves
nothing.
"""

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from suno_cover_async.batch.error_policy import Consequence
from suno_cover_async.batch.outcomes import Failed, InFlight, Outcome, Progress, Step
from suno_cover_async.batch.queues import TrackQueue
from suno_cover_async.errors import LedgerError, SunoCoverError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger


class RunState:
    """The state of one run, for its dispatcher, its submits and its downloads.

    Attributes:
        progress: How far the run is.
        in_flight: The tracks in progress by music task id, the oldest step first.
        finishing: Whether the run submits nothing more.
        reached_max_covers: Whether a track waits because the limit of covers is reached.
        reason: Why the run stops early; None if it does not.
    """

    def __init__(self, ledger: Ledger, tracks: TrackQueue) -> None:
        """Start with nothing in flight and nothing counted."""
        self.progress: Progress = Progress()
        self.in_flight: dict[str, InFlight] = {}
        self.finishing: bool = False
        self.reached_max_covers: bool = False
        self.reason: BaseException | None = None
        self._ledger = ledger
        self._tracks = tracks
        self._counted_at: datetime | None = None
        self._cancelled_by_finish: set[asyncio.Task[Any]] = set()

    async def count(self, *, saves_images: bool) -> None:
        """Count the tracks of the ledger into `progress`.

        Args:
            saves_images: Whether a track is done once its images are saved, or once it is covered.
        """
        progress, state = self.progress, TrackState
        progress.outdated_since = self._counted_at  # unless it can be read now
        found = await self._ledger.count()
        progress.total = sum(found.values())
        progress.done = found[state.SAVED] + (0 if saves_images else found[state.COVERED])
        progress.failed = found[state.FAILED] + found[state.ATTENTION]
        others = await self._ledger.others_at_work()
        progress.other_runs = len(others.hosts)
        progress.possibly_billed = max(0, found[state.SUBMITTING] - others.submitting)
        progress.outdated_since, self._counted_at = None, datetime.now(UTC)

    @contextmanager
    def doing(self, step: Step, entry: LedgerEntry) -> Generator[None]:
        """List a track in `in_flight` while the run does a step for it."""
        since = asyncio.get_running_loop().time()
        self.in_flight[entry.music_task_id] = InFlight(
            track=entry.tracks[0], step=step, since=since
        )
        self.progress.in_flight = len(self.in_flight)
        try:
            yield
        finally:
            del self.in_flight[entry.music_task_id]
            self.progress.in_flight = len(self.in_flight)

    def reach_max_covers(self) -> None:
        """Submit no further new track; those that are paid for or possibly billed go on."""
        self.reached_max_covers = True
        self._tracks.submit_nothing_new()
        self._release_waiting()

    def finish(self) -> None:
        """Submit nothing more: cancel what waits for its turn, end the queue of tracks."""
        if self.finishing:
            return
        self.finishing = True
        self._tracks.finish()
        self._release_waiting()
        for task in self._cancelled_by_finish:
            _cancel_once(task)

    def _release_waiting(self) -> None:
        """Let other runs have what waits, at once; nobody waits for it, as the next step fails too.

        The end of the run releases it otherwise, or the ledger gives the run up.
        """
        with suppress(LedgerError):
            self._ledger.release_waiting().add_done_callback(_ignore)

    def cancelled_by_finish(self, task: asyncio.Task[Any]) -> None:
        """Have `finish` cancel a task that is still running then."""
        self._cancelled_by_finish.add(task)
        task.add_done_callback(self._cancelled_by_finish.discard)

    async def unless_finishing(self, task: asyncio.Task[Any]) -> None:
        """Wait for a task; `finish`, or a cancellation of this wait, cancels the task once.

        The wait continues until the task ends, because its request may already be sent.
        """
        self.cancelled_by_finish(task)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            _cancel_once(task)
            await asyncio.wait([task])
            raise

    def halt(self, error: Exception, *, at_once: bool) -> None:
        """End the run for this reason: now, or once every cover that is paid for is finished."""
        self.reason = self.reason or error
        self.finish()
        if at_once:
            self._tracks.close()

    async def end(
        self, entry: LedgerEntry, error: SunoCoverError, what: Consequence
    ) -> Sequence[Outcome]:
        """Record an error of a track and return its outcomes, or stop the run."""
        if what in {Consequence.STOP_SUBMITTING, Consequence.ABORT}:
            self.halt(error, at_once=what is Consequence.ABORT)
            return ()
        if what is Consequence.LEFT:
            await self._ledger.put_off(entry)
        else:
            error.retryable = False  # the next run does not continue with this track
            state = TrackState.FAILED if what is Consequence.FAILED else TrackState.ATTENTION
            await self._ledger.ended(
                entry, state, error, task_known=what is not Consequence.WRONG_TASK
            )
            self.progress.failed += 1
        return [Failed(track=track, error=error) for track in entry.tracks]


def _ignore(released: "asyncio.Future[None]") -> None:
    """Take an error, so that asyncio does not log that nobody did."""
    if not released.cancelled():
        released.exception()


def _cancel_once(task: asyncio.Task[Any]) -> None:
    """Cancel a task unless it was cancelled; a second cancellation would stop its clean-up."""
    if not task.cancelling():
        task.cancel()
