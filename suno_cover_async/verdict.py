"""What an answer means: a value, or which error of our tree.

It owns the verdict rule, the meaning of every code by host and page, and `Retry-After`. It knows
no socket and no clock; the records inside answers are `wire.py`'s.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import attrs

from suno_cover_async import errors
from suno_cover_async.hosts import Host
from suno_cover_async.wire import Call, Page, is_int, json_object, printable

T = TypeVar("T")

_OK = 200
_BAD = 400
_CONFLICT = 409
_DUPLICATE = frozenset({_BAD, _CONFLICT})
_EXISTS = re.compile(r"already|\bexists\b", re.IGNORECASE)  # a 400 without an id may be either
_OUT_OF_CREDITS = frozenset({402, 433})  # 433: the sub-key's own cap (kie.ai)
_FORBIDDEN = 403
_MAINTENANCE = 455
_UPSTREAM_TIMEOUT = 408  # in kie.ai's HTTP-500 schema
_TOO_MANY = 429
_SERVER_BROKE = 500
_LONGEST_SANE_RETRY_AFTER = 86_400.0
_LONGEST_HEADER = 64


@attrs.frozen(kw_only=True)
class Answer:
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
            JSON at all, as of a gateway.
    """
    body = json_object(answer.text)
    code = body.get("code") if body is not None else None
    if body is None or not is_int(code):
        code = answer.status
    if code != _OK:
        adopted = call.adopt and code in _DUPLICATE and body and call.adopt(body.get("data"))
        if adopted:
            return adopted
        raise _refusal(call, host, code, body, answer)
    facts = _facts(call, answer) | {"host_code": code if body else None}
    if body is None:
        raise errors.UnexpectedResponseError(
            "the answer is not JSON, perhaps a gateway's page", retryable=True, **facts
        )
    try:
        return call.decode(body.get("data"))
    except (LookupError, TypeError, ValueError) as error:
        reason = printable(str(error))
    raise errors.UnexpectedResponseError(f"the answer cannot be read: {reason}", **facts)


def _refusal(
    call: Call[Any], host: Host, code: int, body: Mapping[str, Any] | None, answer: Answer
) -> errors.SunoCoverError:
    """Name the error that a code means, by host and page."""
    facts = _facts(call, answer)
    if body is None and answer.status == _FORBIDDEN:
        return errors.ClientBlockedError(
            "HTTP 403 from the edge, not the API (Cloudflare's 1010 means the User-Agent or the "
            "address is blocked); call from another network, or ask the host",
            **facts,
        )
    said = printable(str(body.get("msg") or "")) if body else ""
    kind, advice = _meaning(call, host, code, said)
    if kind is errors.UnexpectedResponseError:
        return kind(f"unexpected HTTP status {code}{advice}", **facts)
    error = kind(f"{said or 'no reason given'} (code {code}){advice}", host_code=code, **facts)
    if isinstance(error, errors.APIError):
        error.retry_after = answer.retry_after
    return error


def _meaning(
    call: Call[Any], host: Host, code: int, said: str
) -> tuple[type[errors.SunoCoverError], str]:
    if code in _OUT_OF_CREDITS or _is_scarcity(call, host, code, said):
        return errors.InsufficientCreditsError, "; top up the account, then call again"
    if code in host.rate_codes or code == _TOO_MANY:
        return errors.RateLimitError, ""
    if call.adopt and (code == _CONFLICT or (code == _BAD and _EXISTS.search(said))):
        return errors.CoverExistsError, "; the API did not say under which cover task id"
    if code in _KINDS:
        return _KINDS[code]
    if code >= _SERVER_BROKE:
        return errors.ServerError, ""
    if code >= _BAD:
        return errors.InvalidRequestError, ""
    return errors.UnexpectedResponseError, "; redirects are refused, check the base URL"


_KINDS: dict[int, tuple[type[errors.SunoCoverError], str]] = {
    401: (errors.AuthenticationError, "; check the key and its host"),
    _FORBIDDEN: (errors.AuthenticationError, "; check the key and its host"),
    404: (errors.NotFoundError, ""),
    _UPSTREAM_TIMEOUT: (errors.ServerError, ""),
    _MAINTENANCE: (errors.MaintenanceError, ""),
}


def _is_scarcity(call: Call[Any], host: Host, code: int, said: str) -> bool:
    """Whether a 429 means that credits ran out, as sunoapi.org's music and credits pages say.

    The host's own words win where they are plain, since its cover pages may do the same.
    """
    if code != _TOO_MANY or not host.scarce_429:
        return False
    if "credit" in said.lower():
        return True
    return call.page is not Page.COVER and "frequency" not in said.lower() and bool(said)


def _facts(call: Call[Any], answer: Answer) -> dict[str, Any]:
    return {
        "http_status": answer.status,
        "music_task_id": call.music_task_id,
        "cover_task_id": call.cover_task_id,
    }


def retry_after(value: str | None, *, date: str | None, now: datetime) -> float | None:
    """Read a `Retry-After` header as seconds from now.

    Args:
        value: The header: a number of seconds or an HTTP date.
        date: The answer's own `Date` header, the clock an HTTP date is measured by.
        now: Our clock, for answers without a `Date`.

    Returns:
        Seconds, above 0 and at most a day; None where the header is absent or absurd.
    """
    if value is None or len(value) > _LONGEST_HEADER:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        seconds = float(value)
    else:
        moment = _http_date(value)
        if moment is None:
            return None
        seconds = (moment - (_http_date(date) or now)).total_seconds()
    return seconds if 0 < seconds <= _LONGEST_SANE_RETRY_AFTER else None


def _http_date(value: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
