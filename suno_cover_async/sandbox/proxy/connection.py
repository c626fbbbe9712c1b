"""Read whole messages from one end of a connection, and write them whole, in pieces or twice.

Of HTTP it knows only where a message ends.
"""

import asyncio
import math
import re
from typing import cast

import attrs

from suno_cover_async.network.connector import arrivals
from suno_cover_async.sandbox import socket_faults

_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_PIECES = 1_000
_BLOCK = 65_536


@attrs.frozen
class End:
    """One end of a proxied connection: the client, or the host."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def transport(self) -> asyncio.Transport:
        """The transport of the connection."""
        return cast("asyncio.Transport", self.writer.transport)

    async def read(self, *, is_bodyless: bool = False) -> bytes:
        """Return a whole message; raises `IncompleteReadError` with what arrived of one."""
        head = b""
        try:
            head = await self.reader.readuntil(_END_OF_HEAD)
            length = None if is_bodyless else _LENGTH.search(head)
            return head + await self.reader.readexactly(int(length[1]) if length else 0)
        except asyncio.IncompleteReadError as error:
            raise asyncio.IncompleteReadError(head + error.partial, None) from None
        except asyncio.LimitOverrunError as error:
            raise ConnectionResetError from error

    async def write(self, message: bytes) -> None:
        """Write a message."""
        self.writer.write(message)
        await self.writer.drain()

    async def trickle(self, message: bytes) -> None:
        """Write a message byte by byte; a long one, in a thousand pieces."""
        size = math.ceil(len(message) / _PIECES)
        for start in range(0, len(message), size):
            await self.write(message[start : start + size])
            await asyncio.sleep(0)

    async def write_twice(self, answer: bytes, pause: float) -> None:
        """Write an answer, and again after a pause, unless something arrived meanwhile."""
        if not pause:
            await self.write(answer * 2)
            return
        transport = self.transport
        transport.pause_reading()  # so that what arrives stays in the socket, to be counted there
        await self.write(answer)
        await asyncio.sleep(pause)
        if not transport.is_closing() and not arrivals(transport)():
            await self.write(answer)
        transport.resume_reading()

    async def gone(self) -> None:
        """Wait until this end closes the connection; discard what it sends."""
        while await self.reader.read(_BLOCK):
            pass

    def reset(self) -> None:
        """Close the connection with a TCP reset."""
        if not self.transport.is_closing():
            socket_faults.reset(self.transport)
