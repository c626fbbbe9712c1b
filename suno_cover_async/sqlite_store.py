"""Work on one SQLite database in a thread of its own: one step at a time, one transaction a step.

It knows SQLite, threads and event loops; what the work is, is its owner's business.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import attrs

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]


@attrs.frozen(kw_only=True)
class _Step:
    """Work, and who waits for it.

    Attributes:
        work: What to do with the database.
        keep: It states a fact: when it cannot be written now, it is to be written later.
        future: Done after the commit.
    """

    work: Work[Any]
    keep: bool
    future: "asyncio.Future[Any]"


class Commits:
    """A thread that takes steps in the order of calls, and answers once a step is on the disk."""

    def __init__(
        self, database: sqlite3.Connection, failed: Callable[[Exception], Exception]
    ) -> None:
        """Begin.

        Args:
            database: In autocommit mode, and made with `check_same_thread=False`; from now on the
                thread's alone, until `close` closes it.
            failed: Makes the error of each step whose commit failed.
        """
        self._database = database
        self._failed = failed
        self._unwritten: tuple[Work[Any], ...] = ()
        self._trouble: Exception | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="suno-cover-ledger")

    def do(self, work: Work[T], *, keep: bool = False) -> "asyncio.Future[T]":
        """Queue a step, which is done whether or not the future is awaited, in the order of calls.

        Args:
            work: Called with the database, in a transaction of its own.
            keep: Do it again before whatever comes next, should its commit fail.

        Returns:
            A future of the running event loop: the work's value, once it is durable; or the work's
            own error, which undoes the step.

        Raises:
            RuntimeError: This is closed.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._thread.submit(self._take, _Step(work=work, keep=keep, future=future))
        return future

    @property
    def unwritten(self) -> tuple[Work[Any], ...]:
        """The work to be kept whose commit failed, and that was not written since."""
        return self._unwritten

    def close(self) -> None:
        """Finish what is queued, try once more what could not be written, and end the thread.

        Raises:
            Exception: As `failed` made it, if anything is left unwritten.
        """
        self._thread.shutdown()  # it refuses further steps, and waits for those that are queued
        try:
            self._write_the_unwritten()
        except _CommitFailedError as failure:
            self._trouble = failure.reason
        self._database.close()
        if self._unwritten and self._trouble is not None:
            raise self._failed(self._trouble)

    def _take(self, step: _Step) -> None:
        answer: Any
        try:
            self._write_the_unwritten()
            (answer,) = self._commit([step.work])
        except _CommitFailedError as failure:
            self._trouble = failure.reason
            if step.keep:
                self._unwritten += (step.work,)
            answer = self._failed(failure.reason)
        with contextlib.suppress(RuntimeError):  # that event loop is closed, nobody waits in it
            step.future.get_loop().call_soon_threadsafe(_answer, step.future, answer)

    def _write_the_unwritten(self) -> None:
        # One transaction for all: a disk that was full has little room.
        if self._unwritten:
            self._commit(self._unwritten)
            self._unwritten = ()

    def _commit(self, works: Sequence[Work[Any]]) -> list[Any]:
        """Do work in one transaction; returns the values, and the errors of what is wrong."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
            answers = [self._attempt(work) for work in works]
            self._database.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread must go on
            with contextlib.suppress(sqlite3.Error):  # it may have rolled back by itself
                self._database.execute("ROLLBACK")
            raise _CommitFailedError(error) from None
        return answers

    def _attempt(self, work: Work[Any]) -> Any:
        """Do the work; when it is wrong, undo it alone and return its error."""
        self._database.execute("SAVEPOINT work")
        try:
            answer = work(self._database)
        except Exception as error:
            if _is_trouble(error):
                raise
            self._database.execute("ROLLBACK TO work")
            answer = error
        self._database.execute("RELEASE work")
        return answer


class _CommitFailedError(Exception):
    """A transaction came to nothing, for a reason that is not the work's."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _is_trouble(error: Exception) -> bool:
    """Whether it comes from the disk, the file or the memory, so that all work would meet it."""
    wrong = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    return isinstance(error, sqlite3.DatabaseError | MemoryError) and not isinstance(error, wrong)


def _answer(future: "asyncio.Future[Any]", answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
