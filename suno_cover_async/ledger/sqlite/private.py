"""Open ledgers that have no file of their own: new ones, and copies of a ledger's file.

This module must not know what a row means. `database.py` opens files.
"""

import contextlib
import sqlite3
from pathlib import Path

from suno_cover_async.ledger.sqlite import tables
from suno_cover_async.ledger.sqlite.database import nameless, open_to_read, real_path
from suno_cover_async.ledger.sqlite.failures import NO_USE, missing_folder, unusable


def open_privately() -> sqlite3.Connection:
    """Open a new ledger without a file; it is deleted when the connection closes.

    SQLite keeps it in memory while it is small, and in a temporary file after that.
    """
    database = nameless()
    database.execute("PRAGMA synchronous = OFF")
    tables.make(database)
    return database


def open_copy(ledger: Path) -> sqlite3.Connection:
    """Open a private copy of a ledger; it is empty if there is no ledger, which is not made then.

    Raises:
        LedgerError: There is no such folder; or as `open_to_read` raises.
    """
    ledger = real_path(ledger)
    if not ledger.exists():
        if missing := missing_folder(ledger):
            raise missing
        return open_privately()
    copy = nameless()
    try:
        with contextlib.closing(open_to_read(ledger)) as database:
            database.backup(copy)
        copy.execute("PRAGMA synchronous = OFF")
    except BaseException as error:
        copy.close()
        if isinstance(error, NO_USE):
            raise unusable(ledger, error) from None
        raise
    return copy
