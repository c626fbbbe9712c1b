"""The exceptions of this package, as one tree.

::

    SunoCoverError
    ├── TransportError              no readable answer: refused, reset, cut off, timed out
    │   ├── CertificateError            the host's certificate cannot be verified
    │   └── ProxyError                  the proxy refuses to connect to the host
    ├── UnexpectedResponseError     an answer that cannot be read, or names the wrong task
    │   ├── ImagesMissingError      the cover is a success, but no images are named
    │   └── WrongAddressError       the base URL is not that of this API
    ├── APIError                    the API refused, or a gateway in its place
    │   ├── AuthenticationError         the key is missing, wrong or not allowed
    │   ├── InsufficientCreditsError    the account has too few credits
    │   ├── InvalidRequestError         the request is not valid
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
    │   └── AddressRefusedError     its host led to an address that is not public
    ├── ArtworkError                a chosen image cannot be written as artwork
    ├── CallbackRefusedError        a callback that is not authentic, or not readable
    ├── LedgerError                 the ledger cannot be used safely
    ├── ChoiceConflictError         somebody else decided about that cover meanwhile
    └── ClientUsageError            the client, its session or its ledger is closed or in use

Besides these the package raises only cancellations, and plain `TypeError` and `ValueError` for
wrong arguments. This module knows the values of `models.py` and nothing else; no error ever holds
the API key.
"""

from typing import Any

from suno_cover_async.models import Choice, CoverDetails, MusicDetails


