"""Define the interface between the steps of a ledger and the storage that makes them durable.

A store owns transactions, statements, files, locks and versions. It must not know what a state
means, nor which step follows which: `ledger.py` and `steps.py` own that.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from suno_cover_async.ledger.entry import Plain, Row

T = TypeVar("T")


class Transaction(Protocol):
    """The statements of one step; all of them take effect, or none.

    Rows and columns are those of `entry.TrackRow` and `entry.LedgerRun`, as plain data.
    """

    def account(self) -> str | None:
        """Return the account that the ledger belongs to."""
        ...

    def set_account(self, account: str | None) -> None:
        """Set the account that the ledger belongs to, or remove it."""
        ...

    def has_base_url(self, base_url: str) -> bool:
        """Return whether the API has answered this account at this base URL."""
        ...

    def add_base_url(self, base_url: str) -> None:
        """Record that the API has answered at this base URL; repeating it is fine."""
        ...

    def drop_base_urls(self) -> None:
        """Remove all base URLs."""
        ...

    def catalog(self) -> str | None:
        """Return the fingerprint of the latest catalog, once that was added completely."""
        ...

    def set_catalog(self, fingerprint: str | None) -> None:
        """Set the fingerprint of the latest catalog."""
        ...

    def last_run(self) -> int:
        """Return the number of the latest run; 0 before the first one."""
        ...

    def add_run(self, number: int, began_at: float) -> None:
        """Add a run."""
        ...

    def change_run(self, number: int, columns: Mapping[str, Plain]) -> None:
        """Change columns of a run."""
        ...

    def count_submit(self, number: int, *, adopted: bool) -> None:
        """Count a submit that a run made, as adopted or as new."""
        ...

    def runs(self, limit: int) -> Sequence[Row]:
        """Return the latest runs, the latest first."""
        ...

    def counts(self) -> Sequence[tuple[object, int, int]]:
        """Return each state, the count of its tracks, and the number of the first of them."""
        ...

    def count_retried(self) -> int:
        """Return how many tracks had a cover that failed and start again."""
        ...

    def page(self, states: Sequence[str], after: int, limit: int) -> Sequence[Row]:
        """Return tracks in these states (none means all) whose number is above `after`."""
        ...

    def unsaved(self, run: int, limit: int) -> Sequence[Row]:
        """Return tracks that are covered and not put off in this run, oldest covers first."""
        ...

    def track(self, number: int) -> Row:
        """Return a track by its number.

        Raises:
            LedgerError: It is gone, so another program wrote to the ledger.
        """
        ...

    def find(self, music_task_id: str) -> Row:
        """Return a track by its music task; raises as `track` does."""
        ...

    def add(self, music_task_id: str, names: str) -> bool:
        """Add a waiting track unless its music task is known; return whether it was added."""
        ...

    def change(self, number: int, columns: Mapping[str, Plain]) -> None:
        """Change columns of a track; one is `put_off`, the run that does not save its images."""
        ...

    def drop(self, state: str) -> int:
        """Remove the tracks in this state, and return how many there were."""
        ...

    def submits(self) -> int:
        """Return how many submits were started in the life of the ledger."""
        ...

    def add_submits(self, many: int) -> None:
        """Add to the number of submits that were started."""
        ...

    def pairs(self, decisions: Sequence[str], search: str, after: int, limit: int) -> Sequence[Row]:
        """Return saved tracks with these decisions (none means all) numbered above `after`.

        `search` is a part of a title, with letters of either case; an empty one fits all.
        """
        ...

    def decisions(self, search: str) -> Sequence[tuple[object, int, int]]:
        """Return each decision, the count of its saved tracks, and the number of the first."""
        ...

    def decide(
        self, number: int, cover_task_id: str, columns: Mapping[str, Plain], *, revision: int
    ) -> bool:
        """Record a choice, in one statement, if the one that stands has this revision.

        A choice about another cover task of the same track does not stand.

        Returns:
            Whether it was recorded.
        """
        ...


Work = Callable[[Transaction], T]
"""A step. It may be called again in a new transaction when the previous one failed."""


class Snapshot(Protocol):
    """A ledger as it was at one moment, for reading."""

    async def read(self, work: Work[T]) -> T:
        """Run a step that only reads, without blocking the event loop."""
        ...


class SharedAccess(Protocol):
    """The use of a ledger beside the process that holds it for writing."""

    async def read(self, work: Work[T]) -> T:
        """Run a step that only reads, in a snapshot of now, without blocking the event loop."""
        ...

    async def write(self, work: Work[T]) -> T:
        """Run a step of one statement, which commits by itself; it is durable when this returns.

        Raises:
            LedgerError: It cannot be written, or the ledger was replaced by another file.
        """
        ...


class Store(Protocol):
    """The storage of one ledger. A store may be opened again after it was closed."""

    @property
    def name(self) -> str:
        """Return the name for messages."""
        ...

    @property
    def unwritten(self) -> tuple[Work[object], ...]:
        """Return the steps with `keep` whose commit failed and that were not written since."""
        ...

    async def open(self) -> None:
        """Open the store for writing; a cancellation leaves it closed.

        Raises:
            LedgerError: Another process holds it, or it cannot be used.
        """
        ...

    async def aclose(self) -> None:
        """Finish queued steps, retry unwritten ones once, and release the lock.

        It must run in a task that is cancelled at most once; then it still runs to its end.

        Raises:
            LedgerError: A step is left unwritten.
        """
        ...

    def do(self, work: Work[T], *, keep: bool = False) -> "asyncio.Future[T]":
        """Queue a step; steps run in the order of calls, whether or not the future is awaited.

        Args:
            work: The step; called in its own transaction, outside the event loop's thread.
            keep: The step states a fact: if its commit fails, it is repeated before the next step,
                and when the store is closed.

        Returns:
            A future of the running event loop. Its result is the step's value, once that is
            durable. Its exception is the step's own error, which undoes the step, or a LedgerError
            when the step could not be committed.

        Raises:
            LedgerError: The store is not open.
        """
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Return a snapshot for reading; the store need not be open, and may be written meanwhile.

        Raises:
            LedgerError: There is no ledger, or it cannot be used.
        """
        ...

    def share(self) -> AbstractAsyncContextManager[SharedAccess]:
        """Open the ledger beside a process that holds it, or beside none.

        Raises:
            LedgerError: There is no ledger, it cannot be used, or it has an older version and
                another process holds it.
        """
        ...
