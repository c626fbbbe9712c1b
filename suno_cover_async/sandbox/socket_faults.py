"""Ways for a connection to break, below HTTP."""

import asyncio
import socket
import struct
from contextlib import suppress

from suno_cover_async.sandbox.scenario import Reply

_NO_LINGER = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End the connection with a TCP reset."""
    sock: socket.socket = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


def truncate(transport: asyncio.Transport, reply: Reply) -> None:
    """Promise a whole body, send the first half of it, and end the connection."""
    head = f"HTTP/1.1 {reply.status} -\r\nContent-Length: {len(reply.body) + 1}\r\n"
    fields = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    transport.write(f"{head}{fields}\r\n".encode() + reply.body[: len(reply.body) // 2])
    transport.close()


async def hang_up(listener: asyncio.Server) -> None:
    """Accept no more connections, and leave none half accepted.

    A connection that is being accepted while its listener closes is left open, and its client
    hanging, by asyncio; so no more are accepted, and those that were come in first.
    """
    with suppress(NotImplementedError):  # Windows has no readers to remove
        for listening in listener.sockets:
            asyncio.get_running_loop().remove_reader(listening)
    try:
        await settle()
    finally:
        listener.close()


async def settle() -> None:
    """Let what asyncio has begun with sockets come to its end."""
    for _ in range(4):
        await asyncio.sleep(0)
