"""Break connections below HTTP."""

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
    """Announce a whole body, send the first half of it, and close the connection."""
    head = f"HTTP/1.1 {reply.status} -\r\nContent-Length: {len(reply.body) + 1}\r\n"
    fields = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    transport.write(f"{head}{fields}\r\n".encode() + reply.body[: len(reply.body) // 2])
    transport.close()


async def hang_up(listener: asyncio.Server) -> None:
    """Close a listener without leaving a connection half accepted.

    asyncio leaves a connection open if its listener is closed while it is being accepted, and its
    client then hangs. So accepting stops first, connections already accepted are set up, and then
    the listener is closed.
    """
    with suppress(NotImplementedError):  # Windows has no readers to remove
        for listening in listener.sockets:
            asyncio.get_running_loop().remove_reader(listening)
    try:
        await settle()
    finally:
        listener.close()


async def settle() -> None:
    """Give asyncio four iterations of the event loop to finish what it began with sockets."""
    for _ in range(4):
        await asyncio.sleep(0)
