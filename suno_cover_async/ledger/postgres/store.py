"""Keep a ledger in a PostgreSQL database, which many processes use at once.

This module owns the connections: one that writes, in a thread, and others that read or share. It
must not know any statement, nor what a step means.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import TypeVar

import psycopg

from suno_cover_async.common.disk import in_thread
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.condition import LedgerCondition
from suno_cover_async.ledger.postgres.database import PostgresDatabase, unreachable
from suno_cover_async.ledger.postgres.statements import transaction
from suno_cover_async.ledger.postgres.tables import (
    VERSION,
    check_version,
    make_or_migrate,
    missing_rights,
)
from suno_cover_async.ledger.store import SharedAccess, Snapshot, Transaction, Work
from suno_cover_async.ledger.writer import CommitFailedError, WrittenStore
from suno_cover_async.postgres.connection import Connection, connect
from suno_cover_async.postgres.url import DatabaseUrl

T = TypeVar("T")

_READ_ONLY = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresStore(WrittenStore):
    """A ledger in a database; the contract of its methods is documented in `store.Store`."""

    def __init__(self, url: str) -> None:
        """Set the URL; nothing is opened yet.

        Raises:
            ValueError: It is no URL of a PostgreSQL database.
        """
        super().__init__()
        self._url = DatabaseUrl.parse(url)
        self._newest = self._new_database()

    @property
    def name(self) -> str:
        """Return the name for messages: the URL without its password."""
        return self._url.shown

    async def make(self) -> int:
        """Make the tables, or move them to this version.

        Returns:
            The version that was there; 0 if there were no tables.

        Raises:
            LedgerError: They have a newer version, or cannot be made.
        """
        return await in_thread(self._make)

    def _make(self) -> int:
        try:
            with contextlib.closing(connect(self._url, "suno-cover ledger init")) as connection:
                return make_or_migrate(connection, self._url)
        except psycopg.Error as error:
            problem = unreachable(self._url, error)
        raise problem

    async def open(self) -> None:
        """Open the ledger for writing; a cancellation ends that with the attempt under way."""
        self._newest = self._new_database()
        await super().open()

    def _new_database(self, *, of_a_run: bool = True) -> PostgresDatabase:
        application = f"suno-cover {'run' if of_a_run else 'review'} {os.getpid()}"
        return PostgresDatabase(self._url, application, builds_on_earlier=of_a_run)

    def _database(self) -> PostgresDatabase:
        self._newest.open()
        return self._newest

    async def _off_the_loop(self, act: Callable[[], None]) -> None:
        await in_thread(act, on_cancel=self._newest.hurry)

    async def condition(self, account: str | None) -> LedgerCondition:
        """Find out what would hinder a run of an account now."""
        return await in_thread(partial(self._condition, account))

    def _condition(self, account: str | None) -> LedgerCondition:
        try:
            application = f"suno-cover reader {os.getpid()}"
            with contextlib.closing(connect(self._url, application)) as connection:
                check_version(connection, self._url)
                connection.execute(_READ_ONLY)
                there = transaction(connection, writes=False)
                return LedgerCondition(
                    version=VERSION,
                    newest=VERSION,
                    foreign_tracks=0 if account is None else there.count_foreign(account),
                    missing_rights=missing_rights(connection),
                )
        except psycopg.Error as error:
            problem = unreachable(self._url, error)
        raise problem

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Snapshot, None]:
        """Return a snapshot of the ledger as it is now."""
        snapshot = _Snapshot(self._url)
        try:
            await in_thread(snapshot.open)
            yield snapshot
        finally:
            await in_thread(snapshot.close)

    @contextlib.asynccontextmanager
    async def share(self) -> AsyncGenerator[SharedAccess, None]:
        """Open the ledger for single steps, which are transactions of their own."""
        database = self._new_database(of_a_run=False)
        try:
            await in_thread(database.open, on_cancel=database.hurry)
            yield _Shared(database)
        finally:
            await in_thread(database.close)


class _Snapshot:
    """A connection for reading, used by one thread at a time."""

    def __init__(self, url: DatabaseUrl) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._transaction: Transaction | None = None

    def open(self) -> None:
        try:
            self._connection = connect(self._url, f"suno-cover reader {os.getpid()}")
            check_version(self._connection, self._url)
            # A reader may take its time between two pages.
            self._connection.execute("SET idle_in_transaction_session_timeout = 0")
            self._connection.execute(_READ_ONLY)
        except psycopg.Error as error:
            problem = unreachable(self._url, error)
        else:
            self._transaction = transaction(self._connection, writes=False)
            return
        raise problem

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._transaction = None

    async def read(self, work: Work[T]) -> T:
        return await in_thread(partial(self._read, work))

    def _read(self, work: Work[T]) -> T:
        if self._transaction is None:
            raise LedgerError("this ledger was closed")
        try:
            return work(self._transaction)
        except psycopg.Error as error:
            problem = unreachable(self._url, error)
        raise problem


class _Shared:
    """A connection for steps beside the runs, documented in `store.SharedAccess`."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._turn = asyncio.Lock()

    async def read(self, work: Work[T]) -> T:
        return await self.write(work)

    async def write(self, work: Work[T]) -> T:
        async with self._turn:
            return await in_thread(partial(self._commit, work))

    def _commit(self, work: Work[T]) -> T:
        answer: T | Exception
        try:
            (answer,) = self._database.commit([work])
        except CommitFailedError as failure:
            answer = self._database.failed(failure.reason)
        if isinstance(answer, Exception):
            raise answer
        return answer
