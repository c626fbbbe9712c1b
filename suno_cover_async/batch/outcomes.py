"""The outcomes of a catalog's tracks, the progress of a run, and the queue of unread outcomes.

This module owns these values and the bound on unread outcomes; `catalog_run.py` makes outcomes.
"""

import asyncio
import enum
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import attrs

from suno_cover_async.common.records import Record
from suno_cover_async.emitter import Emitter, name_of
from suno_cover_async.errors import SunoCoverError
from suno_cover_async.events import TrackEnded, TrackOutcome
from suno_cover_async.models import CoverDetails, Track

_MOST_UNREAD = 1_000  # outcomes; beyond that, all work waits for the reader


@attrs.frozen(kw_only=True)
class Covered(Record):
    """A track that has its cover.

    Attributes:
        track: The track.
        details: The details of its successful cover.
        files: Its image files; empty when the run saves no images.
    """

    track: Track
    details: CoverDetails
    files: tuple[Path, ...] = ()

    def _repr_html_(self) -> str:
        """Show the title and the saved images in a notebook; links if none are saved."""
        from suno_cover_async.common import html  # noqa: PLC0415 - for notebooks alone
        from suno_cover_async.images.inline import gallery  # noqa: PLC0415 - likewise

        shown = gallery(self.files) if self.files else self.details._repr_html_()  # pyright: ignore[reportPrivateUsage] - IPython's name
        return f"<b>{html.text(self.track.title or self.track.music_task_id)}</b>{shown}"


@attrs.frozen(kw_only=True)
class Failed(Record):
    """A track that has no cover, or no files of it, in this run.

    Attributes:
        track: The track.
        error: The reason. If it is `retryable`, the next run continues with this track; otherwise
            only a run with `retry_failed` does.
    """

    track: Track
    error: SunoCoverError


Outcome = Covered | Failed


class Step(enum.Enum):
    """A step that a run does for a track.

    Attributes:
        SUBMIT: It submits the track, or waits for its turn to submit.
        WAIT: It waits for the cover, which is paid for.
        SAVE: It downloads the images.
    """

    SUBMIT = "submitting"
    WAIT = "waiting"
    SAVE = "saving"


@attrs.frozen(kw_only=True)
class InFlight(Record):
    """A track that a run is working on.

    Attributes:
        track: The track; the first of its titles.
        step: The step that it is at.
        since: When this step began, in seconds of the event loop's clock.
    """

    track: Track
    step: Step
    since: float


@attrs.define(kw_only=True)
class Progress(Record):
    """The progress of a catalog, counted in music tasks.

    Attributes:
        total: All music tasks in the ledger.
        done: Covered, and saved if the run saves images, in this run or an earlier one.
        failed: Failed or in need of attention, in this run or an earlier one.
        in_flight: Being submitted, waited for or saved at this moment.
        billed: Submits of this run that the API accepted as new.
        adopted: Submits of this run that returned a cover task which existed already.
        possibly_billed: A submit may have been sent, and its result is not known, in this run or
            an earlier one; without what other runs hold. It counts at the start and at the end of a
            run; where the ledger cannot be read at the end, it is this run's alone.
        other_runs: Other runs at work with the ledger, where several may be.
        outdated_since: When `total`, `done`, `failed` and `other_runs` were last read, where the
            ledger cannot be read at the end; else None. In a ledger that other runs share, these
            numbers are brought up to date from time to time.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    in_flight: int = 0
    billed: int = 0
    adopted: int = 0
    possibly_billed: int = 0
    other_runs: int = 0
    outdated_since: datetime | None = None

    @property
    def left(self) -> int:
        """Return how many music tasks the next run continues with."""
        return self.total - self.done - self.failed


class OutcomeQueue:
    """The queue of unread outcomes of a run; `put` waits while it holds 1,000."""

    def __init__(self, events: Emitter | None = None) -> None:
        """Create an empty queue; `events` calls the client's hook for each outcome."""
        self._events = events
        self._unread: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._free = asyncio.Semaphore(_MOST_UNREAD)

    async def has_capacity(self) -> None:
        """Wait until every earlier `put` has ended and one more outcome fits."""
        async with self._free:
            pass

    async def put(self, outcomes: Iterable[Outcome]) -> None:
        """Add outcomes, in the order of calls."""
        outcomes = list(outcomes)
        if self._events is not None:
            for outcome in outcomes:
                self._events.emit(_event_of(outcome, self._events))
        for outcome in outcomes:
            await self._free.acquire()
            self._unread.put_nowait(outcome)

    def end(self) -> None:
        """Mark the end: there are no more outcomes."""
        self._unread.put_nowait(None)

    async def get(self) -> Outcome | None:
        """Wait for the next outcome and return it; return None on every call after the last."""
        outcome = await self._unread.get()
        if outcome is None:
            self.end()
        else:
            self._free.release()
        return outcome


def _event_of(outcome: Outcome, events: Emitter) -> TrackEnded:
    if isinstance(outcome, Covered):
        what = TrackOutcome.SAVED if outcome.files else TrackOutcome.COVERED
    else:
        what = TrackOutcome.LEFT if outcome.error.retryable else TrackOutcome.FAILED
    return TrackEnded(
        operation_id=events.operation_id,
        music_task_id=events.hidden(outcome.track.music_task_id),
        title=events.hidden(outcome.track.title),
        outcome=what,
        error=name_of(outcome.error) if isinstance(outcome, Failed) else None,
    )
