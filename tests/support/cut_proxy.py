"""A TCP proxy on loopback that cuts, refuses or holds the connections to one port.

It works in a thread of its own, since those who connect may block theirs.
"""

import asyncio
import contextlib
import re
import threading
from collections.abc import Coroutine, Generator
from typing import Any, Literal

import attrs

from tests.support.postgres import free_port

_BACKEND = re.compile(rb"(K\x00\x00\x00\x0c).{4}", re.DOTALL)  # BackendKeyData: 4 bytes of it
_VERSION = re.compile(rb"(server_version\0)\d\d")
Where = Literal["before", "after", "between", "between and refuse"]


@attrs.define(eq=False)
class CutProxy:
    """A proxy to a port of this machine; its methods may be called from any thread.

    Attributes:
        leads_to: The port it leads to.
        port: Its own port, the same after each `accept`.
        opened: How many connections it has taken so far.
        as_pooler: Whether it tells another process than the server's, as poolers do.
        as_version: The first two digits of the version that it tells, in place of the server's.
    """

    leads_to: int
    _loop: asyncio.AbstractEventLoop
    port: int = attrs.Factory(free_port)
    opened: int = 0
    as_pooler: bool = False
    as_version: bytes = b""
    _cut_at: tuple[bytes, Where] | None = None
    _hold_request: bytes | None = None
    _hold_answer: bytes | None = None
    _undelivered: list[tuple[asyncio.StreamWriter, bytes]] = attrs.Factory(list[Any])
    _server: asyncio.Server | None = None
    _ends: set[asyncio.StreamWriter] = attrs.Factory(set[asyncio.StreamWriter])
    _deaf: set[asyncio.StreamWriter] = attrs.Factory(set[asyncio.StreamWriter])
    _passes: asyncio.Event = attrs.Factory(asyncio.Event)
    _answers: asyncio.Event = attrs.Factory(asyncio.Event)

    def accept(self) -> None:
        """Take connections, and pass on what they say."""
        self._do(self._accept())

    def cut(self) -> None:
        """Break all connections by a reset; new ones are taken."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Break all connections, and refuse new ones until `accept`."""
        self._do(self._refuse())

    def hold(self) -> None:
        """Take connections but pass nothing on until `accept`, as a host that has vanished."""
        self._do(self._hold())

    def hold_request(self, words: bytes) -> None:
        """Begin to `hold` once a client says some words, which are held too."""
        self._hold_request = words

    def hold_answer(self, words: bytes) -> None:
        """Begin to `hold` once the server says some words, which are held too."""
        self._hold_answer = words

    @property
    def holds(self) -> bool:
        """Whether it passes nothing on that clients say."""
        return not self._passes.is_set()

    def answer(self) -> None:
        """Pass on what the server says; what clients say is held as before."""
        self._loop.call_soon_threadsafe(self._answers.set)

    def cut_at(self, words: bytes, where: Where) -> None:
        """Cut the next connection in which a client says some words, once.

        Args:
            words: The words.
            where: `before` the server hears them, `after` it has answered and the client has not
                heard that, or `between`: the client is cut off, the server's end stays open, and
                the server hears the words at `deliver`; new connections are taken, or refused
                until `accept`.
        """
        self._cut_at = words, where

    @property
    def holds_back(self) -> bool:
        """Whether there is something for `deliver`."""
        return bool(self._undelivered)

    def deliver(self) -> None:
        """Pass on the words at which a connection was cut in between."""
        self._do(self._deliver())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _accept(self) -> None:
        self._passes.set()
        self._answers.set()
        if not self._server:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _hold(self) -> None:
        self._passes.clear()
        self._answers.clear()

    async def _cut(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _refuse(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._cut()

    async def _deliver(self) -> None:
        for end, block in self._undelivered:
            end.write(block)
            await end.drain()
        self._undelivered.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self._ends.add(writer)
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.leads_to)
            self._ends.add(back)
            await asyncio.gather(self._ask(reader, back, writer), self._pipe(there, writer))
            back.transport.abort()
            self._ends.discard(back)
        writer.transport.abort()
        self._ends.discard(writer)

    async def _ask(
        self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, writer: asyncio.StreamWriter
    ) -> None:
        """Pass on what a client says, unless it is what the connection is cut at."""
        with contextlib.suppress(OSError):
            while block := await reader.read(65536):
                await self._passes.wait()
                if self._hold_request and self._hold_request in block:
                    self._hold_request = None
                    await self._hold()
                    await self._passes.wait()
                words, where = self._cut_at or (b"", "")
                if words and words in block:
                    self._cut_at = None
                    if where == "after":
                        self._deaf.add(writer)
                    else:
                        writer.transport.abort()
                    if where == "before":
                        break
                    if where.startswith("between"):
                        self._undelivered.append((back, block))
                        if where.endswith("refuse") and self._server:
                            self._server.close()
                            self._server = None
                        return
                back.write(block)
                await back.drain()
        back.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while block := await reader.read(65536):
                if self._hold_answer and self._hold_answer in block:
                    self._hold_answer = None
                    await self._hold()
                await self._answers.wait()
                if writer in self._deaf:
                    writer.transport.abort()
                if self.as_pooler:
                    block = _BACKEND.sub(rb"\1\0\0\0\0", block)
                if self.as_version:
                    block = _VERSION.sub(rb"\g<1>" + self.as_version, block)
                writer.write(block)
                await writer.drain()


@contextlib.contextmanager
def cut_proxy(leads_to: int) -> Generator[CutProxy]:
    """Start a proxy that leads to a port of this machine."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    proxy = CutProxy(leads_to, loop)
    try:
        proxy.accept()
        yield proxy
    finally:
        proxy.accept()  # what was held ends
        proxy.refuse()
        asyncio.run_coroutine_threadsafe(_all_end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _all_end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
