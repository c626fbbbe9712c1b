"""Connections on which nothing comes but what was asked for.

A host, or what stands before it, may send what answers no request: an answer twice, or HTTP 408 to
a connection that idles. On a kept-alive connection aiohttp takes that for the answer to the next
request, and so the cover of one song for another's. It owns which connections are used again.
"""

import asyncio
import select
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.tracing import Trace


class Connector(aiohttp.TCPConnector):
    """Closes a connection on which anything came, or its end, since its last answer."""

    def __init__(self, **options: Any) -> None:
        """Take the options of aiohttp's."""
        cast("Any", super()).__init__(**options)  # not wholly typed there
        self._used = WeakKeyDictionary[ResponseHandler, Callable[[], object]]()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Get a connection: one that was used before, if there is a good one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or protocol.transport is None:
                return connection  # it is lost already, which aiohttp finds out
            arrived = self._used.get(protocol)
            if arrived is None:  # it is new: what came on it is TLS's own
                self._used[protocol] = arrivals(protocol.transport)
                return connection
            if not (protocol.should_close or arrived()):
                return connection
            connection.close()

    def distrust(self) -> None:
        """Use none of the connections again that there are: what is to come on one is not ours."""
        for protocol in list(self._used):
            self._used[protocol] = _always


def _always() -> bool:
    return True


def arrivals(transport: asyncio.BaseTransport) -> Callable[[], object]:
    """Make what tells whether bytes, or the end of a connection, wait to be read."""
    number = transport.get_extra_info("socket").fileno()
    if not hasattr(select, "poll"):  # on Windows, where `select` takes any number
        return lambda: select.select([number], [], [], 0)[0]
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return partial(poll.poll, 0)
