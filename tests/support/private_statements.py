"""The statements on a ledger in memory, without a store."""

import contextlib
import sqlite3
from collections.abc import Generator

import pytest

from suno_cover_async.ledger.sqlite import statements, tables
from suno_cover_async.ledger.store import Transaction

ALONE = pytest.mark.parametrize("ledger", ["file", "private"], indirect=True)
"""For tests of a ledger of one process, which holds all tracks, and whose runs begin unasked."""

FILE = pytest.mark.parametrize("there", ["file"], indirect=True)
"""For tests of statements that do as they like with tracks that no run holds."""


@contextlib.contextmanager
def private_statements() -> Generator[Transaction, None, None]:
    """Return the statements on an empty ledger; each commits by itself."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        tables.make(database)
        statements.prepare_to_hold(database)
        yield statements.transaction(database)
