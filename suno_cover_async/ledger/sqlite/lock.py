"""Lock a ledger for one writing process, and name that process to the others.

This module must not know what a ledger holds.
"""

import contextlib
import os
import sqlite3
from datetime import datetime
from pathlib import Path
from platform import node

from suno_cover_async.common.text import printable
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.sqlite.failures import (
    file_system_refuses,
    is_busy,
    shown,
    unusable,
)
from suno_cover_async.ledger.sqlite.file_system import refused

_UNKNOWN = "another process"
_NAMING_SECONDS = 0.25  # another process may be writing or reading the name


class FileLock:
    """The right of one process to write to a ledger; the system releases it if the process ends.

    It is a write transaction that is never committed, on a small database beside the ledger, which
    names the holder.
    """

    # The lock file is never removed. If it were, a process that has the old file open and one that
    # creates a new file would each lock their own file, and both would write to the ledger.

    def __init__(self, ledger: Path) -> None:
        """Take the lock; raise LedgerError, which names the holder, if another process has it."""
        path = ledger.with_name(ledger.name + ".lock")
        try:
            self._database = sqlite3.connect(
                path, timeout=_NAMING_SECONDS, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise unusable(ledger, error) from None
        try:
            self._take()
        except sqlite3.Error as error:
            holder = self._holder() if is_busy(error) else ""
            self._database.close()
            what = refused(path.parent, error) if holder in ("", _UNKNOWN) else ""
            if what:  # the lock file stays, since it may be locked from another machine
                raise file_system_refuses(ledger, what) from None
            if not holder:
                raise unusable(path, error) from None
            advice = "wait for it to end, or stop it"
            if holder.startswith(f"{_this_process()} since"):
                advice = "that is this program: await `aclose` of the ledger that has it open"
            raise LedgerError(
                f"the ledger {shown(ledger)} is in use by {holder}; {advice}"
            ) from None

    def release(self) -> None:
        """Release the lock."""
        self._database.close()

    def _take(self) -> None:
        now = datetime.now().isoformat(" ", "seconds")  # noqa: DTZ005 - for people here
        me = f"{_this_process()} since {now}"
        # EXCLUSIVE keeps others from reading the name of the previous holder. Writing our name
        # needs a commit, and the commit releases the lock for a moment. Another process may take
        # it in that moment, so our name is read back, and written again until it is in the file.
        self._database.execute("BEGIN EXCLUSIVE")
        self._sign(me)
        while self._holder() != me:
            self._sign(me)

    def _sign(self, me: str) -> None:
        """Commit the name of the holder, which releases the lock, and take the lock again."""
        self._database.execute("CREATE TABLE IF NOT EXISTS holder (name TEXT)")
        self._database.execute("DELETE FROM holder")
        self._database.execute("INSERT INTO holder VALUES (?)", (me,))
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def _holder(self) -> str:
        return _name_in(self._database)


def holder_of(ledger: Path) -> str | None:
    """Return the name of the process that holds a ledger; None if none does, as far as is known.

    The lock is taken for a moment, if it is free, and nothing is written.
    """
    path = ledger.with_name(ledger.name + ".lock")
    if not path.exists():
        return None
    with contextlib.suppress(sqlite3.Error):
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with contextlib.closing(
            sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)
        ) as database:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                return _name_in(database) if is_busy(error) else None
            database.execute("ROLLBACK")
    return None


def _name_in(database: sqlite3.Connection) -> str:
    with contextlib.suppress(sqlite3.Error):
        for (name,) in database.execute("SELECT name FROM holder"):
            return printable(str(name))
    return _UNKNOWN


def _this_process() -> str:
    return f"process {os.getpid()} on {printable(node(), 80)}"
