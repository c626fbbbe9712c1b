"""Bodies that a host stored with gzip: decoded as a stream, whole, and within the cap."""

import gzip
import random
import zlib
from pathlib import Path

import pytest

from suno_cover_async.errors import DownloadError
from tests.support.image_hosts import IMAGES, PNG, downloading, names_in, refused
from tests.support.memory_network import in_memory
from tests.support.peers import answer, peer

LARGE = PNG[:-8] + bytes(3_000_000) + PNG[-8:]
DENSE = PNG[:8] + random.Random(0).randbytes(5000) + PNG[-8:]  # gzip makes it longer
PACKED = gzip.compress(PNG, mtime=0)


@pytest.mark.parametrize("body", [*IMAGES.values(), LARGE, DENSE])
@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP", " identity, gzip"])
@in_memory
async def test_a_gzip_stored_object_is_decoded(tmp_path: Path, name: str, body: bytes) -> None:
    async with (
        peer(answer(gzip.compress(body, mtime=0), f"Content-Encoding: {name}")) as host,
        downloading(max_bytes=len(body)) as downloader,
    ):
        path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.read_bytes() == body
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("split", [1, 5, 10, 40])
@in_memory
async def test_members_in_a_row_and_zeros_at_the_end_are_read(tmp_path: Path, split: int) -> None:
    members = b"".join(map(gzip.compress, (PNG[:split], PNG[split:], b"")))
    raw = answer(members + bytes(600), "Content-Encoding: gzip")
    async with peer(raw) as host, downloading() as downloader:
        path = await downloader.fetch(f"{host.url}/a", tmp_path / "a")

    assert path.read_bytes() == PNG


@pytest.mark.parametrize("kept", [1, 12, len(PACKED) // 2, len(PACKED) - 1])
@in_memory
async def test_gzip_data_that_is_cut_off_is_worth_another_try(tmp_path: Path, kept: int) -> None:
    async with (
        peer(answer(PACKED[:kept], "Content-Encoding: gzip")) as host,
        downloading() as downloader,
    ):
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert error.retryable
    assert "was cut off" in str(error)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "packed",
    [
        PNG,
        zlib.compress(PNG),
        PACKED[:-8] + bytes(8),  # a wrong checksum
        PACKED + b"rest",
    ],
)
@in_memory
async def test_damaged_gzip_data_is_worth_another_try(tmp_path: Path, packed: bytes) -> None:
    async with (
        peer(answer(packed, "Content-Encoding: gzip")) as host,
        downloading() as downloader,
    ):
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert error.retryable
    assert "damaged gzip" in str(error)
    assert names_in(tmp_path) == []


@in_memory
async def test_the_cap_is_on_the_decoded_bytes(tmp_path: Path) -> None:
    bomb = gzip.compress(PNG + bytes(50_000_000))
    assert len(bomb) < 60_000
    async with (
        peer(answer(bomb, "Content-Encoding: gzip")) as host,
        downloading(max_bytes=60_000) as downloader,
    ):
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "more than 60000 bytes" in str(error)
    assert not error.retryable
    assert names_in(tmp_path) == []


@in_memory
async def test_gzip_data_of_empty_members_ends_early_and_for_good(tmp_path: Path) -> None:
    members = gzip.compress(b"") * 2000
    async with (
        peer(answer(members + PACKED, "Content-Encoding: gzip")) as host,
        downloading() as downloader,
    ):
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert "more than 1024 members" in str(error)
    assert not error.retryable
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("name", ["br", "deflate", "zstd", "gzip, br", "gzip, gzip", "aws-chunked"])
@in_memory
async def test_another_encoding_is_named(tmp_path: Path, name: str) -> None:
    async with (
        peer(answer(PNG, f"Content-Encoding: {name}")) as host,
        downloading() as downloader,
    ):
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert type(error) is DownloadError
    assert f"is encoded as {name}" in str(error)
    assert not error.retryable


@in_memory
async def test_a_page_in_another_encoding_is_judged_by_its_status(tmp_path: Path) -> None:
    raw = answer(b"\x0b\x02", "Content-Encoding: br", status="503 Unavailable")
    async with peer(raw) as host, downloading() as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a", tmp_path / "a"))

    assert error.http_status == 503
    assert error.retryable


@in_memory
async def test_gzip_bytes_that_no_header_announces_are_no_image(tmp_path: Path) -> None:
    async with peer(answer(PACKED)) as host, downloading() as downloader:
        error = await refused(downloader.fetch(f"{host.url}/a.gz", tmp_path / "a"))

    assert "not an image" in str(error)
