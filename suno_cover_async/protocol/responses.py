"""Turn an answer into a value, or into an error of this package.

This module owns the rule that separates the API's own answers from others, the meaning of each code
by host and endpoint, and `Retry-After`. It knows no socket and no clock. `codec.py` reads the
records inside answers; `gateway.py` decides what an answer of a gateway means.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from suno_cover_async import errors
from suno_cover_async.common.json_text import json_object
from suno_cover_async.common.text import printable
from suno_cover_async.hosts import BaseUrl, Host
from suno_cover_async.protocol import gateway
from suno_cover_async.protocol.codec import WrongTaskError
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.protocol.requests import Call
from suno_cover_async.protocol.values import whole_number

T = TypeVar("T")
V = TypeVar("V")

_OK = 200
_RUNNING = 201
_BAD = 400
_CONFLICT = 409
_DUPLICATE = frozenset({_BAD, _CONFLICT})
_EXISTS = re.compile(r"already|\bexists\b", re.IGNORECASE)  # a 400 has other meanings too
_NOT_FOUND = 404
_TIMED_OUT = 408
_TOO_MANY = 429
_LONGEST_SANE_RETRY_AFTER = 86_400.0
_LONGEST_HEADER = 64
_LONGEST_CODE = 20
_LARGE = 16_384  # characters
_MOST_PARTS = 20_000  # most brackets in real answers are in lyrics


def read(call: Call[T], answer: Answer, host: Host, base_url: BaseUrl) -> T:
    """Return the value that the call requests, read from an answer.

    An answer is the API's if its body is a JSON object whose `code` is a whole number. That code
    decides, whatever the HTTP status: kie.ai answered HTTP 200 in 650 of 650 recorded answers,
    refusals included. Any other answer is a gateway's, and the error's `code` is None. An answer of
    the API sets `base_url.has_answered`.

    Raises:
        APIError: The API refused the request; or, if `code` is None, a gateway did.
        ClientBlockedError: A gateway blocks this client.
        UnexpectedResponseError: The answer cannot be read. It is `retryable` if a gateway sent it,
            if it was cut off, or if it answers another request.
        WrongAddressError: A gateway sent it, and the API has never answered at this base URL.
    """
    text = answer.text
    body = None if len(text) > _LARGE and _has_too_many_parts(text) else json_object(text)
    if body is None or (code := whole_number(body.get("code"))) is None:
        raise _about(gateway.error_of(answer, body, base_url), call, answer)
    base_url.has_answered = True
    if code == _OK:
        return _value(call, answer, code, body, call.decode)
    if code == _RUNNING:
        if call.pending and body.get("data") is None:
            return call.pending(call)
        return _value(call, answer, code, body, call.decode)
    if call.adopt and code in _DUPLICATE:
        adopted = _value(call, answer, code, body, call.adopt)
        if adopted is not None:
            return adopted
    raise _refusal(call, answer, host, code, body)


def _has_too_many_parts(text: str) -> bool:
    """Return whether it has so many lists and objects that parsing takes much time and memory."""
    return text.count("[") + text.count("{") > _MOST_PARTS


def _value(
    call: Call[Any],
    answer: Answer,
    code: int,
    body: Mapping[str, Any],
    decode: Callable[[object], V],
) -> V:
    try:
        return decode(body.get("data"))
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        missing = " is missing" if isinstance(error, KeyError) else ""
        reason = printable(f"{error}{missing}")
        retryable = isinstance(error, WrongTaskError)
    said = _reason(body)
    quoted = f"; it says: {said}" if said not in {"", "success"} else ""
    raise _about(
        errors.UnexpectedResponseError(
            f"the answer cannot be read: {reason}{quoted}", code=code, retryable=retryable
        ),
        call,
        answer,
    )


def _refusal(
    call: Call[Any], answer: Answer, host: Host, code: int, body: Mapping[str, Any]
) -> errors.SunoCoverError:
    """Return the error for a code, by host and endpoint."""
    said = _reason(body)
    kind = _kind(call, host, code, said)
    number = printable(str(code), _LONGEST_CODE)
    result = f"{said or 'no reason given'} (code {number})"
    error = kind(result + _ADVICE.get(kind, ""), code=code)
    if isinstance(error, errors.APIError):
        error.retry_after = answer.retry_after
    return _about(error, call, answer)


def _reason(body: Mapping[str, Any]) -> str:
    """Return the reason; a wrapper of this API writes `message` where the API writes `msg`."""
    values = (body.get(key) for key in ("msg", "message"))
    said = [value for value in values if isinstance(value, str) and value]
    return printable(": ".join(dict.fromkeys(said)))


def _about(error: errors.SunoCoverError, call: Call[Any], answer: Answer) -> errors.SunoCoverError:
    """Add the facts that every answer gives, and return the error."""
    error.http_status = answer.status
    error.music_task_id = call.music_task_id
    error.cover_task_id = call.cover_task_id
    return error


def _kind(call: Call[Any], host: Host, code: int, said: str) -> type[errors.SunoCoverError]:
    """Return the error class of a code.

    Codes whose meaning depends on host, endpoint or wording come before the table.
    """
    if _is_no_credits(call, host, code, said):
        return errors.InsufficientCreditsError
    if code in host.rate_codes:
        return errors.RateLimitError
    if call.adopt and (code == _CONFLICT or (code == _BAD and _EXISTS.search(said))):
        return errors.CoverExistsError
    return _KINDS.get(code) or _KINDS_BY_HUNDRED.get(code // 100, errors.UnexpectedResponseError)


_KINDS: dict[int, type[errors.SunoCoverError]] = {
    401: errors.AuthenticationError,
    402: errors.InsufficientCreditsError,
    403: errors.AuthenticationError,
    _NOT_FOUND: errors.NotFoundError,
    _TIMED_OUT: errors.ServerError,  # an upstream timeout in kie.ai's HTTP-500 schema
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


def _is_no_credits(call: Call[Any], host: Host, code: int, said: str) -> bool:
    """Return whether a refusal means that credits ran out.

    The wording decides first, on any host, because hosts use the codes in both senses and resellers
    have their own wording. For a code of a rate limit, a word such as "balance" is enough. For any
    other code the text must say that credits are lacking: the refusal of one song may mention
    credits that were not used, and must not end a whole catalog. Without such wording, 429 on
    sunoapi.org's music and credits endpoints also means it [documented], unless the text is about
    calling too often.
    """
    if code in _NEVER_CREDITS or code < _BAD:
        return False
    too_often = _TOO_OFTEN.search(said) is not None
    if _CREDITS.search(said) and not _UNSPENT.search(said):
        if _LACKING.search(said):
            return not _EXISTS.search(said)
        return code in {_TOO_MANY, *host.rate_codes} and not too_often
    is_page = host.credits_429 and code == _TOO_MANY and not call.of_covers
    return is_page and bool(said) and not too_often


_NEVER_CREDITS = frozenset({401, _NOT_FOUND, _TIMED_OUT})  # these codes have other meanings
_CREDITS = re.compile(
    r"\bcredits?\b|\bbalance\b|\brecharg|\btop(?:ping)?[ -]?up\b"
    r"|[积積]分|[点點][数數]|[余餘][额額]",
    re.IGNORECASE,
)
_LACKING = re.compile(
    r"insufficient|not enough|\bno (?:more )?(?:credits?|balance)\b|out of (?:credits?|balance)"
    r"|r[ua]n out|exhausted|\brecharg|\btop(?:ping)?[ -]?up\b|不足|不够|不夠|用完|充值",
    re.IGNORECASE,
)
_UNSPENT = re.compile(
    r"refund|returned|unaffected|(?:not|no credits?)(?: (?:were|was|are|have|has|been))* "
    r"(?:charged|deducted|used|spent)|不扣|未扣|退还|退還",
    re.IGNORECASE,
)
_TOO_OFTEN = re.compile(
    r"frequen|too many|too often|too fast|rate.?limit|request limit|slow down|频繁|頻繁|频率|太快",
    re.IGNORECASE,
)


def retry_after(value: str | None, *, date: str | None) -> float | None:
    """Read a `Retry-After` header as seconds from now.

    Args:
        value: The header: a number of seconds or an HTTP date.
        date: The answer's own `Date` header. An HTTP date is measured from it, because the clock
            of this machine may be wrong.

    Returns:
        Seconds, above 0 and at most a day; None if the header is absent or makes no sense, or is a
        date in an answer without a `Date` header.
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
