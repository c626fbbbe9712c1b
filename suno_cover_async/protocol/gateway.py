"""Decide what an answer means that comes from a gateway and not from the API.

A gateway is anything that may answer in place of the API: a proxy, a load balancer, Cloudflare, a
web framework's error handler, or another host if the base URL is wrong. Its HTTP status says
whether to retry, whether this client is blocked, or whether the address is wrong. It never decides
the outcome of a song. `responses.py` decides what the API's own answers mean.

Source of the Cloudflare codes and of `cf-mitigated`:
developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors.
"""

import enum
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from suno_cover_async import errors
from suno_cover_async.common.json_text import is_object
from suno_cover_async.common.text import printable
from suno_cover_async.hosts import BaseUrl
from suno_cover_async.protocol.values import whole_number

_BLOCKED = frozenset({*range(1005, 1013), 1020, 1106})  # by network, country, client or rule
_RATE_LIMITED = 1015
_FORBIDDEN = 403
_TOO_MANY = 429
_PASSING = frozenset({408, 425})
_SUCCESS = 2  # hundred
_SERVER_ERROR = 5  # hundred

MOST_SEARCHED = 16_384
"""Characters of a page that are read: Cloudflare's own have the code within the first 8,000."""

_LONGEST_PART = 200
# Cloudflare writes "error code: 1010" as a whole plain-text body. In HTML, which names Cloudflare,
# it writes "Error 1020", with optional spans around each word. The possessive quantifiers (`++`)
# prevent backtracking: a hostile page could otherwise block the event loop.
_PLAIN_CODE = re.compile(r"error code: (1[0-9]{3})", re.IGNORECASE)
_CLOUDFLARE = re.compile(r"cloudflare|cf-error", re.IGNORECASE)
_CODE = re.compile(
    r'(?:\berror(?: code)?:?|\bcf-error-code"[^<>]{0,80}+>)'
    r"(?:\s++|</?span[^<>]{0,80}+>){0,8}+(1[0-9]{3})(?![0-9])",
    re.IGNORECASE,
)
_BLOCK_PAGES = ("Attention Required! | Cloudflare", "used Cloudflare to restrict access")
_MARKUP = re.compile(r"\s*<[!?a-z]", re.IGNORECASE)
_TITLE = re.compile(r"<title[^<>]{0,200}+>([^<]{1,400})", re.IGNORECASE)
# From RFC 9457, frameworks and other gateways.
_JSON_PARTS = ("title", "error", "error_msg", "message", "Message", "detail")
_TAG = re.compile(r"<[^<>]{0,400}+>")
_NO_TEXT = "\ufffd"  # replaces bytes that are not UTF-8


class Answer(NamedTuple):
    """The parts of an HTTP answer that decide what it means.

    Attributes:
        status: The HTTP status.
        text: The body.
        retry_after: The seconds of its `Retry-After` header; None if absent or senseless.
        challenged: It has the header `cf-mitigated`: Cloudflare demands a browser challenge.
    """

    status: int
    text: str
    retry_after: float | None = None
    challenged: bool = False


def error_of(
    answer: Answer, body: Mapping[str, Any] | None, base_url: BaseUrl
) -> errors.SunoCoverError:
    """Return the error for a gateway's answer; its `code` is None.

    Args:
        answer: The answer.
        body: The JSON object in it, if there is one.
        base_url: The base URL that was called. Once the API has answered there, an answer without
            another explanation is a temporary fault; before that, the address is wrong.
    """
    shown = f"HTTP {answer.status} from a gateway, not the API: {_said(answer, body)}"
    refusal = refusal_of(answer, body)
    is_limited = refusal is Refusal.LIMITED
    if refusal is Refusal.BLOCKED:
        return errors.ClientBlockedError(
            f"{shown}; the User-Agent or this network is blocked (Cloudflare's 1010 and its like): "
            "call from another network, or ask the host"
        )
    if is_limited or _is_broken(answer):
        error = errors.RateLimitError(shown) if is_limited else errors.ServerError(shown)
        error.retry_after = answer.retry_after
        return error
    if base_url.has_answered or _is_unreadable(answer, body):
        return errors.UnexpectedResponseError(f"{shown}; call again", retryable=True)
    return errors.WrongAddressError(
        f"{base_url.url} does not answer as the Cover API does: {shown}; check the base URL and "
        "the host (redirects are never followed)"
    )


