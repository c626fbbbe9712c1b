"""Fixtures that the tests of this folder share."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.store import Transaction
from tests.support.private_statements import private_statements
from tests.support.shared_ledgers import made, session
from tests.support.word_books import Book


@pytest.fixture(params=["file", "private", "database"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    """A new ledger of each kind; one in a database is in a run, without which it does nothing."""
    if request.param == "database":
        url: str = request.getfixturevalue("database_url")
        await Ledger(url).init()
        async with Ledger(url) as ledger, ledger.lease("0123456789abcdef"):
            yield ledger
        return
    async with Ledger(tmp_path / "covers.db" if request.param == "file" else None) as ledger:
        yield ledger


@pytest.fixture(params=["file", "database"])
def there(request: pytest.FixtureRequest) -> Iterator[Transaction]:
    """The statements of each kind on an empty ledger, each of which commits by itself."""
    if request.param == "database":
        with session(made(request.getfixturevalue("database_url"))) as opened:
            yield opened.there
        return
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
