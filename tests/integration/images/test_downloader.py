import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme

from suno_cover_async.errors import (
    DownloadError,
)
from suno_cover_async.images.downloader import ImageDownloader
from tests.support.image_hosts import IMAGES, PNG, downloading, names_in, refused
from tests.support.peers import Peer, answer, peer


async def test_a_type_is_told_even_when_its_bytes_come_one_by_one(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in PNG[:40]:
            writer.write(bytes([byte]))
            await writer.drain()

    host.answers["/a"] = answer(b"", length=40)
    host.tail = trickle

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.name == "a.png"
    assert path.read_bytes() == PNG[:40]


async def test_a_chunked_image_is_saved_whole(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (PNG[:5], PNG[5:]))
    host.answers["/a"] = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks
    )

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.read_bytes() == PNG


class CountedThreads(ThreadPoolExecutor):
    """Threads that count how often they are given work."""

    hops = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.hops += 1
        return super().submit(fn, *args, **kwargs)


async def test_a_usual_image_takes_two_hops_into_a_thread(host: Peer, tmp_path: Path) -> None:
    body = PNG + bytes(2_000_000 - len(PNG))
    host.answers["/a"] = answer(body)
    threads = CountedThreads()
    asyncio.get_running_loop().set_default_executor(threads)

    async with downloading(max_bytes=len(body)) as downloader:
        path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.read_bytes() == body
    assert threads.hops == 2


async def test_an_image_of_many_megabytes_is_saved_whole(host: Peer, tmp_path: Path) -> None:
    body = PNG + b"".join(number.to_bytes(4, "big") for number in range(1_800_000))
    host.answers["/a"] = answer(body)

    async with downloading(max_bytes=len(body)) as downloader:
        path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.read_bytes() == body


async def test_bytes_that_come_one_by_one_do_not_pile_up_in_memory(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _byte in range(3000):
            writer.write(b"x")
            for _turn in range(5):  # the client reads meanwhile
                await asyncio.sleep(0)

    host.answers["/a"] = answer(PNG, length=len(PNG) + 3000)
    host.tail = trickle
    threads = CountedThreads()
    asyncio.get_running_loop().set_default_executor(threads)

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.read_bytes() == PNG + b"x" * 3000
    assert threads.hops > 2


@pytest.mark.parametrize(("suffix", "body"), IMAGES.items())
async def test_an_image_that_only_the_end_of_its_connection_ends_is_saved_when_it_is_whole(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, suffix: str, body: bytes
) -> None:
    host.answers["/a"] = b"HTTP/1.0 200 OK\r\n\r\n" + body

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path == tmp_path / f"a{suffix}"
    assert path.read_bytes() == body


@pytest.mark.parametrize("size", [100_000, 2 * 1024 * 1024, 2 * 1024 * 1024 + 5, 5_000_000])
async def test_a_large_one_too(host: Peer, tmp_path: Path, size: int) -> None:
    body = PNG[:8] + b"p" * (size - 16) + PNG[-8:]
    host.answers["/whole"] = b"HTTP/1.0 200 OK\r\n\r\n" + body
    host.answers["/torn"] = b"HTTP/1.0 200 OK\r\n\r\n" + body[:-3]

    async with downloading(max_bytes=size) as downloader:
        path = await downloader.fetch(f"{host.url}/whole", tmp_path / "a")
        error = await refused(downloader.fetch(f"{host.url}/torn", tmp_path / "b"))

    assert path.read_bytes() == body
    assert error.retryable
    assert names_in(tmp_path) == ["a.png"]


@pytest.mark.parametrize("kind", ['"' * 8000, ";" * 8000, "(" * 8000, ";\tutf-8text*0*"])
async def test_no_content_type_takes_long_or_raises_a_foreign_error(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, kind: str
) -> None:
    host.answers["/a"] = answer(b"no image at all", f"Content-Type: {kind}")
    began = time.process_time()

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "not an image" in str(error)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("most", [300_000, 5_000_000])
async def test_a_body_without_end_is_cut_at_the_limit(
    host: Peer, tmp_path: Path, most: int
) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"x" * 65536)
            await writer.drain()

    host.answers["/a"] = b"HTTP/1.1 200 OK\r\n\r\n" + PNG
    host.tail = endless

    async with downloading(max_bytes=most) as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert f"{most} bytes" in str(error)
    assert names_in(tmp_path) == []


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


@pytest.mark.parametrize(
    "raw",
    [
        answer(PNG, length=len(PNG) + 1),
        answer(PNG[:6], length=len(PNG)),
        answer(b"\0" * 20, length=len(PNG)),
        b"HTTP/1.0 200 OK\r\n\r\n" + PNG[:-1],
        b"HTTP/1.1 200 OK\r\n\r\n" + PNG[:40],
        b"HTTP/1.1 200 OK\r\n\r\n" + b"\0" * 40,
        answer(b"", length=len(PNG)),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + PNG[:500],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n" + PNG,
        b"HTTP/1.1 200 OK\r\nContent-Length: nonsense\r\n\r\n" + PNG,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 1000\r\n\r\nerror",
        b"\x00\x01\x02 no HTTP at all\r\n\r\n",
        b"",
    ],
)
@pytest.mark.parametrize("abruptly", [False, True])
async def test_an_answer_cut_off_or_garbled_is_worth_another_try(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, raw: bytes, abruptly: bool
) -> None:
    host.answers["/a"] = raw
    if abruptly:
        host.tail = resets

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert names_in(tmp_path) == []


async def test_a_host_that_is_down_is_worth_another_try(
    downloader: ImageDownloader, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    error = await refused(downloader.fetch(f"http://127.0.0.1:{port}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert "cannot be reached" in str(error)


async def test_a_certificate_that_nobody_vouches_for_is_not_tried_again(
    downloader: ImageDownloader, tmp_path: Path
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with peer(answer(PNG), tls=tls) as host:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert "certificate" in str(error)
    assert not host.received
