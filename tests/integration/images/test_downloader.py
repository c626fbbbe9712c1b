import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async.errors import (
    DownloadError,
)
from suno_cover_async.images.downloader import ImageDownloader
from tests.support.image_hosts import IMAGES, PNG, downloading, names_in, refused
from tests.support.peers import Peer, answer


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