class Refusal(enum.Enum):
    """Why a gateway refuses a client, whatever it asks for."""

    BLOCKED = "blocked"
    LIMITED = "limited"


def refusal_of(answer: Answer, body: Mapping[str, Any] | None) -> Refusal | None:
    """Return whether a gateway blocks this client or limits its rate; None for other answers.

    Args:
        answer: An answer of a gateway, in front of the API or of an image host.
        body: The JSON object in it, if there is one.
    """
    cloudflare = _cloudflare_code(answer, body, is_page=not _is_broken(answer))
    is_limited = answer.status == _TOO_MANY or cloudflare == _RATE_LIMITED
    is_blocked = cloudflare in _BLOCKED or (not is_limited and _is_block_page(answer))
    if answer.challenged or is_blocked:
        return Refusal.BLOCKED
    return Refusal.LIMITED if is_limited else None


def _is_broken(answer: Answer) -> bool:
    return answer.status // 100 == _SERVER_ERROR or answer.status in _PASSING


def _cloudflare_code(
    answer: Answer, body: Mapping[str, Any] | None, *, is_page: bool
) -> int | None:
    """Return Cloudflare's error number, 1xxx; None if there is none, or another program wrote it.

    Databases and frameworks use the same range: MySQL's 1020 is a conflict of writers.

    Args:
        answer: The answer.
        body: The JSON object in it, if there is one.
        is_page: It may be a numbered HTML page of Cloudflare; those are sent with a 4xx.
    """
    if body is not None:
        return whole_number(body.get("error_code")) if body.get("cloudflare_error") else None
    text = answer.text[:MOST_SEARCHED]
    found = _PLAIN_CODE.fullmatch(text.strip())
    if not found and is_page and (answer.status == _FORBIDDEN or _CLOUDFLARE.search(text)):
        found = _CODE.search(text)
    return int(found[1]) if found else None


def _is_block_page(answer: Answer) -> bool:
    """Return whether it is a page of Cloudflare's firewall, which may have no number."""
    text = answer.text[:MOST_SEARCHED]
    return answer.status == _FORBIDDEN and any(page in text for page in _BLOCK_PAGES)


def _is_unreadable(answer: Answer, body: Mapping[str, Any] | None) -> bool:
    """Return whether it may be a damaged answer of the API: cut off, or an empty or garbled 2xx."""
    if body is not None:
        return False
    text = answer.text[:MOST_SEARCHED].strip()
    if text.startswith("{"):
        return True
    if answer.status // 100 != _SUCCESS:
        return False
    is_text = _NO_TEXT not in text and all(c.isprintable() or c.isspace() for c in text)
    return not text or not (is_text or _MARKUP.match(text))


def _said(answer: Answer, body: Mapping[str, Any] | None) -> str:
    """Return the readable part: JSON's title and detail, a page's title, or the first line."""
    text = answer.text[:MOST_SEARCHED].strip()
    if body is not None:
        parts = _texts(body) or _texts(body.get("error"))
        return ": ".join(parts) or printable(" ".join(text.split()), _LONGEST_PART)
    title = _TITLE.search(text)
    line = (title[1] if title else _TAG.sub("", text)).strip().partition("\n")[0]
    return printable(" ".join(line[:_LONGEST_PART].split())) or "an empty body"


def _texts(record: object) -> list[str]:
    """Return the messages in a JSON object, under their usual keys."""
    if not is_object(record):
        return []
    found = [record[key] for key in _JSON_PARTS if isinstance(record.get(key), str)]
    return [printable(part.strip(), _LONGEST_PART) for part in found if part.strip()]
