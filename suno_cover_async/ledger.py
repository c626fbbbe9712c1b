"""What a catalog's run remembers: how far each track is, in a file that survives everything.

It owns how an entry goes from state to state, also after a crash. What an entry says is
`entry.py`'s, how the file is opened `sqlite_file.py`'s, in which thread it is written
`sqlite_store.py`'s; who does what next is `batch.py`'s.
"""

import asyncio
import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import AsyncGenerator, Generator, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import attrs

from suno_cover_async.entry import (
    CODES,
    COLUMNS,
    LedgerEntry,
    TrackState,
    read_entry,
    read_names,
    read_state,
    write_moment,
    write_names,
)
from suno_cover_async.errors import ClientUsageError, LedgerError
from suno_cover_async.models import CoverDetails, CoverTask, Track
from suno_cover_async.sharing import is_part_of
from suno_cover_async.sqlite_file import (
    Hold,
    commit_failed,
    open_privately,
    open_to_write,
    opened_to_read,
    shown,
)
from suno_cover_async.sqlite_store import Commits, Work

T = TypeVar("T")
Totals = dict[TrackState, int]

_log = logging.getLogger("suno_cover_async")


class Ledger:
    """Remembers how far each track of a catalog is, so that a run goes on where one ended.

    ::

        async with Ledger("covers.db") as ledger:
            async with cover_catalog(client, tracks, ledger=ledger) as outcomes: ...

    `with` does as well. A catalog whose block was left by a cancellation may still wait for the
    answer of a submit: the ledger is closed once that is recorded. `async with` waits for it,
    unless it is cancelled too; `with` cannot wait, and leaves that to the event loop.

    It is a SQLite file, in which every step is on the disk before the next one is taken: that a
    submit may go out before it goes out, the cover task id before anything else. One process holds
    it at a time (`covers.db.lock` names it); anybody may read it meanwhile, by `entries` and
    `totals`. One ledger may serve several catalogs, one after the other: what was not submitted of
    one gives way to the next, what was paid for stays.

    The methods that return futures are what `cover_catalog` needs. Each does its work whether or
    not its future is awaited, in the order of calls; the future is done once it is on the disk.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """Name the file; nothing is opened before `with`.

        Args:
            path: The file, made if there is none; None keeps a ledger for as long as it is open.
        """
        self._path = None if path is None else Path(path)
        self._hold: Hold | None = None
        self._commits: Commits | None = None
        self._run = 0
        self._unwritten: tuple[Work[Any], ...] = ()
        self._leased = False
        self._writer: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        """Open it.

        Raises:
            LedgerError: Somebody else has it (the message says who), it is no ledger, of a newer
                version, damaged, or cannot be written. It is never replaced by a new one.
        """
        if self._commits is not None:
            raise LedgerError(f"the ledger {self.name} is open already")
        if self._path is None:
            database = open_privately()
        else:
            database, self._hold = open_to_write(self._path)
        (self._run,) = database.execute("SELECT number FROM runs").fetchone()
        self._commits = Commits(database, partial(commit_failed, self.name))
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close it by `close`; what ends the block is not replaced by an error of that."""
        with _failure_of_closing(logged=error is not None):
            self.close()

    async def __aenter__(self) -> Self:
        """Open it; raises as `with` does."""
        return self.__enter__()

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Close it by `aclose`; what ends the block is not replaced by an error of that."""
        with _failure_of_closing(logged=error is not None):
            await self.aclose()

    async def aclose(self) -> None:
        """Close the file once its last writer has ended; closing twice is fine.

        Whoever is cancelled while it waits here leaves, and the file is closed when the writer has
        ended.

        Raises:
            ClientUsageError: A catalog is at work with it, whose block was not left.
            LedgerError: Something could not be written; `unwritten` says which cover tasks.
        """
        self._refuse_a_lease()
        writer = self._last_writer
        if writer is not None and not is_part_of(writer):
            try:
                await asyncio.wait([writer])
            except asyncio.CancelledError:
                self._close_quietly(writer)  # when the writer has ended, or at once if it has
                raise
        self.close()

    def close(self) -> None:
        """Finish what is being written and close the file; closing twice is fine.

        Where a catalog whose block was left still waits for an answer, the file is closed after it.

        Raises:
            ClientUsageError: A catalog is at work with it, whose block was not left.
            LedgerError: Something could not be written; `unwritten` says which cover tasks.
        """
        self._refuse_a_lease()
        if self._last_writer is not None:
            self._last_writer.add_done_callback(self._close_quietly)
            return
        commits, self._commits = self._commits, None
        try:
            if commits is not None:
                commits.close()
        finally:
            if commits is not None:
                self._unwritten = commits.unwritten
            if self._hold is not None:
                self._hold.release()
                self._hold = None

    def _close_quietly(self, _: object) -> None:
        with _failure_of_closing(logged=True):
            self.close()

    def _forget_writer(self, work: asyncio.Task[None]) -> None:
        if self._writer is work:
            self._writer = None

    def _refuse_a_lease(self) -> None:
        """Refuse to close while a catalog is at work whose block was not left."""
        if self._leased and not (self._writer and self._writer.cancelling()):
            raise ClientUsageError("a catalog is at work with this ledger: leave its block first")

    @property
    def _last_writer(self) -> asyncio.Task[None] | None:
        """A catalog's work that was told to end and goes on, in an event loop that runs."""
        writer = self._writer
        if writer is None or not (writer.cancelling() and writer.get_loop().is_running()):
            return None
        return writer

    @property
    def name(self) -> str:
        """What people know it by: its path."""
        return "of this run" if self._path is None else shown(self._path)

    @property
    def unwritten(self) -> tuple[CoverTask, ...]:
        """Cover tasks that were accepted and are not on the disk, because a commit failed."""
        works = self._unwritten if self._commits is None else self._commits.unwritten
        return tuple(work.task for work in works if isinstance(work, _Submitted))

    def entries(self, *states: TrackState) -> Iterator[LedgerEntry]:
        """Read the file, in the catalog's order; it need not be open, and may be in use.

        Args:
            states: Which entries; none stands for all.

        Raises:
            LedgerError: There is no such file, or it is no ledger, of a newer version, or damaged.
        """
        codes = ", ".join(str(CODES[state]) for state in states)
        wanted = f"WHERE state IN ({codes})" if states else ""
        with opened_to_read(self._file()) as database:
            query = f"SELECT {COLUMNS} FROM tracks {wanted} ORDER BY number"  # noqa: S608 - numbers of ours
            for row in database.execute(query):
                yield read_entry(row)

    def totals(self) -> Totals:
        """Count the file's music tasks by state, as `entries` reads them."""
        with opened_to_read(self._file()) as database:
            return _count(database)

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncGenerator[None, None]:
        """Use it for one catalog at a time; raises LedgerError while another one does.

        One whose block was left, and which still waits for an answer, is waited for.
        """
        if self._last_writer is not None:
            await asyncio.wait([self._last_writer])
        if self._leased:
            raise LedgerError(
                f"the ledger {self.name} is in use by another catalog of this program"
            )
        self._leased = True
        try:
            self._run += 1
            await self._do(_statement("UPDATE runs SET number = ?", self._run))
            yield
        finally:
            self._leased = False

    def used_by(self, work: asyncio.Task[None]) -> None:
        """Have closing wait for the task that holds the lease, for `cover_catalog`.

        Once it was cancelled, it may yet write.
        """
        self._writer = work
        work.add_done_callback(self._forget_writer)

    def count(self) -> "asyncio.Future[Totals]":
        """Count the music tasks by state."""
        return self._do(_count)

    def holds(self, fingerprint: str | None) -> "asyncio.Future[bool]":
        """Tell whether the catalog taken in last is whole, and the one of this fingerprint."""

        def work(database: sqlite3.Connection) -> bool:
            (known,) = database.execute("SELECT catalog FROM runs").fetchone()
            return known is not None and known == fingerprint

        return self._do(work)

    def forget_waiting(self) -> "asyncio.Future[int]":
        """Drop what nothing was sent for: another catalog says what is wanted now.

        Returns:
            How many music tasks were dropped.
        """

        def work(database: sqlite3.Connection) -> int:
            database.execute("UPDATE runs SET catalog = NULL")
            return database.execute("DELETE FROM tracks WHERE state = 0").rowcount

        return self._do(work)

    def take_in(self, tracks: Sequence[Track]) -> "asyncio.Future[int]":
        """Add tracks, in order; a music task that is there already gets one more name, if new.

        Returns:
            How many music tasks were added.

        Raises:
            TypeError: A column's value is none of JSON's.
            ValueError: Columns are nested too deeply.
        """
        try:
            rows = [
                (track.music_task_id, write_names({track.title: track.columns})) for track in tracks
            ]
        except RecursionError:
            raise ValueError("a track's columns are nested too deeply") from None

        def work(database: sqlite3.Connection) -> int:
            return sum(_take_in(database, *row) for row in rows)

        return self._do(work)

    def took_in(self, fingerprint: str | None) -> "asyncio.Future[None]":
        """Note that a catalog is whole."""
        return self._do(_statement("UPDATE runs SET catalog = ?", fingerprint))

    def retry_failed(self) -> "asyncio.Future[None]":
        """Begin anew with what failed or needs attention.

        What has a cover task that did not fail is looked at again. The others are submitted again,
        which may be billed anew; where there was a cover, that is in doubt until then.
        """
        return self._do(
            _statement(
                """
                UPDATE tracks SET
                    state = CASE
                        WHEN error = 'CoverFailedError' THEN 1
                        WHEN cover_task_id IS NOT NULL THEN 2
                        WHEN state = 6 THEN 1
                        ELSE 0
                    END,
                    error = NULL, reason = NULL
                WHERE state IN (5, 6)
                """
            )
        )

    def next_open(
        self, state: TrackState, after: int, limit: int
    ) -> "asyncio.Future[list[LedgerEntry]]":
        """Find entries in this state whose number is above `after`, in order."""
        query = (
            f"SELECT {COLUMNS} FROM tracks WHERE state = ? AND number > ? ORDER BY number LIMIT ?"  # noqa: S608 - columns of ours
        )
        return self._do(_select(query, CODES[state], after, limit))

    def next_unsaved(self, limit: int) -> "asyncio.Future[list[LedgerEntry]]":
        """Find covers whose images are not saved, the oldest first, less those put off."""
        query = (
            f"SELECT {COLUMNS} FROM tracks WHERE state = 3 AND put_off <> ? "  # noqa: S608 - columns of ours
            "ORDER BY completed_at LIMIT ?"
        )
        return self._do(_select(query, self._run, limit))

    def submitting(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Note that a submit may go out; it must not before this is done."""
        return self._change(entry, keep=False, state=TrackState.SUBMITTING)

    def unsent(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Note that no submit went out after all."""
        return self._change(entry, state=TrackState.WAITING)

    def submitted(
        self, entry: LedgerEntry, task: CoverTask, *, base_url: str | None = None
    ) -> "asyncio.Future[None]":
        """Note a cover task, which is paid for, and the base URL where the API accepted it."""
        work = _Submitted(number=entry.number, task=task, base_url=base_url)
        return self._do(work, keep=True)

    def has_answered(self, base_url: str) -> "asyncio.Future[bool]":
        """Tell whether the API ever accepted a submit at this base URL."""

        def work(database: sqlite3.Connection) -> bool:
            query = "SELECT count(*) FROM answered WHERE base_url = ?"
            (found,) = database.execute(query, (base_url,)).fetchone()
            return bool(found)

        return self._do(work)

    def covered(self, entry: LedgerEntry, details: CoverDetails) -> "asyncio.Future[None]":
        """Note a finished cover."""
        return self._change(
            entry,
            state=TrackState.COVERED,
            images=json.dumps(details.images),
            created_at=write_moment(details.created_at),
            completed_at=write_moment(details.completed_at or datetime.now(UTC)),
        )

    def saved(self, entry: LedgerEntry, files: Sequence[Path]) -> "asyncio.Future[None]":
        """Note the files of a cover; one that got a further name meanwhile is not saved yet."""
        titles = {track.title for track in entry.tracks}
        paths = json.dumps([str(file) for file in files])

        def work(database: sqlite3.Connection) -> None:
            query = "SELECT names FROM tracks WHERE number = ?"
            (written,) = database.execute(query, (entry.number,)).fetchone()
            is_whole = read_names(entry.number, written).keys() <= titles
            state = CODES[TrackState.SAVED if is_whole else TrackState.COVERED]
            change = "UPDATE tracks SET files = ?, state = ? WHERE number = ?"
            database.execute(change, (paths, state, entry.number))

        return self._do(work, keep=True)

    def put_off(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Leave a cover's images to the next run."""
        return self._change(entry, put_off=self._run)

    def ended(
        self, entry: LedgerEntry, state: TrackState, error: Exception, *, task_known: bool = True
    ) -> "asyncio.Future[None]":
        """Note that an entry failed or needs attention; perhaps its cover task is another's."""
        reason = str(error).encode(errors="replace").decode()  # halves of characters have no UTF-8
        facts: dict[str, Any] = {"error": type(error).__name__, "reason": reason}
        if not task_known:
            facts["cover_task_id"] = None
        return self._change(entry, state=state, **facts)

    def _change(
        self, entry: LedgerEntry, *, keep: bool = True, **columns: Any
    ) -> "asyncio.Future[None]":
        if "state" in columns:
            columns["state"] = CODES[columns["state"]]
        changes = ", ".join(f"{column} = ?" for column in columns)
        statement = f"UPDATE tracks SET {changes} WHERE number = ?"  # noqa: S608 - columns of ours
        return self._do(_statement(statement, *columns.values(), entry.number), keep=keep)

    def _do(self, work: Work[T], *, keep: bool = False) -> "asyncio.Future[T]":
        if self._commits is None:
            raise LedgerError(
                f"the ledger {self.name} is not open; use it as `async with Ledger(…)`"
            )
        return self._commits.do(work, keep=keep)

    def _file(self) -> Path:
        if self._path is None:
            raise LedgerError("this ledger has no file to read")
        return self._path


@contextlib.contextmanager
def _failure_of_closing(*, logged: bool) -> Generator[None, None, None]:
    """Log an error of ours in place of raising it, where it would replace another one."""
    try:
        yield
    except (LedgerError, ClientUsageError) as trouble:
        if not logged:
            raise
        _log.error("%s", trouble)


@attrs.frozen(kw_only=True)
class _Submitted:
    """The work of noting a cover task, which can say what it is about."""

    number: int
    task: CoverTask
    base_url: str | None

    def __call__(self, database: sqlite3.Connection) -> None:
        """Write it."""
        statement = "UPDATE tracks SET state = 2, cover_task_id = ?, adopted = ? WHERE number = ?"
        database.execute(statement, (self.task.cover_task_id, self.task.adopted, self.number))
        if self.base_url is not None:
            database.execute("INSERT OR IGNORE INTO answered VALUES (?)", (self.base_url,))


def _statement(statement: str, *values: object) -> Work[None]:
    def work(database: sqlite3.Connection) -> None:
        database.execute(statement, values)

    return work


def _select(query: str, *values: object) -> Work[list[LedgerEntry]]:
    def work(database: sqlite3.Connection) -> list[LedgerEntry]:
        return [read_entry(row) for row in database.execute(query, values)]

    return work


def _count(database: sqlite3.Connection) -> Totals:
    query = "SELECT state, count(*), min(number) FROM tracks GROUP BY state"
    counted = {read_state(first, code): many for code, many, first in database.execute(query)}
    return {state: counted.get(state, 0) for state in TrackState}


def _take_in(database: sqlite3.Connection, music_task_id: str, names: str) -> bool:
    added = database.execute(
        "INSERT INTO tracks (music_task_id, names) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (music_task_id, names),
    )
    if added.rowcount:
        return True
    query = "SELECT number, names FROM tracks WHERE music_task_id = ?"
    number, written = database.execute(query, (music_task_id,)).fetchone()
    known, new = read_names(number, written), json.loads(names)
    change = "UPDATE tracks SET names = ? WHERE music_task_id = ?"
    database.execute(change, (write_names(known | new), music_task_id))
    if not new.keys() <= known.keys():  # if the images are saved, this name wants them as well
        again = "UPDATE tracks SET state = 3 WHERE music_task_id = ? AND state = 4"
        database.execute(again, (music_task_id,))
    return False
