"""What an answer of the image host, or the lack of one, means: which error, and whether to retry.

Facts about the image host are from its public documentation and recorded traffic; facts about
aiohttp were measured on 3.14.5.
"""

import aiohttp
from yarl import URL

from suno_cover_async.common.addresses import FAKE_IP, fake_ip_networks, is_in
from suno_cover_async.common.json_text import json_object
from suno_cover_async.common.text import printable
from suno_cover_async.errors import (
    AddressRefusedError,
    ClientBlockedError,
    CoverExpiredError,
    DownloadError,
    ProxyError,
    SunoCoverError,
)
from suno_cover_async.images import formats
from suno_cover_async.images.body import Body
from suno_cover_async.images.urls import shown
from suno_cover_async.network import proxies
from suno_cover_async.network.connector import NO_HTTP
from suno_cover_async.protocol import gateway
from suno_cover_async.protocol.gateway import Answer

_MISSING = frozenset({403, 404, 410})
_PASSING = frozenset({408, 425, 429, *range(201, 300), *range(500, 600)})


_FAKE_IP = fake_ip_networks("FAKE_IP", (FAKE_IP,))


def address_refused(url: URL, address: str) -> AddressRefusedError:
    """Return the error for a URL that leads to an address that is not public."""
    advice = "check your DNS server, or report it to the host"
    if is_in(address, _FAKE_IP):
        advice = (
            f"if it is your proxy that gives such addresses to names (fake-ip), allow them for "
            f'names by fake_ip_networks=("{FAKE_IP}",), or --fake-ip {FAKE_IP}'
        )
    return AddressRefusedError(
        f"image {shown(url)} leads to {printable(address)}, which is no public address, so no "
        f"request was sent; {advice}"
    )


def connection_error(error: Exception, url: URL, refused: list[str]) -> SunoCoverError:
    """Return the error for a failed request; omit aiohttp's text, which may hold URLs."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        refusal = proxies.refusal(error.status, url.host or "")
        if refusal is not None:
            return ProxyError(f"image {shown(url)}: {refusal}")
    if refused and isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return address_refused(url, refused[0])
    if isinstance(error, ValueError):
        return DownloadError(f"image {shown(url)} cannot be requested; check the URL")
    if isinstance(error, TimeoutError):
        reason = "did not arrive in time"
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        reason = f"was not reached: the proxy answered HTTP {error.status}"
    elif isinstance(error, aiohttp.ClientProxyConnectionError):
        words = printable(error.os_error.strerror or "no connection")
        reason = f"was not reached: the proxy cannot be reached ({words})"
    elif isinstance(error, aiohttp.ClientConnectorError):
        reason = f"cannot be reached ({printable(error.os_error.strerror or 'no connection')})"
    elif isinstance(error, aiohttp.ClientResponseError):
        reason = f"was answered {NO_HTTP}"
    else:
        reason = f"was cut off ({type(error).__name__})"
    return DownloadError(f"image {shown(url)} {reason}; try again", retryable=True)


async def refusal(response: aiohttp.ClientResponse, *, gone: bool) -> SunoCoverError:
    """Return the error for an answer without an image.

    Args:
        response: The answer.
        gone: Whether an image that is missing (403, 404, 410) is gone for good, since its cover is
            old. Else it passes: the edge may not have it yet, or may have stored the lack of it.
    """
    status, where = response.status, place(response)
    try:
        page = await _beginning(Body(response, where))
    except DownloadError:  # in an encoding that was not asked for; the status says enough
        page = b""
    refused = _refusal_of_edge(response, page)
    if refused is not None:
        return refused
    if status in _MISSING and gone:
        return CoverExpiredError(
            f"{where} is gone (HTTP {status}); images are kept for 14 days",
            http_status=status,
        )
    if status in _MISSING:
        missing = DownloadError(
            f"{where} is not there yet (HTTP {status}); download again later",
            retryable=True,
            http_status=status,
        )
        missing.is_missing = True
        return missing
    retryable = status in _PASSING
    advice = "try again later" if retryable else "request the details again"
    return DownloadError(
        f"HTTP {status} in place of {where}; {advice}", retryable=retryable, http_status=status
    )


def _refusal_of_edge(response: aiohttp.ClientResponse, page: bytes) -> SunoCoverError | None:
    """Return the error if the edge blocks this client or limits its rate, whatever the image."""
    text = page.decode(errors="replace")
    answer = Answer(response.status, text, challenged="cf-mitigated" in response.headers)
    what = f"HTTP {response.status} in place of {place(response)}"
    match gateway.refusal_of(answer, json_object(text)):
        case gateway.Refusal.BLOCKED:
            return ClientBlockedError(
                f"{what}: the edge blocks this client's User-Agent or network (Cloudflare's 1010 "
                "and its like); call from another network, or ask the host",
                http_status=response.status,
            )
        case gateway.Refusal.LIMITED:
            return DownloadError(
                f"{what}: the edge limits how often it is called; try again later",
                retryable=True,
                http_status=response.status,
            )
        case None:
            return None


async def suffix_of_body(response: aiohttp.ClientResponse, body: Body, head: bytes) -> str:
    """Return the suffix for the first bytes, whatever the headers say."""
    suffix = formats.suffix_of(head)
    if suffix is not None:
        return suffix
    page = head + await _beginning(body)  # raises if the body was cut off
    refused = _refusal_of_edge(response, page)
    if refused is not None:
        raise refused
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


def place(response: aiohttp.ClientResponse) -> str:
    """Return what an answer is about, for messages."""
    return f"image {shown(response.url)}"


def has_length(response: aiohttp.ClientResponse) -> bool:
    """Return whether aiohttp can detect that the body was cut off."""
    return response.content_length is not None or "Transfer-Encoding" in response.headers


def _is_html(response: aiohttp.ClientResponse) -> bool:
    """Return whether the type is HTML; aiohttp's own parser may take 0.6 s, or raise IndexError."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    return kind.strip().lower() == "text/html"


async def _beginning(body: Body) -> bytes:
    """Return as much of a page as says who sent it."""
    page = b""
    while len(page) < gateway.MOST_SEARCHED and (more := await body.read()):
        page += more
    return page[: gateway.MOST_SEARCHED]
