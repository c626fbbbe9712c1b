"""One end of a proxied connection, in memory: messages whole, in pieces, or twice."""

import asyncio
import socket
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

import attrs
import pytest

from suno_cover_async.sandbox.proxy.connection import End
from tests.support.memory_transport import MemoryTransport, writing_to
from tests.support.virtual_time import run as in_virtual_time

HEAD = b"HTTP/1.1 200 OK\r\nX: y\r\n"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@attrs.frozen
class Made:
    """An end whose other side is this test."""

    end: End
    transport: MemoryTransport


@contextmanager
def an_end(
    *arrived: bytes, sock: socket.socket | None = None, ended: bool = False
) -> Generator[Made, None, None]:
    transport = MemoryTransport(sock)
    reader = asyncio.StreamReader()
    for piece in arrived:
        reader.feed_data(piece)
    if ended:
        reader.feed_eof()
    yield Made(End(reader, writing_to(transport)), transport)
    transport.abort()


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    with an_end() as made:
        yield made


@pytest.mark.parametrize(
    "message",
    [
        GET,
        HEAD + b"Content-Length: 5\r\n\r\nhello",
        HEAD + b"content-LENGTH:5\r\n\r\nhello",
        HEAD + b"Content-Length:   12\r\n\r\na\r\n\r\nb\r\n\r\nc!",
        HEAD + b"Content-Length: 0\r\n\r\n",
        HEAD + b"X-Content-Length: 5\r\n\r\n",
    ],
)
async def test_a_message_ends_where_its_head_says(message: bytes) -> None:
    with an_end(message + GET) as made:
        assert [await made.end.read(), await made.end.read()] == [message, GET]


async def test_a_message_may_come_byte_by_byte() -> None:
    message = HEAD + b"Content-Length: 5\r\n\r\nhello"

    with an_end(*(message[at : at + 1] for at in range(len(message)))) as made:
        assert await made.end.read() == message


async def test_an_answer_to_head_has_a_length_and_no_body() -> None:
    head = HEAD + b"Content-Length: 5\r\n\r\n"

    with an_end(head + GET) as made:
        assert [await made.end.read(is_bodyless=True), await made.end.read()] == [head, GET]


@pytest.mark.parametrize(
    "part", [b"", b"GET / HT", HEAD + b"\r", HEAD + b"Content-Length: 5\r\n\r\nhel"]
)
async def test_of_a_message_that_is_cut_off_everything_that_came_is_told(part: bytes) -> None:
    with an_end(part, ended=True) as made, pytest.raises(asyncio.IncompleteReadError) as cut:
        await made.end.read()

    assert cut.value.partial == part


async def test_a_head_without_an_end_is_like_a_reset() -> None:
    with an_end(b"x" * 200_000) as made, pytest.raises(ConnectionResetError):
        await made.end.read()


async def test_a_message_is_written_in_one_piece(made: Made) -> None:
    await made.end.write(GET)

    assert made.transport.pieces == [GET]


@pytest.mark.parametrize(
    ("length", "pieces"), [(0, 0), (1, 1), (1_000, 1_000), (1_001, 501), (1_000_000, 1_000)]
)
async def test_what_trickles_comes_byte_by_byte_or_in_a_thousand_pieces(
    length: int, pieces: int, made: Made
) -> None:
    message = bytes(number % 251 for number in range(length))

    if length:
        await made.end.trickle(message)

    assert made.transport.written == message
    assert len(made.transport.pieces) == pieces


async def test_others_have_their_turn_between_two_pieces(made: Made) -> None:
    seen: list[int] = []
    task = asyncio.create_task(made.end.trickle(b"abc"))
    for _ in range(3):
        await asyncio.sleep(0)
        seen.append(len(made.transport.pieces))
    await task

    assert seen == [1, 2, 3]


@contextmanager
def two_sockets() -> Generator[tuple[socket.socket, socket.socket], None, None]:
    """Have two ends of a connection that never leaves this process."""
    ours, its = socket.socketpair()
    with ours, its:
        yield ours, its


def test_an_echo_is_the_answer_once_more_after_a_pause() -> None:
    async def echo() -> tuple[list[bytes], list[str], float]:
        with two_sockets() as (_, its), an_end(sock=its) as made:
            writing = asyncio.create_task(made.end.write_twice(b"answer", 7.0))
            await asyncio.sleep(6.9)
            assert made.transport.pieces == [b"answer"]
            await writing
            clock = asyncio.get_running_loop().time()
            return made.transport.pieces, [*made.transport.acts], clock

    assert in_virtual_time(echo()) == ([b"answer"] * 2, ["pause", "resume"], 7.0)


def test_who_asks_on_gets_no_echo() -> None:
    async def echo() -> tuple[list[bytes], list[str]]:
        with two_sockets() as (ours, its), an_end(sock=its) as made:
            writing = asyncio.create_task(made.end.write_twice(b"answer", 7.0))
            await asyncio.sleep(1)
            ours.send(GET)
            await writing
            return made.transport.pieces, [*made.transport.acts]

    assert in_virtual_time(echo()) == ([b"answer"], ["pause", "resume"])


def test_an_end_that_is_closed_meanwhile_gets_no_echo() -> None:
    async def echo() -> list[bytes]:
        with two_sockets() as (_, its), an_end(sock=its) as made:
            writing = asyncio.create_task(made.end.write_twice(b"answer", 7.0))
            await asyncio.sleep(1)
            made.transport.close()
            await writing
            return made.transport.pieces

    assert in_virtual_time(echo()) == [b"answer"]


async def test_without_a_pause_both_answers_are_one_piece(made: Made) -> None:
    await made.end.write_twice(b"answer", 0.0)

    assert made.transport.pieces == [b"answeranswer"]


async def test_an_end_is_gone_once_it_is_closed_whatever_it_sends() -> None:
    with an_end(b"x" * 200_000) as made:
        gone = asyncio.create_task(made.end.gone())
        for _ in range(9):
            await asyncio.sleep(0)
        assert not gone.done()

        made.end.reader.feed_data(b"more")
        made.end.reader.feed_eof()
        await gone


async def test_an_end_is_reset_once() -> None:
    with socket.socket() as sock, an_end(sock=sock) as made:
        made.end.reset()
        made.end.reset()

        assert made.transport.acts == ["abort"]
