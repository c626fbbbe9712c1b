"""Hosts on loopback with certificates of their own, and a proxy that leads to them by any name."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator

import aiohttp.connector
import attrs
import trustme


def context_of(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Return a server's TLS context with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trust(authority: trustme.CA) -> None:
    """Let aiohttp's clients in this process trust an authority, beside those of the system."""
    certificate = authority.cert_pem.bytes().decode()
    aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(cadata=certificate)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Connect a caller with a port of this machine, until either ends."""
    with contextlib.suppress(OSError):
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))


@contextlib.asynccontextmanager
async def behind_tls(port: int, context: ssl.SSLContext) -> AsyncGenerator[int]:
    """Offer a plain port of this machine over TLS, at the port that is yielded."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(reader, writer, port)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


@attrs.define
class Proxy:
    """An HTTP proxy that leads every CONNECT to one port of this machine, or refuses it.

    Attributes:
        leads_to: The port.
        status: What it answers; only 200 connects.
        asked: The head of each request.
    """

    leads_to: int = 0
    status: str = "200 OK"
    asked: list[str] = attrs.Factory(list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def places(self) -> list[str]:
        return [head.split(" ")[1] for head in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {self.status}\r\n\r\n".encode())
        if self.status.startswith("200"):
            await _join(reader, writer, self.leads_to)
        else:
            writer.close()


@contextlib.asynccontextmanager
async def proxy(leads_to: int = 0, status: str = "200 OK") -> AsyncGenerator[Proxy]:
    """Start a proxy on loopback."""
    one = Proxy(leads_to, status)
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.port = server.sockets[0].getsockname()[1]
        yield one
