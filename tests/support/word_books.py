"""A table of words, written by a ledger's thread and read from beside."""

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.sqlite.store import _Database
from suno_cover_async.ledger.store import Work
from suno_cover_async.ledger.writer import Writer


class Book:
    """A SQLite file with a table of words and a ledger's writer, whose commits may be refused."""

    def __init__(self, path: Path) -> None:
        self._beside = sqlite3.connect(path, timeout=0, isolation_level=None)
        self._beside.execute("PRAGMA journal_mode = WAL")
        self._beside.execute("CREATE TABLE IF NOT EXISTS words (word TEXT UNIQUE, size INT)")
        database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self.writer = Writer(_Database(database, None, "of words"))

    def do(self, work: Work[Any], *, keep: bool = False) -> "asyncio.Future[Any]":
        return self.writer.do(work, keep=keep)

    def words(self) -> list[str]:
        """Read what is committed, in the order in which it was written."""
        return [word for (word,) in self._beside.execute("SELECT word FROM words ORDER BY rowid")]

    def refuse(self) -> None:
        """Make every commit fail from now on."""
        self._beside.execute("BEGIN IMMEDIATE")

    def allow(self) -> None:
        self._beside.execute("ROLLBACK")

    def shut(self) -> None:
        if self._beside.in_transaction:
            self.allow()
        with contextlib.suppress(LedgerError):
            self.writer.close()
        self._beside.close()


def writes(word: str) -> Work[str]:
    def work(there: Any) -> str:
        there._database.execute("INSERT INTO words VALUES (?, 1)", (word,))
        return f"wrote {word}"

    return work


def wrong(there: Any) -> None:
    there._database.execute("INSERT INTO words VALUES ('half done', 1)")
    raise TypeError("not so")


class Held:
    """Keeps the thread busy until it is let go, so that other work queues up."""

    def __init__(self, book: Book) -> None:
        self._busy, self.go = threading.Event(), threading.Event()
        book.do(self._wait)
        assert self._busy.wait(10)

    def _wait(self, _: object) -> None:
        self._busy.set()
        assert self.go.wait(10)
