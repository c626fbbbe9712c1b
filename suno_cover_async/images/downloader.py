"""Download one image to one file: without a key, checked, and completely or not at all.

This module owns the session, the addresses that it connects to, redirects and how large an image
may be. `urls.py` says which URLs may be requested, `responses.py` what an answer means. It must not
know the API, its key or its session. It makes one attempt; the caller retries if the error is
`retryable`. Facts about aiohttp were measured on 3.14.5.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import aiohttp
from yarl import URL  # aiohttp's own URL type, so the URL that is checked is the one requested

from suno_cover_async.common.addresses import (
    Address,
    Network,
    is_in,
    is_loopback,
    is_public,
    literal,
)
from suno_cover_async.common.disk import in_thread
from suno_cover_async.common.tasks import cancellations_of_this_task
from suno_cover_async.emitter import Emitter
from suno_cover_async.errors import (
    CertificateError,
    ClientUsageError,
    DownloadError,
    SunoCoverError,
)
from suno_cover_async.images import formats
from suno_cover_async.images.body import Body
from suno_cover_async.images.files import PartFile, on_disk
from suno_cover_async.images.request_log import ImageRequests, image_retried
from suno_cover_async.images.responses import (
    address_refused,
    connection_error,
    has_length,
    place,
    refusal,
    suffix_of_body,
)
from suno_cover_async.images.urls import checked, joined, parsed, shown
from suno_cover_async.network.certificates import untrusted
from suno_cover_async.network.connector import (
    HEADER_LIMITS,
    NO_HTTP,
    Connector,
    has_large_headers,
    open_socket,
)
from suno_cover_async.network.proxies import Proxies

_OK = 200
_TLS_PORT = 443
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 5
_CLOSED = "the downloader is closed; make a new client"
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
        proxies: Proxies = Proxies(),  # noqa: B008 - a frozen value
        fake_ip: Sequence[Network] = (),
        events: Emitter | None = None,
    ) -> None:
        """Open the sessions.

        Args:
            loopback: The API itself is on loopback (the sandbox), so images may be there too, even
                over plain http. Otherwise only https and public addresses are allowed.
            user_agent: Sent with every request; the host's edge blocks the usual default ones.
            max_bytes: The largest image to accept, in bytes.
            timeout: The longest time for one fetch, redirects included, in seconds.
            proxies: The proxies. A proxy resolves names, so then only a URL with an address in
                place of a name can be refused for its address.
            fake_ip: Networks from which a proxy's resolver answers; names may lead there.
            events: Calls the client's hook; None without one.

        Raises:
            ValueError: `max_bytes` or `timeout` is not above 0.
        """
        if not max_bytes > 0:
            raise ValueError(f"max_bytes must be above 0, not {max_bytes!r}")
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0, not {timeout!r}")
        self._loopback = loopback
        self._proxies = proxies
        self._fake_ip = fake_ip
        self._events = events
        self._max_bytes = max_bytes
        self._timeout = timeout
        silence = min(timeout, _LONGEST_SILENCE)
        open_session = partial(
            aiohttp.ClientSession,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_READ_AHEAD,
            **HEADER_LIMITS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=silence, sock_read=silence),
        )
        # limit=0: the caller's concurrency is the only limit
        self._session = open_session(connector=Connector(limit=0, socket_factory=self._open_socket))
        # A proxy may have a private address: its session connects to any.
        self._proxied = None if proxies.none else open_session(connector=Connector(limit=0))

    async def fetch(self, url: str, target: Path, *, gone: bool = False, attempt: int = 1) -> Path:
        """Fetch one image into one file, in one attempt.

        Args:
            url: The image's URL. Up to 5 redirects are followed; each is checked like the first.
            target: The file to write, without its suffix; a missing directory is created.
            gone: Whether an image that is missing (403, 404, 410) is gone for good.
            attempt: The number of the attempt, for events.

        Returns:
            `target` with the suffix for the image's first bytes: `.png`, `.jpg`, `.webp`, `.gif` or
            `.avif`. A file of that name is replaced.

        Raises:
            CoverExpiredError: The image is missing, and `gone` is set.
            ClientBlockedError: The image host's edge blocks this client: a challenge
                (`cf-mitigated`), or Cloudflare's 1010 or other marks.
            AddressRefusedError: The host, or that of a redirect, has no public address.
            CertificateError: The host's certificate cannot be verified.
            ProxyError: The proxy refuses to connect to the host.
            DownloadError: Any other failure. It is `retryable` if it may be temporary: a missing
                image, no connection, no answer in time, a body cut off or empty, 408, 425, 429,
                5xx, or an HTML page instead of the image, which failing gateways send.
            ClientUsageError: `close` was called before.
        """
        start = checked(parsed(url), loopback=self._loopback)
        requests = ImageRequests(self._events, start, attempt)
        try:
            return await self._fetch(start, target, requests, gone=gone)
        except BaseException as error:
            requests.failed(error)
            raise

    def retried(self, url: str) -> "Callable[[SunoCoverError, int, float], None] | None":
        """Return what tells the hook that a fetch of this URL is repeated; None without one."""
        if self._events is None:
            return None
        return partial(image_retried, self._events, url)

    async def _fetch(
        self, start: URL, target: Path, requests: ImageRequests, *, gone: bool
    ) -> Path:
        """Fetch an image; every failure but a cancellation is an error of this package."""
        mine = _refused.set([])
        cancellations = cancellations_of_this_task()
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(start, target, requests, gone=gone)
        except asyncio.CancelledError:
            # `close` cancels the connector's DNS lookup, which raises CancelledError here although
            # no caller cancelled this task. Passed on, it would end the caller's task as if it had
            # been cancelled. The count of this task's cancellations separates the two cases.
            if not self._session.closed or cancellations_of_this_task() > cancellations:
                raise
            failure: SunoCoverError = ClientUsageError(_CLOSED)
        except aiohttp.ClientConnectorCertificateError as error:
            failure = await self._untrusted(error, start)
        except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
            # aiohttp raises RuntimeError for a connection that `close` ended
            failure = connection_error(error, start, _refused.get())
        finally:
            _refused.reset(mine)
        raise failure

    async def _untrusted(
        self, error: aiohttp.ClientConnectorCertificateError, url: URL
    ) -> CertificateError:
        port = error.port or _TLS_PORT
        place = URL.build(scheme="https", host=error.host, port=port)  # a redirect may lead there
        proxy = self._proxies.of(place)
        what = await untrusted(error.host, port, error.certificate_error, self._open_socket, proxy)
        return CertificateError(f"image {shown(url)}: {what}")

    async def close(self) -> None:
        """Close the sessions; closing twice is fine."""
        await self._session.close()
        if self._proxied is not None:
            await self._proxied.close()

    async def _follow(self, url: URL, target: Path, requests: ImageRequests, *, gone: bool) -> Path:
        for _ in range(1 + _MOST_REDIRECTS):
            if self._session.closed:
                raise ClientUsageError(_CLOSED)
            self._check_literal(url)
            proxy = self._proxies.of(url)
            session = self._session if proxy is None or self._proxied is None else self._proxied
            requests.begin(url)
            async with session.get(url, allow_redirects=False, proxy=proxy) as response:
                if has_large_headers(response):
                    raise DownloadError(
                        f"{place(response)} was answered {NO_HTTP}; try again",
                        retryable=True,
                        http_status=response.status,
                    )
                if response.status == _OK:
                    saved = await self._save(response, target)
                    size = f"{response.content.total_bytes:,} bytes"
                    requests.answered(response.url, _OK, size)
                    return saved
                if response.status not in _REDIRECTS:
                    raise await refusal(response, gone=gone)
                url = self._next(response)
                requests.answered(response.url, response.status, f"to {shown(url)}")
        raise DownloadError(
            f"gave up on the image after {_MOST_REDIRECTS} redirects, the last one to "
            f"{shown(url)}; report it to the host that serves it"
        )

    def _next(self, response: aiohttp.ClientResponse) -> URL:
        """Return the target of a redirect, checked by the same rules as the first URL."""
        location = response.headers.get("Location", "")
        if not location:
            raise DownloadError(
                f"{place(response)} is redirected to no URL; report it to the host",
                http_status=response.status,
            )
        return checked(parsed(joined(response.url, location)), loopback=self._loopback)

    def _check_literal(self, url: URL) -> None:
        """Refuse a URL whose host is written as an address that is not public.

        Only names may lead into the networks of `fake_ip`, which the connect does not tell apart.
        """
        address = literal(url.host or "")
        if address is not None and not self._may_be_connected(address):
            raise address_refused(url, address)

    async def _save(self, response: aiohttp.ClientResponse, target: Path) -> Path:
        """Stream the body to a part file, and rename that once all bytes are on the disk."""
        body = Body(response, place(response))
        if not body.is_encoded:
            self._refuse_too_large(response, response.content_length or 0)
        chunk = await _first_bytes(body)
        self._refuse_too_large(response, len(chunk))
        final = target.with_name(target.name + await suffix_of_body(response, body, chunk))
        part = PartFile(target.parent)
        size, block = len(chunk), [chunk]
        ending = _ending(b"", block)
        try:
            while not body.at_end():
                await on_disk(partial(part.write, *block), final)
                block = await self._block(response, body, size)
                size += sum(map(len, block))
                ending = _ending(ending, block)
            _refuse_torn(response, final.suffix, ending)
            await on_disk(partial(part.finish, final, *block), final)
        except BaseException:
            await in_thread(part.discard)
            raise
        return final

    async def _block(
        self, response: aiohttp.ClientResponse, body: Body, before: int
    ) -> list[bytes]:
        """Read the next block of the body, after `before` bytes; shorter at the end."""
        block: list[bytes] = []
        size = 0
        while size < _BLOCK and len(block) < _MOST_CHUNKS:
            chunk = await body.read()
            if not chunk:
                break
            block.append(chunk)
            size += len(chunk)
            self._refuse_too_large(response, before + size)
        return block

    def _refuse_too_large(self, response: aiohttp.ClientResponse, size: int) -> None:
        if size > self._max_bytes:
            raise DownloadError(
                f"image {shown(response.url)} has more than {self._max_bytes} bytes, which is "
                "the limit for an image",
                http_status=response.status,
            )

    def _open_socket(self, address: Address) -> socket.socket:
        """Open the socket for a connection; raise PermissionError for a forbidden address."""
        # aiohttp calls this before every connect, with the address that it connects to: a literal
        # one, or each one that a name resolved to. A check of the name before the request would
        # not do: the name may resolve to a private address in the second DNS lookup.
        host = str(address[4][0])
        if not (self._may_be_connected(host) or is_in(host, self._fake_ip)):
            _refused.get().append(host)
            raise PermissionError(f"{host} is no public address")
        return open_socket(address)

    def _may_be_connected(self, address: str) -> bool:
        return is_public(address) or (self._loopback and is_loopback(address))


def _ending(before: bytes, block: list[bytes]) -> bytes:
    """Return the last bytes of a body, given the earlier ones and the next block."""
    last = [chunk[-len(formats.PNG_END) :] for chunk in block[-len(formats.PNG_END) :]]
    return b"".join([before, *last])[-len(formats.PNG_END) :]


def _refuse_torn(response: aiohttp.ClientResponse, suffix: str, ending: bytes) -> None:
    """Raise DownloadError for a PNG that was cut off and had no declared length.

    Without a length, aiohttp takes any end of the connection, even a reset, as the end of the body.
    """
    if suffix == ".png" and ending != formats.PNG_END and not has_length(response):
        raise DownloadError(
            f"image {shown(response.url)} was cut off; try again",
            retryable=True,
            http_status=response.status,
        )


async def _first_bytes(body: Body) -> bytes:
    """Read until there are enough bytes to recognise the type, or the body ends."""
    head = b""
    while len(head) < formats.bytes_needed(head) and (more := await body.read()):
        head += more
    return head
