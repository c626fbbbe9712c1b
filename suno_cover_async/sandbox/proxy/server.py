"""Pass connections on to the host, and break them.

It owns the listener, the connections, and where each breaks. `faults.py` owns which faults there
are and how often they occur.
"""

import asyncio
import random
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit

import attrs

from suno_cover_async.common.addresses import is_loopback
from suno_cover_async.sandbox import socket_faults
from suno_cover_async.sandbox.proxy.connection import End
from suno_cover_async.sandbox.proxy.faults import Wire, WireFault

_HOST = "127.0.0.1"
_GARBAGE_BYTES = 64

_BEFORE_REQUEST = frozenset({WireFault.REFUSED, WireFault.RESET_BEFORE})
_RESET = frozenset({WireFault.RESET_IN_REQUEST, WireFault.RESET_IN_ANSWER})
_CUT = frozenset({WireFault.CUT_IN_REQUEST, WireFault.CUT_IN_ANSWER})
_IN_REQUEST = frozenset(
    {WireFault.RESET_IN_REQUEST, WireFault.CUT_IN_REQUEST, WireFault.STALLED_REQUEST}
)
_IN_ANSWER = frozenset(
    {WireFault.RESET_IN_ANSWER, WireFault.CUT_IN_ANSWER, WireFault.STALLED_ANSWER}
)


@attrs.frozen(kw_only=True)
class Exchange:
    """One request that arrived completely at the proxy.

    Attributes:
        at: When it arrived, in seconds of `time.monotonic()`.
        connection: The number of its connection, from 1.
        method: The HTTP method.
        path: The path, without the query.
        fault: The fault that was applied to it.
    """

    at: float
    connection: int
    method: str
    path: str
    fault: WireFault


