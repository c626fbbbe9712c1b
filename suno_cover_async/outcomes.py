"""What becomes of a catalog's tracks, how far the whole of it is, and who waits for a reader.

It owns these values and the queue from the run to its reader; who brings them about is
`runner.py`'s.
"""

import asyncio
import enum
from collections.abc import Iterable
from pathlib import Path

import attrs

from suno_cover_async.errors import SunoCoverError
from suno_cover_async.models import CoverDetails, Track

_MOST_UNREAD = 1_000  # outcomes, before all work waits for the reader


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


class Step(enum.Enum):
    """What a run does for a track.

    Attributes:
        SUBMIT: It submits the track, or waits for its turn to do so.
        WAIT: It waits for the cover, which is paid for.
        SAVE: It downloads the images.
    """

    SUBMIT = "submitting"
    WAIT = "waiting"
    SAVE = "saving"


@attrs.frozen(kw_only=True)
class InFlight:
    """A track that a run is working on.

    Attributes:
        track: The track; the first of its titles.
        step: What is being done for it.
        since: When this step began, by the event loop's clock, in seconds.
    """

    track: Track
    step: Step
    since: float


@attrs.define(kw_only=True)
class Tally:
    """How far a catalog is; all are numbers of music tasks.

    Attributes:
        total: In the ledger.
        done: Covered, and saved where that is wanted, in this run or an earlier one.
        failed: Failed or in need of attention, in this run or an earlier one.
        in_flight: Being submitted, waited for or saved at this moment.
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


class OutcomeQueue:
    """Outcomes on their way to a reader; where 1,000 are unread, `put` waits."""

    def __init__(self) -> None:
        """Begin empty."""
        self._unread: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_MOST_UNREAD)

    async def has_room(self) -> None:
        """Wait until every earlier `put` has ended, and there is room for one outcome more."""
        async with self._room:
            pass

    async def put(self, outcomes: Iterable[Outcome]) -> None:
        """Hand over outcomes, in order of calls."""
        for outcome in outcomes:
            await self._room.acquire()
            self._unread.put_nowait(outcome)

    def end(self) -> None:
        """Hand over that there are no more outcomes."""
        self._unread.put_nowait(None)

    async def get(self) -> Outcome | None:
        """Wait for the next outcome; None after the last one, however often it is asked for."""
        outcome = await self._unread.get()
        if outcome is None:
            self.end()
        else:
            self._room.release()
        return outcome
