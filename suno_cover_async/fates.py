"""What an error means for one track of a catalog, and for all the others.

It knows errors only; who acts on it is `runner.py`'s.
"""

import enum

from suno_cover_async.errors import (
    AuthenticationError,
    ClientBlockedError,
    ClientUsageError,
    CoverExistsError,
    CoverExpiredError,
    CoverFailedError,
    InsufficientCreditsError,
    SunoCoverError,
    UnexpectedResponseError,
    WrongAddressError,
)
from suno_cover_async.outcomes import Step


class Fate(enum.Enum):
    """What becomes of a track after an error.

    Attributes:
        LEFT: The next run goes on with it.
        FAILED: It has no cover, or none any more.
        ATTENTION: It was paid for, perhaps, and somebody must look.
        STRANGER: Likewise; what was taken for its cover task is another song's, or nobody's.
        SCARCE: It is left, and nothing more is submitted; what is paid for is finished.
        HOPELESS: It is left, and so is all else.
    """

    LEFT = "left"
    FAILED = "failed"
    ATTENTION = "attention"
    STRANGER = "stranger"
    SCARCE = "scarce"
    HOPELESS = "hopeless"


def fate(error: SunoCoverError, step: Step) -> Fate:
    """Tell what an error means, that neither retries nor the end of an outage have mended."""
    if _is_about_saving(error, step) or isinstance(error, InsufficientCreditsError):
        return Fate.SCARCE
    if isinstance(error, _ALL_ALIKE) or _is_unreadable_submit(error, step):
        return Fate.HOPELESS
    if error.retryable:
        return Fate.LEFT
    if isinstance(error, CoverFailedError | CoverExpiredError):
        return Fate.FAILED
    if step is Step.SUBMIT:
        is_paid = error.perhaps_billed or isinstance(error, CoverExistsError)
        return Fate.ATTENTION if is_paid else Fate.FAILED
    return Fate.STRANGER if _is_of_another_song(error) else Fate.ATTENTION


_ALL_ALIKE = (AuthenticationError, ClientBlockedError, ClientUsageError, WrongAddressError)


def _is_about_saving(error: SunoCoverError, step: Step) -> bool:
    """Whether no image can be saved: the disk says no, or the edge of the image host."""
    blocked = step is Step.SAVE and isinstance(error, ClientBlockedError)
    return blocked or isinstance(error.__cause__, OSError)


def _is_unreadable_submit(error: SunoCoverError, step: Step) -> bool:
    """Whether the API answered a submit in a form that we do not know: it would again."""
    is_answer = isinstance(error, UnexpectedResponseError) and error.http_status is not None
    return step is Step.SUBMIT and is_answer and not error.retryable


def _is_of_another_song(error: SunoCoverError) -> bool:
    return isinstance(error, CoverExistsError) or (
        isinstance(error, UnexpectedResponseError) and error.http_status is None
    )
