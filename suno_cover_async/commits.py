"""Work on one SQLite database in a thread of its own; all that waits shares one commit.

It knows SQLite, threads and event loops; what the work is, is its owner's business.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]


@attrs.frozen(kw_only=True)
class _Job:
    """Work, and who wants to hear of it.

    Attributes:
        work: What to do with the database.
        keep: It tells a fact: when it cannot be written now, it is to be written later.
        future: Answered after the commit.
    """

    work: Work[Any]
    keep: bool
    future: "asyncio.Future[Any]"


class Commits:
    """A thread that does what it is told, and answers once that is on the disk."""

    def __init__(
        self, database: sqlite3.Connection, failed: Callable[[sqlite3.Error], Exception]
    ) -> None:
        """Begin the thread.

        Args:
            database: In autocommit mode, and made with `check_same_thread=False`; from now on the
                thread's alone, which closes it in the end.
            failed: Makes the error of all whose commit failed.
        """
        self._database = database
        self._failed = failed
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._unwritten: list[Work[Any]] = []
        self._trouble: sqlite3.Error | None = None
        self._thread = threading.Thread(target=self._run, name="suno-cover-ledger", daemon=True)
        self._thread.start()

    def do(self, work: Work[T], *, keep: bool = False) -> "asyncio.Future[T]":
        """Queue work, which is done whether or not the future is awaited, in the order of calls.

        Args:
            work: Called with the database, in a transaction that may hold other work too.
            keep: Do it again before whatever comes next, should its commit fail.

        Returns:
            A future of the running event loop: the work's value, once it is durable.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(_Job(work=work, keep=keep, future=future))
        return future

    def close(self) -> None:
        """Finish what is queued, try once more what could not be written, and end the thread.

        Raises:
            Exception: As `failed` made it, if anything is left unwritten.
        """
        if self._thread.is_alive():
            self._jobs.put(None)
            self._thread.join()
        if self._unwritten and self._trouble is not None:
            raise self._failed(self._trouble)

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._next()
            if group:
                self._commit(group)
        if self._unwritten:
            self._commit([])
        self._database.close()

    def _next(self) -> tuple[list[_Job], bool]:
        """Wait for work and take all that is there; False when no more will come."""
        group: list[_Job] = []
        while True:
            job = self._jobs.get()
            if job is None:
                return group, False
            group.append(job)
            if self._jobs.empty():
                return group, True

    def _commit(self, group: list[_Job]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            for work in self._unwritten:
                work(self._database)
            values = [job.work(self._database) for job in group]
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            self._trouble = error
            self._unwritten += [job.work for job in group if job.keep]
            _tell(group, [self._failed(error) for _ in group])
        except Exception as error:  # noqa: BLE001 - wrong work: who wants it hears of it
            self._roll_back()
            _tell(group, [error] * len(group))
        else:
            self._unwritten.clear()
            _tell(group, values)

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # it may have rolled back by itself
            self._database.execute("ROLLBACK")


def _tell(group: list[_Job], answers: list[Any]) -> None:
    """Answer the futures, each event loop's all at once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for job, answer in zip(group, answers, strict=True):
        by_loop.setdefault(job.future.get_loop(), []).append((job.future, answer))
    for loop, answered in by_loop.items():
        with contextlib.suppress(RuntimeError):  # that event loop is closed, nobody waits in it
            loop.call_soon_threadsafe(_answer, answered)


def _answer(answered: "list[tuple[asyncio.Future[Any], Any]]") -> None:
    for future, answer in answered:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
