"""Store how far each track of a catalog is, so that a later run resumes where one ended.

This module owns the use of a ledger by one process, from opening to closing: one run at a time, of
one account and one catalog. `steps.py` defines what each step changes, `entry.py` the data of an
entry, and `store.py` the interface to the storage. `batch/` decides the order of the steps.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Generator
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from suno_cover_async.common.tasks import is_part_of
from suno_cover_async.errors import ClientUsageError, LedgerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.heartbeat import Heartbeat
from suno_cover_async.ledger.recorder import Recorder
from suno_cover_async.ledger.run_steps import work_of
from suno_cover_async.ledger.sqlite.private import open_copy
from suno_cover_async.ledger.sqlite.store import SqliteStore
from suno_cover_async.ledger.steps import Totals
from suno_cover_async.ledger.store import Store
from suno_cover_async.log_fields import fields
from suno_cover_async.models import CoverTask
from suno_cover_async.postgres.url import names_database

__all__ = ["Ledger", "Totals"]

T = TypeVar("T")

_log = logging.getLogger("suno_cover_async")


class Ledger(Recorder):
    """Store how far each track of a catalog is, so that a later run resumes where one ended.

    ::

        async with Ledger("covers.db") as ledger:
            async with cover_catalog(client, tracks, ledger=ledger) as outcomes: ...

    A ledger is a SQLite file, or tables in a PostgreSQL database. Each step is on the disk before
    the next one starts: a submit is recorded before it is sent, and the cover task id before
    anything else happens. Any process may read it meanwhile by `entries`, `totals` and `runs`,
    without opening it. It may serve several catalogs, one after the other: tracks of the earlier
    catalog that were not submitted are dropped, and those that are paid for stay.

    One process at a time holds a file for writing (`covers.db.lock` names it), and the ledger
    belongs to one account, the one of its first run.

    Any number of processes on any machines work with a database at once. The same catalog, given to
    all of them, is added by one, and each track is worked on by one. A run that is silent for 40 s,
    by the database's clock, or that `give_up` names, loses its tracks to the others; it changes
    nothing more, and stops with a LedgerError. A run that has just begun leaves silent ones half of
    that time to come back. A lost connection is made again for up to 60 s. Each
    track belongs to the account that submitted it.

    A catalog whose block was left by a cancellation may still wait for the answer to a submit. The
    ledger is closed once that answer is recorded; leaving the ledger's block waits for this, unless
    that wait is cancelled too.

    The methods that return futures are for `cover_catalog`. Each does its work in the order of
    calls, whether or not its future is awaited; the future is done once the step is on the disk.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """Set the path; nothing is opened before `async with`.

        Args:
            path: The file, created if it does not exist; or the URL of a PostgreSQL database where
                `suno-cover ledger init` made a ledger, `postgresql://user@host/database`. None
                keeps the ledger without a file, for as long as it is open.

        Raises:
            ValueError: It is text with `://`, and no URL of a PostgreSQL database.
            ModuleNotFoundError: A URL needs the extra `postgres`.
        """
        self._path: Path | None = None
        if names_database(path):
            super().__init__(_postgres_store(str(path)))
        else:
            self._path = None if path is None else Path(path)
            super().__init__(SqliteStore(self._path))
        self._shown = None if path is None else self.name
        self._is_open = False
        self._leased = False
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._heartbeat: Heartbeat | None = None

    def __repr__(self) -> str:
        """Show the path, or the URL without its password."""
        return f"Ledger({self._shown!r})"

    @classmethod
    def copy_of(cls, path: str | os.PathLike[str]) -> Self:
        """Return a ledger that opens as a private copy of another one, as it is at that moment.

        The copy begins empty if there is no file, and is gone once it is closed. The ledger is only
        read, also while others write to it, and the lock of a file is not taken. Opening raises as
        `entries` does, and if there is no such folder.
        """
        ledger = cls(path)
        if ledger._path is None:
            ledger._store = _copy_of_database(os.fspath(path))
        else:
            ledger._store = SqliteStore(ledger._path, copy=partial(open_copy, ledger._path))
        return ledger

    async def __aenter__(self) -> Self:
        """Open the ledger.

        A file of an older version is migrated to this version; older software then refuses it.

        Raises:
            LedgerError: Another process holds it (the message says which), or the file is no
                ledger, has a newer version, is damaged, or cannot be written. The file is never
                replaced by a new one. Or the database has no ledger, or one of another version, or
                cannot be reached, or gives the role no rights on it. A database that has let this
                process in once is tried again for up to 60 s, if the connection is lost.
        """
        if self._is_open:
            raise LedgerError(f"the ledger {self.name} is open already")
        self._is_open = True
        try:
            await self._store.open()
        except BaseException:
            self._is_open = False
            raise
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close the ledger by `aclose`; an error of the block is not replaced by one of closing."""
        with _failure_of_closing(logged=error is not None):
            await self.aclose()

    async def aclose(self) -> None:
        """Finish pending writes and close the file; closing twice is fine.

        This waits for a catalog whose block was left and which still waits for an answer. A
        separate task closes the file: a caller that is cancelled here stops waiting, and that task
        continues.

        Raises:
            ClientUsageError: A catalog whose block was not left uses the ledger.
            LedgerError: Something could not be written; `unwritten` lists the cover tasks.
        """
        self._refuse_while_leased()
        writer, loop = self._last_writer, asyncio.get_running_loop()
        if self._closing is None or self._closing.get_loop() is not loop:
            if not self._is_open:
                return
            self._closing = loop.create_task(self._close(writer))
        closing = self._closing
        # A catalog's track iterator may close the ledger. It runs inside the task that closing
        # waits for, so waiting for the closing here would be a deadlock.
        if writer is not None and is_part_of(writer):
            closing.add_done_callback(_log_failure)
            return
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            closing.add_done_callback(_log_failure)
            raise

    async def _close(self, writer: "asyncio.Task[None] | None") -> None:
        # Only an event loop that ends cancels this task, and it cancels the writer as well. So a
        # CancelledError here is suppressed until the writer has ended: its last step is the record
        # of a cover task that is paid for, which must be queued before the store closes.
        try:
            while writer is not None and not writer.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([writer])
            await self._store.aclose()
        finally:
            self._is_open, self._closing = False, None

    def _forget_writer(self, work: asyncio.Task[None]) -> None:
        if self._writer is work:
            self._writer = None

    def _refuse_while_leased(self) -> None:
        """Raise ClientUsageError while a catalog whose block was not left uses the ledger."""
        if self._leased and not (self._writer and self._writer.cancelling()):
            raise ClientUsageError("a catalog is at work with this ledger: leave its block first")

    @property
    def _last_writer(self) -> asyncio.Task[None] | None:
        """Return a catalog's task that was cancelled and still runs, in a running event loop."""
        writer = self._writer
        if writer is None or not (writer.cancelling() and writer.get_loop().is_running()):
            return None
        return writer

    @property
    def path(self) -> Path | None:
        """Return the path of the file; None if the ledger has none."""
        return self._path

    @property
    def trouble(self) -> str | None:
        """Return what hinders a database for the moment, while it is tried again; else None."""
        return self._store.trouble

    @property
    def unwritten(self) -> tuple[CoverTask, ...]:
        """Return cover tasks that the API accepted and that a failed commit did not write."""
        works = map(work_of, self._store.unwritten)
        return tuple(work.task for work in works if isinstance(work, steps.Submitted))

    async def init(self) -> int:
        """Make the tables of a ledger in a database, or move them on to this version.

        Nothing is opened. A role with fewer rights may use the ledger afterwards: it needs SELECT,
        INSERT, UPDATE and DELETE on the tables and USAGE on their schema.

        Returns:
            The version that was there; 0 if there was no ledger.

        Raises:
            LedgerError: It has a newer version, cannot be made, or is a file, which needs no such
                step.
        """
        return await self._store.make()

    async def forget_account(self) -> None:
        """Remove the ledger's account; the account of the next run becomes its owner.

        In a database, the accounts of all tracks are removed: any account may take each track.

        Use it for an account that got a new key, or that moved to another host with all its cover
        tasks. If the next run has in fact another account, that account is asked for covers of
        music it does not know, and the covers that are paid for are not found.

        Raises:
            LedgerError: The ledger is not open, is in use by a catalog, here or in another process,
                or cannot be written.
        """
        if self._leased:
            raise LedgerError(f"the ledger {self.name} is in use by a catalog: let that end first")
        await self._store.do(steps.forget_account)

    @contextlib.asynccontextmanager
    async def lease(self, account: str) -> AsyncGenerator[None, None]:
        """Hold the ledger for one catalog, as one run of this account.

        This waits for a catalog whose block was left and which still waits for an answer.

        Args:
            account: A fingerprint, such as `SunoCoverClient.account`. A file without an account
                belongs to this one from now on; in a database, each track has its own.

        Raises:
            LedgerError: The file belongs to another account; or the ledger is used by another
                catalog of this program, is not open, or cannot be written.
        """
        if self._last_writer is not None:
            await asyncio.wait([self._last_writer])
        if self._leased:
            raise LedgerError(
                f"the ledger {self.name} is in use by another catalog of this program"
            )
        self._leased = True
        try:
            begun = await self._store.do(run_steps.begin_run(account, self.name))
            self._run, self._has_worked = begun.number, False
            if begun.foreign:
                _log.warning(
                    "%d tracks of the ledger %s belong to other accounts and are left to their "
                    "runs; if an account only got a new key: suno-cover ledger forget-account",
                    *(begun.foreign, self.name),
                    extra=fields("foreign_tracks", ledger=self.name, tracks=begun.foreign),
                )
            async with contextlib.AsyncExitStack() as stack:
                if begun.beat_seconds is not None:
                    self._heartbeat = Heartbeat(self._beat, begun.beat_seconds)
                    await stack.enter_async_context(self._heartbeat.going())
                try:
                    yield
                finally:
                    with contextlib.suppress(LedgerError):  # no later step needs it
                        await self.end_run(keep=self.is_shared)  # but other runs wait for it
        finally:
            self._leased = False
            self._heartbeat = None

    async def _beat(self) -> None:
        await self._store.do(run_steps.beat(self._run))

    @property
    def is_shared(self) -> bool:
        """Whether other runs may work with the ledger beside the one that leases it now."""
        return self._heartbeat is not None

    def has_its_tracks(self) -> bool:
        """Return whether this run was heard of lately, so that no other run has its tracks."""
        return self._heartbeat is None or self._heartbeat.is_fresh

    async def lost(self) -> None:
        """Wait until this run cannot go on; return when it ends, or at once if it needs no beats.

        Raises:
            LedgerError: The run was given up for dead, or the ledger cannot be written.
        """
        if self._heartbeat is not None:
            await self._heartbeat.lost()

    def used_by(self, work: asyncio.Task[None]) -> None:
        """Set the task that closing waits for: the one of `cover_catalog` that holds the lease.

        After its cancellation it may still write.
        """
        self._writer = work
        work.add_done_callback(self._forget_writer)


def _postgres_store(url: str) -> Store:
    from suno_cover_async.ledger.postgres.store import PostgresStore  # noqa: PLC0415 - an extra

    return PostgresStore(url)


def _copy_of_database(url: str) -> Store:
    from suno_cover_async.ledger.postgres.copy import store_of_copy  # noqa: PLC0415 - an extra

    return store_of_copy(url)


@contextlib.contextmanager
def _failure_of_closing(*, logged: bool) -> Generator[None, None, None]:
    """Log an error of closing, instead of raising it, when it would replace another error."""
    try:
        yield
    except (LedgerError, ClientUsageError) as trouble:
        if not logged:
            raise
        _log.error("%s", trouble, extra=fields("ledger_closing_failed", trouble))


def _log_failure(closing: "asyncio.Task[None]") -> None:
    """Log the error of closing a ledger when no caller waited for it."""
    error = None if closing.cancelled() else closing.exception()
    if error is not None:
        _log.error("%s", error, extra=fields("ledger_closing_failed", error))
