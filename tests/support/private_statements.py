"""The statements on a ledger in memory, without a store."""

import contextlib
import sqlite3
from collections.abc import Generator

from suno_cover_async.ledger.sqlite import statements, tables
from suno_cover_async.ledger.store import Transaction


@contextlib.contextmanager
def private_statements() -> Generator[Transaction, None, None]:
    """Return the statements on an empty ledger; each commits by itself."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        tables.make(database)
        statements.prepare_to_hold(database)
        yield statements.transaction(database)
