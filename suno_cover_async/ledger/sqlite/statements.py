"""Define the statements on the tables of a ledger that are SQLite's own.

One process holds the whole ledger, so which tracks its run holds need not outlast it: a temporary
table has them. This module must not know files, threads or what a state means. `store.py` begins
and ends the transactions, and `tables.py` has the tables.
"""

import sqlite3
from collections.abc import Sequence
from typing import ClassVar

from suno_cover_async.ledger.entry import Plain, Row
from suno_cover_async.ledger.statements import JOIN, Statements
from suno_cover_async.ledger.store import Transaction

_FREE = "coalesce(put_off, 0) < ? AND tracks.number NOT IN (SELECT number FROM temp.held)"


def transaction(database: sqlite3.Connection) -> Transaction:
    """Return the statements on a connection; the caller begins and ends the transaction."""
    database.create_function("folded", 1, str.casefold, deterministic=True)
    return _Transaction(database)


def prepare_to_hold(database: sqlite3.Connection) -> None:
    """Make the temporary table of the tracks that are held, for `claim`."""
    database.execute("PRAGMA temp_store = MEMORY")
    database.execute("CREATE TEMP TABLE held (number INTEGER PRIMARY KEY)")


class _Transaction(Statements):
    """The statements of a transaction, documented in `store.Transaction`."""

    has_title: ClassVar[str] = (
        "(? = '' OR EXISTS (SELECT 1 FROM json_each(names) WHERE instr(folded(key), ?)))"
    )

    # Without INDEXED BY, SQLite uses the other index and sorts all covers on each call.
    by_age: ClassVar[str] = "tracks INDEXED BY tracks_by_age"

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def execute(self, statement: str, values: Sequence[Plain] = ()) -> sqlite3.Cursor:
        return self._database.execute(statement, values)

    def take_account(self, account: str) -> bool:
        self.execute("UPDATE ledger SET account = ? WHERE account IS NULL", (account,))
        (owner,) = self.execute("SELECT account FROM ledger").fetchone()
        return bool(owner == account)

    def forget_account(self) -> None:
        self.execute("UPDATE ledger SET account = NULL")

    def own(self, number: int, run: int) -> None:
        """Do nothing: the account of the ledger is that of all tracks."""

    def disown(self, number: int) -> None:
        """Do nothing: the account of the ledger is that of all tracks."""

    def count_foreign(self, _account: str) -> int:
        return 0

    def add_run(self, began_at: float, _account: str) -> int:
        self.execute("DELETE FROM temp.held")  # of a run whose end was not written
        number = self.execute("INSERT INTO runs (began_at) VALUES (?)", (began_at,)).lastrowid
        assert number is not None  # noqa: S101 - after an INSERT
        return number

    def is_at_work(self, _run: int) -> bool:
        return True

    def beat_seconds(self) -> float | None:
        return None

    def beat(self, _run: int) -> None:
        """Do nothing: the lock of the file tells that its process is alive."""

    def end_run(self, run: int, ended_at: float) -> None:
        self.change_run(run, {"ended_at": ended_at})
        self.execute("DELETE FROM temp.held")

    def drop_run(self, number: int) -> bool:
        where = "number = ? AND NOT EXISTS (SELECT 1 FROM temp.held)"
        return self.execute(f"DELETE FROM runs WHERE {where}", (number,)).rowcount == 1  # noqa: S608 - a constant of ours

    def give_up_silent_runs(self, _run: int) -> None:
        """Do nothing: there are no other runs."""

    def give_up(self, _run: int) -> bool:
        return False

    def lock_catalog(self) -> None:
        """Do nothing: there are no other runs."""

    def others(self, _run: int) -> list[tuple[int, str, str | None, bool]]:
        return []

    def work_on(self, _run: int, _catalog: str) -> None:
        """Do nothing: there are no other runs to tell."""

    def holders(self) -> list[Row]:
        return []

    def others_submitting(self, _run: int) -> int:
        return 0

    def claim(self, state: str, run: int, limit: int) -> list[Row]:
        where = f"state = ? AND {_FREE} ORDER BY tracks.number LIMIT ?"
        return self._hold(self.entries(f"FROM tracks {JOIN} WHERE {where}", state, run, limit))

    def claim_unsaved(self, run: int, limit: int) -> list[Row]:
        table = f"FROM {self.by_age} {JOIN}"
        where = f"state = 'covered' AND {_FREE} ORDER BY completed_at LIMIT ?"
        return self._hold(self.entries(f"{table} WHERE {where}", run, limit))

    def holds(self, _number: int, _run: int) -> bool:
        return True  # no other run takes it, and no step is repeated after another one

    def release(self, number: int, _run: int) -> None:
        self.execute("DELETE FROM temp.held WHERE number = ?", (number,))

    def release_all(self, state: str, _run: int) -> None:
        there = "SELECT number FROM tracks WHERE tracks.number = held.number AND state = ?"
        self.execute(f"DELETE FROM temp.held WHERE EXISTS ({there})", (state,))  # noqa: S608 - a constant of ours

    def others_hold(self, _states: Sequence[str], _run: int) -> bool:
        return False

    def page(self, states: Sequence[str], after: int, limit: int) -> list[Row]:
        where = "tracks.number > ?"
        if len(states) == 1:
            where = "state = ? AND tracks.number > ?"
        elif states:  # "+" avoids the index, which is sorted by state; the page is by number
            where = f"+state IN ({', '.join('?' * len(states))}) AND tracks.number > ?"
        rest = f"FROM tracks {JOIN} WHERE {where} ORDER BY tracks.number LIMIT ?"
        return self.entries(rest, *states, after, limit)

    def track(self, number: int) -> Row:
        return self.only(f"entry {number}", "FROM tracks WHERE number = ?", number)

    def find(self, music_task_id: str) -> Row:
        rest = "FROM tracks WHERE music_task_id = ?"
        return self.only(f"entry of {music_task_id}", rest, music_task_id)

    def add(self, tracks: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        statement = "INSERT INTO tracks (music_task_id, names) VALUES (?, ?) ON CONFLICT DO NOTHING"
        return [track for track in tracks if not self.execute(statement, track).rowcount]

    def _hold(self, rows: list[Row]) -> list[Row]:
        numbers = [(row["number"],) for row in rows]
        self._database.executemany("INSERT INTO temp.held VALUES (?)", numbers)
        return rows
