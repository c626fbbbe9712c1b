"""One image: where it may come from, what counts as one; saved whole or not at all."""

import asyncio
import gzip
from pathlib import Path

import pytest

from suno_cover_async.errors import (
    ClientBlockedError,
    ClientUsageError,
    CoverExpiredError,
    DownloadError,
    SunoCoverError,
)
from suno_cover_async.images.downloader import ImageDownloader
from tests.support.breakers import now
from tests.support.image_hosts import AGENT, IMAGES, PNG, downloading, names_in, refused
from tests.support.memory_network import eventually, in_memory, network
from tests.support.peers import Tail, answer, peer, redirect, waits_for_the_end


@pytest.mark.parametrize(("suffix", "body"), IMAGES.items())
@in_memory
async def test_an_image_is_saved_whole_under_the_suffix_of_its_bytes(
    tmp_path: Path, suffix: str, body: bytes
) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a.bin"] = answer(body, "Content-Type: application/octet-stream")

        path = await downloader.fetch(f"{host.url}/a.bin", tmp_path / "v1.0 cover")

        assert path == tmp_path / f"v1.0 cover{suffix}"
        assert path.read_bytes() == body
        assert names_in(tmp_path) == [path.name]


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
@in_memory
async def test_an_answer_without_an_image_is_named_and_leaves_no_file(
    tmp_path: Path, status: str, body: bytes, kind: type[SunoCoverError], retryable: bool
) -> None:
    async with peer(b"") as host, downloading() as downloader:
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


