"""Download one image to one file: without a key, checked, and completely or not at all.

This module owns every rule about an image: which URLs may be requested, how large it may be, and
what counts as an image. It must not know the API, its key or its session. It makes one attempt; the
caller retries if the error is `retryable`.

Facts about the image host are from its public documentation and recorded traffic; facts about
aiohttp were measured on 3.14.5.
"""

import asyncio
import re
import socket
import unicodedata
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import aiohttp
from yarl import URL  # aiohttp's own URL type, so the URL that is checked is the one requested

from suno_cover_async.common.addresses import Address, is_loopback, is_public
from suno_cover_async.common.connector import Connector
from suno_cover_async.common.disk import in_thread
from suno_cover_async.common.tasks import cancellations_of_this_task
from suno_cover_async.common.text import printable
from suno_cover_async.errors import (
    ClientBlockedError,
    ClientUsageError,
    CoverExpiredError,
    DownloadError,
    SunoCoverError,
)
from suno_cover_async.images import formats
from suno_cover_async.images.files import PartFile, on_disk

_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FORBIDDEN = 403
_GONE = frozenset({_FORBIDDEN, 404, 410})
_PASSING = frozenset({408, 425, 429, *range(201, 300), *range(500, 600)})
_MOST_REDIRECTS = 5
_LONGEST_HOST = 253  # characters (RFC 1035)
_CLOSED = "the downloader is closed; make a new client"
_LONGEST_REFUSAL = 4096
_LONGEST_SILENCE = 30.0
_READ_AHEAD = 256 * 1024  # half of what aiohttp reads from the network in advance
_BLOCK = 2 * 1024 * 1024  # of a body in memory: most images are written in one call
_MOST_CHUNKS = 1024  # of a block: tiny chunks take far more memory than their bytes

# The addresses refused during this fetch. aiohttp reports only the last of several connect errors.
_refused: ContextVar[list[str]] = ContextVar("_refused")


