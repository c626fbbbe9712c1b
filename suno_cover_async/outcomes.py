"""What becomes of a catalog's tracks, and how far the whole of it is.

It owns these values; who brings them about is `runner.py`'s.
"""

from pathlib import Path

import attrs

from suno_cover_async.errors import SunoCoverError
from suno_cover_async.models import CoverDetails, Track


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
