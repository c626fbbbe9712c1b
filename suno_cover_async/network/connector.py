"""Reuse a connection only if no unrequested data has arrived on it.

A host, or a gateway in front of it, may send data that answers no request: an answer twice, or HTTP
408 on an idle connection. On a kept-alive connection aiohttp takes that for the answer to the next
request, so that each request would get the answer of another. This module owns which connections
are reused, and how large the headers of an answer may be.
"""

import asyncio
import errno
import select
import socket
import sys
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any, cast
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from suno_cover_async.common.addresses import Address, is_loopback

MOST_HEADER_BYTES = 64 * 1024
"""The most bytes of an answer's headers, in one field or in many."""

HEADER_LIMITS: dict[str, Any] = {
    "max_line_size": MOST_HEADER_BYTES,
    "max_field_size": MOST_HEADER_BYTES,
    "max_headers": 2048,
}
"""Options of a ClientSession: bounds of each field and of their number."""

NO_HTTP = "with headers over 64 KiB, or not in HTTP"
"""What an aiohttp.ClientResponseError of a request means, for messages."""


def has_large_headers(response: aiohttp.ClientResponse) -> bool:
    """Return whether the headers of an answer have more than 64 KiB together."""
    fields = response.raw_headers
    return sum(map(len, chain.from_iterable(fields))) + 4 * len(fields) > MOST_HEADER_BYTES


class Connector(aiohttp.TCPConnector):
    """A TCPConnector that closes a connection with data, or its end, after its last answer.

    It resolves names by the operating system, also where aiodns is installed, which aiohttp would
    use then and which does not read all that the system does, such as nsswitch.conf.
    """

    def __init__(self, **options: Any) -> None:
        """Take the same options as `aiohttp.TCPConnector`, except `resolver`."""
        options["resolver"] = aiohttp.ThreadedResolver()
        cast("Any", super()).__init__(**options)  # aiohttp's signature is not fully typed
        self._used = WeakKeyDictionary[ResponseHandler, Callable[[], object]]()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Return a connection; reuse one if nothing has arrived on it since its last answer."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or protocol.transport is None:
                return connection  # the connection is lost; aiohttp detects that itself
            arrived = self._used.get(protocol)
            if arrived is None:  # a new connection: data on it belongs to the TLS handshake
                self._used[protocol] = arrivals(protocol.transport)
                return connection
            if not (protocol.should_close or arrived()):
                return connection
            connection.close()

    def distrust(self) -> None:
        """Reuse none of the open connections: the next data on one may answer another request."""
        for protocol in list(self._used):
            self._used[protocol] = _always


def open_socket(address: Address) -> socket.socket:
    """Open a socket for a connection to an address; it is not connected yet."""
    family, kind, protocol, _, _ = address
    return socket.socket(family=family, type=kind, proto=protocol)


def open_on_loopback(address: Address) -> socket.socket:
    """Open a socket for plain http, unless the name resolved to another machine's address."""
    if not is_loopback(str(address[4][0])):
        raise PermissionError(errno.EACCES, "the address is not on this machine; use https")
    return open_socket(address)


def _always() -> bool:
    return True


def arrivals(transport: asyncio.BaseTransport) -> Callable[[], object]:
    """Return a function that returns whether bytes, or a connection's end, wait to be read."""
    number = transport.get_extra_info("socket").fileno()
    if sys.platform == "win32":  # it has no `poll`, and its `select` takes any number
        return lambda: select.select([number], [], [], 0)[0]
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return partial(poll.poll, 0)