@in_memory
async def test_an_html_page_may_be_a_gateways_so_it_is_worth_another_try(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = answer(b"<html>One moment, please</html>", "Content-Type: text/html")

        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert error.retryable
        assert error.http_status == 200


@in_memory
async def test_a_compressed_body_is_never_unpacked(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = answer(gzip.compress(PNG), "Content-Encoding: gzip")

        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert "not an image" in str(error)


@in_memory
async def test_an_image_of_the_largest_size_is_accepted(tmp_path: Path) -> None:
    async with peer(b"") as host:
        host.answers["/a"] = answer(PNG)

        async with downloading(max_bytes=len(PNG)) as downloader:
            path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

        assert path.read_bytes() == PNG


@in_memory
async def test_a_body_that_announces_too_much_is_not_read(tmp_path: Path) -> None:
    async with peer(b"") as host:
        host.answers["/a"] = answer(b"", length=10**15)
        host.tail = waits_for_the_end

        async with downloading(max_bytes=10**6) as downloader:
            error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert not error.retryable
        assert "1000000 bytes" in str(error)
        assert names_in(tmp_path) == []


@in_memory
async def test_a_body_of_one_piece_is_cut_at_the_limit_too(tmp_path: Path) -> None:
    async with peer(b"") as host:
        host.answers["/a"] = b"HTTP/1.1 200 OK\r\n\r\n" + PNG

        async with downloading(max_bytes=len(PNG) - 1) as downloader:
            error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert not error.retryable
        assert names_in(tmp_path) == []


async def trickles(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


@pytest.mark.parametrize(("tail", "left"), [(waits_for_the_end, 30), (trickles, 60)])
@in_memory
async def test_a_host_that_is_silent_or_trickles_is_left_in_time(
    tmp_path: Path, tail: Tail, left: int
) -> None:
    async with peer(b"") as host:
        host.answers["/a"] = answer(PNG, length=1_000_000)
        host.tail = tail

        async with downloading(within=60) as downloader:
            error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert error.retryable
        assert "in time" in str(error)
        assert now() == left
        assert names_in(tmp_path) == []
        await asyncio.sleep(5)  # until the host has noticed, too


@in_memory
async def test_closing_twice_is_fine_and_use_after_it_is_a_clear_error(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        await downloader.close()
        await downloader.close()

        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

        assert isinstance(error, ClientUsageError)
        assert not host.received


@in_memory
async def test_closing_ends_a_download_under_way(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = answer(PNG, length=10_000)
        host.tail = waits_for_the_end
        fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
        await eventually(lambda: names_in(tmp_path))

        await downloader.close()
        error = await refused(fetching)

        assert isinstance(error, DownloadError)
        assert names_in(tmp_path) == []


@in_memory
async def test_nonsense_limits_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        ImageDownloader(loopback=False, user_agent=AGENT, max_bytes=0)
    for timeout in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="timeout"):
            ImageDownloader(loopback=False, user_agent=AGENT, timeout=timeout)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@in_memory
async def test_a_redirect_is_followed(tmp_path: Path, status: int) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/deep/a"] = redirect(status, "../b?token=1")
        host.answers["/b?token=1"] = answer(PNG)

        path = await downloader.fetch(f"{host.url}/deep/a", tmp_path / "a")

        assert path.read_bytes() == PNG
        assert host.paths == ["/deep/a", "/b?token=1"]


@in_memory
async def test_five_redirects_are_followed_and_a_sixth_is_not(tmp_path: Path) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers |= {f"/{n}": redirect(302, f"/{n + 1}") for n in range(6)}
        host.answers["/6"] = answer(PNG)

        await downloader.fetch(f"{host.url}/1", tmp_path / "a")
        host.received.clear()
        error = await refused(downloader.fetch(f"{host.url}/0", tmp_path / "b"))

        assert host.paths == ["/0", "/1", "/2", "/3", "/4", "/5"]
        assert not error.retryable
        assert "5 redirects" in str(error)


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
@in_memory
async def test_a_redirect_to_where_none_may_go_is_refused(tmp_path: Path, location: str) -> None:
    async with peer(b"") as host, downloading() as downloader:
        host.answers["/a"] = redirect(302, location)

        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

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
@in_memory
async def test_only_https_urls_of_public_addresses_are_requested(
    tmp_path: Path, url: str, loopback: bool
) -> None:
    async with downloading(loopback=loopback) as downloader:
        error = await refused(downloader.fetch(url, tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert not error.retryable
    assert "secret" not in str(error)


PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.1"


@in_memory
async def test_no_name_leads_to_an_address_that_is_not_public(tmp_path: Path) -> None:
    network().names |= {"images.example": [PRIVATE], "both.example": [PRIVATE, PUBLIC]}
    async with downloading(loopback=False) as downloader:
        private = await refused(downloader.fetch("https://images.example/a", tmp_path / "a"))
        await refused(downloader.fetch("https://both.example/a", tmp_path / "a"))
        plain = await refused(downloader.fetch("http://127.0.0.1/a", tmp_path / "a"))

    assert "only https is fetched" in str(plain)
    assert {*network().connected} == {(PUBLIC, 443)}
    assert not private.retryable
    assert f"leads to {PRIVATE}, which is no public address" in str(private)


@in_memory
async def test_an_image_comes_from_the_public_address_of_its_host(tmp_path: Path) -> None:
    network().names["images.example"] = [PUBLIC]
    async with (
        peer(answer(PNG)) as host,
        downloading(loopback=False) as downloader,
        await asyncio.start_server(host.serve, PUBLIC, 443),
    ):
        path = await downloader.fetch("https://images.example/a?token=1#top", tmp_path / "a")

    assert path.read_bytes() == PNG
    assert host.paths == ["/a?token=1"]
    assert f"User-Agent: {AGENT}\r\n".encode() in host.received[0]


@in_memory
async def test_a_host_that_is_not_there_is_worth_another_try(tmp_path: Path) -> None:
    async with downloading() as downloader:
        error = await refused(downloader.fetch("http://127.0.0.1:9/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert "cannot be reached (Connection refused)" in str(error)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.0 200 OK\r\n\r\n" + PNG[:-1],
        answer(PNG[:6], length=len(PNG)),
        answer(PNG, length=len(PNG) + 1),
    ],
    ids=["nothing", "without a length", "few bytes", "all but one byte"],
)
@in_memory
async def test_an_image_that_is_cut_off_is_worth_another_try(tmp_path: Path, raw: bytes) -> None:
    async with peer(raw) as host, downloading() as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert isinstance(error, DownloadError)
    assert error.retryable
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("closing", [False, True])
@in_memory
async def test_a_cancelled_download_is_cancelled_and_leaves_no_file(
    tmp_path: Path, closing: bool
) -> None:
    async with peer(answer(PNG, length=10_000)) as host, downloading() as downloader:
        host.tail = waits_for_the_end
        fetching = asyncio.create_task(downloader.fetch(f"{host.url}/a", tmp_path / "a"))
        await eventually(lambda: names_in(tmp_path))
        fetching.cancel()
        if closing:
            await downloader.close()
        await asyncio.wait([fetching])

    assert fetching.cancelled()
    assert names_in(tmp_path) == []


@in_memory
async def test_closing_while_a_name_is_resolved_is_an_error_and_no_cancellation(
    tmp_path: Path,
) -> None:
    network().lookup_seconds = 10
    async with downloading() as downloader:
        fetching = asyncio.create_task(downloader.fetch("https://a.example/a", tmp_path / "a"))
        await asyncio.sleep(1)
        await downloader.close()

        assert isinstance(await refused(fetching), ClientUsageError)
