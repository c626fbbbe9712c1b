"""Decide what an error means for one track of a catalog, and for the rest of the run.

This module knows errors and steps; `catalog_run.py` carries out the decision.
"""

import enum

from suno_cover_async.batch.outcomes import Step
from suno_cover_async.errors import (
    AddressRefusedError,
    APIError,
    AuthenticationError,
    CertificateError,
    ClientBlockedError,
    ClientUsageError,
    CoverExistsError,
    CoverExpiredError,
    CoverFailedError,
    InsufficientCreditsError,
    ProxyError,
    SunoCoverError,
    UnexpectedResponseError,
    WrongAddressError,
)


class Consequence(enum.Enum):
    """What the run does after an error.

    Attributes:
        LEFT: The next run continues with the track.
        FAILED: The track has no cover, or no longer has one.
        ATTENTION: A person must check the track: a cover exists that cannot be found or fetched, or
            one may exist.
        WRONG_TASK: As ATTENTION; its cover task belongs to another song, or names none at its end,
            and is removed from the ledger.
        STOP_SUBMITTING: The track is left to the next run. Nothing more is submitted, and covers
            that are paid for are finished.
        ABORT: This track and all others are left to the next run.
    """

    LEFT = "left"
    FAILED = "failed"
    ATTENTION = "attention"
    WRONG_TASK = "wrong task"
    STOP_SUBMITTING = "stop submitting"
    ABORT = "abort"


def consequence_of(error: SunoCoverError, step: Step) -> Consequence:
    """Return what the run does after an error that outlasted the retries."""
    if _is_about_saving(error, step) or isinstance(error, InsufficientCreditsError):
        return Consequence.STOP_SUBMITTING
    if isinstance(error, _ALL_ALIKE) or _is_unreadable_submit(error, step):
        return Consequence.ABORT
    # A retryable error leaves the track to the next run, with one exception: when the first submit
    # got no answer and the repeated one is refused, a later run would be refused again while a paid
    # cover may exist. A person must check that track.
    if error.retryable and not _is_refused_after_a_lost_answer(error, step):
        return Consequence.LEFT
    if isinstance(error, CoverFailedError | CoverExpiredError):
        return Consequence.FAILED
    if step is Step.SUBMIT:
        is_paid = error.possibly_billed or isinstance(error, CoverExistsError)
        return Consequence.ATTENTION if is_paid else Consequence.FAILED
    return Consequence.WRONG_TASK if _is_of_another_song(error) else Consequence.ATTENTION


_ALL_ALIKE = (
    AuthenticationError,
    CertificateError,
    ClientBlockedError,
    ClientUsageError,
    ProxyError,
    WrongAddressError,
)
_NO_IMAGES = (AddressRefusedError, CertificateError, ClientBlockedError, ProxyError)


def _is_about_saving(error: SunoCoverError, step: Step) -> bool:
    """Return whether no image can be saved: the disk, the image host or the way is at fault."""
    is_for_all = isinstance(error, _NO_IMAGES)
    return (step is Step.SAVE and is_for_all) or isinstance(error.__cause__, OSError)


def _is_unreadable_submit(error: SunoCoverError, step: Step) -> bool:
    """Return whether the API answered a submit in an unknown form; the next would fail alike."""
    is_answer = isinstance(error, UnexpectedResponseError) and error.http_status is not None
    return step is Step.SUBMIT and is_answer and not error.retryable


def _is_refused_after_a_lost_answer(error: SunoCoverError, step: Step) -> bool:
    """Return whether the API refused to repeat a submit that is possibly billed."""
    is_refusal = isinstance(error, APIError) and not type(error).retryable
    return step is Step.SUBMIT and is_refusal and error.possibly_billed


def _is_of_another_song(error: SunoCoverError) -> bool:
    return isinstance(error, CoverExistsError) or (
        isinstance(error, UnexpectedResponseError) and error.http_status is None
    )
