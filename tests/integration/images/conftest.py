"""Fixtures that the tests of this folder share."""

from collections.abc import AsyncIterator

import pytest

from suno_cover_async.images.downloader import ImageDownloader
from tests.support.image_hosts import downloading
from tests.support.peers import Peer, peer


@pytest.fixture
async def host() -> AsyncIterator[Peer]:
    async with peer(b"") as image_host:
        yield image_host


@pytest.fixture
async def downloader() -> AsyncIterator[ImageDownloader]:
    async with downloading() as made:
        yield made
