"""What each error means for a track of a catalog, and for the others."""

import pytest

from suno_cover_async import errors
from suno_cover_async.batch.error_policy import Consequence, consequence_of
from suno_cover_async.batch.outcomes import Step
from suno_cover_async.models import CoverDetails, CoverStatus

FAILED_COVER = errors.CoverFailedError(CoverDetails(cover_task_id="c", status=CoverStatus.FAILED))
FULL_DISK = errors.DownloadError("cannot save")
FULL_DISK.__cause__ = OSError(28, "No space left on device")
POSSIBLY_BILLED = errors.InvalidRequestError("no", retryable=True)
REFUSED_POSSIBLY_BILLED = errors.InvalidRequestError("no")
REFUSED_POSSIBLY_BILLED.possibly_billed = True
KEY_REFUSED_POSSIBLY_BILLED = errors.AuthenticationError("no")
KEY_REFUSED_POSSIBLY_BILLED.possibly_billed = True
WRONG_ADDRESS_POSSIBLY_BILLED = errors.WrongAddressError("no", http_status=302, retryable=True)
WRONG_ADDRESS_POSSIBLY_BILLED.possibly_billed = True
SUBMIT, WAIT, SAVE = Step


@pytest.mark.parametrize(
    ("error", "step", "expected"),
    [
        (errors.AuthenticationError("x"), SUBMIT, Consequence.ABORT),
        (errors.AuthenticationError("x", retryable=True), SUBMIT, Consequence.ABORT),
        (errors.AuthenticationError("x"), WAIT, Consequence.ABORT),
        (errors.ClientBlockedError("x"), SAVE, Consequence.STOP_SUBMITTING),
        (errors.AddressRefusedError("x"), SAVE, Consequence.STOP_SUBMITTING),
        (errors.CertificateError("x"), SAVE, Consequence.STOP_SUBMITTING),
        (errors.CertificateError("x"), SUBMIT, Consequence.ABORT),
        (errors.ProxyError("x"), SAVE, Consequence.STOP_SUBMITTING),
        (errors.ProxyError("x"), WAIT, Consequence.ABORT),
        (errors.ClientBlockedError("x"), WAIT, Consequence.ABORT),
        (errors.ClientUsageError("x"), WAIT, Consequence.ABORT),
        (errors.InsufficientCreditsError("x"), SUBMIT, Consequence.STOP_SUBMITTING),
        (FULL_DISK, SAVE, Consequence.STOP_SUBMITTING),
        (errors.TransportError("x"), SUBMIT, Consequence.LEFT),
        (errors.ServerError("x"), SUBMIT, Consequence.LEFT),
        (errors.RateLimitError("x"), SUBMIT, Consequence.LEFT),
        (POSSIBLY_BILLED, SUBMIT, Consequence.LEFT),
        (REFUSED_POSSIBLY_BILLED, SUBMIT, Consequence.ATTENTION),
        (KEY_REFUSED_POSSIBLY_BILLED, SUBMIT, Consequence.ABORT),
        (errors.CoverTimeoutError("x"), WAIT, Consequence.LEFT),
        (errors.ImagesMissingError("x"), WAIT, Consequence.LEFT),
        (errors.DownloadError("x", retryable=True), SAVE, Consequence.LEFT),
        (
            errors.UnexpectedResponseError("x", http_status=200, retryable=True),
            SUBMIT,
            Consequence.LEFT,
        ),
        (FAILED_COVER, WAIT, Consequence.FAILED),
        (errors.CoverExpiredError("x"), SAVE, Consequence.FAILED),
        (errors.InvalidRequestError("x"), SUBMIT, Consequence.FAILED),
        (errors.NotFoundError("x", code=404), SUBMIT, Consequence.FAILED),
        (errors.WrongAddressError("x", http_status=404), SUBMIT, Consequence.ABORT),
        (errors.WrongAddressError("x", http_status=404), WAIT, Consequence.ABORT),
        (errors.WrongAddressError("x", http_status=404), SAVE, Consequence.ABORT),
        (WRONG_ADDRESS_POSSIBLY_BILLED, SUBMIT, Consequence.ABORT),
        (errors.CoverExistsError("x"), SUBMIT, Consequence.ATTENTION),
        (errors.NotFoundError("x"), WAIT, Consequence.ATTENTION),
        (errors.InvalidRequestError("x"), WAIT, Consequence.ATTENTION),
        (errors.UnexpectedResponseError("x", http_status=200), WAIT, Consequence.ATTENTION),
        (errors.DownloadError("x"), SAVE, Consequence.ATTENTION),
        (errors.NotFoundError("x"), SAVE, Consequence.ATTENTION),
        (errors.CoverExistsError("x"), WAIT, Consequence.WRONG_TASK),
        (errors.UnexpectedResponseError("x"), WAIT, Consequence.WRONG_TASK),
        (
            errors.UnexpectedResponseError("x", http_status=302, retryable=True),
            WAIT,
            Consequence.LEFT,
        ),
        (errors.UnexpectedResponseError("x", http_status=200), SUBMIT, Consequence.ABORT),
    ],
    ids=lambda value: value.name if isinstance(value, Step | Consequence) else type(value).__name__,
)
def test_an_error_means(error: errors.SunoCoverError, step: Step, expected: Consequence) -> None:
    assert consequence_of(error, step) is expected
