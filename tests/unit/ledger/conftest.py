"""Fixtures that the tests of this folder share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.store import Transaction
from tests.support.private_statements import private_statements
from tests.support.word_books import Book


@pytest.fixture(params=["file", "private"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger(tmp_path / "covers.db" if request.param == "file" else None) as ledger:
        yield ledger


@pytest.fixture
def there() -> Iterator[Transaction]:
    """The statements on an empty ledger, each of which commits by itself."""
    with private_statements() as there:
        yield there


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covers.db"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "words.db")
    yield book
    book.shut()
