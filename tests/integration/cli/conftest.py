"""Fixtures that the tests of this folder share."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest

from suno_cover_async.sandbox import Sandbox
from tests.support.batch_commands import QUICK
from tests.support.commands import HANG_UP, sandbox_with
from tests.support.database_commands import Database, make_ledger, without_password
from tests.support.postgres import PASSWORD, Server


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(QUICK) as sandbox:
        yield sandbox


@pytest.fixture
def hang_up_is_heard() -> Iterator[None]:
    """Have commands hear SIGHUP, although nohup may have begun the tests."""
    before = signal.signal(HANG_UP, signal.SIG_DFL)
    yield
    signal.signal(HANG_UP, before)


@pytest.fixture
def empty_database(
    postgres_server: Server, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Database:
    """A database without a ledger, whose password commands find in PGPASSWORD."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return Database(postgres_server, without_password(database_url))


@pytest.fixture
async def database(empty_database: Database, database_url: str) -> Database:
    """A database with a ledger that gives up runs after 2 s of silence."""
    await make_ledger(empty_database, database_url)
    return empty_database
