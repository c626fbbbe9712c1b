"""The ledgers of the model in `model_world.py`, which outlive its processes: a file, or a database.

The model's time is virtual, and the clock of a database is not: so no run is ever silent for 40
seconds of the database's. What silence does there, this module does by the model's time.
"""

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from suno_cover_async import Ledger, LedgerEntry
from suno_cover_async.ledger import steps
from tests.support.runs import read_now
from tests.support.shared_ledgers import Session, made, session

DEAD_AFTER = 40.0
BEATS = 1000.0  # virtual seconds; nothing depends on them here, and the runs live for hours
ALL = 1_000


class Disk(Protocol):
    """Where the ledger is, as the processes see it.

    Attributes:
        place: What a process gives to `Ledger`.
    """

    place: Path | str

    def entries(self) -> list[LedgerEntry]:
        """Read what is on the disk."""
        ...

    def crash(self) -> None:
        """Let nothing that a process at work does from now on reach the ledger."""
        ...

    def left(self, run: int) -> None:
        """Hear that a run was left; it may go on for a while."""
        ...

    def end(self) -> None:
        """Remove the ledger."""
        ...


class File:
    """A ledger in a file; after a crash, in a copy."""

    def __init__(self, folder: Path) -> None:
        """Set the folder; the first run makes the file."""
        self._folder, self._crashes = folder, 0
        self.place: Path | str = self._next()

    def _next(self) -> Path:
        ledger = self._folder / str(self._crashes) / "covers.db"
        ledger.parent.mkdir()
        return ledger

    def entries(self) -> list[LedgerEntry]:
        """Read the file."""
        return read_now(Ledger(self.place)) if Path(self.place).exists() else []

    def crash(self) -> None:
        """Copy the file as it is; the process that ends goes on with the other one."""
        self._crashes += 1
        copy = self._next()
        for suffix in ("-wal", ""):  # in this order no commit is missed
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(f"{self.place}{suffix}", f"{copy}{suffix}")
        self.place = copy

    def left(self, run: int) -> None:
        """Do nothing: nobody else has a file."""

    def end(self) -> None:
        """Do nothing: the folder is the model's."""


class Tables:
    """A ledger in a schema of its own in a database."""

    def __init__(self, database: str) -> None:
        """Make the ledger."""
        self._schema = f"model_{uuid4().hex}"
        self.place: Path | str = f"{database}?schema={self._schema}"
        self._open = contextlib.ExitStack()
        self._session: Session = self._open.enter_context(session(made(self.place)))
        self._session.execute("UPDATE ledger SET dead_after = %s", BEATS * 4)

    def entries(self) -> list[LedgerEntry]:
        """Read the tables, between two transactions of the process at work."""
        found: list[LedgerEntry] = self._session.do(steps.page([], 0, ALL))
        return found

    def crash(self) -> None:
        """Give up all runs at once, as somebody who knows that they are dead."""
        for (run,) in self._session.execute("SELECT number FROM runs WHERE released_at IS NULL"):
            self._give_up(run)

    def left(self, run: int) -> None:
        """Have a run given up that ended 40 s ago."""
        asyncio.get_running_loop().call_later(DEAD_AFTER, self._bury, run)

    def _bury(self, run: int) -> None:
        query = "SELECT ended_at FROM runs WHERE number = %s"
        for (ended_at,) in self._session.execute(query, run):  # none if the run had no work
            if ended_at is None:
                self.left(run)
            else:
                self._give_up(run)

    def _give_up(self, run: int) -> None:
        self._session.do(lambda there: there.give_up(run))

    def end(self) -> None:
        """Drop the tables."""
        self._session.execute(f"DROP SCHEMA {self._schema} CASCADE")
        self._open.close()
