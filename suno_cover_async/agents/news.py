"""What an agent is told of a song and of the limit of covers, as values and errors.

It knows the ledger's entries. It must not know runs, nor the protocol.
"""

import attrs

from suno_cover_async.errors import CoverFailedError, SunoCoverError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState

ENDED = (TrackState.FAILED, TrackState.ATTENTION)
"""The states of a song that has no cover, and gets none by itself."""


class LimitReachedError(Exception):
    """The ledger has no covers left; nothing was submitted for this song."""

    def __init__(self, max_covers: int) -> None:
        """Say how many covers the ledger may have, and what a person can do."""
        super().__init__(
            f"the limit of covers ({max_covers:,}) is reached, so nothing was submitted for this "
            "song; songs that are paid for still work; a person can start the server with a "
            "larger --max-covers, which counts over the ledger's life"
        )


class ServerEndingError(Exception):
    """The server ends; nothing was submitted for this song."""

    def __init__(self) -> None:
        """Say that calling again is safe."""
        super().__init__("the server is ending, and nothing was submitted for this song")


@attrs.frozen(kw_only=True)
class Asked:
    """What became of a song that was asked for, so far.

    Attributes:
        entry: Its entry in the ledger; None if it has none.
        error: Why it has no cover, or why the run ended before it had one; None if it has one, or
            if that is not known yet.
    """

    entry: LedgerEntry | None
    error: Exception | None = None


@attrs.frozen(kw_only=True)
class Budget:
    """The covers of the ledger's life.

    Attributes:
        begun: How many submits were begun, those that wait for their turn included.
        max_covers: How many there may be.
    """

    begun: int
    max_covers: int

    @property
    def left(self) -> int:
        """Return how many further songs may be submitted."""
        return max(0, self.max_covers - self.begun)


def was_refused(entry: LedgerEntry) -> bool:
    """Return whether the API refused the song, so that it may be submitted again: not billed."""
    return entry.state is TrackState.FAILED and entry.task is None and not entry.submits


def ended_error(entry: LedgerEntry) -> Exception | None:
    """Return why a song of the ledger has no cover, as an error; None if it has one."""
    if entry.state not in ENDED:
        return None
    reason = entry.reason or "the reason is not known"
    if entry.error == CoverFailedError.__name__:
        reason += "; a person can have it made again by suno-cover batch --retry-failed"
    return SunoCoverError(reason, music_task_id=entry.music_task_id)
