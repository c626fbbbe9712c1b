"""What tools answer, as values, with the words that tell an agent what to do next.

It knows entries of a ledger and details of covers. Text of third parties is bounded and made
printable here. It must not know the protocol.
"""

from collections.abc import Iterable

import attrs

from suno_cover_async.agents.news import Asked, Budget, ended_error
from suno_cover_async.common.records import Record
from suno_cover_async.common.text import printable
from suno_cover_async.errors import AuthenticationError, InsufficientCreditsError, SunoCoverError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.models import CoverDetails, CoverStatus

_LONGEST = 400  # characters of a message
_LONGEST_URL = 2_048
_MOST_IMAGES = 8  # the API makes two

_NEXT = {
    TrackState.WAITING: "it is not submitted yet",
    TrackState.SUBMITTING: "a submit may have been sent, and is not answered yet",
    TrackState.SUBMITTED: "the cover is paid for and being made",
    TrackState.COVERED: "the cover is made, and its images are being saved",
    TrackState.SAVED: "the cover is finished, and its images are saved",
}
_AGAIN = "nothing is lost: call status with this music_task_id in a minute"
_STATES = {
    CoverStatus.SUCCESS: TrackState.COVERED,
    CoverStatus.FAILED: TrackState.FAILED,
}


@attrs.frozen(kw_only=True)
class SongAnswer(Record):
    """How far a song is.

    Attributes:
        state: The state, as the ledger names it.
        finished: Whether the images are there.
        music_task_id: The song; None if only its cover task is known.
        cover_task_id: The cover task, once known.
        image_urls: The URLs of the images, once the cover is finished.
        files: The saved images.
        message: What that means, and what to do next.
    """

    state: str
    finished: bool
    music_task_id: str | None
    cover_task_id: str | None
    image_urls: tuple[str, ...]
    files: tuple[str, ...]
    message: str

    @classmethod
    def of(cls, entry: LedgerEntry, trouble: Exception | None) -> "SongAnswer":
        """Return the answer about an entry; `trouble` is why it gets no further for now."""
        return cls(
            state=entry.state.value,
            finished=entry.state is TrackState.SAVED,
            music_task_id=entry.music_task_id,
            cover_task_id=None if entry.task is None else printable(entry.task.cover_task_id),
            image_urls=_shown(entry.images),
            files=tuple(str(file.absolute()) for file in entry.files),
            message=_message(entry, trouble),
        )

    @classmethod
    def of_details(cls, details: CoverDetails) -> "SongAnswer":
        """Return the answer about a cover task that the ledger does not know."""
        state = _STATES.get(details.status, TrackState.SUBMITTED)
        return cls(
            state=state.value,
            finished=details.status is CoverStatus.SUCCESS,
            music_task_id=details.music_task_id and printable(details.music_task_id),
            cover_task_id=printable(details.cover_task_id),
            image_urls=_shown(details.images),
            files=(),
            message="this cover task is not in the server's ledger, so no files of it are saved",
        )


@attrs.frozen(kw_only=True)
class CreditsAnswer(Record):
    """The balance, and what is left of the limit.

    Attributes:
        credits: The account's balance, in credits.
        max_covers: The most covers in the life of the ledger.
        covers_begun: How many of those were begun.
        covers_left: How many further songs can be covered.
    """

    credits: float
    max_covers: int
    covers_begun: int
    covers_left: int

    @classmethod
    def of(cls, balance: float, budget: Budget) -> "CreditsAnswer":
        """Return the answer."""
        return cls(
            credits=balance,
            max_covers=budget.max_covers,
            covers_begun=budget.begun,
            covers_left=budget.left,
        )


def refusal(asked: Asked) -> str | None:
    """Return in words why a song has no cover; None if it has one, or may still get it."""
    entry = asked.entry
    ended = None if entry is None else ended_error(entry)
    if ended is not None:
        return explain(ended)
    if entry is None or entry.state is TrackState.WAITING:
        return None if asked.error is None else explain(asked.error)
    return None


def explain(error: Exception) -> str:
    """Return the message of an error as one bounded line, with what to do next."""
    words = printable(str(error), _LONGEST) or type(error).__name__
    advice = _advice(error)
    return words if advice is None else f"{words}; {advice}"


def _advice(error: Exception) -> str | None:
    if isinstance(error, AuthenticationError):
        return "a person must set the right API key, and start the server again"
    if isinstance(error, InsufficientCreditsError):
        return "a person must add credits to the account; then call cover again"
    if isinstance(error, SunoCoverError) and error.retryable:
        return "call again later, which never pays twice"
    return None


def _message(entry: LedgerEntry, trouble: Exception | None) -> str:
    if entry.state is TrackState.SAVED:
        return _NEXT[entry.state]
    ended = ended_error(entry)
    if ended is not None:
        return explain(ended)
    words = _NEXT[entry.state]
    if trouble is not None:
        return f"{words}; it gets no further for now: {explain(trouble)}"
    return f"{words}; {_AGAIN}"


def _shown(urls: Iterable[str]) -> tuple[str, ...]:
    """Return the URLs that are short and printable, since cut ones lead nowhere."""
    fit = [url for url in urls if printable(url, _LONGEST_URL) == url]
    return tuple(fit[:_MOST_IMAGES])
