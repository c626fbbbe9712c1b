"""Use a ledger beside the process that holds it: read it as it is now, write single statements.

This module owns the connection, its order of use and the sync after a commit. `database.py` opens
it, and says why its settings are as they are.
"""

import asyncio
import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import TypeVar

from suno_cover_async.common.disk import in_thread
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.sqlite.database import open_to_share, sync_log
from suno_cover_async.ledger.sqlite.failures import NO_USE, is_busy, shown, unusable
from suno_cover_async.ledger.sqlite.statements import transaction
from suno_cover_async.ledger.store import Transaction, Work

T = TypeVar("T")


class SharedConnection:
    """A connection for steps of other processes than the one that holds the ledger.

    The contract of its methods is documented in `store.SharedAccess`.
    """

    def __init__(self, path: Path) -> None:
        """Set the path; nothing is opened yet."""
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._transaction: Transaction | None = None
        self._file: os.stat_result | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Open the ledger."""
        await in_thread(self._open)

    def _open(self) -> None:
        self._database = open_to_share(self._path)
        self._transaction = transaction(self._database)
        self._file = self._path.stat()

    async def aclose(self) -> None:
        """Close the ledger, once the step that is under way has ended."""
        async with self._turn:
            await in_thread(self._close)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = self._transaction = None

    async def read(self, work: Work[T]) -> T:
        """Run a step that only reads, in a snapshot of now."""
        async with self._turn:
            return await in_thread(partial(self._read, work))

    async def write(self, work: Work[T]) -> T:
        """Run a step of one statement, which commits by itself."""
        async with self._turn:
            return await in_thread(partial(self._write, work))

    def _read(self, work: Work[T]) -> T:
        database, there = self._opened
        try:
            database.execute("BEGIN")
            try:
                return work(there)
            finally:
                database.execute("ROLLBACK")
        except NO_USE as error:
            problem = unusable(self._path, error)
        raise problem

    def _write(self, work: Work[T]) -> T:
        _, there = self._opened
        try:
            if self._file is None or not os.path.samestat(self._file, self._path.stat()):
                raise LedgerError(
                    f"the ledger {shown(self._path)} was replaced by another file; open it again"
                )
            done = work(there)
            sync_log(self._path)
        except sqlite3.OperationalError as error:
            problem = unusable(self._path, error)
            if is_busy(error):
                problem = LedgerError(
                    f"the ledger {shown(self._path)} is busy: another process has been writing to "
                    "it for half a minute; try again"
                )
        except (*NO_USE, OSError) as error:
            problem = unusable(self._path, error)
        else:
            return done
        raise problem

    @property
    def _opened(self) -> tuple[sqlite3.Connection, Transaction]:
        if self._database is None or self._transaction is None:
            raise LedgerError(f"the ledger {shown(self._path)} was closed")
        return self._database, self._transaction
