"""What an answer means that is not the API's, but that of a gateway in front of it.

A gateway is whatever may answer in the API's place: a proxy, a load balancer, Cloudflare, a web
framework's own error handler, or another host altogether where the base URL is wrong. Its HTTP
status says whether to retry, whether this client is blocked, or whether the address is wrong. It
never decides about a song. What the API's own answers mean is `verdict.py`'s to say.

Source of the Cloudflare codes and of `cf-mitigated`:
developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from suno_cover_async import errors
from suno_cover_async.hosts import BaseUrl
from suno_cover_async.text import printable
from suno_cover_async.wire import whole_number

_BLOCKED = frozenset({*range(1005, 1013), 1020, 1106})  # by network, country, client or rule
_RATE_LIMITED = 1015
_FORBIDDEN = 403
_TOO_MANY = 429
_PASSING = frozenset({408, 425})
_SUCCESS = 2  # hundred
_SERVER_ERROR = 5  # hundred

_LOOKED_AT = 16_384  # characters of a page: Cloudflare's own have the code within the first 8,000
_LONGEST_PART = 200
# Cloudflare writes "error code: 1010" as plain text, and in HTML "Error 1020", where spans may
# stand around each word. Nothing here backtracks: a hostile page must not take long.
_CODE = re.compile(
    r'(?:\berror(?: code)?:?|\bcf-error-code"[^<>]{0,80}+>)'
    r"(?:\s++|</?span[^<>]{0,80}+>){0,8}+(1[0-9]{3})(?![0-9])",
    re.IGNORECASE,
)
_BLOCK_PAGES = ("Attention Required! | Cloudflare", "used Cloudflare to restrict access")
_MARKUP = re.compile(r"\s*<[!?a-z]", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]{0,200}+>([^<]{1,400})", re.IGNORECASE)
_JSON_PARTS = ("title", "error", "message", "detail")  # RFC 9457, and what frameworks write
_NO_TEXT = "\ufffd"  # in place of bytes that are no UTF-8


class Answer(NamedTuple):
    """An HTTP answer, as far as it matters.

    Attributes:
        status: The HTTP status.
        text: The body.
        retry_after: The seconds of its `Retry-After` header, where that makes sense.
        challenged: It has the header `cf-mitigated`: Cloudflare wants a browser to prove itself.
    """

    status: int
    text: str
    retry_after: float | None = None
    challenged: bool = False


def error_of(
    answer: Answer, body: Mapping[str, Any] | None, base_url: BaseUrl
) -> errors.SunoCoverError:
    """Name the error that a gateway's answer means; its `code` is None.

    Args:
        answer: The answer.
        body: The JSON object in it, where there is one.
        base_url: Where it came from. Once the API has answered there, an answer that nothing else
            explains is a passing fault; before that, the address is wrong.
    """
    shown = f"HTTP {answer.status} from a gateway, not the API: {_said(answer, body)}"
    cloudflare = _cloudflare_code(answer, body)
    is_limited = answer.status == _TOO_MANY or cloudflare == _RATE_LIMITED
    if answer.challenged or cloudflare in _BLOCKED or (not is_limited and _is_block_page(answer)):
        return errors.ClientBlockedError(
            f"{shown}; the User-Agent or this network is blocked (Cloudflare's 1010 and its like): "
            "call from another network, or ask the host"
        )
    if is_limited:
        error: errors.APIError = errors.RateLimitError(shown)
        error.retry_after = answer.retry_after
        return error
    if answer.status // 100 == _SERVER_ERROR or answer.status in _PASSING:
        error = errors.ServerError(shown)
        error.retry_after = answer.retry_after
        return error
    if base_url.has_answered or _is_unreadable(answer, body):
        return errors.UnexpectedResponseError(f"{shown}; call again", retryable=True)
    return errors.WrongAddressError(
        f"{base_url.url} does not answer as the Cover API does: {shown}; check the base URL and "
        "the host (redirects are never followed)"
    )


def _cloudflare_code(answer: Answer, body: Mapping[str, Any] | None) -> int | None:
    """Find the number of Cloudflare's error, 1xxx; None where there is none."""
    if body is not None:
        return whole_number(body.get("error_code"))
    found = _CODE.search(answer.text[:_LOOKED_AT])
    return int(found[1]) if found else None


def _is_block_page(answer: Answer) -> bool:
    """Whether it is a page of Cloudflare's firewall, which may have no number."""
    text = answer.text[:_LOOKED_AT]
    return answer.status == _FORBIDDEN and any(page in text for page in _BLOCK_PAGES)


def _is_unreadable(answer: Answer, body: Mapping[str, Any] | None) -> bool:
    """Whether it may be the API's answer, lost on the way: empty, cut off or garbled."""
    if body is not None:
        return False
    text = answer.text[:_LOOKED_AT].strip()
    if not text:
        return answer.status // 100 == _SUCCESS
    if text.startswith("{"):
        return True
    is_text = _NO_TEXT not in text and all(c.isprintable() or c.isspace() for c in text)
    return not (is_text or _MARKUP.match(text))


def _said(answer: Answer, body: Mapping[str, Any] | None) -> str:
    """Quote what people are to read: JSON's title and detail, a page's title, or the first line."""
    if body is not None:
        parts = [body[key] for key in _JSON_PARTS if isinstance(body.get(key), str)]
        shown = [printable(part.strip(), _LONGEST_PART) for part in parts if part.strip()]
        if shown:
            return ": ".join(shown)
    text = answer.text[:_LOOKED_AT].strip()
    title = _TITLE.search(text)
    line = (title[1] if title else text).strip().partition("\n")[0]
    return printable(" ".join(line[:_LONGEST_PART].split())) or "an empty body"
