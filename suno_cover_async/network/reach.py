"""Reach a host step by step, as a request would, and say how far that went. No request is sent.

It knows names, connections, TLS and proxies. It must not know the API, nor its key.
"""

import asyncio
import contextlib
import socket
import ssl
from datetime import UTC, datetime

import attrs
from yarl import URL

from suno_cover_async.network.certificates import issuer_of, way_to
from suno_cover_async.network.connector import open_socket


@attrs.frozen(kw_only=True)
class Handshake:
    """A TLS connection that was made, and closed again.

    Attributes:
        version: The version of TLS, such as "TLSv1.3".
        issuer: Who issued the host's certificate; empty if that is not told.
        valid_until: When the certificate expires.
    """

    version: str
    issuer: str
    valid_until: datetime


async def addresses_of(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system's resolver has them.

    Raises:
        OSError: There is no such name, or no resolver answers.
        UnicodeError: It cannot be a name.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


async def connect(host: str, port: int) -> None:
    """Connect to a host, and close the connection again; raises OSError."""
    _, writer = await asyncio.open_connection(host, port)
    writer.transport.abort()


async def handshake(host: str, port: int, proxy: URL | None) -> Handshake:
    """Make a TLS connection to a host and verify its certificate.

    Args:
        host: The host's name.
        port: Its port.
        proxy: The proxy to connect through; its URL may hold a password, which only it is sent.

    Raises:
        ssl.SSLCertVerificationError: The certificate is not trusted.
        ProxyStatusError: The proxy did not connect.
        OSError: There is no connection, or no TLS.
        asyncio.IncompleteReadError: The proxy closed the connection.
        asyncio.LimitOverrunError: The proxy's answer is too long.
        ValueError: The certificate cannot be read.
    """
    async with way_to(host, port, open_socket, proxy) as writer:
        await writer.start_tls(ssl.create_default_context(), server_hostname=host)
        tls = writer.get_extra_info("ssl_object")
        expiry = ssl.cert_time_to_seconds(tls.getpeercert()["notAfter"])
        issuer = ""
        with contextlib.suppress(ValueError):
            issuer = issuer_of(tls.getpeercert(binary_form=True))
        return Handshake(
            version=str(tls.version()),
            issuer=issuer,
            valid_until=datetime.fromtimestamp(expiry, UTC),
        )
