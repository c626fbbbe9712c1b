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
        self, database: sqlite3.Connection, failed: Callable[[Exception], Exception]
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
        self._unwritten: tuple[_Job, ...] = ()
        self._trouble: Exception | None = None
        self._door = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="suno-cover-ledger", daemon=True)
        self._thread.start()

    def do(self, work: Work[T], *, keep: bool = False) -> "asyncio.Future[T]":
        """Queue work, which is done whether or not the future is awaited, in the order of calls.

        Args:
            work: Called with the database, in a transaction that may hold other work too.
            keep: Do it again before whatever comes next, should its commit fail.

        Returns:
            A future of the running event loop: the work's value, once it is durable; or the work's
            own error, which undoes that work alone.

        Raises:
            RuntimeError: This is closed.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._door:
            if self._closed:
                raise RuntimeError("nothing more is written here")
            self._jobs.put(_Job(work=work, keep=keep, future=future))
        return future

    @property
    def unwritten(self) -> tuple[Work[Any], ...]:
        """The work to be kept whose commit failed, and that no later one has written."""
        return tuple(job.work for job in self._unwritten)

    def close(self) -> None:
        """Finish what is queued, try once more what could not be written, and end the thread.

        Raises:
            Exception: As `failed` made it, if anything is left unwritten.
        """
        with self._door:
            if not self._closed:
                self._jobs.put(None)
            self._closed = True
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
        jobs = [*self._unwritten, *group]
        try:
            self._database.execute("BEGIN IMMEDIATE")
            answers = [self._attempt(job) for job in jobs]
            self._database.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread must go on
            self._roll_back()
            self._trouble = error
            self._unwritten = tuple(job for job in jobs if job.keep)
            answers = [self._failed(error) for _ in jobs]
        else:
            self._unwritten = ()
        _tell(jobs, answers)

    def _attempt(self, job: _Job) -> Any:
        """Do the work; when it is wrong, undo it alone and return its error."""
        self._database.execute("SAVEPOINT work")
        try:
            answer = job.work(self._database)
        except Exception as error:
            if _is_trouble(error):
                raise
            self._database.execute("ROLLBACK TO work")
            answer = error
        self._database.execute("RELEASE work")
        return answer

    def _roll_back(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # it may have rolled back by itself
            self._database.execute("ROLLBACK")


def _is_trouble(error: Exception) -> bool:
    """Whether it comes from the disk, the file or the memory, so that all work would meet it."""
    wrong = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    return isinstance(error, sqlite3.DatabaseError | MemoryError) and not isinstance(error, wrong)


def _tell(group: list[_Job], answers: list[Any]) -> None:
    """Answer the futures that are not answered yet, each event loop's all at once."""
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
