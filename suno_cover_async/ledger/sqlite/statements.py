"""Define every statement on the tables of a ledger in SQLite.

This module must not know files, threads or what a state means. `store.py` begins and ends the
transactions, and `tables.py` has the tables.
"""

import sqlite3
from collections.abc import Mapping, Sequence

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import CHOICE_COLUMNS, RUN_COLUMNS, TRACK_COLUMNS, Plain, Row
from suno_cover_async.ledger.store import Transaction

# A choice is about one cover task. If a track gets another one, its old choice does not stand.
_JOIN = """
    LEFT JOIN choices
    ON choices.number = tracks.number AND choices.cover_task_id IS tracks.cover_task_id
"""
_DECISION = "coalesce(decision, 'undecided')"
_CHOICE = (_DECISION, "image", "coalesce(revision, 0)", "decided_at", "decided_by")
_ENTRY_COLUMNS = (*TRACK_COLUMNS, *CHOICE_COLUMNS)
_SELECT_ENTRY = (
    f"SELECT {', '.join([f'tracks.{column}' for column in TRACK_COLUMNS] + [*_CHOICE])} "
)
_HAS_TITLE = "(? = '' OR EXISTS (SELECT 1 FROM json_each(names) WHERE instr(folded(key), ?)))"


def transaction(database: sqlite3.Connection) -> Transaction:
    """Return the statements on a connection; the caller begins and ends the transaction."""
    database.create_function("folded", 1, str.casefold, deterministic=True)
    return _Transaction(database)


