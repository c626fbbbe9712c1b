"""What arrives unasked on a kept-alive connection is nobody's answer; a good one is kept."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import CoverDetails, CoverStatus, SunoCoverClient, SunoCoverError
from suno_cover_async.protocol import codec
from tests.support.clients import FAST_RETRY, NO_LIMIT
from tests.support.memory_network import in_memory

PNG = b"\x89PNG\r\n\x1a\n"


def answer(data: object, code: int = 200) -> bytes:
    return http(codec.encode_answer(code, "success", data))


def http(body: bytes, line: str = "HTTP/1.1 200 OK", headers: str = "") -> bytes:
    return f"{line}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Host:
    """A bare host that keeps connections, answers each request with its number, and sends more."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections: list[asyncio.StreamWriter] = []
        self.word: Callable[[str], bytes] = lambda number: answer(float(number))
        self.behind = b""
        self.is_hasty = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if self.is_hasty:  # it answers before it has read the body
                    writer.write(self.word(str(len(self.requests) + 1)))
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                self.requests.append(
                    head + await reader.readexactly(int(length[1] if length else 0))
                )
                if not self.is_hasty:
                    writer.write(self.word(str(len(self.requests))) + self.behind)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def send(self, stray: bytes) -> None:
        for writer in self.connections:
            writer.write(stray)


@asynccontextmanager
async def hosting() -> AsyncGenerator[tuple[Host, SunoCoverClient]]:
    host = Host()
    server = await asyncio.start_server(host.serve, "127.0.0.1", 0)
    async with server:
        host.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        options: dict[str, Any] = {"rate_limit": NO_LIMIT, "retry": FAST_RETRY}
        async with SunoCoverClient("key-of-a-test", base_url=host.url, **options) as client:
            yield host, client
        for _ in range(5):
            await asyncio.sleep(0)


async def at_once() -> None:
    """Let nobody read."""


async def a_moment() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


STRAY = {
    "an answer once more": answer(1000.0),
    "a time-out that answers nothing": http(
        b"", "HTTP/1.1 408 Request Timeout", "Connection: close\r\n"
    ),
    "half an answer": answer(1000.0)[:-5],
    "half a head": answer(1000.0)[:20],
    "another's cover task": answer({"taskId": "another"}),
    "no HTTP": b"\x00\xff\r\n\r\n",
    "many answers": answer(1000.0) * 50,
}


@pytest.mark.parametrize("read", [at_once, a_moment], ids=["unread", "read"])
@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY)
@in_memory
async def test_an_unsolicited_answer_is_not_taken_for_the_next_answer(
    stray: bytes, read: Callable[[], Awaitable[None]]
) -> None:
    async with hosting() as (host, client):
        for number in range(1, 10, 2):
            assert await client.credits() == number
            host.send(stray)
            await read()
            assert await client.credits() == number + 1

        assert len(host.requests) == 10


@pytest.mark.parametrize("stray", [one for one in STRAY.values() if one.startswith(b"HTTP")])
@in_memory
async def test_what_comes_right_behind_an_answer_is_not_taken_for_the_next(stray: bytes) -> None:
    async with hosting() as (host, client):
        host.behind = stray

        assert [await client.credits() for _ in range(5)] == [1, 2, 3, 4, 5]
        assert len(host.requests) == 5


@pytest.mark.parametrize("read", [at_once, a_moment], ids=["unread", "read"])
@in_memory
async def test_another_songs_answer_is_not_taken_for_that_to_a_submit(
    read: Callable[[], Awaitable[None]],
) -> None:
    async with hosting() as (host, client):
        host.word = lambda number: answer({"taskId": f"cover-{number}"})
        first = await client.submit("song-1")
        host.send(answer({"taskId": first.cover_task_id}))
        await read()
        second = await client.submit("song-2")

        assert (first.cover_task_id, second.cover_task_id) == ("cover-1", "cover-2")
        assert len(host.requests) == 2


@pytest.mark.parametrize("read", [at_once, a_moment], ids=["unread", "read"])
@in_memory
async def test_another_songs_image_is_not_taken_for_ours(
    tmp_path: Path, read: Callable[[], Awaitable[None]]
) -> None:
    def cover(name: str) -> CoverDetails:
        images = (f"{host.url}/s/{name}.png",)
        return CoverDetails(cover_task_id=name, status=CoverStatus.SUCCESS, images=images)

    async with hosting() as (host, client):
        host.word = lambda number: http(PNG + number.encode())
        await client.download(cover("one"), tmp_path)
        host.send(http(PNG + b"of another"))
        await read()
        (file,) = await client.download(cover("two"), tmp_path)

        assert file.read_bytes() == PNG + b"2"


