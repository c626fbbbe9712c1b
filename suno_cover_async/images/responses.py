"""What an answer of the image host, or the lack of one, means: which error, and whether to retry.

Facts about the image host are from its public documentation and recorded traffic; facts about
aiohttp were measured on 3.14.5.
"""

import re

import aiohttp
from yarl import URL

from suno_cover_async.common.text import printable
from suno_cover_async.errors import (
    ClientBlockedError,
    CoverExpiredError,
    DownloadError,
    SunoCoverError,
)
from suno_cover_async.images import formats
from suno_cover_async.images.urls import shown

_FORBIDDEN = 403
_GONE = frozenset({_FORBIDDEN, 404, 410})
_PASSING = frozenset({408, 425, 429, *range(201, 300), *range(500, 600)})
_LONGEST_REFUSAL = 4096


def connection_error(error: Exception, url: URL, refused: list[str]) -> DownloadError:
    """Return the DownloadError for a failed request; omit aiohttp's text, which may hold URLs."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return DownloadError(
            f"the certificate behind image {shown(url)} cannot be trusted; check this machine's "
            "clock and certificates"
        )
    if refused and isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return DownloadError(
            f"image {shown(url)} leads to {printable(refused[0])}, which is no public address, "
            "so no request was sent; check your DNS server, or report it to the host"
        )
    if isinstance(error, ValueError):
        return DownloadError(f"image {shown(url)} cannot be requested; check the URL")
    if isinstance(error, TimeoutError):
        reason = "did not arrive in time"
    elif isinstance(error, aiohttp.ClientConnectorError):
        reason = f"cannot be reached ({printable(error.os_error.strerror or 'no connection')})"
    else:
        reason = f"was cut off ({type(error).__name__})"
    return DownloadError(f"image {shown(url)} {reason}; try again", retryable=True)


async def refusal(response: aiohttp.ClientResponse) -> SunoCoverError:
    """Return the error for an answer without an image."""
    status = response.status
    where = f"image {shown(response.url)}"
    if status == _FORBIDDEN and re.search(rb"\b1010\b", await _beginning(response)):
        return ClientBlockedError(
            f"HTTP 403 with 1010 for {where}: the edge blocks the User-Agent or the address; "
            "call from another network, or ask the host",
            http_status=status,
        )
    if status in _GONE:
        return CoverExpiredError(
            f"{where} is gone (HTTP {status}); images are kept for 14 days",
            http_status=status,
        )
    retryable = status in _PASSING
    advice = "try again later" if retryable else "request the details again"
    return DownloadError(
        f"HTTP {status} in place of {where}; {advice}", retryable=retryable, http_status=status
    )


async def suffix_of_body(response: aiohttp.ClientResponse, head: bytes) -> str:
    """Return the suffix for the first bytes, whatever the headers say."""
    suffix = formats.suffix_of(head)
    if suffix is not None:
        return suffix
    await _beginning(response)  # raises if the body was cut off
    if not head:  # observed for music files right after success
        reason, retryable = "is empty; try again later", True
    elif _is_html(response):
        reason, retryable = "is an HTML page, perhaps a gateway's; try again later", True
    else:
        reason = "is not an image (PNG, JPEG, GIF, WebP or AVIF)"
        retryable = not has_length(response)  # it may be a truncated answer
    raise DownloadError(
        f"what came from {shown(response.url)} {reason}",
        retryable=retryable,
        http_status=response.status,
    )


def has_length(response: aiohttp.ClientResponse) -> bool:
    """Return whether aiohttp can detect that the body was cut off."""
    return response.content_length is not None or "Transfer-Encoding" in response.headers


def _is_html(response: aiohttp.ClientResponse) -> bool:
    """Return whether the type is HTML; aiohttp's own parser may take 0.6 s, or raise IndexError."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    return kind.strip().lower() == "text/html"


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    text = b""
    while len(text) < _LONGEST_REFUSAL and (more := await response.content.readany()):
        text += more
    return text[:_LONGEST_REFUSAL]
