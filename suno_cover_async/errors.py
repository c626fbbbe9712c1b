"""Everything that can go wrong, as one tree.

::

    SunoCoverError
    ├── TransportError              no readable answer: refused, reset, cut off, timed out
    ├── UnexpectedResponseError     an answer that makes no sense, or names the wrong task
    │   ├── ImagesMissingError      the cover is a success, yet no images are named
    │   └── WrongAddressError       the base URL is not that of this API
    ├── APIError                    the API refused, or a gateway in its place
    │   ├── AuthenticationError         the key is missing, wrong or not allowed
    │   ├── InsufficientCreditsError    nothing left to pay with
    │   ├── InvalidRequestError         what was asked is not valid
    │   ├── CoverExistsError            a cover exists, and its cover task id is not known
    │   ├── NotFoundError               no such task
    │   ├── RateLimitError              called too often
    │   ├── MaintenanceError            closed for maintenance
    │   └── ServerError                 the host, or a gateway, failed to answer
    ├── ClientBlockedError          a gateway before the API or its images blocks this client
    ├── MusicFailedError            the music task failed, so it can have no cover
    ├── CoverFailedError            the cover task failed
    ├── CoverTimeoutError           not finished in time (also a TimeoutError); wait again
    ├── CoverExpiredError           the images are gone (they are kept for 14 days)
    ├── DownloadError               an image could not be fetched or saved
    ├── CallbackRefusedError        a callback that is not to be believed
    ├── LedgerError                 the ledger could not keep its promise
    └── ClientUsageError            the client is closed, or busy in another event loop

Nothing else leaves the package, but cancellation, and plain `TypeError` and `ValueError` for
wrong arguments. This module knows the nouns of `models.py` and nothing else; no error ever
holds the API key.
"""

from typing import Any

from suno_cover_async.models import CoverDetails, MusicDetails


class SunoCoverError(Exception):
    """The root of every error of this package.

    Attributes:
        retryable: The same call may succeed later, and making it again never pays twice.
        code: The API's own code; None when no answer came, or the body was not the API's.
        http_status: The HTTP status of the answer, where there was one.
        music_task_id: The music task in question, where known.
        cover_task_id: The cover task in question, where known.
        possibly_billed: An attempt was sent and its answer was lost, so that a cover may have been
            made and billed. Where that was an attempt of this very call, the error is `retryable`:
            submitting again brings that cover back (unless the address is wrong, or the API's own
            answer cannot be read). Where an earlier call left the music `possibly_billed` and this
            one is refused, it is as `retryable` as the refusal: check it before you give up.
    """

    retryable: bool = False
    possibly_billed: bool = False

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        code: int | None = None,
        http_status: int | None = None,
        music_task_id: str | None = None,
        cover_task_id: str | None = None,
    ) -> None:
        """Say what happened and what to do next; the rest are facts for programs."""
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable
        self.code = code
        self.http_status = http_status
        self.music_task_id = music_task_id
        self.cover_task_id = cover_task_id


class TransportError(SunoCoverError):
    """No readable answer came: refused, reset, cut off or timed out."""

    retryable = True


class UnexpectedResponseError(SunoCoverError):
    """An answer came that makes no sense, or that is about another task.

    It is `retryable` where a gateway answered in place of the API, or the answer was cut off.
    """


class ImagesMissingError(UnexpectedResponseError):
    """The cover task is a success, and after several looks it still names no images."""

    retryable = True


class WrongAddressError(UnexpectedResponseError):
    """What answers at the base URL is not this API, and the API has never answered there.

    The message has the base URL, the HTTP status and what was answered. Check the base URL and the
    host; redirects are never followed. A submit that got this answer may have been executed behind
    it, so it is `possibly_billed`, and its music task is `possibly_billed`.
    """


class APIError(SunoCoverError):
    """The API refused; or a gateway did in its place, and `code` is None.

    Attributes:
        retry_after: Seconds the host asked us to stay away, where it said so and made sense.
    """

    retry_after: float | None = None


class AuthenticationError(APIError):
    """The key is missing, wrong, or not allowed to do this."""


class InsufficientCreditsError(APIError):
    """The account, or this key's own allowance on it, has nothing left to pay with."""


class InvalidRequestError(APIError):
    """What was asked is not valid, such as a music task the host does not know."""


class CoverExistsError(APIError):
    """This music task already has a cover, and the API did not say under which cover task id.

    A cover is made once per music task, so this submit paid nothing. The id can only come from
    whoever submitted it first, or from a callback.
    """


class NotFoundError(APIError):
    """The host knows no such task."""


class RateLimitError(APIError):
    """Refused for calling too often, and still so after the tries of the retry policy.

    Its `code` is None where a gateway refused, and not the API.
    """

    retryable = True


class MaintenanceError(APIError):
    """The host is closed for maintenance."""

    retryable = True


class ServerError(APIError):
    """The host, or a gateway in front of it, failed to answer."""

    retryable = True


class ClientBlockedError(SunoCoverError):
    """A gateway in front of the API, or of its images, blocks this client or its network."""


class MusicFailedError(SunoCoverError):
    """The music task failed, so it can have no cover.

    Attributes:
        details: What the API said of the music task.
    """

    def __init__(self, details: MusicDetails) -> None:
        """Say what became of the music task."""
        super().__init__(
            f"music task {details.music_task_id} ended as {details.status}: "
            "it can have no cover; generate the music again",
            music_task_id=details.music_task_id,
        )
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the details."""
        return type(self), (self.details,), vars(self)


class CoverFailedError(SunoCoverError):
    """The cover task failed; its images will never come.

    Whether a failed cover can be asked for again, and whether its credits come back, is
    documented nowhere.

    Attributes:
        details: What the API said of the cover task.
    """

    def __init__(self, details: CoverDetails) -> None:
        """Say what became of the cover task."""
        reason = details.error_message or "the API gave no reason"
        super().__init__(
            f"cover task {details.cover_task_id} failed: {reason}",
            code=details.error_code,
            music_task_id=details.music_task_id,
            cover_task_id=details.cover_task_id,
        )
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the details."""
        return type(self), (self.details,), vars(self)


class CoverTimeoutError(SunoCoverError, TimeoutError):
    """Our patience ended before the task did. Nothing is lost: wait for it again, even tomorrow.

    `cover_task_id` names what to wait for; it is None when it was the music that did not become
    ready, and then `music_task_id` is set and nothing was submitted.
    """

    retryable = True


class CoverExpiredError(SunoCoverError):
    """The images are gone. The API keeps them for 14 days and makes no second set."""


class DownloadError(SunoCoverError):
    """An image could not be fetched or saved; the cover itself is unharmed."""


class CallbackRefusedError(SunoCoverError):
    """A callback that is not to be believed; only `CallbackReceiver.read` raises it."""


class LedgerError(SunoCoverError):
    """The ledger could not keep its promise, so nothing more is submitted."""


class ClientUsageError(SunoCoverError):
    """The client was used after it was closed, or from two running event loops at once."""