def chunked(number: str, headers: str = "", trailer: str = "") -> bytes:
    body = codec.encode_answer(200, "success", float(number))
    head = f"HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n"
    return head.encode() + body + f"\r\n0\r\n{trailer}\r\n".encode()


def with_lengths(number: str, *lengths: int) -> bytes:
    body = codec.encode_answer(200, "success", float(number))
    lines = "".join(f"Content-Length: {len(body) + more}\r\n" for more in lengths)
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body


INFORMED = b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
ODD: dict[str, Callable[[str], bytes]] = {
    "after informational answers": lambda number: INFORMED + answer(float(number)),
    "HTTP/1.0": lambda number: answer(float(number)).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "chunks with a trailer": lambda number: chunked(number, trailer="X-Sum: 1\r\n"),
}


@pytest.mark.parametrize("word", ODD.values(), ids=ODD)
@in_memory
async def test_odd_answers_are_read_each_for_its_own_request(word: Callable[[str], bytes]) -> None:
    async with hosting() as (host, client):
        host.word = word

        assert [await client.credits() for _ in range(4)] == [1, 2, 3, 4]
        assert len(host.requests) == 4


TWO_FACED: dict[str, Callable[[str], bytes]] = {
    "the same length twice": lambda number: with_lengths(number, 0, 0),
    "a shorter length, then the right one": lambda number: with_lengths(number, -5, 0),
    "the right length, then a shorter one": lambda number: with_lengths(number, 0, -5),
    "chunks and a length": lambda number: chunked(number, headers="Content-Length: 5\r\n"),
    "a switch to another protocol": lambda number: http(
        answer(float(number)),
        "HTTP/1.1 101 Switching Protocols",
        "Connection: upgrade\r\nUpgrade: x\r\n",
    ),
    "no content, and some": lambda number: (
        b"HTTP/1.1 204 No Content\r\n\r\n" + answer(float(number))
    ),
}


@pytest.mark.parametrize("word", TWO_FACED.values(), ids=TWO_FACED)
@in_memory
async def test_an_answer_readable_in_two_ways_is_refused_and_its_connection_not_used_again(
    word: Callable[[str], bytes],
) -> None:
    async with hosting() as (host, client):
        host.word = word
        with pytest.raises(SunoCoverError):
            await client.credits()
        host.word, asked = ODD["chunks with a trailer"], len(host.requests)

        assert await client.credits() == asked + 1
        assert len(host.connections) == asked + 1


@in_memory
async def test_an_answer_that_comes_before_the_body_was_read_is_that_submits_own() -> None:
    async with hosting() as (host, client):
        host.word = lambda number: answer({"taskId": f"cover-{number}"})
        host.is_hasty = True

        tasks = [await client.submit(f"song-{number}") for number in range(1, 5)]

        assert [task.cover_task_id for task in tasks] == [f"cover-{n}" for n in range(1, 5)]
        assert len(host.requests) == 4


@pytest.mark.parametrize(
    "wrong", [answer({"taskId": "another"}), http(b"no JSON")], ids=["about another", "no JSON"]
)
@in_memory
async def test_on_a_connection_out_of_step_nothing_more_is_asked(wrong: bytes) -> None:
    async with hosting() as (host, client):
        await client.credits()
        host.word = lambda number: wrong if number == "2" else answer({"taskId": "task"})

        details = await client.details("task")

        assert details.cover_task_id == "task"
        assert len(host.requests) == 3
        assert len(host.connections) == 2


@in_memory
async def test_a_good_connection_is_used_again() -> None:
    async with hosting() as (host, client):
        for _ in range(10):
            await client.credits()

        assert len(host.connections) == 1


AIODNS = """
class DNSResolver:
    def getaddrinfo(self): ...
"""
NAMES = """
import asyncio, aiohttp
from suno_cover_async.network.connector import Connector
async def main():
    connector = Connector()
    print(aiohttp.DefaultResolver.__name__, type(connector._resolver).__name__)
    await connector.close()
asyncio.run(main())
"""


async def test_names_are_resolved_by_the_operating_system_though_aiodns_is_installed(
    tmp_path: Path,
) -> None:
    (tmp_path / "aiodns.py").write_text(AIODNS)  # what aiohttp reads of it
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", NAMES),
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await process.communicate()

    assert printed.split() == [b"AsyncResolver", b"ThreadedResolver"]
