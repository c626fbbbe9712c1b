"""What a catalog's run remembers: how far each track is, in a file that survives everything.

It owns who may use a ledger, from opening to closing. What each step means is `steps.py`'s,
what an entry says `entry.py`'s, where it is kept `store.py`'s; who does what next is `runner.py`'s.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from suno_cover_async.common.tasks import is_part_of
from suno_cover_async.errors import ClientUsageError, LedgerError
from suno_cover_async.ledger import steps
from suno_cover_async.ledger.entry import LedgerEntry, LedgerRun, TrackState, read_run
from suno_cover_async.ledger.sqlite.store import SqliteStore
from suno_cover_async.ledger.steps import Totals
from suno_cover_async.ledger.store import Store, Work
from suno_cover_async.models import CoverDetails, CoverTask, Track

__all__ = ["Ledger", "Totals"]

T = TypeVar("T")

_log = logging.getLogger("suno_cover_async")

_PAGE = 1_000


class Ledger:
    """Remembers how far each track of a catalog is, so that a run goes on where one ended.

    ::

        async with Ledger("covers.db") as ledger:
            async with cover_catalog(client, tracks, ledger=ledger) as outcomes: ...

    A catalog whose block was left by a cancellation may still wait for the answer of a submit: the
    ledger is closed once that is recorded, and leaving its block waits for it, unless that is
    cancelled too.

    It is a SQLite file, in which every step is on the disk before the next one is taken: that a
    submit may go out before it goes out, the cover task id before anything else. One process holds
    it at a time (`covers.db.lock` names it); anybody may read it meanwhile, by `entries`, `totals`
    and `runs`, which need not have it open. It belongs to one account, that of its first run. One
    ledger may serve several catalogs, one after the other: what was not submitted of one gives way
    to the next, what was paid for stays.

    The methods that return futures are what `cover_catalog` needs. Each does its work whether or
    not its future is awaited, in the order of calls; the future is done once it is on the disk.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        """Name the file; nothing is opened before `async with`.

        Args:
            path: The file, made if there is none; None keeps a ledger for as long as it is open.
        """
        self._store: Store = SqliteStore(None if path is None else Path(path))
        self._is_open = False
        self._run = 0
        self._leased = False
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Open it.

        One of an older version becomes one of this version, which older software refuses.

        Raises:
            LedgerError: Somebody else has it (the message says who), it is no ledger, of a newer
                version, damaged, or cannot be written. It is never replaced by a new one.
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
        """Close it by `aclose`; what ends the block is not replaced by an error of that."""
        with _failure_of_closing(logged=error is not None):
            await self.aclose()

    async def aclose(self) -> None:
        """Finish what is being written and close the file; closing twice is fine.

        A catalog whose block was left is waited for while it waits for an answer. The file is
        closed by a task of its own: whoever is cancelled while it waits here leaves, and that task
        goes on.

        Raises:
            ClientUsageError: A catalog is at work with it, whose block was not left.
            LedgerError: Something could not be written; `unwritten` says which cover tasks.
        """
        self._refuse_a_lease()
        writer, loop = self._last_writer, asyncio.get_running_loop()
        if self._closing is None or self._closing.get_loop() is not loop:
            if not self._is_open:
                return
            self._closing = loop.create_task(self._close(writer))
        closing = self._closing
        # What brings a catalog's tracks may close the ledger. It is part of the work that the
        # closing waits for, so it must not wait for the closing.
        if writer is not None and is_part_of(writer):
            closing.add_done_callback(_log_failure)
            return
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            closing.add_done_callback(_log_failure)
            raise

    async def _close(self, writer: "asyncio.Task[None] | None") -> None:
        # Nobody but a loop that ends cancels this task, and that cancels the writer too.
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
        return self._store.name

    @property
    def unwritten(self) -> tuple[CoverTask, ...]:
        """Cover tasks that were accepted and are not on the disk, because a commit failed."""
        works = self._store.unwritten
        return tuple(work.task for work in works if isinstance(work, steps.Submitted))

    async def entries(self, *states: TrackState) -> AsyncGenerator[LedgerEntry, None]:
        """Read the entries as they are now, in the catalog's order, a page at a time.

        Args:
            states: Which entries; none stands for all.

        Raises:
            LedgerError: There is no such file, or it is no ledger, of a newer version, or damaged.
        """
        after, wanted = 0, list(dict.fromkeys(states))
        async with self._store.snapshot() as snapshot:
            while page := await snapshot.read(steps.page(wanted, after, _PAGE)):
                for entry in page:
                    yield entry
                after = page[-1].number

    async def totals(self) -> Totals:
        """Count the music tasks by state, as `entries` reads them."""
        async with self._store.snapshot() as snapshot:
            return await snapshot.read(steps.count)

    async def runs(self, limit: int = 10) -> tuple[LedgerRun, ...]:
        """Read what the latest runs did, the latest one first, as `entries` reads."""
        async with self._store.snapshot() as snapshot:
            rows = await snapshot.read(lambda there: there.runs(limit))
        return tuple(map(read_run, rows))

    async def forget_account(self) -> None:
        """Let it belong to no account until the next run says whose it is.

        For an account that got a new key, or moved to another host with all its cover tasks. Where
        it is another account in truth, that is asked for covers of music it does not know, and what
        was paid for is not found.

        Raises:
            LedgerError: It is not open, in use by a catalog, or cannot be written.
        """
        if self._leased:
            raise LedgerError(f"the ledger {self.name} is in use by a catalog: let that end first")
        await self._store.do(steps.forget_account)

    @contextlib.asynccontextmanager
    async def lease(self, account: str) -> AsyncGenerator[None, None]:
        """Use it for one catalog at a time: that is a run, of this account.

        A catalog whose block was left, and which still waits for an answer, is waited for.

        Args:
            account: A fingerprint, such as `SunoCoverClient.account`. A ledger that belongs to none
                is this account's from now on.

        Raises:
            LedgerError: It belongs to another account, another catalog uses it, it is not open, or
                it cannot be written.
        """
        if self._last_writer is not None:
            await asyncio.wait([self._last_writer])
        if self._leased:
            raise LedgerError(
                f"the ledger {self.name} is in use by another catalog of this program"
            )
        self._leased = True
        try:
            self._run = await self._store.do(steps.begin_run(account, self.name))
            try:
                yield
            finally:
                with contextlib.suppress(LedgerError):  # nothing depends on it
                    ended_at = datetime.now(UTC)
                    await self._store.do(steps.change_run(self._run, ended_at=ended_at))
        finally:
            self._leased = False

    def used_by(self, work: asyncio.Task[None]) -> None:
        """Have closing wait for the task that holds the lease, for `cover_catalog`.

        Once it was cancelled, it may yet write.
        """
        self._writer = work
        work.add_done_callback(self._forget_writer)

    def note_balance(
        self, *, before: float | None = None, after: float | None = None
    ) -> "asyncio.Future[None]":
        """Note the account's credits as the latest run found them, or left them, where known."""
        columns = {"balance_before": before, "balance_after": after}
        known = {name: value for name, value in columns.items() if value is not None}
        return self._store.do(steps.change_run(self._run, **known))

    def count(self) -> "asyncio.Future[Totals]":
        """Count the music tasks by state."""
        return self._store.do(steps.count)

    def holds(self, fingerprint: str | None) -> "asyncio.Future[bool]":
        """Tell whether the catalog taken in last is whole, and the one of this fingerprint."""
        return self._store.do(steps.holds(fingerprint))

    def forget_waiting(self) -> "asyncio.Future[int]":
        """Drop what nothing was sent for: another catalog says what is wanted now.

        Returns:
            How many music tasks were dropped.
        """
        return self._store.do(steps.forget_waiting)

    def take_in(self, tracks: Sequence[Track]) -> "asyncio.Future[int]":
        """Add tracks, in order; a music task that is there already gets one more name, if new.

        Returns:
            How many music tasks were added.

        Raises:
            TypeError: A column's value is none of JSON's.
            ValueError: Columns are nested too deeply.
        """
        return self._store.do(steps.take_in(tracks))

    def took_in(self, fingerprint: str | None) -> "asyncio.Future[None]":
        """Note that a catalog is whole."""
        return self._store.do(lambda there: there.set_catalog(fingerprint))

    def retry_failed(self) -> "asyncio.Future[None]":
        """Begin anew with what failed or needs attention.

        What has a cover task that did not fail is polled again. The others are submitted again,
        which may be billed anew; where there was a cover, that is possibly billed until then.
        """
        return self._store.do(steps.retry_failed)

    def next_open(
        self, state: TrackState, after: int, limit: int
    ) -> "asyncio.Future[list[LedgerEntry]]":
        """Find entries in this state whose number is above `after`, in order."""
        return self._store.do(steps.page([state], after, limit))

    def next_unsaved(self, limit: int) -> "asyncio.Future[list[LedgerEntry]]":
        """Find covers whose images are not saved, the oldest first, less those put off."""
        return self._store.do(steps.unsaved(self._run, limit))

    def submitting(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Note that a submit may go out; it must not before this is done."""
        return self._store.do(steps.submitting(entry.number))

    def unsent(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Note that no submit went out after all."""
        return self._fact(steps.unsent(entry.number))

    def submitted(
        self, entry: LedgerEntry, task: CoverTask, *, base_url: str | None = None
    ) -> "asyncio.Future[None]":
        """Note a cover task, which is paid for, and the base URL where the API accepted it."""
        return self._fact(
            steps.Submitted(number=entry.number, task=task, run=self._run, base_url=base_url)
        )

    def has_answered(self, base_url: str) -> "asyncio.Future[bool]":
        """Tell whether the API ever accepted a submit of this account at this base URL."""
        return self._store.do(lambda there: there.has_base_url(base_url))

    def covered(self, entry: LedgerEntry, details: CoverDetails) -> "asyncio.Future[None]":
        """Note a finished cover."""
        return self._fact(steps.covered(entry.number, details))

    def saved(self, entry: LedgerEntry, files: Sequence[Path]) -> "asyncio.Future[None]":
        """Note the files of a cover; one that got a further name meanwhile is not saved yet."""
        return self._fact(steps.saved(entry, files))

    def put_off(self, entry: LedgerEntry) -> "asyncio.Future[None]":
        """Leave a cover's images to the next run."""
        return self._fact(steps.put_off(entry.number, self._run))

    def ended(
        self, entry: LedgerEntry, state: TrackState, error: Exception, *, task_known: bool = True
    ) -> "asyncio.Future[None]":
        """Note that an entry failed or needs attention; perhaps its cover task is another's."""
        return self._fact(steps.ended(entry.number, state, error, task_known=task_known))

    def _fact(self, work: Work[T]) -> "asyncio.Future[T]":
        """Have a step taken that is to be taken again, should its commit fail."""
        return self._store.do(work, keep=True)


@contextlib.contextmanager
def _failure_of_closing(*, logged: bool) -> Generator[None, None, None]:
    """Log an error of ours in place of raising it, where it would replace another one."""
    try:
        yield
    except (LedgerError, ClientUsageError) as trouble:
        if not logged:
            raise
        _log.error("%s", trouble)


def _log_failure(closing: "asyncio.Task[None]") -> None:
    """Log why a ledger could not be closed well, for whoever did not wait for it."""
    error = None if closing.cancelled() else closing.exception()
    if error is not None:
        _log.error("%s", error)
