"""One browser for all tests of the page, and a function that opens a ledger's page in it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest_asyncio

if TYPE_CHECKING:  # where playwright is missing, the modules of tests are skipped
    from playwright.async_api import Browser

    from tests.support.browsers import Review, Start


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> "AsyncIterator[Browser]":
    from tests.support.browsers import chromium  # noqa: PLC0415 - see above

    async with chromium() as launched:
        yield launched


@pytest_asyncio.fixture(loop_scope="session")
async def start(browser: "Browser", tmp_path: Path) -> "AsyncIterator[Start]":
    """Open the page of a new ledger with covers of these tracks, or of so many."""
    from tests.support.browsers import reviewing  # noqa: PLC0415 - see above

    async with contextlib.AsyncExitStack() as stack:

        async def started(tracks: Any = 4, **options: Any) -> "Review":
            return await stack.enter_async_context(reviewing(browser, tmp_path, tracks, **options))

        yield started
