"""Raw HTTP servers that record every byte they receive, so that tests see who was sent what."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable

import attrs

Tail = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@attrs.define
class Peer:
    """A server with one answer for each path, and one for all the others.

    Attributes:
        answers: What to send, by path.
        otherwise: What to send to any other request.
        tail: What to do after an answer, before its connection is closed.
        received: What each connection brought, to its end.
    """

    answers: dict[str, bytes] = attrs.Factory(dict)
    otherwise: bytes = b"HTTP/1.1 404 -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    tail: Tail | None = None
    received: list[bytes] = attrs.Factory(list)
    scheme: str = "http"
    port: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [request.split(b" ")[1].decode() for request in self.received]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(self.received)
        self.received.append(b"")
        lost = ConnectionError, asyncio.IncompleteReadError
        with contextlib.closing(writer), contextlib.suppress(*lost):
            head = await reader.readuntil(b"\r\n\r\n")
            self.received[place] = head
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            self.received[place] += await reader.readexactly(int(length[1]) if length else 0)
            writer.write(self.answers.get(head.split(b" ")[1].decode(), self.otherwise))
            await writer.drain()
            if self.tail is not None:
                await self.tail(reader, writer)


async def waits_for_the_end(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """A tail that sends nothing more and leaves the connection open."""
    await reader.read()


@contextlib.asynccontextmanager
async def peer(
    otherwise: bytes | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Peer]:
    """Start a peer on loopback."""
    one = Peer(scheme="https" if tls else "http")
    if otherwise is not None:
        one.otherwise = otherwise
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, ssl=tls)
    one.port = server.sockets[0].getsockname()[1]
    async with server:
        yield one


def answer(
    body: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = None
) -> bytes:
    """Write an HTTP answer; `length` is the Content-Length that it states."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def redirect(status: int, location: str | None, *headers: str) -> bytes:
    """Write a redirect; None: without a Location."""
    where = [] if location is None else [f"Location: {location}"]
    return answer(b"", *where, *headers, status=f"{status} -")