class ImageDownloader:
    """Fetch images over a separate session, which never holds a key or a cookie.

    Construct it inside a running event loop, and `close` it there.
    """

    def __init__(
        self,
        *,
        loopback: bool,
        user_agent: str,
        max_bytes: int = 32 * 1024 * 1024,
        timeout: float = 120.0,
    ) -> None:
        """Open the session.

        Args:
            loopback: The API itself is on loopback (the sandbox), so images may be there too, even
                over plain http. Otherwise only https and public addresses are allowed.
            user_agent: Sent with every request; the host's edge blocks the usual default ones.
            max_bytes: The largest image to accept, in bytes.
            timeout: The longest time for one fetch, redirects included, in seconds.

        Raises:
            ValueError: `max_bytes` or `timeout` is not above 0.
        """
        if not max_bytes > 0:
            raise ValueError(f"max_bytes must be above 0, not {max_bytes!r}")
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0, not {timeout!r}")
        self._loopback = loopback
        self._max_bytes = max_bytes
        self._timeout = timeout
        silence = min(timeout, _LONGEST_SILENCE)
        self._session = aiohttp.ClientSession(
            # limit=0: the caller's concurrency is the only limit
            connector=Connector(limit=0, socket_factory=self._open_socket),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_READ_AHEAD,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence),
        )

    async def fetch(self, url: str, target: Path) -> Path:
        """Fetch one image into one file, in one attempt.

        Args:
            url: The image's URL. Up to 5 redirects are followed; each is checked like the first.
            target: The file to write, without its suffix; a missing directory is created.

        Returns:
            `target` with the suffix for the image's first bytes: `.png`, `.jpg`, `.webp`, `.gif` or
            `.avif`. A file of that name is replaced.

        Raises:
            CoverExpiredError: The image is gone (404, 410, or a 403 without Cloudflare's 1010).
            ClientBlockedError: The image host's edge blocks this client (403 with 1010).
            DownloadError: Any other failure. It is `retryable` if it may be temporary: no
                connection, no answer in time, a body cut off or empty, 408, 425, 429, 5xx, or an
                HTML page instead of the image, which failing gateways send.
            ClientUsageError: `close` was called before.
        """
        start = _checked(_parsed(url), loopback=self._loopback)
        mine = _refused.set([])
        cancellations = cancellations_of_this_task()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(start, target)
        except asyncio.CancelledError:
            # `close` cancels the connector's DNS lookup, which raises CancelledError here although
            # no caller cancelled this task. Passed on, it would end the caller's task as if it had
            # been cancelled. The count of this task's cancellations separates the two cases.
            if not self._session.closed or cancellations_of_this_task() > cancellations:
                raise
            failure: SunoCoverError = ClientUsageError(_CLOSED)
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            # aiohttp raises RuntimeError for a connection that `close` ended
            failure = _translated(error, start, _refused.get())
        finally:
            _refused.reset(mine)
        raise failure

    async def close(self) -> None:
        """Close the session; closing twice is fine."""
        await self._session.close()

    async def _follow(self, url: URL, target: Path) -> Path:
        for _ in range(1 + _MOST_REDIRECTS):
            if self._session.closed:
                raise ClientUsageError(_CLOSED)
            async with self._session.get(url, allow_redirects=False) as response:
                if response.status == _OK:
                    return await self._save(response, target)
                if response.status not in _REDIRECTS:
                    raise await _refusal(response)
                url = self._next(response)
        raise DownloadError(
            f"gave up on the image after {_MOST_REDIRECTS} redirects, the last one to "
            f"{_shown(url)}; report it to the host that serves it"
        )

    def _next(self, response: aiohttp.ClientResponse) -> URL:
        """Return the target of a redirect, checked by the same rules as the first URL."""
        place = _parsed(response.headers.get("Location", ""))
        if place is None or place == URL():
            raise DownloadError(
                f"image {_shown(response.url)} is redirected to no URL; report it to the host",
                http_status=response.status,
            )
        return _checked(response.url.join(place), loopback=self._loopback)

    async def _save(self, response: aiohttp.ClientResponse, target: Path) -> Path:
        """Stream the body to a part file, and rename that once all bytes are on the disk."""
        self._refuse_too_large(response, response.content_length or 0)
        chunk = await _first_bytes(response)
        self._refuse_too_large(response, len(chunk))
        final = target.with_name(target.name + await _suffix_of(response, chunk))
        part = PartFile(target.parent)
        size, block = len(chunk), [chunk]
        ending = _ending(b"", block)
        try:
            while not response.content.at_eof():
                await on_disk(partial(part.write, *block), final)
                block = await self._block(response, size)
                size += sum(map(len, block))
                ending = _ending(ending, block)
            _refuse_torn(response, final.suffix, ending)
            await on_disk(partial(part.finish, final, *block), final)
        except BaseException:
            await in_thread(part.discard)
            raise
        return final

    async def _block(self, response: aiohttp.ClientResponse, before: int) -> list[bytes]:
        """Read the next block of the body, after `before` bytes; shorter at the end."""
        block: list[bytes] = []
        size = 0
        while size < _BLOCK and len(block) < _MOST_CHUNKS:
            chunk = await response.content.readany()
            if not chunk:
                break
            block.append(chunk)
            size += len(chunk)
            self._refuse_too_large(response, before + size)
        return block

    def _refuse_too_large(self, response: aiohttp.ClientResponse, size: int) -> None:
        if size > self._max_bytes:
            raise DownloadError(
                f"image {_shown(response.url)} has more than {self._max_bytes} bytes, which is "
                "the limit for an image",
                http_status=response.status,
            )

    def _open_socket(self, address: Address) -> socket.socket:
        """Open the socket for a connection; raise PermissionError for a forbidden address."""
        # aiohttp calls this before every connect, with the address that it connects to: a literal
        # one, or each one that a name resolved to. A check of the name before the request would
        # not do: the name may resolve to a private address in the second DNS lookup.
        family, kind, protocol, _, place = address
        host = str(place[0])
        if not (is_public(host) or (self._loopback and is_loopback(host))):
            _refused.get().append(host)
            raise PermissionError(f"{host} is no public address")
        return socket.socket(family=family, type=kind, proto=protocol)


def _ending(before: bytes, block: list[bytes]) -> bytes:
    """Return the last bytes of a body, given the earlier ones and the next block."""
    last = [chunk[-len(formats.PNG_END) :] for chunk in block[-len(formats.PNG_END) :]]
    return b"".join([before, *last])[-len(formats.PNG_END) :]


