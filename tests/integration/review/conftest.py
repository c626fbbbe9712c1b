"""Fixtures that the tests of this folder share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.review_pages import Page, a_ledger, entered


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """The page of three saved covers, with Ann in it."""
    async with entered(await a_ledger(tmp_path)) as page:
        yield page
