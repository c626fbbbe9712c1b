"""A downloader, and the image host that it asks."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path

import aiohttp
import pytest

from suno_cover_async.common.addresses import Network
from suno_cover_async.errors import (
    SunoCoverError,
)
from suno_cover_async.images.downloader import ImageDownloader

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 1000 + b"IEND\xaeB`\x82"

IMAGES = {
    ".png": PNG,
    ".jpg": b"\xff\xd8\xff\xe0" + b"j" * 500,
    ".gif": b"GIF89a" + b"g" * 500,
    ".webp": b"RIFF\x10\x20\x0a\x00WEBPVP8 " + b"w" * 500,
    ".avif": b"\x00\x00\x00\x1cftypavif" + b"a" * 500,
}

AGENT = "suno_cover_async-tests"


@contextlib.asynccontextmanager
async def downloading(
    *,
    loopback: bool = True,
    max_bytes: int = 1_000_000,
    within: float = 20,
    fake_ip: Sequence[Network] = (),
) -> AsyncIterator[ImageDownloader]:
    downloader = ImageDownloader(
        loopback=loopback,
        user_agent=AGENT,
        max_bytes=max_bytes,
        timeout=within,
        fake_ip=fake_ip,
    )
    try:
        yield downloader
    finally:
        await downloader.close()


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
