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
    CertificateError,
    ClientBlockedError,
    DownloadError,
)
from suno_cover_async.images.downloader import ImageDownloader
from tests.support.image_hosts import PNG, names_in, refused
from tests.support.peers import Peer, answer, peer


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


@pytest.mark.parametrize("kind", ['"' * 8000, ";" * 8000, "(" * 8000, ";\tutf-8text*0*"])
async def test_no_content_type_takes_long_or_raises_a_foreign_error(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, kind: str
) -> None:
    host.answers["/a"] = answer(b"no image at all", f"Content-Type: {kind}")
    began = time.process_time()

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "not an image" in str(error)
    assert time.process_time() - began < 1.0


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

    assert isinstance(error, CertificateError)
    assert not error.retryable
    assert not any(host.received)


def headers(size: int, each: int) -> list[str]:
    """Header fields of `size` bytes together, of `each` bytes."""
    return [f"X-{number:04}: {'a' * (each - 10)}" for number in range(size // each)]


@pytest.mark.parametrize("each", [40, 200, 8_000, 60_000])
async def test_headers_of_60_kb_are_read_in_one_field_or_many(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, each: int
) -> None:
    host.answers["/a"] = answer(PNG, *headers(60_000, each))

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.read_bytes() == PNG


@pytest.mark.parametrize("each", [40, 8_000, 80_000])
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "302 Found"])
async def test_larger_headers_are_an_error_that_says_so(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, each: int, status: str
) -> None:
    host.answers["/a"] = answer(PNG, *headers(80_000, each), status=status)

    error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert type(error) is DownloadError
    assert error.retryable
    assert "headers over 64 KiB" in str(error)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found"])
async def test_a_missing_image_passes_and_a_challenge_in_its_place_is_a_block(
    host: Peer, downloader: ImageDownloader, tmp_path: Path, status: str
) -> None:
    host.answers["/missing"] = answer(b"<Code>NoSuchKey</Code>", status=status)
    host.answers["/challenge"] = answer(b"a page", "cf-mitigated: challenge", status=status)

    missing = await refused(downloader.fetch(f"{host.url}/missing", tmp_path / "a"))
    blocked = await refused(downloader.fetch(f"{host.url}/challenge", tmp_path / "a", gone=True))

    assert isinstance(missing, DownloadError)
    assert (missing.is_missing, missing.retryable) == (True, True)
    assert type(blocked) is ClientBlockedError


async def test_a_signed_url_and_a_redirect_to_one_are_requested_byte_for_byte(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    target = "/a%2Fb%7e//c/../d.png?X-Amz-Signature=a%2Bb%2f+c&x=%41&empty=&"
    host.answers[target] = answer(PNG)
    host.answers["/moved"] = answer(b"", f"Location: {target}", status="302 Found")

    for url in (f"{host.url}{target}", f"{host.url}/moved"):
        path = await downloader.fetch(url, tmp_path / "a")
        assert path.read_bytes() == PNG

    assert host.paths == [target, "/moved", target]


async def test_an_image_that_its_host_stored_with_gzip_is_saved_decoded(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    packed = gzip.compress(PNG)
    host.answers["/a"] = answer(packed, "Content-Encoding: gzip")
    host.answers["/cut"] = answer(packed[:-9], "Content-Encoding: gzip")

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")
    cut = await refused(downloader.fetch(f"{host.url}/cut", tmp_path / "b"))

    assert path.read_bytes() == PNG
    assert cut.retryable
    assert names_in(tmp_path) == ["a.png"]


async def test_avif_is_saved_as_such_by_a_compatible_brand(
    host: Peer, downloader: ImageDownloader, tmp_path: Path
) -> None:
    image = b"\0\0\0\x1cftypmif1\0\0\0\0mif1miafavif" + b"\0\0\0\x10meta" + bytes(8)
    host.answers["/a"] = answer(image)

    path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.name == "a.avif"