class FaultProxy:
    """A proxy to the sandbox whose connections break below HTTP, as on a real network.

    ::

        async with (
            Sandbox() as sandbox,
            FaultProxy(sandbox.url, Wire(resets=0.1, stalls=0.05)) as proxy,
            SunoCoverClient(sandbox.api_key, base_url=proxy.url) as client,
        ): ...

    Faults are drawn for each exchange, also for the later ones of a kept-alive connection. The
    image URLs in the sandbox's answers lead through the proxy too. Requests and answers need a
    `Content-Length`, if they have a body.

    Attributes:
        wire: How it behaves; may be replaced at any time.
        exchanges: The requests that arrived, in order.
    """

    def __init__(self, url: str, wire: Wire | None = None, *, port: int = 0) -> None:
        """Prepare the proxy; it listens only after it is entered.

        Args:
            url: The host: http on this machine's loopback, such as `sandbox.url`.
            wire: How it behaves; None: it passes everything on.
            port: The port on 127.0.0.1; 0: any free port.

        Raises:
            ValueError: `url` is not http on loopback with a port.
        """
        place = urlsplit(url)
        if place.scheme != "http" or not is_loopback(place.hostname) or place.port is None:
            raise ValueError("url must be http on loopback and name its port, as sandbox.url does")
        self.wire: Wire = wire or Wire()
        self.exchanges: list[Exchange] = []
        self._target = place.hostname, place.port
        self._dice = random.Random(f"{self.wire.seed} wire")
        self._script: deque[WireFault] = deque()
        self._port = port
        self._reserved: socket.socket | None = None
        self._listener: asyncio.Server | None = None
        self._connections = 0
        self._carriers: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        """Show the URL."""
        return f"FaultProxy({self.url!r})" if self._port else "FaultProxy()"

    async def __aenter__(self) -> Self:
        """Begin to listen; raises OSError if the port is taken."""
        try:
            if sys.platform == "linux":
                self._reserve()
            await self._listen()
        except BaseException:
            self._release()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        try:
            await self._hang_up()
        finally:
            for carrier in self._carriers:
                carrier.cancel()
            self._release()
            await asyncio.gather(*self._carriers, return_exceptions=True)
            await socket_faults.settle()

    @property
    def url(self) -> str:
        """Its URL, without a trailing slash; raises RuntimeError before it was entered."""
        if not self._port:
            raise RuntimeError("the proxy has no address before `async with` entered it")
        return f"http://{_HOST}:{self._port}"

    @property
    def progress(self) -> Counter[WireFault]:
        """How often each fault was applied."""
        return Counter(exchange.fault for exchange in self.exchanges)

    def script(self, *faults: WireFault) -> None:
        """Set what happens to the next exchanges, in order; the shares do not apply to them."""
        self._script.extend(faults)

    def _reserve(self) -> None:
        """Reserve the port while nothing listens, so that the system gives it to no other socket.

        A refusing proxy closes its listener. Without a second socket bound to the port, the system
        may use the port for another connection, and the proxy cannot listen there again.
        """
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((_HOST, self._port))
        self._port = self._reserved.getsockname()[1]

    def _release(self) -> None:
        """Release the port."""
        for held in (self._listener, self._reserved):
            if held is not None:
                held.close()
        self._listener = self._reserved = None

    async def _listen(self) -> None:
        listener = await asyncio.start_server(self._accept, _HOST, self._port, start_serving=False)
        self._listener = listener  # before a cancellation can come between
        self._port = listener.sockets[0].getsockname()[1]
        await listener.start_serving()

    async def _hang_up(self) -> bool:
        """Refuse new connections; return whether they were accepted until now."""
        listener, self._listener = self._listener, None
        if listener is not None:
            await socket_faults.hang_up(listener)
        return listener is not None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        carrier = asyncio.create_task(self._carry(End(reader, writer), self._connections))
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)

    async def _carry(self, client: End, connection: int) -> None:
        """Pass on one connection's exchanges until it ends, by the client, the host or a fault.

        The exception says how both ends are closed: after EOFError normally, after OSError or a
        cancellation with a TCP reset.
        """
        ends = [client]
        try:
            host = End(*await asyncio.open_connection(*self._target))
            ends.append(host)
            while True:
                await self._exchange(client, host, connection)
        except EOFError:
            pass
        except (OSError, asyncio.CancelledError):
            for end in ends:
                end.reset()
        finally:
            for end in ends:
                end.writer.close()

    async def _exchange(self, client: End, host: End, connection: int) -> None:
        """Pass on one request and its answer, as far as the fault allows.

        Raises:
            EOFError: The connection has ended.
            OSError: The connection is reset.
        """
        request = await _first_of(client.read(), host.gone())
        fault = self._note(request, connection)
        await self._ask(client, host, request, fault)
        try:
            answer = await host.read(is_bodyless=request.startswith(b"HEAD "))
        except asyncio.IncompleteReadError as error:  # the host itself broke the connection
            await client.write(error.partial)
            raise
        await self._answer(client, answer, fault)

    def _note(self, request: bytes, connection: int) -> WireFault:
        fault = self._script.popleft() if self._script else self.wire.fault(self._dice)
        method, target, *_ = [*request.partition(b"\r\n")[0].decode("latin-1").split(" "), ""]
        exchange = Exchange(
            at=time.monotonic(),
            connection=connection,
            method=method,
            path=target.partition("?")[0],
            fault=fault,
        )
        self.exchanges.append(exchange)
        return fault

    async def _ask(self, client: End, host: End, request: bytes, fault: WireFault) -> None:
        if fault is WireFault.REFUSED:
            await self._refuse(client)
        if fault in _BEFORE_REQUEST:
            raise ConnectionResetError
        if fault in _IN_REQUEST:
            await self._break(client, host, request, fault)
        elif fault is WireFault.TRICKLED:
            await host.trickle(request)
        else:
            await host.write(request)

    async def _answer(self, client: End, answer: bytes, fault: WireFault) -> None:
        garbage = self._dice.randbytes(_GARBAGE_BYTES)
        match fault:
            case WireFault.RESET_AFTER_REQUEST:
                raise ConnectionResetError
            case WireFault.GARBAGE:
                await client.write(garbage)
                raise EOFError
            case WireFault.GARBAGE_BEFORE:
                await client.write(garbage + answer)
            case WireFault.GARBAGE_INSIDE:
                await client.write(_spoiled(answer, garbage, self._dice))
                raise EOFError
            case WireFault.TRICKLED:
                await client.trickle(answer)
            case WireFault.ECHOED:
                await client.write_twice(answer, self.wire.echo)
            case _ if fault in _IN_ANSWER:
                await self._break(client, client, answer, fault)
            case _:
                await client.write(answer)

    async def _break(self, client: End, to: End, message: bytes, fault: WireFault) -> None:
        """Pass on a part of a message, and the rest late or never."""
        cut = self._dice.randrange(to is not client, len(message))
        await to.write(message[:cut])
        if fault in _RESET:
            raise ConnectionResetError
        if fault in _CUT:
            raise EOFError
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(self.wire.stall):
                await client.gone()
        await to.write(message[cut:])

    async def _refuse(self, client: End) -> None:
        """Reset the connection, and stop listening for `refusal` seconds."""
        was_open = await self._hang_up()
        client.reset()
        if was_open:
            await asyncio.sleep(self.wire.refusal)
            await self._listen()


async def _first_of(request: Coroutine[Any, Any, bytes], end: Coroutine[Any, Any, None]) -> bytes:
    """Return the client's request; raise EOFError if the host closes the connection first."""
    asked, ended = asyncio.create_task(request), asyncio.create_task(end)
    try:
        await asyncio.wait({asked, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        ended.cancel()
        await asyncio.gather(asked, ended, return_exceptions=True)
    if asked.cancelled():
        ended.result()
        raise EOFError
    return asked.result()


def _spoiled(answer: bytes, garbage: bytes, dice: random.Random) -> bytes:
    """Replace the end of an answer with garbage, shorter than what it replaces."""
    cut = dice.randrange(1, len(answer) - 1)
    return answer[:cut] + garbage[: len(answer) - cut - 1]
