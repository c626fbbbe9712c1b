"""What each error means for a track of a catalog, and for the others."""

import pytest

from suno_cover_async import errors
from suno_cover_async.fates import Fate, fate
from suno_cover_async.models import CoverDetails, CoverStatus
from suno_cover_async.outcomes import Step

FAILED_COVER = errors.CoverFailedError(CoverDetails(cover_task_id="c", status=CoverStatus.FAILED))
FULL_DISK = errors.DownloadError("cannot save")
FULL_DISK.__cause__ = OSError(28, "No space left on device")
IN_DOUBT = errors.InvalidRequestError("no", retryable=True)
REFUSED_IN_DOUBT = errors.InvalidRequestError("no")
REFUSED_IN_DOUBT.perhaps_billed = True
KEY_REFUSED_IN_DOUBT = errors.AuthenticationError("no")
KEY_REFUSED_IN_DOUBT.perhaps_billed = True
WRONG_ADDRESS_IN_DOUBT = errors.WrongAddressError("no", http_status=302, retryable=True)
WRONG_ADDRESS_IN_DOUBT.perhaps_billed = True
SUBMIT, WAIT, SAVE = Step


@pytest.mark.parametrize(
    ("error", "step", "expected"),
    [
        (errors.AuthenticationError("x"), SUBMIT, Fate.HOPELESS),
        (errors.AuthenticationError("x", retryable=True), SUBMIT, Fate.HOPELESS),
        (errors.AuthenticationError("x"), WAIT, Fate.HOPELESS),
        (errors.ClientBlockedError("x"), SAVE, Fate.SCARCE),
        (errors.ClientBlockedError("x"), WAIT, Fate.HOPELESS),
        (errors.ClientUsageError("x"), WAIT, Fate.HOPELESS),
        (errors.InsufficientCreditsError("x"), SUBMIT, Fate.SCARCE),
        (FULL_DISK, SAVE, Fate.SCARCE),
        (errors.TransportError("x"), SUBMIT, Fate.LEFT),
        (errors.ServerError("x"), SUBMIT, Fate.LEFT),
        (errors.RateLimitError("x"), SUBMIT, Fate.LEFT),
        (IN_DOUBT, SUBMIT, Fate.LEFT),
        (REFUSED_IN_DOUBT, SUBMIT, Fate.ATTENTION),
        (KEY_REFUSED_IN_DOUBT, SUBMIT, Fate.HOPELESS),
        (errors.CoverTimeoutError("x"), WAIT, Fate.LEFT),
        (errors.ImagesMissingError("x"), WAIT, Fate.LEFT),
        (errors.DownloadError("x", retryable=True), SAVE, Fate.LEFT),
        (errors.UnexpectedResponseError("x", http_status=200, retryable=True), SUBMIT, Fate.LEFT),
        (FAILED_COVER, WAIT, Fate.FAILED),
        (errors.CoverExpiredError("x"), SAVE, Fate.FAILED),
        (errors.InvalidRequestError("x"), SUBMIT, Fate.FAILED),
        (errors.NotFoundError("x", code=404), SUBMIT, Fate.FAILED),
        (errors.WrongAddressError("x", http_status=404), SUBMIT, Fate.HOPELESS),
        (errors.WrongAddressError("x", http_status=404), WAIT, Fate.HOPELESS),
        (errors.WrongAddressError("x", http_status=404), SAVE, Fate.HOPELESS),
        (WRONG_ADDRESS_IN_DOUBT, SUBMIT, Fate.HOPELESS),
        (errors.CoverExistsError("x"), SUBMIT, Fate.ATTENTION),
        (errors.NotFoundError("x"), WAIT, Fate.ATTENTION),
        (errors.InvalidRequestError("x"), WAIT, Fate.ATTENTION),
        (errors.UnexpectedResponseError("x", http_status=200), WAIT, Fate.ATTENTION),
        (errors.DownloadError("x"), SAVE, Fate.ATTENTION),
        (errors.NotFoundError("x"), SAVE, Fate.ATTENTION),
        (errors.CoverExistsError("x"), WAIT, Fate.STRANGER),
        (errors.UnexpectedResponseError("x"), WAIT, Fate.STRANGER),
        (errors.UnexpectedResponseError("x", http_status=302, retryable=True), WAIT, Fate.LEFT),
        (errors.UnexpectedResponseError("x", http_status=200), SUBMIT, Fate.HOPELESS),
    ],
    ids=lambda value: value.name if isinstance(value, Step | Fate) else type(value).__name__,
)
def test_an_error_means(error: errors.SunoCoverError, step: Step, expected: Fate) -> None:
    assert fate(error, step) is expected