class SunoCoverError(Exception):
    """The base class of all errors of this package.

    Attributes:
        retryable: Whether the same call may succeed later; repeating it never pays twice.
        code: The API's own code; None if no answer came, or the body was not the API's.
        http_status: The HTTP status of the answer, if there was one.
        music_task_id: The music task that the error is about, if known.
        cover_task_id: The cover task that the error is about, if known.
        possibly_billed: Whether an attempt was sent and its answer lost, so that a cover may have
            been made and billed. If this call made that attempt, the error is `retryable`:
            submitting again returns that cover (unless the address is wrong, or the API's own
            answer cannot be read). If an earlier call left the music `possibly_billed` and this
            call is refused, the error is as `retryable` as the refusal: check `possibly_billed`
            before you give up.
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
        """Store the message, which says what happened and what to do, and facts for programs."""
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable
        self.code = code
        self.http_status = http_status
        self.music_task_id = music_task_id
        self.cover_task_id = cover_task_id

    def __str__(self) -> str:
        """Return the message; it begins with the task that it is about, unless it names it."""
        if self.music_task_id is not None:
            task = f"music task {self.music_task_id}"
        elif self.cover_task_id is not None:
            task = f"cover task {self.cover_task_id}"
        else:
            return self.message
        return self.message if task in self.message else f"{task}: {self.message}"

    @property
    def message(self) -> str:
        """The message alone, for where its song is named anyway."""
        return super().__str__()

    def to_dict(self) -> dict[str, Any]:
        """Return the error as data for `json.dumps`: the name of its class, message and facts."""
        return {
            "type": type(self).__name__,
            "message": str(self),
            "retryable": self.retryable,
            "possibly_billed": self.possibly_billed,
            "code": self.code,
            "http_status": self.http_status,
            "music_task_id": self.music_task_id,
            "cover_task_id": self.cover_task_id,
        }


class TransportError(SunoCoverError):
    """No readable answer came: the connection was refused, reset, cut off or timed out."""

    retryable = True


class CertificateError(TransportError):
    """The certificate of the API or of the image host cannot be verified; nothing was sent.

    The message names the issuer, where it could be found out. A network that inspects TLS has an
    issuer of its own: set the environment variable `SSL_CERT_FILE` to a file with its certificate.
    """

    retryable = False


class ProxyError(TransportError):
    """The proxy refuses to connect to the host, for instance for want of a password.

    Nothing was sent to the host. A proxy that cannot be reached, or fails, is a `TransportError`,
    or for an image a `DownloadError`.
    """

    retryable = False


class UnexpectedResponseError(SunoCoverError):
    """An answer came that cannot be read, or that is about another task.

    It is `retryable` if a gateway answered in place of the API, or if the answer was cut off.
    """


class ImagesMissingError(UnexpectedResponseError):
    """The cover task is a success, but after several polls it still names no images."""

    retryable = True


class WrongAddressError(UnexpectedResponseError):
    """The answer at the base URL is not this API's, and the API has never answered there.

    The message has the base URL, the HTTP status and the answer. Check the base URL and the host;
    redirects are never followed. A submit that got this answer may still have been executed, so the
    error and its music task are `possibly_billed`.
    """


class APIError(SunoCoverError):
    """The API refused the request; or a gateway did in its place, and `code` is None.

    Attributes:
        retry_after: The seconds to wait, from a valid `Retry-After` header; else None.
    """

    retry_after: float | None = None


class AuthenticationError(APIError):
    """The key is missing, wrong, or not allowed to do this."""


class InsufficientCreditsError(APIError):
    """The account has too few credits, or the allowance of this key is used up."""


class InvalidRequestError(APIError):
    """The request is not valid, for instance for a music task that the host does not know."""


class CoverExistsError(APIError):
    """This music task already has a cover, and the API did not say under which cover task id.

    A cover is made once per music task, so this submit cost nothing. The id is known only to the
    program that submitted it first, or from a callback.
    """


class NotFoundError(APIError):
    """The host knows no such task."""


class RateLimitError(APIError):
    """The account called too often, and was still refused after the retry policy's attempts.

    Its `code` is None if a gateway refused, and not the API.
    """

    retryable = True


class MaintenanceError(APIError):
    """The host is closed for maintenance."""

    retryable = True


class ServerError(APIError):
    """The host, or a gateway in front of it, failed to answer."""

    retryable = True


class ClientBlockedError(SunoCoverError):
    """A gateway in front of the API or the image host blocks this client or its network."""


class MusicFailedError(SunoCoverError):
    """The music task failed, so it can have no cover.

    Attributes:
        details: The details of the music task.
    """

    def __init__(self, details: MusicDetails) -> None:
        """Make the message from the details of the music task."""
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
    """The cover task failed, and will have no images.

    Whether a failed cover can be requested again, and whether its credits are refunded, is not
    documented.

    Attributes:
        details: The details of the cover task.
    """

    def __init__(self, details: CoverDetails) -> None:
        """Make the message from the details of the cover task."""
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
    """The timeout passed before the task finished. Nothing is lost: wait for it again, any time.

    `cover_task_id` is the cover task to wait for. It is None if the music did not become ready;
    then `music_task_id` is set and nothing was submitted.
    """

    retryable = True


class CoverExpiredError(SunoCoverError):
    """The images are gone. The API keeps them for 14 days and does not make them again."""


class DownloadError(SunoCoverError):
    """An image could not be fetched or saved; the cover itself is not affected.

    Attributes:
        is_missing: The image host answered 403, 404 or 410, and the cover is not known to be 14
            days old: the image is not there yet. The error is `retryable`.
    """

    is_missing: bool = False


class AddressRefusedError(DownloadError):
    """An image's host led to an address that is not public, so no request was sent there.

    Every image would fail alike if the cause is this machine's DNS server or proxy, so a catalog
    submits nothing more.
    """


class ArtworkError(SunoCoverError):
    """A chosen image cannot be written as artwork; the message says why.

    The image is missing, damaged, or nothing that artwork can be made of; its file has no name, or
    the name of another song's file; or the file cannot be written.
    """


class CallbackRefusedError(SunoCoverError):
    """A callback is not authentic, or not readable; only `CallbackReceiver.read` raises it."""


class LedgerError(SunoCoverError):
    """The ledger cannot be used safely, so nothing more is submitted."""


class ChoiceConflictError(SunoCoverError):
    """The decision about a cover changed since it was read, so the new one was not recorded.

    Attributes:
        choice: The decision that stands.
    """

    choice: Choice = Choice()


class ClientUsageError(SunoCoverError):
    """The client, its session or its ledger was used in a way that cannot work.

    The client is closed, or was closed during the call; the client or its rate limiter is in use in
    another running event loop; the borrowed session is closed, or has credentials of its own; the
    ledger is closed while a catalog uses it; or a catalog's track iterator was cancelled from
    outside the catalog.
    """
