"""Copy a ledger from a database into a private one, to find out what a run would do.

It must not know what a row means.
"""

import contextlib
import sqlite3
from functools import partial

import psycopg

from suno_cover_async.ledger.entry import RUN_COLUMNS, TRACK_COLUMNS
from suno_cover_async.ledger.postgres.database import unreachable
from suno_cover_async.ledger.postgres.tables import check_version
from suno_cover_async.ledger.sqlite.private import open_privately
from suno_cover_async.ledger.sqlite.store import SqliteStore
from suno_cover_async.postgres.connection import Connection, connect
from suno_cover_async.postgres.url import DatabaseUrl

_ROWS = 10_000  # in memory at once
_COPIED = {
    "base_urls": ("base_url",),
    "runs": RUN_COLUMNS,
    "tracks": (*TRACK_COLUMNS, "put_off"),
}


def store_of_copy(url: str) -> SqliteStore:
    """Return a store that opens as a private copy of a ledger in a database.

    Raises:
        ValueError: It is no URL of a PostgreSQL database.
    """
    return SqliteStore(None, copy=partial(open_copy, DatabaseUrl.parse(url)))


def open_copy(url: DatabaseUrl) -> sqlite3.Connection:
    """Open a private copy of a ledger, as it is at this moment, without its choices and accounts.

    Raises:
        LedgerError: There is no ledger, it has another version, or it cannot be read.
    """
    copy = open_privately()
    try:
        with contextlib.closing(connect(url, "suno-cover dry run")) as connection:
            check_version(connection, url)
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                _fill(copy, connection)
    except BaseException as error:
        copy.close()
        if isinstance(error, psycopg.Error):
            raise unreachable(url, error) from None
        raise
    return copy


def _fill(copy: sqlite3.Connection, connection: Connection) -> None:
    copy.execute("BEGIN")
    found = connection.execute("SELECT catalog, submits FROM ledger").fetchone()
    copy.execute("UPDATE ledger SET catalog = ?, submits = ?", found or (None, 0))
    for table, columns in _COPIED.items():
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        with connection.cursor(name="copy") as rows:
            rows.itersize = _ROWS
            rows.execute(f"SELECT {names} FROM {table}".encode())  # noqa: S608 - names of ours
            copy.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608
    copy.execute("COMMIT")
