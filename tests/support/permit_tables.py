"""A database with the permits' tables, and a test's own way to read and change them."""

import contextlib
from collections.abc import Generator
from typing import Any

from suno_cover_async.fleet.permit_table import PermitTable
from suno_cover_async.policies import RateLimit
from suno_cover_async.postgres.connection import Connection, connect
from suno_cover_async.postgres.tables import PERMIT_TABLES
from suno_cover_async.postgres.url import DatabaseUrl

WINDOW, LEASE = 10.0, 25.0


def permit_table(url: str, calls: int = 2, seconds: float = WINDOW) -> PermitTable:
    """The permits at a URL, with leases of two and a half windows."""
    return PermitTable(url, RateLimit(calls=calls, seconds=seconds), 2.5 * seconds)


def make_tables(url: str) -> None:
    """Make the schema and the tables of permits, as the URL's user."""
    with contextlib.closing(connect(DatabaseUrl.parse(url), "test's tables")) as connection:
        connection.execute("CREATE SCHEMA suno_cover")
        connection.execute(PERMIT_TABLES)


@contextlib.contextmanager
def opened(url: str) -> Generator[Connection]:
    """A connection of the test's own."""
    with contextlib.closing(connect(DatabaseUrl.parse(url), "test")) as connection:
        yield connection


def rows(url: str, statement: str, *values: object) -> list[Any]:
    """Run a statement, committed at once, and return its rows."""
    with opened(url) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def let_pass(url: str, seconds: float) -> None:
    """Let time pass: every moment in the tables is so much earlier, as seen from now."""
    with opened(url) as connection:
        passed = {"passed": seconds}
        for statement in (
            "UPDATE permits SET free_at = free_at - make_interval(secs => %(passed)s)",
            "UPDATE pauses SET until = until - make_interval(secs => %(passed)s)",
        ):
            connection.execute(statement, passed)


def backends(url: str) -> list[int]:
    """The process ids of the server's sessions for shared limits in the URL's database."""
    with opened(url) as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'suno-cover shared rate limit' ORDER BY pid"
        )
        return [pid for (pid,) in found]
