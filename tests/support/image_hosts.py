"""A downloader, and the image host that it asks."""

import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import aiohttp
import pytest

from suno_cover_async.errors import (
    SunoCoverError,
)
from suno_cover_async.images.downloader import ImageDownloader

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 1000 + b"IEND\xaeB`\x82"

AGENT = "suno_cover_async-tests"


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
