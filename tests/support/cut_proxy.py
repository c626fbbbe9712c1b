"""A TCP proxy on loopback that cuts, refuses or holds the connections to one port.

It works in a thread of its own, since those who connect may block theirs.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Generator
from typing import Any

import attrs

from tests.support.postgres import free_port


@attrs.define(eq=False)
class CutProxy:
    """A proxy to a port of this machine; its methods may be called from any thread.

    Attributes:
        leads_to: The port it leads to.
        port: Its own port, the same after each `accept`.
        opened: How many connections it has taken so far.
    """

    leads_to: int
    _loop: asyncio.AbstractEventLoop
    port: int = attrs.Factory(free_port)
    opened: int = 0
    _server: asyncio.Server | None = None
    _ends: set[asyncio.StreamWriter] = attrs.Factory(set[asyncio.StreamWriter])
    _passes: asyncio.Event = attrs.Factory(asyncio.Event)

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
        self._loop.call_soon_threadsafe(self._passes.clear)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _accept(self) -> None:
        self._passes.set()
        if not self._server:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _cut(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _refuse(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self._ends.add(writer)
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.leads_to)
            self._ends.add(back)
            await asyncio.gather(self._pipe(reader, back), self._pipe(there, writer))
            self._ends.discard(back)
        writer.transport.abort()
        self._ends.discard(writer)

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while block := await reader.read(65536):
                await self._passes.wait()
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
