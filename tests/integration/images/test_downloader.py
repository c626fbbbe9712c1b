import asyncio
import contextlib
import gzip
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.batch.error_policy import Consequence, consequence_of
from suno_cover_async.batch.outcomes import Step
from suno_cover_async.common.addresses import is_public
from suno_cover_async.common.disk import in_thread
from suno_cover_async.errors import (
    ClientBlockedError,
    ClientUsageError,
    CoverExpiredError,
    DownloadError,
    SunoCoverError,
)
from suno_cover_async.images.downloader import ImageDownloader
from suno_cover_async.images.files import file_stem, sweep
from tests.support import bad_disk
from tests.support.peers import Peer, Tail, answer, peer, waits_for_the_end
from tests.support.waiting import until

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 1000 + b"IEND\xaeB`\x82"
IMAGES = {
    ".png": PNG,
    ".jpg": b"\xff\xd8\xff\xe0" + b"j" * 500,
    ".gif": b"GIF89a" + b"g" * 500,
    ".webp": b"RIFF\x10\x20\x0a\x00WEBPVP8 " + b"w" * 500,
    ".avif": b"\x00\x00\x00\x1cftypavif" + b"a" * 500,
}
AGENT = "suno_cover_async-tests"


def redirect(location: str, *headers: str, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {location}", *headers, status=status)


@contextlib.asynccontextmanager
async def downloading(
    *, loopback: bool = True, max_bytes: int = 1_000_000, within: float = 20
) -> AsyncIterator[ImageDownloader]:
    downloader = ImageDownloader(
        loopback=loopback, user_agent=AGENT, max_bytes=max_bytes, timeout=within
    )
    try:
        yield downloader
    finally:
        await downloader.close()


@pytest.fixture
async def host() -> AsyncIterator[Peer]:
    async with peer(b"") as image_host:
        yield image_host


@pytest.fixture
async def downloader() -> AsyncIterator[ImageDownloader]:
    async with downloading() as made:
        yield made


async def refused(fetching: Awaitable[Path]) -> SunoCoverError:
    """The error of a fetch, which must be one of ours and lead to none of aiohttp's."""
    with pytest.raises(SunoCoverError) as caught:
        await fetching
    link: BaseException | None = caught.value
    while link is not None:
        assert not isinstance(link, aiohttp.ClientError)
        link = link.__cause__ or link.__context__
    return caught.value


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


@pytest.mark.parametrize(("suffix", "body"), IMAGES.items())
async def test_an_image_is_saved_whole_under_the_suffix_of_its_bytes(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, suffix: str, body: bytes
) -> None:
    host.answers["/a.bin"] = answer(body, "Content-Type: application/octet-stream")

    path = await downloader.fetch(f"{host.url}/a.bin", tmp_path / "v1.0 cover")

    assert path == tmp_path / f"v1.0 cover{suffix}"
    assert path.read_bytes() == body
    assert names_in(tmp_path) == [path.name]


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


async def test_neither_key_nor_cookie_nor_environment_reaches_the_image_host(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    host.answers["/a"] = redirect("/b", "Set-Cookie: session=1; Path=/")
    host.answers["/b"] = answer(PNG, "Set-Cookie: session=2; Path=/")

    for name in ("one", "two"):
        await downloader.fetch(f"http://localhost:{host.port}/a", tmp_path / name)

    heads = [request.decode() for request in host.received]
    assert len(heads) == 4
    for head in heads:
        names = {line.partition(":")[0].lower() for line in head.split("\r\n")[1:] if line}
        assert names == {"host", "accept", "accept-encoding", "user-agent"}
        assert f"User-Agent: {AGENT}" in head
        assert "Accept-Encoding: identity" in head


@pytest.mark.parametrize("status", ["301 M", "302 F", "303 S", "307 T", "308 P"])
async def test_a_redirect_is_followed(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, status: str
) -> None:
    host.answers["/deep/a"] = redirect("../b?token=1", status=status)
    host.answers["/b?token=1"] = answer(PNG)

    path = await downloader.fetch(f"{host.url}/deep/a", tmp_path / "a")

    assert path.read_bytes() == PNG
    assert host.paths == ["/deep/a", "/b?token=1"]


async def test_five_redirects_are_followed_and_a_sixth_is_not(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers |= {f"/{n}": redirect(f"/{n + 1}") for n in range(6)}
    host.answers["/6"] = answer(PNG)

    await downloader.fetch(f"{host.url}/1", tmp_path / "a")
    host.received.clear()
    error = await refused(downloader.fetch(f"{host.url}/0", tmp_path / "b"))

    assert host.paths == ["/0", "/1", "/2", "/3", "/4", "/5"]
    assert isinstance(error, DownloadError)
    assert not error.retryable


async def test_a_loop_of_redirects_ends(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = redirect("/a")

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "5 redirects" in str(error)
    assert not error.retryable


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/a.png",
        "http://10.0.0.1/a.png",
        "https://10.0.0.1/a.png",
        "https://169.254.169.254/latest/meta-data",
        "https://[64:ff9b::7f00:1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://0.0.0.0/",
        "//10.0.0.1/",
        "ftp://127.0.0.1/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https://someone:secret@example.com/a.png",
        "http://127.0.0.1:999999/",
        "http://[::1/",
        "https://[]@",
        "",
    ],
)
async def test_a_redirect_to_where_none_may_go_is_refused(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, location: str
) -> None:
    host.answers["/a"] = redirect(location)

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert "secret" not in str(error)
    assert len(host.received) == 1
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("loopback", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.png",
        "//example.com/a.png",
        "http://example.com/a.png",
        "http://93.184.216.34/a.png",
        "ftp://example.com/a.png",
        "ws://localhost/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "https:///a.png",
        "https://",
        "https://someone:secret@example.com/a.png",
        "https://:secret@example.com/a.png",
        "https://example.com:99999/a.png",
        "https://[::1/a.png",
        "https://[]@",
        f"https://{'a' * 64}.example/a.png",
        "https://10.1.2.3/a.png",
        "https://[fe80::1]/a.png",
        "https://[fe80::1%25lo]/a.png",
    ],
)
async def test_only_https_to_public_addresses_is_asked(
    tmp_path: Path, url: str, loopback: bool
) -> None:
    async with downloading(loopback=loopback) as downloader:
        error = await refused(downloader.fetch(url, tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("part", "often"),
    [("\ufdfa" * 8000, 1), ("\u337f\u337f\u337f." * 2000, 1), ("\ufdfa" * 250, 16)],
)
async def test_no_names_of_hosts_take_long_to_refuse(tmp_path: Path, part: str, often: int) -> None:
    async with downloading() as downloader:
        began = time.process_time()
        fetches = (downloader.fetch(f"https://{n}{part}/", tmp_path / "a") for n in range(often))
        errors = [await refused(fetch) for fetch in fetches]
        took = time.process_time() - began

    assert {(type(error), error.retryable) for error in errors} == {(DownloadError, False)}
    assert took < (0.25 if sys.gettrace() else 0.05)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001"])
async def test_loopback_is_refused_at_connect_unless_the_api_is_there(
    host: Peer, tmp_path: Path, name: str
) -> None:
    url = f"https://{name}:{host.port}/a.png?token=secret"

    async with downloading(loopback=False) as downloader:
        error = await refused(downloader.fetch(url, tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert name in str(error)
    assert "secret" not in str(error)
    _, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.close()
    await until(lambda: host.received)
    assert len(host.received) == 1  # ours, just now: connections are accepted in their order


async def test_plain_http_is_refused_even_on_loopback_unless_the_api_is_there(
    host: Peer, tmp_path: Path
) -> None:
    async with downloading(loopback=False) as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "only https" in str(error)


async def test_a_refused_address_is_named(tmp_path: Path) -> None:
    async with downloading(loopback=False) as downloader:
        error = await refused(downloader.fetch("https://localhost/a.png", tmp_path / "a"))

    assert "which is no public address" in str(error)


async def test_loopback_is_connected_to_when_the_api_is_there(
    downloader: ImageDownloader, tmp_path: Path
) -> None:
    reached = asyncio.Event()

    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()
        writer.write(b"this is no TLS")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await refused(downloader.fetch(f"https://localhost:{port}/a", tmp_path / "a"))

    assert reached.is_set()
    assert error.retryable


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("93.184.216.34", True),
        ("172.32.0.1", True),
        ("100.128.0.1", True),
        ("2606:4700::1111", True),
        ("2a00:1450:4001::1", True),
        ("::ffff:8.8.8.8", True),
        ("0.0.0.0", False),  # noqa: S104
        ("0.1.2.3", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("100.127.255.255", False),
        ("127.0.0.1", False),
        ("127.255.255.254", False),
        ("169.254.169.254", False),
        ("172.16.0.1", False),
        ("192.0.0.8", False),
        ("192.0.0.9", False),
        ("192.0.0.170", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("192.168.1.1", False),
        ("198.18.0.1", False),
        ("198.51.100.1", False),
        ("203.0.113.1", False),
        ("224.0.0.1", False),
        ("233.252.0.1", False),
        ("239.255.255.250", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::808:808", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b:1::1", False),
        ("100::1", False),
        ("2001::1", False),
        ("2001:0:4136:e378::1", False),
        ("2001:20::1", False),
        ("2001:db8::1", False),
        ("2002:7f00:1::1", False),
        ("2002:808:808::1", False),
        ("3fff::1", False),
        ("5f00::1", False),
        ("fc00::1", False),
        ("fd12:3456::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
        ("", False),
        ("localhost", False),
        ("example.com", False),
        ("127.1", False),
        ("8.8.8.8/32", False),
        ("8.8.8.8 ", False),
    ],
)
def test_public_is_what_the_internet_at_large_reaches(address: str, public: bool) -> None:
    assert is_public(address) is public


@given(st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="127.0.0.0/8"))
def test_no_way_of_writing_a_private_address_makes_it_public(address: object) -> None:
    for prefix in ("", "::ffff:", "::", "64:ff9b::", "64:ff9b:1::", "2001::", "fe80::"):
        assert not is_public(f"{prefix}{address}")


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        ("404 Not Found", b"", CoverExpiredError, False),
        ("410 Gone", b"", CoverExpiredError, False),
        ("403 Forbidden", b"<Code>AccessDenied</Code>", CoverExpiredError, False),
        ("403 Forbidden", b"<RequestId>A10104F</RequestId>", CoverExpiredError, False),
        ("403 Forbidden", b"error code: 1010", ClientBlockedError, False),
        ("403 Forbidden", b" " * 2000 + b"<h1>Error 1010</h1>", ClientBlockedError, False),
        ("400 Bad Request", b"", DownloadError, False),
        ("401 Unauthorized", b"", DownloadError, False),
        ("304 Not Modified", b"", DownloadError, False),
        ("408 Request Timeout", b"", DownloadError, True),
        ("425 Too Early", b"", DownloadError, True),
        ("429 Too Many Requests", b"", DownloadError, True),
        ("500 Server Error", PNG, DownloadError, True),
        ("502 Bad Gateway", b"<html>", DownloadError, True),
        ("503 Unavailable", b"", DownloadError, True),
        ("202 Accepted", b"", DownloadError, True),
        ("204 No Content", b"", DownloadError, True),
        ("206 Partial Content", PNG, DownloadError, True),
        ("200 OK", b"", DownloadError, True),
        ("200 OK", b"\x89PNG", DownloadError, False),
        ("200 OK", b"%PDF-1.7 and so on and on", DownloadError, False),
        ("200 OK", b"RIFF\x10\x20\x0a\x00WAVEfmt ", DownloadError, False),
        ("200 OK", b"\x1f\x8b\x08 an image, but compressed", DownloadError, False),
        ("200 OK", b"<!DOCTYPE html><title>Hello</title>", DownloadError, False),
    ],
)
async def test_an_answer_without_an_image_is_named_and_leaves_no_file(
    host: Peer,
    downloader: ImageDownloader,
    tmp_path: Path,
    *,
    status: str,
    body: bytes,
    kind: type[SunoCoverError],
    retryable: bool,
) -> None:
    bodiless = status.startswith(("204", "304"))
    host.answers["/a.png?sig=secret"] = (
        f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode()
        if bodiless
        else answer(body, status=status)
    )

    error = await refused(downloader.fetch(f"{host.url}/a.png?sig=secret#x", tmp_path / "a"))

    assert type(error) is kind
    assert error.retryable is retryable
    assert error.http_status == int(status[:3])
    assert f"{host.url}/a.png" in str(error)
    assert "secret" not in str(error)
    assert names_in(tmp_path) == []


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
async def test_no_type_that_is_said_takes_long_or_raises_what_is_not_ours(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, kind: str
) -> None:
    host.answers["/a"] = answer(b"no image at all", f"Content-Type: {kind}")
    began = time.process_time()

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "not an image" in str(error)
    assert time.process_time() - began < (0.25 if sys.gettrace() else 0.05)


async def test_an_html_page_may_be_a_gateways_so_it_is_worth_another_try(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(b"<html>One moment, please</html>", "Content-Type: text/html")

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert error.http_status == 200


async def test_a_compressed_body_is_never_unpacked(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(gzip.compress(PNG), "Content-Encoding: gzip")

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "not an image" in str(error)


async def test_an_image_of_the_largest_size_is_accepted(host: Peer, tmp_path: Path) -> None:
    host.answers["/a"] = answer(PNG)

    async with downloading(max_bytes=len(PNG)) as downloader:
        path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.read_bytes() == PNG


async def test_a_body_that_announces_too_much_is_not_read(host: Peer, tmp_path: Path) -> None:
    host.answers["/a"] = answer(b"", length=10**15)
    host.tail = waits_for_the_end

    async with downloading(max_bytes=10**6) as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert "1000000 bytes" in str(error)
    assert names_in(tmp_path) == []


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


async def test_a_body_of_one_piece_is_cut_at_the_limit_too(host: Peer, tmp_path: Path) -> None:
    host.answers["/a"] = b"HTTP/1.1 200 OK\r\n\r\n" + PNG

    async with downloading(max_bytes=len(PNG) - 1) as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
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


async def trickles(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for _step in range(2000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.002)


@pytest.mark.parametrize("tail", [waits_for_the_end, trickles])
async def test_a_host_that_is_silent_or_trickles_is_left_in_time(
    host: Peer, tmp_path: Path, tail: Tail
) -> None:
    host.answers["/a"] = answer(PNG, length=1_000_000)
    host.tail = tail

    async with downloading(within=0.1) as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert "in time" in str(error)
    assert names_in(tmp_path) == []


async def test_a_cancelled_download_leaves_no_file_no_task_and_no_connection(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    left = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            await reader.read()
        finally:
            left.set()

    host.answers["/a"] = answer(PNG, length=10_000)
    host.tail = hold
    before = asyncio.all_tasks()
    fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    await until(lambda: list(tmp_path.glob("*.part")))

    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching

    assert names_in(tmp_path) == []
    await asyncio.wait_for(left.wait(), 10)
    await until(lambda: asyncio.all_tasks() <= before)


async def test_a_cancellation_takes_effect_when_the_thread_is_done() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def write() -> None:
        begun.set()
        go_on.wait(10)

    writing = asyncio.create_task(in_thread(write))
    await until(begun.is_set)

    for _ in range(3):
        writing.cancel()
        await asyncio.sleep(0)
        assert not writing.done()
    go_on.set()
    await asyncio.wait([writing])

    assert writing.cancelled()


async def test_cancelling_at_any_step_leaves_a_whole_file_or_none(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    body = PNG + b"x" * 200_000
    host.answers["/a"] = answer(body)
    outcomes = set[bool]()

    for steps in (*range(0, 60, 3), 10_000):
        directory = tmp_path / str(steps)
        fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", directory / "a"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                for _ in range(steps):
                    if fetching.done():
                        break
                    await asyncio.sleep(0)
        if steps == 10_000:
            await asyncio.wait({fetching})
        fetching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await fetching
        names = names_in(directory)
        assert names in ([], ["a.png"])
        assert all((directory / name).read_bytes() == body for name in names)
        outcomes.add(bool(names))

    assert outcomes == {False, True}


async def test_cancelling_twice_still_tidies_up(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG, length=10_000)
    host.tail = waits_for_the_end
    fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    await until(lambda: list(tmp_path.glob("*.part")))

    while not fetching.done():
        fetching.cancel()
        await asyncio.sleep(0)

    assert fetching.cancelled()
    assert names_in(tmp_path) == []


async def test_a_file_in_the_making_that_is_taken_for_dead_is_worth_another_fetch(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    swept = asyncio.Event()

    async def rest(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await swept.wait()
        writer.write(b"x" * 1000)

    host.answers["/a"] = answer(PNG, length=len(PNG) + 1000)
    host.tail = rest
    fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    await until(lambda: list(tmp_path.glob("*.part")))

    (part,) = tmp_path.glob("*.part")
    os.utime(part, (0, 0))  # as it looks to a process whose clock jumped, or after a sleep
    sweep(tmp_path)
    swept.set()
    error = await refused(fetching)

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert (
        consequence_of(error, Step.SAVE) is Consequence.LEFT
    )  # of this track alone: the disk is all right
    assert names_in(tmp_path) == []


async def test_the_directory_is_made(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "deep" / "er" / "a")

    assert path == tmp_path / "deep" / "er" / "a.png"
    assert path.read_bytes() == PNG


async def test_a_directory_that_cannot_be_made_is_named(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)
    (tmp_path / "taken").write_bytes(b"a file")

    for target in (tmp_path / "taken" / "a", tmp_path / "taken" / "deeper" / "a"):
        error = await refused(downloader.fetch(f"{host.url}/a", target))
        assert isinstance(error, DownloadError)
        assert not error.retryable
        assert str(tmp_path / "taken") in str(error)
        assert isinstance(error.__cause__, OSError)

    assert names_in(tmp_path) == ["taken"]


async def test_a_full_disk_is_named_and_leaves_no_file(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    resource = pytest.importorskip("resource")
    host.answers["/a"] = answer(PNG + b"x" * 500_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as a full disk: EFBIG
    try:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert "File too large" in str(error)
    assert str(tmp_path / "a.png") in str(error)
    assert names_in(tmp_path) == []


def test_an_image_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = """
    from suno_cover_async.images.files import PartFile
    part = PartFile(Path(sys.argv[1]))
    part.write(b"a" * 100_000)
    part.finish(Path(sys.argv[1]) / "a.png", b"b" * 100_000, b"c")
    """

    traced = bad_disk.strace("-e", "trace=write,fsync,rename", log=log)
    code, _ = bad_disk.run(script, tmp_path / "covers", prefix=traced)
    calls = [call for call in log.read_text().splitlines() if str(tmp_path / "covers") in call]
    acts = [call.split()[1].partition("(")[0] for call in calls]

    assert code == 0
    assert acts == ["write", "write", "write", "fsync", "rename", "fsync"]
    assert ".part>)" in calls[3]
    assert f"<{tmp_path / 'covers'}>)" in calls[5]


async def test_a_name_that_is_taken_by_a_directory_is_named(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)
    (tmp_path / "a.png").mkdir()

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert names_in(tmp_path) == ["a.png"]


async def test_a_file_of_that_name_is_replaced_only_by_a_whole_one(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/torn"] = answer(PNG, length=10_000)
    host.answers["/whole"] = answer(PNG)
    old = tmp_path / "a.png"
    old.write_bytes(b"old")

    await refused(downloader.fetch(f"{host.url}/torn", tmp_path / "a"))
    kept = old.read_bytes()
    await downloader.fetch(f"{host.url}/whole", tmp_path / "a")

    assert kept == b"old"
    assert old.read_bytes() == PNG


async def test_many_downloads_into_one_file_all_succeed(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)
    fetch = partial(downloader.fetch, f"{host.url}/a", tmp_path / "a")

    paths = await asyncio.gather(*(fetch() for _ in range(20)))

    assert set(paths) == {tmp_path / "a.png"}
    assert names_in(tmp_path) == ["a.png"]
    assert paths[0].read_bytes() == PNG


async def test_a_file_has_the_permissions_of_any_new_file(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG)
    ordinary = tmp_path / "ordinary"
    ordinary.touch()

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.stat().st_mode == ordinary.stat().st_mode


async def test_closing_twice_is_fine_and_use_after_it_is_a_clear_error(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    await downloader.close()
    await downloader.close()

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, ClientUsageError)
    assert not host.received


async def test_closing_ends_a_download_under_way(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    host.answers["/a"] = answer(PNG, length=10_000)
    host.tail = waits_for_the_end
    fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
    await until(lambda: list(tmp_path.glob("*.part")))

    await downloader.close()
    error = await refused(fetching)

    assert isinstance(error, DownloadError)
    assert names_in(tmp_path) == []


async def test_nonsense_limits_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        ImageDownloader(loopback=False, user_agent=AGENT, max_bytes=0)
    for timeout in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            ImageDownloader(loopback=False, user_agent=AGENT, timeout=timeout)


@pytest.mark.parametrize(
    "name",
    [
        "73d6128b3523a0079df10da9471017c8",
        "Blue Moon",
        "v1.0",
        "été",
        "夜に駆ける",
        "console",
        "-",
        "_",
    ],
)
def test_a_safe_name_stays_as_it_is(name: str) -> None:
    assert file_stem(name) == name


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("", "cover-"),
        ("...", "cover-"),
        ("  ", "cover-"),
        ("../../etc/passwd", "_.._etc_passwd-"),
        ("C:\\temp", "C__temp-"),
        (".hidden", "hidden-"),
        ("ends.", "ends-"),
        ("ends ", "ends-"),
        ("a\x00b\nc\x7f", "a_b_c_-"),
        ("a\u202egnp.exe", "a_gnp.exe-"),
        ("\ud800", "_-"),
        ("CON", "_CON-"),
        ("nul.tar.gz", "_nul.tar.gz-"),
        ("com1 .x", "_com1 .x-"),
        ("LPT¹", "_LPT¹-"),
        ("e\u0301te\u0301", "été-"),
        ("x" * 101, "x" * 89 + "-"),
        ("é" * 51, "é" * 44 + "-"),
        ("song-0123456789", "song-0123456789-"),
    ],
)
def test_an_unsafe_name_is_made_safe_and_told_apart_by_a_hash(name: str, beginning: str) -> None:
    stem = file_stem(name)

    assert stem.startswith(beginning)
    assert len(stem) == len(beginning) + 10
    assert_safe(stem)


def test_names_that_no_encoding_can_write_are_still_told_apart() -> None:
    assert file_stem("\ud800") != file_stem("\ud801")


def test_a_title_makes_a_file_where_the_system_can_write_no_accents_too(tmp_path: Path) -> None:
    script = f"""
from suno_cover_async.common.disk import in_thread
from suno_cover_async.images.files import file_stem
for title in ({"Größe 7f3a"!a}, {"Grüße 7f3a"!a}):
    open(file_stem(title), "x")
"""
    environment = {name: v for name, v in os.environ.items() if not name.startswith("COV")}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0"}

    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment)  # noqa: S603

    assert len(names_in(tmp_path)) == 2


any_text = st.text(st.characters(exclude_categories=()))
nasty_text = st.text("./\\ :aA\x00é\u0301\ud800c🎵", max_size=6) | st.text("é🎵 .", min_size=90)


@given(any_text | nasty_text)
def test_every_name_becomes_a_safe_one(name: str) -> None:
    assert_safe(file_stem(name))


@given(nasty_text, nasty_text)
def test_different_names_never_become_the_same(one: str, other: str) -> None:
    assert (one == other) == (file_stem(one) == file_stem(other))


@given(any_text | nasty_text)
def test_a_name_that_was_made_safe_is_never_taken_for_a_safe_one(name: str) -> None:
    stem = file_stem(name)

    assert stem == name or file_stem(stem) != stem


def assert_safe(stem: str) -> None:
    assert 1 <= len(stem.encode()) <= 100
    assert unicodedata.is_normalized("NFC", stem)
    assert stem.isprintable()
    assert not set(stem) & set('<>:"/\\|?*')
    assert stem == stem.strip(". ")
    assert stem.partition(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1"}
    assert Path("into", f"{stem}.png").parent == Path("into")
