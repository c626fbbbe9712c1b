"""Where a ledger is kept: the interface between what its steps mean and what makes them durable.

A store owns transactions, statements, files, locks and versions. It must not know what a state
means, nor which step follows which: that is `ledger.py`'s and `steps.py`'s.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from suno_cover_async.ledger.entry import Plain, Row

T = TypeVar("T")


class Transaction(Protocol):
    """What a step does to a ledger, all of it or nothing.

    Rows and columns are those of `entry.TrackRow` and `entry.LedgerRun`, as plain data.
    """

    def account(self) -> str | None:
        """Return the account that the ledger belongs to."""
        ...

    def set_account(self, account: str | None) -> None:
        """Make it belong to this account, or to none."""
        ...

    def has_base_url(self, base_url: str) -> bool:
        """Tell whether the account's API has answered at this base URL."""
        ...

    def add_base_url(self, base_url: str) -> None:
        """Note that it has; once more is fine."""
        ...

    def drop_base_urls(self) -> None:
        """Forget all of them."""
        ...

    def catalog(self) -> str | None:
        """Return the fingerprint of the catalog that was taken in last, once it is whole."""
        ...

    def set_catalog(self, fingerprint: str | None) -> None:
        """Set that fingerprint."""
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
        """Return the latest runs, the latest one first."""
        ...

    def counts(self) -> Sequence[tuple[object, int, int]]:
        """Return each state, how many tracks are in it, and the number of the first one."""
        ...

    def page(self, states: Sequence[str], after: int, limit: int) -> Sequence[Row]:
        """Return tracks in these states (none stands for all), whose number is above `after`."""
        ...

    def unsaved(self, run: int, limit: int) -> Sequence[Row]:
        """Return tracks that are covered and not put off in this run, the oldest covers first."""
        ...

    def track(self, number: int) -> Row:
        """Return a track by its number.

        Raises:
            LedgerError: It is gone, so somebody else wrote to the ledger.
        """
        ...

    def find(self, music_task_id: str) -> Row:
        """Return a track by its music task, likewise."""
        ...

    def add(self, music_task_id: str, names: str) -> bool:
        """Add a track that waits, unless its music task is there; tell whether it was added."""
        ...

    def change(self, number: int, columns: Mapping[str, Plain]) -> None:
        """Change columns of a track; `put_off`, the run that leaves its images out, is one too."""
        ...

    def drop(self, state: str) -> int:
        """Remove the tracks in this state, and return how many there were."""
        ...


Work = Callable[[Transaction], T]
"""A step. It may be called again, in a new transaction, when the one before came to nothing."""


class Snapshot(Protocol):
    """A ledger as it was at one moment, for reading."""

    async def read(self, work: Work[T]) -> T:
        """Read something; the event loop goes on meanwhile."""
        ...


class Store(Protocol):
    """Keeps one ledger. A store may be opened again after it was closed."""

    @property
    def name(self) -> str:
        """What people know it by."""
        ...

    @property
    def unwritten(self) -> tuple[Work[object], ...]:
        """The steps to be kept whose commit failed, and that were not written since."""
        ...

    async def open(self) -> None:
        """Open it for writing. Whoever is cancelled meanwhile leaves it closed.

        Raises:
            LedgerError: Somebody else has it, or it cannot be used.
        """
        ...

    async def aclose(self) -> None:
        """Finish what is queued, try once more what could not be written, and let others have it.

        It must run in a task that is cancelled at most once; then it goes on to its end.

        Raises:
            LedgerError: Something is left unwritten.
        """
        ...

    def do(self, work: Work[T], *, keep: bool = False) -> "asyncio.Future[T]":
        """Queue a step, which is taken whether or not the future is awaited, in the order of calls.

        Args:
            work: Called in a transaction of its own, outside the event loop's thread.
            keep: It states a fact: should its commit fail, it is taken again before whatever comes
                next, and when the store is closed.

        Returns:
            A future of the running event loop: the work's value, once it is durable; or the work's
            own error, which undoes the step; or a LedgerError when it could not be committed.

        Raises:
            LedgerError: The store is not open.
        """
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Read it, open or not, while others may be writing to it.

        Raises:
            LedgerError: There is none, or it cannot be used.
        """
        ...
