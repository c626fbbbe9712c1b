"""What an answer means: a value, or which error of our tree.

It owns the verdict rule, the meaning of every code by host and page, and `Retry-After`. It knows
no socket and no clock; the records inside answers are `wire.py`'s.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

from suno_cover_async import errors
from suno_cover_async.hosts import Host
from suno_cover_async.text import printable
from suno_cover_async.wire import Call, OutOfStepError, is_int, json_object

T = TypeVar("T")
V = TypeVar("V")

_OK = 200
_BAD = 400
_CONFLICT = 409
_DUPLICATE = frozenset({_BAD, _CONFLICT})
_EXISTS = re.compile(r"already|\bexists\b", re.IGNORECASE)  # a 400 without an id may be either
_FORBIDDEN = 403
_TOO_MANY = 429
_REDIRECTED = 3  # hundred
_LONGEST_SANE_RETRY_AFTER = 86_400.0
_LONGEST_HEADER = 64
_LONGEST_CODE = 20
_LARGE = 16_384  # characters
_MOST_PARTS = 20_000  # where lyrics hold most of the brackets


class Answer(NamedTuple):
    """An HTTP answer, as far as it matters: its status, two headers and its text."""

    status: int
    text: str
    retry_after: float | None = None


def read(call: Call[T], answer: Answer, host: Host) -> T:
    """Turn an answer into what the call asked for.

    The verdict is the integer `code` of a JSON object body, otherwise the HTTP status: kie.ai
    answered HTTP 200 in 650 of 650 recorded answers, refusals included.

    Raises:
        APIError: The API said no.
        ClientBlockedError: The edge answered HTTP 403 in place of the API.
        UnexpectedResponseError: The answer cannot be read; `retryable` when its text was no
            JSON object at all, as of a gateway, and when it answers another request.
    """
    body = None if _is_endless(answer.text) else json_object(answer.text)
    said = body.get("code") if body is not None else None
    code = said if is_int(said) else answer.status
    if code == _OK:
        return _value(call, answer, body, call.decode)
    if call.adopt and body and code in _DUPLICATE:
        adopted = _value(call, answer, body, call.adopt)
        if adopted is not None:
            return adopted
    raise _refusal(call, answer, host, code, body)


def _is_endless(text: str) -> bool:
    """Whether it has so many lists and objects that to read them takes long, and much memory."""
    return len(text) > _LARGE and text.count("[") + text.count("{") > _MOST_PARTS


def _value(
    call: Call[Any], answer: Answer, body: Mapping[str, Any] | None, decode: Callable[[object], V]
) -> V:
    if body is None:
        raise _about(
            errors.UnexpectedResponseError("the answer is not JSON, perhaps a gateway's page"),
            call,
            answer,
            retryable=True,
        )
    try:
        return decode(body.get("data"))
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        reason = printable(str(error))
        retryable = isinstance(error, OutOfStepError)
    raise _about(
        errors.UnexpectedResponseError(f"the answer cannot be read: {reason}"),
        call,
        answer,
        retryable=retryable,
    )


def _refusal(
    call: Call[Any], answer: Answer, host: Host, code: int, body: Mapping[str, Any] | None
) -> errors.SunoCoverError:
    """Name the error that a code means, by host and page."""
    if body is None and answer.status == _FORBIDDEN:
        return _about(
            errors.ClientBlockedError(
                "HTTP 403 from the edge, not the API (Cloudflare's 1010 means that the User-Agent "
                "or the address is blocked); call from another network, or ask the host"
            ),
            call,
            answer,
        )
    msg = body.get("msg") if body else None
    said = printable(msg) if isinstance(msg, str) else ""
    kind = _kind(call, host, code, said)
    number = printable(str(code), _LONGEST_CODE)
    verdict = f"{said or 'no reason given'} (code {number})" if body else f"HTTP {answer.status}"
    redirected = code // 100 == _REDIRECTED
    advice = "; redirects are never followed, check the base URL" if redirected else ""
    error = kind(verdict + _ADVICE.get(kind, advice))
    if isinstance(error, errors.APIError):
        error.retry_after = answer.retry_after
    error.code = code if body else None
    return _about(error, call, answer)


def _about(
    error: errors.SunoCoverError, call: Call[Any], answer: Answer, *, retryable: bool | None = None
) -> errors.SunoCoverError:
    """Add the facts that any answer gives."""
    error.http_status = answer.status
    error.music_task_id = call.music_task_id
    error.cover_task_id = call.cover_task_id
    if retryable is not None:
        error.retryable = retryable
    return error


def _kind(call: Call[Any], host: Host, code: int, said: str) -> type[errors.SunoCoverError]:
    """Read the table, after the codes whose meaning depends on host, page or words."""
    if _is_scarcity(call, host, code, said):
        return errors.InsufficientCreditsError
    if code in host.rate_codes:
        return errors.RateLimitError
    if call.adopt and (code == _CONFLICT or (code == _BAD and _EXISTS.search(said))):
        return errors.CoverExistsError
    return _KINDS.get(code) or _KINDS_BY_HUNDRED.get(code // 100, errors.UnexpectedResponseError)


_KINDS: dict[int, type[errors.SunoCoverError]] = {
    401: errors.AuthenticationError,
    402: errors.InsufficientCreditsError,
    _FORBIDDEN: errors.AuthenticationError,
    404: errors.NotFoundError,
    408: errors.ServerError,  # an upstream timeout in kie.ai's HTTP-500 schema
    _TOO_MANY: errors.RateLimitError,
    433: errors.InsufficientCreditsError,  # the sub-key's own cap (kie.ai)
    455: errors.MaintenanceError,
}
_KINDS_BY_HUNDRED: dict[int, type[errors.SunoCoverError]] = {
    4: errors.InvalidRequestError,
    5: errors.ServerError,
}
_ADVICE: dict[type[errors.SunoCoverError], str] = {
    errors.AuthenticationError: "; check the key, and that it belongs to this host",
    errors.InsufficientCreditsError: "; top up the account, then call again",
    errors.CoverExistsError: "; the API did not say under which cover task id",
}


def _is_scarcity(call: Call[Any], host: Host, code: int, said: str) -> bool:
    """Whether a 429 means that credits ran out, as sunoapi.org's music and credits pages say.

    Plain words win over the page it came from, since either page may borrow the other's.
    """
    if code != _TOO_MANY or not host.credits_429:
        return False
    if "credit" in said.lower():
        return True
    return bool(said) and not call.of_covers and "frequency" not in said.lower()


def retry_after(value: str | None, *, date: str | None) -> float | None:
    """Read a `Retry-After` header as seconds from now.

    Args:
        value: The header: a number of seconds or an HTTP date.
        date: The answer's own `Date` header, the clock an HTTP date is measured by: ours may be
            wrong by any time.

    Returns:
        Seconds, above 0 and at most a day; None where the header is absent or absurd, or is a
        date in an answer without one.
    """
    if value is None or len(value) > _LONGEST_HEADER:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        seconds = float(value)
    else:
        moment, answered = _http_date(value), _http_date(date)
        if moment is None or answered is None:
            return None
        seconds = (moment - answered).total_seconds()
    return seconds if 0 < seconds <= _LONGEST_SANE_RETRY_AFTER else None


def _http_date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
