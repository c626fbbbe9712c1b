"""Define the interface between the steps of a ledger and the storage that makes them durable.

A store owns transactions, statements, files, locks and versions. It must not know what a state
means, nor which step follows which: `ledger.py` and `steps.py` own that.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from suno_cover_async.ledger.condition import LedgerCondition
from suno_cover_async.ledger.entry import Plain, Row

T = TypeVar("T")


class Transaction(Protocol):
    """The statements of one step; all of them take effect, or none.

    Rows and columns are those of `entry.TrackRow` and `entry.LedgerRun`, as plain data.
    """

    def take_account(self, account: str, /) -> bool:
        """Make the ledger this account's, if it is none's; return whether the account may use it.

        A store that keeps an account for each track always returns True.
        """
        ...

    def forget_account(self) -> None:
        """Remove the account of the ledger, or of all its tracks."""
        ...

    def own(self, number: int, run: int, /) -> None:
        """Record that a track belongs to the account of a run, where tracks have accounts."""
        ...

    def disown(self, number: int, /) -> None:
        """Record that a track belongs to no account, where tracks have accounts."""
        ...

    def count_foreign(self, account: str, /) -> int:
        """Return how many tracks without a finished cover belong to other accounts."""
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

    def add_run(self, began_at: float, account: str, /) -> int:
        """Add a run of an account and return its number, which is above those of all runs.

        A store with a clock of its own records that one's time, here and where a run ends.
        """
        ...

    def is_at_work(self, run: int, /) -> bool:
        """Return whether a run still has its tracks; no other transaction may take them meanwhile.

        It is True for every run where one process holds the whole ledger.
        """
        ...

    def beat_seconds(self) -> float | None:
        """Return how often a run must say that it is alive; None if it need not."""
        ...

    def beat(self, run: int, /) -> None:
        """Record that a run was alive now, by the clock of the store."""
        ...

    def end_run(self, run: int, ended_at: float, /) -> None:
        """End a run and release its tracks, but for those with a submit that may be on its way."""
        ...

    def give_up_silent_runs(self, run: int, /) -> None:
        """Release the tracks of other runs that were silent for too long, by the store's clock.

        Not while this run is silent, nor as long again after that, nor half as long at its begin.
        """
        ...

    def give_up(self, run: int, /) -> bool:
        """Release all tracks of a run; return whether it had not ended or been given up."""
        ...

    def lock_catalog(self) -> None:
        """Let no other transaction that calls this go on until this one ends."""
        ...

    def others(self, run: int, /) -> Sequence[tuple[int, str, str | None, bool]]:
        """Return the other runs that did not end: number, host, catalog, whether it is silent."""
        ...

    def work_on(self, run: int, catalog: str, /) -> None:
        """Record the catalog that a run works on."""
        ...

    def holders(self) -> Sequence[Row]:
        """Return the runs that hold tracks or are at work, as `entry.LedgerHolder` has them."""
        ...

    def claim(self, state: str, run: int, limit: int) -> Sequence[Row]:
        """Hold tracks in this state for a run, and return them in order.

        Only tracks are taken that no run holds, that belong to no other account, and that only
        earlier runs put off. Those that were released below what this run claimed before may come
        after the others.
        """
        ...

    def claim_unsaved(self, run: int, limit: int) -> Sequence[Row]:
        """Hold covered tracks as `claim` does, the oldest covers first."""
        ...

    def holds(self, number: int, run: int, /) -> bool:
        """Return whether a run holds a track; True where one process holds the whole ledger."""
        ...

    def release(self, number: int, run: int, /) -> None:
        """Let other runs take a track, if this one holds it."""
        ...

    def release_all(self, state: str, run: int, /) -> None:
        """Let other runs take the tracks in this state that a run holds."""
        ...

    def others_hold(self, states: Sequence[str], run: int, /) -> bool:
        """Return whether this run might later take tracks in these states that others work on.

        What no run at work holds comes free.
        """
        ...

    def others_submitting(self, run: int, /) -> int:
        """Return how many tracks runs but silent ones hold with a submit that may be on its way."""
        ...

    def drop_run(self, number: int, /) -> bool:
        """Remove a run, unless it holds a track; return whether it did."""
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

    def has_task(self, number: int, cover_task_id: str) -> bool:
        """Return whether a track is submitted, with this cover task."""
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

    def unsaved(self, limit: int) -> Sequence[Row]:
        """Return covered tracks, the oldest covers first."""
        ...

    def track(self, number: int) -> Row:
        """Return a track by its number; raise LedgerError if another program removed it."""
        ...

    def find(self, music_task_id: str) -> Row:
        """Return a track by its music task; raises as `track` does."""
        ...

    def add(self, tracks: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """Add waiting tracks, given as music task and names, in order; return the known ones."""
        ...

    def change(self, number: int, columns: Mapping[str, Plain]) -> None:
        """Change columns of a track; one is `put_off`, the run that leaves it to the next one."""
        ...

    def drop(self, state: str) -> int:
        """Remove the tracks in this state, and return how many there were."""
        ...

    def submits(self) -> int:
        """Return how many submits were started in the life of the ledger."""
        ...

    def add_submits(self, many: int, at_most: int | None = None) -> bool:
        """Add to the number of submits, if that is at most `at_most`; return whether it was."""
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

        A choice about another cover task of the same track does not stand. It returns whether the
        choice was recorded.
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
    def trouble(self) -> str | None:
        """Return what hinders the storage for the moment, while it is tried again."""
        ...

    @property
    def unwritten(self) -> tuple[Work[object], ...]:
        """Return the steps with `keep` whose commit failed and that were not written since."""
        ...

    async def make(self) -> int:
        """Make the ledger, or move it to this version, where that is a step of its own.

        Returns:
            The version that was there; 0 if there was no ledger.

        Raises:
            LedgerError: It has a newer version, cannot be made, or is made by opening it.
        """
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
            A future of the running event loop: the step's value, once that is durable; or the
            step's own error, which undoes the step; or a LedgerError if it was not committed.
        """
        ...

    async def condition(self, account: str | None) -> LedgerCondition:
        """Find out what would hinder a run of an account now; raises as `snapshot` does."""
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
