"""Fixtures that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.cut_proxy import CutProxy, cut_proxy
from tests.support.postgres import Server
from tests.support.shared_ledgers import Session, made, session


@pytest.fixture
def url(database_url: str) -> DatabaseUrl:
    """The URL of a database with an empty ledger."""
    return made(database_url)


@pytest.fixture
def one(url: DatabaseUrl) -> Iterator[Session]:
    with session(url) as opened:
        yield opened


@pytest.fixture
def two(url: DatabaseUrl) -> Iterator[Session]:
    with session(url) as opened:
        yield opened


@pytest.fixture
def watcher(url: DatabaseUrl) -> Iterator[Session]:
    with session(url) as opened:
        yield opened


@pytest.fixture
def proxy(postgres_server: Server) -> Iterator[CutProxy]:
    with cut_proxy(postgres_server.port) as proxy:
        yield proxy
