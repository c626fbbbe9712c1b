"""Answers over sockets: any status, length, compression and encoding."""

import asyncio
import contextlib
import gzip
import itertools
import socket
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from suno_cover_async import (
    ClientBlockedError,
    MaintenanceError,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
)
from suno_cover_async.sandbox import Fault, Reply, Sandbox
from tests.support.clients import FREE, connect

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(body=b""), UnexpectedResponseError),
        (Reply(body=b"\xff\xfe\x00garbage"), UnexpectedResponseError),
        (Reply(body=b"[" * 100_000), UnexpectedResponseError),
        (Reply(body=b'{"code":200,"data":"much"}'), UnexpectedResponseError),
        (Reply(body=b'{"code":200,"data":' + b"9" * 5000 + b"}"), UnexpectedResponseError),
        (Reply(body=b'{"code":200,"data":' + b" " * 3_000_000 + b"1}"), UnexpectedResponseError),
        (Reply(status=403, body=b"error code: 1010"), ClientBlockedError),
        (Reply(body=b'{"code":455,"msg":"closed"}'), MaintenanceError),
        (Reply(status=204, body=b""), UnexpectedResponseError),
        (Reply(status=599, body=b"?"), SunoCoverError),
        (
            Reply(body=b"\x1f\x8bnot gzip", headers={"Content-Encoding": "gzip"}),
            TransportError,
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_any_answer_is_a_result_or_an_error_of_our_tree(
    reply: Reply, error: type[Exception]
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        sandbox.script("credits", *[reply] * 5)

        with pytest.raises(error):
            await client.credits()


async def test_a_get_is_tried_again_and_every_try_is_counted_by_the_limiter() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        await client.credits()
        sandbox.script("credits", Fault.RESET, Fault.LOST_ANSWER, Fault.PAGE)

        await client.credits()

        assert len(sandbox.journal.arrivals) == 5


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Fault.LOST_ANSWER, "ServerDisconnectedError"), (Fault.RESET, "ClientOSError")],
)
async def test_a_hidden_repetition_by_aiohttp_never_slips_past_the_limiter(
    fault: Fault, reason: str
) -> None:
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, retry=RetryPolicy(max_attempts=1)) as client,
    ):
        await client.credits()  # so that the next request goes over a kept connection
        sandbox.script("credits", fault)

        with pytest.raises(TransportError, match=reason):
            await client.credits()

        assert len(sandbox.journal.arrivals) == 2


async def test_nobody_listening_is_a_transport_error_without_a_word_of_aiohttp() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with SunoCoverClient(
            "key-of-a-test", base_url=url, retry=RetryPolicy(max_attempts=1)
        ) as client:
            with pytest.raises(TransportError, match=r"127\.0\.0\.1"):
                await client.submit("a-song")


async def test_a_borrowed_sessions_middleware_may_read_the_answer() -> None:
    async def reads(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        await response.read()
        return response

    async with (
        Sandbox(FREE) as sandbox,
        aiohttp.ClientSession(middlewares=(reads,)) as borrowed,
        connect(sandbox, session=borrowed) as client,
    ):
        assert await client.credits() == 1_000_000.0


@asynccontextmanager
async def answering(*parts: bytes) -> AsyncGenerator[tuple[SunoCoverClient, list[int]]]:
    """Have a client, tried once, of a server that sends these parts one by one, the last for ever.

    Yields also how many bytes of that were sent, as a list to be summed.
    """
    sent: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        with contextlib.suppress(ConnectionError):
            for part in itertools.chain(parts, itertools.repeat(parts[-1])):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
                sent.append(len(part))
                if not part:
                    break
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with SunoCoverClient(
            "key-of-a-test", base_url=url, retry=RetryPolicy(max_attempts=1)
        ) as client:
            yield client, sent


def zeros() -> Iterator[bytes]:
    """Yield a gzip of zeros that has a beginning and no end."""
    packer = zlib.compressobj(wbits=31)
    while True:
        yield packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)


PACKED = tuple(itertools.islice(zeros(), 2))


@pytest.mark.parametrize(
    "parts",
    [
        (b"\r\n", b" " * 65_536),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65_536 + b"\r\n"),
        (b"Content-Length: 99999999999\r\n\r\n", b" " * 65_536),
        (b"Content-Encoding: gzip\r\n\r\n", *PACKED),
        (b"Content-Encoding: gzip\r\nContent-Length: 99999999999\r\n\r\n", *PACKED),
    ],
    ids=["until it closes", "chunked", "long", "compressed", "long and compressed"],
)
async def test_a_body_without_end_is_given_up(parts: tuple[bytes, ...]) -> None:
    tracemalloc.start()
    async with answering(*parts) as (client, sent):
        with pytest.raises(UnexpectedResponseError):
            await client.credits()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert sum(sent) < 32 << 20
    assert peak < 32 << 20


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end() -> None:
    head = b"Content-Length: 21\r\n\r\n"
    async with answering(head, b'{"code":200', b',"data":', b"7}", b"") as (client, _):
        assert await client.credits() == 7.0


async def test_what_comes_after_the_length_that_was_said_is_not_read() -> None:
    head = b"Content-Length: 21\r\n\r\n"
    async with answering(head, b'{"code":200,"data":7}', b"x" * 65_536) as (client, sent):
        assert await client.credits() == 7.0

    assert sum(sent) < 32 << 20


async def test_a_compressed_bomb_is_never_unpacked_whole() -> None:
    bomb = Reply(body=gzip.compress(bytes(256 << 20)), headers={"Content-Encoding": "gzip"})
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, retry=RetryPolicy(max_attempts=1)) as client,
    ):
        sandbox.script("credits", bomb)
        await client.music_details(sandbox.add_music(1)[0])
        tracemalloc.start()

        with pytest.raises(SunoCoverError):
            await client.credits()

        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 32 << 20


@pytest.mark.parametrize("each", [40, 60_000])
async def test_headers_of_60_kb_are_read_and_larger_ones_are_an_error_that_says_so(
    each: int,
) -> None:
    def fields(size: int) -> dict[str, str]:
        return {f"X-{number:04}": "a" * (each - 10) for number in range(size // each)}

    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        body = b'{"code":200,"data":7}'
        sandbox.script("credits", Reply(body=body, headers=fields(60_000)))
        assert await client.credits() == 7

        sandbox.script("credits", *[Reply(body=body, headers=fields(120_000))] * 5)
        with pytest.raises(TransportError, match="headers over 64 KiB"):
            await client.credits()
