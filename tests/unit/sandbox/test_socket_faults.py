"""Connections that break below HTTP, and a listener that leaves nobody half accepted."""

import asyncio
import socket
import struct
from typing import Any

import pytest

from suno_cover_async.sandbox import Reply
from suno_cover_async.sandbox.socket_faults import hang_up, reset, settle, truncate
from tests.support.memory_transport import MemoryTransport


def test_a_reset_discards_what_was_not_sent_yet() -> None:
    with socket.socket() as sock:
        transport = MemoryTransport(sock)
        reset(transport)

        linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)

    assert struct.unpack("ii", linger) == (1, 0)
    assert transport.acts == ["abort"]


@pytest.mark.parametrize(
    ("body", "sent"), [(b"", b""), (b"x", b""), (b"half and rest", b"half a"), (b"ab", b"a")]
)
def test_a_truncated_answer_promises_more_than_it_sends(body: bytes, sent: bytes) -> None:
    transport = MemoryTransport()

    truncate(transport, Reply(status=418, body=body, headers={"X-One": "1", "X-Two": "2"}))

    head, blank, came = transport.written.partition(b"\r\n\r\n")
    status, length, *fields = head.split(b"\r\n")
    assert status == b"HTTP/1.1 418 -"
    assert int(length.removeprefix(b"Content-Length: ")) > len(body)
    assert fields == [b"X-One: 1", b"X-Two: 2"]
    assert (blank, came) == (b"\r\n\r\n", sent)
    assert transport.acts == ["close"]


async def test_settling_takes_four_iterations_of_the_loop() -> None:
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    asyncio.get_running_loop().call_soon(turn)
    await settle()

    assert turns == 4


class Listener:
    """A listener that is closed as asyncio closes one."""

    def __init__(self) -> None:
        self.sockets = [socket.socket()]
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True
        for sock in self.sockets:
            sock.close()


async def test_accepting_ends_some_turns_before_the_listener_is_closed() -> None:
    loop = asyncio.get_running_loop()
    listener: Any = Listener()
    loop.add_reader(listener.sockets[0], lambda: None)
    hanging_up = asyncio.create_task(hang_up(listener))
    await asyncio.sleep(0)
    accepts = loop.remove_reader(listener.sockets[0])
    was_closed = listener.is_closed
    await hanging_up

    assert (accepts, was_closed, listener.is_closed) == (False, False, True)


async def test_a_listener_is_closed_even_if_hanging_up_is_cancelled() -> None:
    listener: Any = Listener()
    hanging_up = asyncio.create_task(hang_up(listener))
    await asyncio.sleep(0)
    hanging_up.cancel()
    await asyncio.wait([hanging_up])

    assert hanging_up.cancelled()
    assert listener.is_closed
