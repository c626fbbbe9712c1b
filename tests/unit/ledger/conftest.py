"""Fixtures that the tests of this folder share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suno_cover_async.ledger.ledger import Ledger


@pytest.fixture(params=["file", "private"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger(tmp_path / "covers.db" if request.param == "file" else None) as ledger:
        yield ledger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covers.db"
