"""Keep a ledger in a SQLite file: one process writes it, any may read it.

This module owns the transactions of the process that writes. `../writer.py` has its thread. It must
not know any statement, nor what a step means.
"""

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from suno_cover_async.common.disk import in_thread
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.condition import LedgerCondition
from suno_cover_async.ledger.sqlite import tables
from suno_cover_async.ledger.sqlite.database import (
    open_to_read,
    open_to_write,
    real_path,
    version_at,
)
from suno_cover_async.ledger.sqlite.failures import (
    NO_USE,
    commit_failed,
    is_storage_failure,
    shown,
    unusable,
)
from suno_cover_async.ledger.sqlite.lock import FileLock, holder_of
from suno_cover_async.ledger.sqlite.private import open_privately
from suno_cover_async.ledger.sqlite.shared import SharedConnection
from suno_cover_async.ledger.sqlite.statements import prepare_to_hold, transaction
from suno_cover_async.ledger.store import SharedAccess, Snapshot, Transaction, Work
from suno_cover_async.ledger.writer import CommitFailedError, WrittenStore

T = TypeVar("T")


class SqliteStore(WrittenStore):
    """A ledger in a file, or, without a path or as a copy, one that lasts as long as it is open.

    The contract of its methods is documented in `store.Store`.
    """

    def __init__(
        self, path: Path | None, *, copy: Callable[[], sqlite3.Connection] | None = None
    ) -> None:
        """Set the path; nothing is opened yet. `copy` opens a private copy in place of the file."""
        super().__init__()
        self._path = path
        self._copy = copy

    @property
    def name(self) -> str:
        """Return the name for messages: its path."""
        return "of this run" if self._path is None else shown(self._path)

    async def make(self) -> int:
        """Refuse: opening the ledger makes it."""
        raise LedgerError(f"the ledger {self.name} is a file, which is made when a run opens it")

    def _database(self) -> "_Database":
        lock = None
        if self._copy is not None:
            database = self._copy()
        elif self._path is None:
            database = open_privately()
        else:
            database, lock = open_to_write(self._path)
        return _Database(database, lock, self.name)

    async def _off_the_loop(self, act: Callable[[], None]) -> None:
        """Call `act` in a thread if the ledger has a file, since a disk may be slow."""
        if self._path is None and self._copy is None:
            act()
        else:
            await in_thread(act)

    async def condition(self, account: str | None) -> LedgerCondition:
        """Find out what would hinder a run of an account now."""
        if self._path is None:
            return LedgerCondition(version=tables.VERSION, newest=tables.VERSION)
        return await in_thread(partial(_condition, self._path, account))

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        """Return a snapshot of the ledger as it is now."""
        if self._path is None:
            raise LedgerError("this ledger has no file to read")
        snapshot = _Snapshot(self._path)
        try:
            await in_thread(snapshot.open)
            yield snapshot
        finally:
            await in_thread(snapshot.close)

    @contextlib.asynccontextmanager
    async def share(self) -> AsyncGenerator[SharedAccess, None]:
        """Open the ledger beside a process that holds it."""
        if self._path is None:
            raise LedgerError("this ledger has no file to share")
        shared = SharedConnection(self._path)
        try:
            await shared.open()
            yield shared
        finally:
            await shared.aclose()


def _condition(path: Path, account: str | None) -> LedgerCondition:
    try:
        with contextlib.closing(open_to_read(path)) as database:
            owner = tables.owner_of(database)
        version = version_at(path)
    except NO_USE as error:
        problem = unusable(path, error)
    else:
        return LedgerCondition(
            version=version,
            newest=tables.VERSION,
            in_use_by=holder_of(real_path(path)),
            is_foreign=None not in (owner, account) and owner != account,
        )
    raise problem


class _Snapshot:
    """A connection for reading, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._transaction: Transaction | None = None

    def open(self) -> None:
        self._database = open_to_read(self._path)
        self._transaction = transaction(self._database)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    async def read(self, work: Work[T]) -> T:
        return await in_thread(partial(self._read, work))

    def _read(self, work: Work[T]) -> T:
        if self._transaction is None:
            raise LedgerError("this ledger was closed")
        try:
            return work(self._transaction)
        except NO_USE as error:
            problem = unusable(self._path, error)
        raise problem


class _Database:
    """The connection that writes, as `writer.Database` documents it."""

    trouble: str | None = None  # a step that fails is not repeated by itself

    def __init__(self, database: sqlite3.Connection, lock: FileLock | None, name: str) -> None:
        self._database = database
        self._lock = lock
        self._name = name
        self._transaction = transaction(database)
        prepare_to_hold(database)

    def commit(self, works: Sequence[Work[Any]]) -> list[Any]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            answers = [self._attempt(work) for work in works]
            self._database.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the writer's thread must survive any error
            with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back already
                self._database.execute("ROLLBACK")
            raise CommitFailedError(error) from None
        return answers

    def _attempt(self, work: Work[Any]) -> Any:
        """Run a step; if the step itself is at fault, undo only it and return its error."""
        self._database.execute("SAVEPOINT work")
        try:
            answer = work(self._transaction)
        except Exception as error:
            if is_storage_failure(error):
                raise
            self._database.execute("ROLLBACK TO work")
            answer = error
        self._database.execute("RELEASE work")
        return answer

    def failed(self, reason: Exception) -> LedgerError:
        return commit_failed(self._name, reason)

    def hurry(self) -> None:
        """Do nothing: a failed commit is not repeated by itself."""

    def close(self) -> None:
        self._database.close()
        if self._lock is not None:
            self._lock.release()
