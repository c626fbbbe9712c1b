"""Answers of an image host that are no image, or none at all: which error, and try again or not."""

import asyncio
import gzip
import socket
import ssl
import time
from pathlib import Path

import pytest
import trustme

from suno_cover_async.errors import (
    ClientBlockedError,
    CoverExpiredError,
    DownloadError,
    SunoCoverError,
)
from suno_cover_async.images.downloader import ImageDownloader
from tests.support.image_hosts import PNG, downloading, names_in, refused
from tests.support.peers import Peer, Tail, answer, peer, waits_for_the_end


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


async def trickles(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for _step in range(2000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.002)


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


@pytest.mark.parametrize("kind", ['"' * 8000, ";" * 8000, "(" * 8000, ";\tutf-8text*0*"])
async def test_no_content_type_takes_long_or_raises_a_foreign_error(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, kind: str
) -> None:
    host.answers["/a"] = answer(b"no image at all", f"Content-Type: {kind}")
    began = time.process_time()

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "not an image" in str(error)
    assert time.process_time() - began < 1.0


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
