"""Which process may write to a ledger: one at a time, and the others are told which.

It must not know what a ledger holds.
"""

import contextlib
import os
import sqlite3
from datetime import datetime
from pathlib import Path
from platform import node

from suno_cover_async.common.text import printable
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.sqlite.failures import is_busy, shown, unusable

_NAMING_SECONDS = 0.25  # somebody may be writing, or reading, who holds it


class FileLock:
    """The right to write to a ledger, for one process; the system takes it back when that dies.

    It is a write transaction, never committed, on a small database beside the ledger, which names
    whoever holds it. That file stays: to remove it would let two hold it.
    """

    def __init__(self, ledger: Path) -> None:
        """Take it; raises LedgerError, which names the holder."""
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
            if not holder:
                raise unusable(path, error) from None
            advice = "wait for it to end, or stop it"
            if holder.startswith(f"{_this_process()} since"):
                advice = "that is this program: await `aclose` of the ledger that has it open"
            raise LedgerError(
                f"the ledger {shown(ledger)} is in use by {holder}; {advice}"
            ) from None

    def release(self) -> None:
        """Give it back."""
        self._database.close()

    def _take(self) -> None:
        me = f"{_this_process()} since {datetime.now():%F %T}"  # noqa: DTZ005 - for people here
        self._database.execute("BEGIN EXCLUSIVE")  # nobody reads the name of the one before
        self._sign(me)
        while self._holder() != me:  # somebody came between the two transactions
            self._sign(me)

    def _sign(self, me: str) -> None:
        """Let everybody read who holds it, and hold it; it is lost and taken again in between."""
        self._database.execute("CREATE TABLE IF NOT EXISTS holder (name TEXT)")
        self._database.execute("DELETE FROM holder")
        self._database.execute("INSERT INTO holder VALUES (?)", (me,))
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def _holder(self) -> str:
        with contextlib.suppress(sqlite3.Error):
            for (name,) in self._database.execute("SELECT name FROM holder"):
                return printable(str(name))
        return "another process"


def _this_process() -> str:
    return f"process {os.getpid()} on {printable(node(), 80)}"
