"""A database with the permits' tables."""

import pytest

from tests.support.permit_tables import make_tables


@pytest.fixture
def limit_url(database_url: str) -> str:
    """The URL of a new database on the run's server, with the tables of permits."""
    make_tables(database_url)
    return database_url
