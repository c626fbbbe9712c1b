"""An event loop in virtual time with a network of its own, in memory.

Servers listen at any address and port, names lead where a test says, and each connection is a pair
of connected sockets inside this process. TLS is left out.
"""

import asyncio
import errno
import functools
import ipaddress
import itertools
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, Self, TypeVar, cast

from tests.support import virtual_time
from tests.support.waiting import until

P = ParamSpec("P")
T = TypeVar("T")
_Place = tuple[str, int]
_Factory = Callable[[], asyncio.BaseProtocol]


class _Listening(socket.socket):
    """A socket that stands for a listener and knows its made-up address."""

    place: _Place = ("", 0)

    def getsockname(self) -> _Place:
        return self.place


class MemoryServer:
    """A listener at one address of the network."""

    def __init__(self, network: "MemoryLoop", place: _Place, factory: _Factory) -> None:
        listening = _Listening()
        listening.place = place
        self.sockets = (listening,)
        self.factory = factory
        self._network = network

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        (listening,) = self.sockets
        self._network.servers.pop(listening.place, None)
        listening.close()

    async def start_serving(self) -> None:
        (listening,) = self.sockets
        self._network.servers[listening.place] = self


class MemoryLoop(virtual_time.VirtualTimeLoop):
    """Connects clients and servers of this event loop.

    Attributes:
        names: The addresses of each host name.
        servers: Who listens, by address and port.
        connected: Where each connection led, also those that nobody accepted.
        lookup_seconds: How long each look-up of a name takes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, list[str]] = {"localhost": ["127.0.0.1"]}
        self.servers: dict[_Place, MemoryServer] = {}
        self.connected: list[_Place] = []
        self.lookup_seconds = 0.0
        self._ports = itertools.count(40_000)
        self._places: dict[int, _Place] = {}

    async def getaddrinfo(  # type: ignore[override]
        self, host: str, port: int, **_: Any
    ) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        try:
            addresses = [str(ipaddress.ip_address(host))]
        except ValueError:
            host.encode("idna")  # as the system's own look-up does: it raises UnicodeError
            await asyncio.sleep(self.lookup_seconds)
            addresses = self.names.get(host, [])
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        kind = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
        return [(*kind, "", (address, port)) for address in addresses]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self.connected.append(address)
        if address not in self.servers:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        self._places[sock.fileno()] = address

    async def create_connection(  # type: ignore[override]
        self, protocol_factory: _Factory, *, sock: socket.socket, **_: Any
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        server = self.servers[self._places.pop(sock.fileno())]
        sock.close()
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        try:
            await self.connect_accepted_socket(server.factory, theirs)
            return await super().create_connection(protocol_factory, sock=ours)
        except BaseException:
            ours.close()
            raise

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: _Factory,
        host: str,
        port: int,
        *,
        start_serving: bool = True,
        **_: Any,
    ) -> MemoryServer:
        server = MemoryServer(self, (host, port or next(self._ports)), protocol_factory)
        if start_serving:
            await server.start_serving()
        return server


def network() -> MemoryLoop:
    """Return the network of the running test."""
    return cast("MemoryLoop", asyncio.get_running_loop())


async def eventually(condition: Callable[[], object]) -> None:
    """Let virtual time pass until a condition is true; fail after 1000 s of it."""
    await until(condition, every=0.001, within=1000)


def in_memory(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Run a test to its end in virtual time, with a network in memory; no task may be left."""

    @functools.wraps(test)
    def ran(*args: P.args, **kwargs: P.kwargs) -> T:
        async def whole() -> T:
            result = await test(*args, **kwargs)
            for _ in range(10):  # servers take some turns to notice that a peer is gone
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            return result

        return virtual_time.run(whole(), MemoryLoop)

    return ran