class _Transaction:
    """The statements of a transaction, documented in `store.Transaction`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def account(self) -> str | None:
        account: str | None
        (account,) = self._database.execute("SELECT account FROM ledger").fetchone()
        return account

    def set_account(self, account: str | None) -> None:
        self._database.execute("UPDATE ledger SET account = ?", (account,))

    def has_base_url(self, base_url: str) -> bool:
        query = "SELECT count(*) FROM base_urls WHERE base_url = ?"
        (found,) = self._database.execute(query, (base_url,)).fetchone()
        return bool(found)

    def add_base_url(self, base_url: str) -> None:
        self._database.execute("INSERT OR IGNORE INTO base_urls VALUES (?)", (base_url,))

    def drop_base_urls(self) -> None:
        self._database.execute("DELETE FROM base_urls")

    def catalog(self) -> str | None:
        fingerprint: str | None
        (fingerprint,) = self._database.execute("SELECT catalog FROM ledger").fetchone()
        return fingerprint

    def set_catalog(self, fingerprint: str | None) -> None:
        self._database.execute("UPDATE ledger SET catalog = ?", (fingerprint,))

    def last_run(self) -> int:
        (number,) = self._database.execute("SELECT max(number) FROM runs").fetchone()
        return number or 0

    def add_run(self, number: int, began_at: float) -> None:
        statement = "INSERT INTO runs (number, began_at) VALUES (?, ?)"
        self._database.execute(statement, (number, began_at))

    def change_run(self, number: int, columns: Mapping[str, Plain]) -> None:
        self._update("runs", number, columns)

    def count_submit(self, number: int, *, adopted: bool) -> None:
        counted = "adopted" if adopted else "submitted"
        statement = f"UPDATE runs SET {counted} = {counted} + 1 WHERE number = ?"  # noqa: S608 - columns of ours
        self._database.execute(statement, (number,))

    def runs(self, limit: int) -> list[Row]:
        return self._rows(RUN_COLUMNS, "FROM runs ORDER BY number DESC LIMIT ?", limit)

    def counts(self) -> list[tuple[object, int, int]]:
        query = "SELECT state, count(*), min(number) FROM tracks GROUP BY state"
        return self._database.execute(query).fetchall()

    def count_retried(self) -> int:
        query = "SELECT count(*) FROM tracks WHERE state = 'submitting' AND retried"
        (retried,) = self._database.execute(query).fetchone()
        return int(retried)

    def page(self, states: Sequence[str], after: int, limit: int) -> list[Row]:
        where = "tracks.number > ?"
        if len(states) == 1:
            where = "state = ? AND tracks.number > ?"
        elif states:  # "+" avoids the index, which is sorted by state; the page is by number
            where = f"+state IN ({', '.join('?' * len(states))}) AND tracks.number > ?"
        rest = f"FROM tracks {_JOIN} WHERE {where} ORDER BY tracks.number LIMIT ?"
        return self._entries(rest, *states, after, limit)

    def unsaved(self, run: int, limit: int) -> list[Row]:
        # Without INDEXED BY, SQLite uses the other index and sorts all covers on each call.
        table = "tracks INDEXED BY tracks_by_age"
        where = "state = 'covered' AND put_off IS NOT ?"
        rest = f"FROM {table} {_JOIN} WHERE {where} ORDER BY completed_at LIMIT ?"
        return self._entries(rest, run, limit)

    def track(self, number: int) -> Row:
        return self._only(f"entry {number}", "number = ?", number)

    def find(self, music_task_id: str) -> Row:
        return self._only(f"entry of {music_task_id}", "music_task_id = ?", music_task_id)

    def add(self, music_task_id: str, names: str) -> bool:
        statement = "INSERT INTO tracks (music_task_id, names) VALUES (?, ?) ON CONFLICT DO NOTHING"
        return self._database.execute(statement, (music_task_id, names)).rowcount == 1

    def change(self, number: int, columns: Mapping[str, Plain]) -> None:
        self._update("tracks", number, columns)

    def drop(self, state: str) -> int:
        return self._database.execute("DELETE FROM tracks WHERE state = ?", (state,)).rowcount

    def submits(self) -> int:
        (submits,) = self._database.execute("SELECT submits FROM ledger").fetchone()
        return int(submits)

    def add_submits(self, many: int) -> None:
        self._database.execute("UPDATE ledger SET submits = submits + ?", (many,))

    def pairs(self, decisions: Sequence[str], search: str, after: int, limit: int) -> list[Row]:
        wanted = f"{_DECISION} IN ({', '.join('?' * len(decisions))})" if decisions else "true"
        where = f"state = 'saved' AND tracks.number > ? AND {wanted} AND {_HAS_TITLE}"
        rest = f"FROM tracks {_JOIN} WHERE {where} ORDER BY tracks.number LIMIT ?"
        part = search.casefold()
        return self._entries(rest, after, *decisions, part, part, limit)

    def decisions(self, search: str) -> list[tuple[object, int, int]]:
        part = search.casefold()
        query = (
            f"SELECT {_DECISION}, count(*), min(tracks.number) FROM tracks {_JOIN} "  # noqa: S608 - constants of ours
            f"WHERE state = 'saved' AND {_HAS_TITLE} GROUP BY 1"
        )
        return self._database.execute(query, (part, part)).fetchall()

    def decide(
        self, number: int, cover_task_id: str, columns: Mapping[str, Plain], *, revision: int
    ) -> bool:
        changes = ", ".join(f"{name} = excluded.{name}" for name in ("cover_task_id", *columns))
        statement = f"""
            INSERT INTO choices (number, cover_task_id, {", ".join(columns)})
            SELECT ?, ?, {", ".join("?" * len(columns))}
            WHERE ? = 0 OR EXISTS (SELECT 1 FROM choices WHERE number = ?)
            ON CONFLICT (number) DO UPDATE SET {changes}
            WHERE choices.revision = ? OR choices.cover_task_id <> excluded.cover_task_id
        """  # noqa: S608 - columns of ours
        values = (number, cover_task_id, *columns.values(), revision, number, revision)
        return self._database.execute(statement, values).rowcount == 1

    def _update(self, table: str, number: int, columns: Mapping[str, Plain]) -> None:
        if not columns:
            return
        changes = ", ".join(f"{column} = ?" for column in columns)
        statement = f"UPDATE {table} SET {changes} WHERE number = ?"  # noqa: S608 - columns of ours
        self._database.execute(statement, (*columns.values(), number))

    def _only(self, what: str, where: str, value: Plain) -> Row:
        for row in self._rows(TRACK_COLUMNS, f"FROM tracks WHERE {where}", value):
            return row
        raise LedgerError(f"the ledger's {what} is gone: does another program write to the ledger?")

    def _entries(self, rest: str, *values: Plain) -> list[Row]:
        found = self._database.execute(_SELECT_ENTRY + rest, values)
        return [dict(zip(_ENTRY_COLUMNS, row, strict=True)) for row in found]

    def _rows(self, columns: Sequence[str], rest: str, *values: Plain) -> list[Row]:
        found = self._database.execute(f"SELECT {', '.join(columns)} {rest}", values)
        return [dict(zip(columns, row, strict=True)) for row in found]