def _refuse_torn(response: aiohttp.ClientResponse, suffix: str, ending: bytes) -> None:
    """Raise DownloadError for a PNG that was cut off and had no declared length.

    Without a length, aiohttp takes any end of the connection, even a reset, as the end of the body.
    """
    if suffix == ".png" and ending != formats.PNG_END and not _has_length(response):
        raise DownloadError(
            f"image {_shown(response.url)} was cut off; try again",
            retryable=True,
            http_status=response.status,
        )


def _is_html(response: aiohttp.ClientResponse) -> bool:
    """Return whether the type is HTML; aiohttp's own parser may take 0.6 s, or raise IndexError."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    return kind.strip().lower() == "text/html"


def _has_length(response: aiohttp.ClientResponse) -> bool:
    """Return whether aiohttp can detect that the body was cut off."""
    return response.content_length is not None or "Transfer-Encoding" in response.headers


def _translated(error: Exception, url: URL, refused: list[str]) -> DownloadError:
    """Return the DownloadError for a failed request; omit aiohttp's text, which may hold URLs."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return DownloadError(
            f"the certificate behind image {_shown(url)} cannot be trusted; check this machine's "
            "clock and certificates"
        )
    if refused and isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return DownloadError(
            f"image {_shown(url)} leads to {printable(refused[0])}, which is no public address, "
            "so no request was sent; check your DNS server, or report it to the host"
        )
    if isinstance(error, ValueError):
        return DownloadError(f"image {_shown(url)} cannot be requested; check the URL")
    if isinstance(error, TimeoutError):
        reason = "did not arrive in time"
    elif isinstance(error, aiohttp.ClientConnectorError):
        reason = f"cannot be reached ({printable(error.os_error.strerror or 'no connection')})"
    else:
        reason = f"was cut off ({type(error).__name__})"
    return DownloadError(f"image {_shown(url)} {reason}; try again", retryable=True)


async def _refusal(response: aiohttp.ClientResponse) -> SunoCoverError:
    """Return the error for an answer without an image."""
    status = response.status
    where = f"image {_shown(response.url)}"
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


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    text = b""
    while len(text) < _LONGEST_REFUSAL and (more := await response.content.readany()):
        text += more
    return text[:_LONGEST_REFUSAL]


def _checked(place: URL | None, *, loopback: bool) -> URL:
    """Return the URL of an image without its fragment, or raise DownloadError.

    Addresses are checked later, at connect, when they are known.
    """
    if place is None or not place.host:
        scheme = f"{printable(place.scheme, 20)}:" if place is not None and place.scheme else "it"
        raise DownloadError(f"the image's URL is refused: {scheme} names no https host")
    if place.user is not None or place.password is not None:
        raise DownloadError(f"image {_shown(place)} is refused: its URL holds a user name")
    plain = loopback and place.scheme == "http" and is_loopback(place.host)
    if place.scheme != "https" and not plain:
        raise DownloadError(
            f"image {_shown(place)} is refused: only https is fetched; request the details "
            "again, or report it to the host"
        )
    return place.with_fragment(None)


def _parsed(url: str) -> URL | None:
    """Parse a URL; None if it is invalid or its host name is too long."""
    # The length is checked before the host name is encoded: encoding a long one may take 0.5 s.
    try:
        name = URL(url, encoded=True).raw_host or ""
        if max(len(name), len(unicodedata.normalize("NFKC", name))) > _LONGEST_HOST:
            return None
        place = URL(url)
        _ = place.host, place.port
    except (ValueError, IndexError):  # yarl raises IndexError for https://[]@
        return None
    return place


def _shown(url: URL) -> str:
    """Return a URL for messages, without possible secrets: user, password, query, fragment."""
    return printable(str(url.with_user(None).with_query(None).with_fragment(None)))


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    """Read until there are enough bytes to recognise the type, or the body ends."""
    head = b""
    while len(head) < formats.SIGNATURE_BYTES and (more := await response.content.readany()):
        head += more
    return head


async def _suffix_of(response: aiohttp.ClientResponse, head: bytes) -> str:
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
        retryable = not _has_length(response)  # it may be a truncated answer
    raise DownloadError(
        f"what came from {_shown(response.url)} {reason}",
        retryable=retryable,
        http_status=response.status,
    )
