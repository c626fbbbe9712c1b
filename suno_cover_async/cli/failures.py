"""Map errors to exit codes, and to one line of text with a next step.

It knows the errors; it knows neither click nor rich, and prints nothing.
"""

import errno
from collections.abc import Sequence

from suno_cover_async import errors
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.common.text import printable
from suno_cover_async.network import proxies

_LONGEST = 500


def exit_code(failures: Sequence[Exception]) -> ExitCode:
    """Return the most specific code for these failures; DONE when there are none.

    One failure of a kind in `_WEIGHTIEST` decides; a kind in `_UNANIMOUS` decides only if all
    failures are of it.
    """
    for kind, code in _WEIGHTIEST:
        if any(isinstance(error, kind) for error in failures):
            return code
    for kind, code in _UNANIMOUS:
        if failures and all(isinstance(error, kind) for error in failures):
            return code
    return ExitCode.FAILED if failures else ExitCode.DONE


_WEIGHTIEST: tuple[tuple[type[Exception], ExitCode], ...] = (
    (errors.AuthenticationError, ExitCode.KEY),
    (errors.InsufficientCreditsError, ExitCode.CREDITS),
    (errors.WrongAddressError, ExitCode.USAGE),
)
_UNANIMOUS: tuple[tuple[type[Exception], ExitCode], ...] = (
    (errors.CoverTimeoutError, ExitCode.TIMED_OUT),
    (ValueError, ExitCode.USAGE),
)


def explain(error: Exception, *, alone: bool = False) -> str:
    """Return an error's message as one line without control characters.

    Args:
        error: The error.
        alone: Whether to leave out the task that it is about, which the caller names.
    """
    words = str(error)
    if alone and isinstance(error, errors.SunoCoverError):
        words = error.message
    if isinstance(error, OSError) and error.strerror and not error.filename:
        words = error.strerror
    if isinstance(error, OSError):
        words = words.removeprefix(f"[Errno {error.errno}] ")
    return printable(words, _LONGEST) or type(error).__name__


def advise(error: Exception) -> str | None:
    """Return what to do next, if the error's own message does not say it; else None.

    A note on the error takes precedence over the general advice for its class.
    """
    for note in getattr(error, "__notes__", ()):
        return str(note)
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return "give another --port; 0 takes a free one"
    for kind, advice in _ADVICE:
        if isinstance(error, kind):
            return advice
    if isinstance(error, errors.SunoCoverError) and error.retryable:
        return _AGAIN
    return None


_AGAIN = "run the same command again"
_ADVICE: tuple[tuple[type[Exception], str | None], ...] = (
    (errors.AddressRefusedError, None),
    (errors.CoverTimeoutError, "continue with a longer --timeout: that never pays twice"),
    (errors.CertificateError, None),
    (errors.ProxyError, proxies.CHECK),
    (errors.TransportError, "check the network, and --base-url or --host; then " + _AGAIN),
    (errors.WrongAddressError, "check --base-url or --host; then " + _AGAIN),
    (errors.NotFoundError, "check the id, --host, and that the key is of the same account"),
    (errors.DownloadError, _AGAIN),
    (
        errors.CoverExpiredError,
        "nothing: the images are gone for good, and the song can have no second cover set",
    ),
    (
        errors.CoverFailedError,
        "generate the music again, or contact the host about this cover task",
    ),
    (
        errors.CoverExistsError,
        "find its cover task id, then: suno-cover details COVER_TASK_ID --out DIR",
    ),
    (
        errors.InvalidRequestError,
        "check the id: it must be that of a finished music task on this host and account",
    ),
)
