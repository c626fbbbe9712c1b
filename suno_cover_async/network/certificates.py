"""Say why a certificate was not trusted, and who issued it.

A network that inspects TLS gives certificates of its own, and the issuer's name tells the user.
"""

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator

from yarl import URL

from suno_cover_async.common.addresses import Address
from suno_cover_async.common.text import printable

_SECONDS = 5.0  # for the connection that fetches the certificate
_LONGEST = 80  # characters of a name
_NO_ANSWER = (asyncio.IncompleteReadError, asyncio.LimitOverrunError)
_NAMES = {b"\x55\x04\x0a": 0, b"\x55\x04\x03": 1}  # organisation, else common name (X.520)
_SEQUENCE, _OBJECT_ID, _VERSION = 0x30, 0x06, 0xA0
_LONG_FORM, _MOST_LENGTH_BYTES = 0x80, 3


class ProxyStatusError(ConnectionRefusedError):
    """A proxy did not connect.

    Attributes:
        status: The HTTP status of its answer; 0 if that was no answer in HTTP.
    """

    def __init__(self, answer: bytes) -> None:
        """Read the status from an answer."""
        super().__init__()
        number = answer.split(b" ")[1:2]
        self.status: int = int(number[0]) if number and number[0].isdigit() else 0


async def untrusted(
    host: str,
    port: int,
    error: Exception,
    open_socket: Callable[[Address], socket.socket],
    proxy: URL | None,
) -> str:
    """Return what is wrong with a host's certificate and what to do, in plain sentences.

    It connects to the host once more, to learn the issuer, and sends no request.

    Args:
        host: The host's name.
        port: Its port.
        error: The error of the verification.
        open_socket: Opens the socket to an address, or raises OSError for a forbidden one; not
            used with a proxy.
        proxy: The proxy to connect through; its URL may hold a password, which only it is sent.
    """
    reason = getattr(error, "verify_message", "") or "unknown reason"
    issuer = await _issuer(host, port, open_socket, proxy)
    named = f", issued by {issuer}" if issuer else ""
    return (
        f"the certificate of {printable(host)} cannot be verified ({printable(reason)}{named}), so "
        "nothing was sent; where a network or a proxy inspects TLS, set SSL_CERT_FILE to a file "
        "with the certificate of its issuer, else check this machine's clock and certificates"
    )


async def _issuer(
    host: str, port: int, open_socket: Callable[[Address], socket.socket], proxy: URL | None
) -> str:
    """Return the issuer of a host's certificate; empty if it cannot be learned."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent but the handshake
    with contextlib.suppress(OSError, ValueError, *_NO_ANSWER):
        async with asyncio.timeout(_SECONDS):
            async with way_to(host, port, open_socket, proxy) as writer:
                await writer.start_tls(context, server_hostname=host)
                certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            return issuer_of(certificate)
    return ""


def way_to(
    host: str, port: int, open_socket: Callable[[Address], socket.socket], proxy: URL | None
) -> contextlib.AbstractAsyncContextManager[asyncio.StreamWriter]:
    """Connect to a host, directly or through a proxy, which may raise ProxyStatusError."""
    return _through(proxy, host, port) if proxy else _directly(host, port, open_socket)


@contextlib.asynccontextmanager
async def _directly(
    host: str, port: int, open_socket: Callable[[Address], socket.socket]
) -> AsyncGenerator[asyncio.StreamWriter, None]:
    """Connect to a host."""
    loop = asyncio.get_running_loop()
    address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    with open_socket(address) as opened:
        opened.setblocking(False)
        await loop.sock_connect(opened, address[4])
        _, writer = await asyncio.open_connection(sock=opened)
        try:
            yield writer
        finally:
            writer.transport.abort()


@contextlib.asynccontextmanager
async def _through(proxy: URL, host: str, port: int) -> AsyncGenerator[asyncio.StreamWriter, None]:
    """Connect to a host through a proxy."""
    tls = ssl.create_default_context() if proxy.scheme == "https" else None
    place = f"{f'[{host}]' if ':' in host else host.encode('idna').decode()}:{port}"
    head = f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n"
    if proxy.user is not None:
        both = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
        head += f"Proxy-Authorization: Basic {both}\r\n"
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port, ssl=tls)
    try:
        writer.write(f"{head}\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        if answer.split(b" ")[1:2] != [b"200"]:
            raise ProxyStatusError(answer)
        yield writer
    finally:
        writer.transport.abort()


def issuer_of(certificate: bytes) -> str:
    """Return the issuer of a DER certificate (RFC 5280): its organisation, or its common name.

    Returns:
        A printable text of at most 80 characters; empty if the certificate names none.

    Raises:
        ValueError: It is no certificate.
    """
    (_, outer), *_ = _parts(certificate)
    (_, body), *_ = _parts(outer)
    fields = [content for kind, content in _parts(body) if kind != _VERSION]
    if len(fields) < 3:  # noqa: PLR2004 - serial number, signature algorithm, issuer
        raise ValueError("the certificate has no issuer")
    found = ["", ""]
    for _, names in _parts(fields[2]):
        for _, name in _parts(names):
            (kind, identifier), (_, text), *_ = [*_parts(name), (0, b"")]
            if kind == _OBJECT_ID and identifier in _NAMES:
                found[_NAMES[identifier]] = text.decode(errors="replace")
    return printable(found[0] or found[1], _LONGEST)


def _parts(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the content of each part of a DER value."""
    place = 0
    while place < len(content):
        kind, length = content[place], content[place + 1] if place + 1 < len(content) else -1
        place += 2
        if length >= _LONG_FORM:
            size = length - _LONG_FORM
            if size > _MOST_LENGTH_BYTES:
                raise ValueError("the certificate is too long")
            length = int.from_bytes(content[place : place + size])
            place += size
        if length < 0 or place + length > len(content):
            raise ValueError("the certificate is cut off")
        yield kind, content[place : place + length]
        place += length
