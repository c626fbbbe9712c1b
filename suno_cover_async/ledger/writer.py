"""Run the steps of a ledger in a thread of their own, one at a time, in the order of calls.

This module owns when a step is done, and how one that could not be written is repeated. Each store
has a `Database` that runs steps in a transaction.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import attrs

from suno_cover_async.common.disk import in_thread
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.store import Work

T = TypeVar("T")


class Database(Protocol):
    """A connection to the storage of a ledger, used by one thread at a time."""

    def commit(self, works: Sequence[Work[Any]]) -> list[Any]:
        """Run steps in one transaction.

        Returns:
            Each step's value, or its own error, which undid that step alone.

        Raises:
            CommitFailedError: The transaction could not be committed.
        """
        ...

    def failed(self, reason: Exception) -> LedgerError:
        """Return the error for a commit that failed, which says what to do."""
        ...

    def hurry(self) -> None:
        """Repeat a failed commit for a short time only from now on; called in any thread."""
        ...

    def close(self) -> None:
        """Close the connection, and release the lock of the ledger if it has one."""
        ...

    @property
    def trouble(self) -> str | None:
        """Return what hinders the storage for the moment, while it is tried again."""
        ...


class CommitFailedError(Exception):
    """A transaction failed for a reason that is not a step's own error."""

    def __init__(self, reason: Exception) -> None:
        """Set the reason."""
        super().__init__(str(reason))
        self.reason = reason


@attrs.frozen(kw_only=True)
class _Step:
    """A queued step.

    Attributes:
        work: The function to call.
        keep: The step states a fact: if its commit fails, it is repeated later.
        future: The caller's future; done after the commit.
    """

    work: Work[Any]
    keep: bool
    future: "asyncio.Future[Any]"


class Writer:
    """A thread that runs steps in the order of calls and reports each once it is on the disk."""

    # Callers get a future of their event loop, never the executor's. A caller that is cancelled
    # cancels the future that it awaits; the executor's future would cancel the queued step with
    # it, and a paid cover task would not be recorded. So by the time a step is done, its future may
    # be cancelled or its event loop closed; neither may stop this thread.

    def __init__(self, database: Database) -> None:
        """Start the thread; the database is used by it alone from now on."""
        self._database = database
        self._failure: Exception | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="suno-cover-ledger")
        self.unwritten: tuple[Work[object], ...] = ()

    @property
    def trouble(self) -> str | None:
        """Return what hinders the database for the moment, while it is tried again."""
        return self._database.trouble

    def do(self, work: Work[T], *, keep: bool) -> "asyncio.Future[T]":
        """Queue a step, as `store.Store.do` documents."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._thread.submit(self._take, _Step(work=work, keep=keep, future=future))
        return future

    def close(self) -> None:
        """Finish queued steps, retry unwritten ones once, and release the lock.

        Raises:
            LedgerError: A step is left unwritten.
        """
        self._database.hurry()
        self._thread.shutdown()  # refuses further steps and waits for the queued ones
        try:
            self._write_the_unwritten()
        except CommitFailedError as failure:
            self._failure = failure.reason
        self._database.close()
        if self.unwritten and self._failure is not None:
            raise self._database.failed(self._failure)

    def _take(self, step: _Step) -> None:
        # Steps with `keep` whose commit failed are written before this one, so facts reach the disk
        # in the order in which they happened. If they fail again, this step is not tried: the disk
        # is still unusable, and a submit that is not recorded must not be sent.
        answer: Any
        try:
            self._write_the_unwritten()
            (answer,) = self._database.commit([step.work])
        except CommitFailedError as failure:
            self._failure = failure.reason
            if step.keep:
                self.unwritten += (step.work,)
            answer = self._database.failed(failure.reason)
        with contextlib.suppress(RuntimeError):  # the event loop is closed, no caller waits
            step.future.get_loop().call_soon_threadsafe(_answer, step.future, answer)

    def _write_the_unwritten(self) -> None:
        # One transaction for all steps, because a disk that was full has little space.
        if self.unwritten:
            self._database.commit(self.unwritten)
            self.unwritten = ()


class WrittenStore(ABC):
    """What each store does by its writer; the contract is documented in `store.Store`."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._writer: Writer | None = None
        self._is_open = False

    @property
    @abstractmethod
    def name(self) -> str:
        """Return the name for messages."""

    @abstractmethod
    def _database(self) -> Database:
        """Open the storage for writing; this may block."""

    async def _off_the_loop(self, act: Callable[[], None]) -> None:
        """Call what may block."""
        await in_thread(act)

    @property
    def trouble(self) -> str | None:
        """Return what hinders the storage for the moment; may be called in any thread."""
        return None if self._writer is None else self._writer.trouble

    @property
    def unwritten(self) -> tuple[Work[object], ...]:
        """Return the steps with `keep` whose commit failed and that were not written since."""
        return () if self._writer is None else self._writer.unwritten

    async def open(self) -> None:
        """Open the store for writing."""
        try:
            await self._off_the_loop(self._open)
        except asyncio.CancelledError:
            await self.aclose()  # the thread finished; the ledger may be open now
            raise

    def _open(self) -> None:
        self._writer, self._is_open = Writer(self._database()), True

    async def aclose(self) -> None:
        """Finish queued steps, and close the storage."""
        if self._writer is not None and self._is_open:
            self._is_open = False
            await self._off_the_loop(self._writer.close)

    def do(self, work: Work[T], *, keep: bool = False) -> "asyncio.Future[T]":
        """Queue a step."""
        if self._writer is None or not self._is_open:
            raise LedgerError(
                f"the ledger {self.name} is not open; use it as `async with Ledger(…)`"
            )
        return self._writer.do(work, keep=keep)


def _answer(future: "asyncio.Future[Any]", answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
