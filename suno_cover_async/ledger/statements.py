"""Define the statements on the tables of a ledger that serve every store, in plain SQL.

A store's own statements are in its folder. This module must not know connections, transactions or
what a state means.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import CHOICE_COLUMNS, RUN_COLUMNS, TRACK_COLUMNS, Plain, Row

# A choice is about one cover task. If a track gets another one, its old choice does not stand.
JOIN = """
    LEFT JOIN choices
    ON choices.number = tracks.number AND choices.cover_task_id = tracks.cover_task_id
"""
_DECISION = "coalesce(decision, 'undecided')"
_CHOICE = (_DECISION, "image", "coalesce(revision, 0)", "decided_at", "decided_by")
_ENTRY_COLUMNS = (*TRACK_COLUMNS, *CHOICE_COLUMNS)
_SELECT_ENTRY = (
    f"SELECT {', '.join([f'tracks.{column}' for column in TRACK_COLUMNS] + [*_CHOICE])} "
)


class Result(Protocol):
    """The result of a statement, as drivers return it."""

    @property
    def rowcount(self) -> int:
        """Return how many rows were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row; None if there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the rows that are left."""
        ...


class Statements(ABC):
    """The statements of a transaction, documented in `store.Transaction`; ? is a parameter."""

    has_title: ClassVar[str]
    """The condition that a title has a part, which is given twice, in small letters."""

    by_age: ClassVar[str] = "tracks"
    """The table of tracks, to be read by the age of covers."""

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Plain] = ()) -> Result:
        """Execute one statement."""

    def has_base_url(self, base_url: str) -> bool:
        """Return whether the API has answered this account at this base URL."""
        query = "SELECT count(*) FROM base_urls WHERE base_url = ?"
        (found,) = self.execute(query, (base_url,)).fetchone()
        return bool(found)

    def add_base_url(self, base_url: str) -> None:
        """Record that the API has answered at this base URL."""
        self.execute("INSERT INTO base_urls VALUES (?) ON CONFLICT DO NOTHING", (base_url,))

    def drop_base_urls(self) -> None:
        """Remove all base URLs."""
        self.execute("DELETE FROM base_urls")

    def catalog(self) -> str | None:
        """Return the fingerprint of the latest catalog."""
        fingerprint: str | None
        (fingerprint,) = self.execute("SELECT catalog FROM ledger").fetchone()
        return fingerprint

    def set_catalog(self, fingerprint: str | None) -> None:
        """Set the fingerprint of the latest catalog."""
        self.execute("UPDATE ledger SET catalog = ?", (fingerprint,))

    def change_run(self, number: int, columns: Mapping[str, Plain]) -> None:
        """Change columns of a run."""
        self._update("runs", number, columns)

    def count_submit(self, number: int, *, adopted: bool) -> None:
        """Count a submit that a run made."""
        counted = "adopted" if adopted else "submitted"
        statement = f"UPDATE runs SET {counted} = {counted} + 1 WHERE number = ?"  # noqa: S608 - columns of ours
        self.execute(statement, (number,))

    def runs(self, limit: int) -> list[Row]:
        """Return the latest runs, the latest first."""
        return self.rows(RUN_COLUMNS, "FROM runs ORDER BY number DESC LIMIT ?", limit)

    def has_task(self, number: int, cover_task_id: str) -> bool:
        """Return whether a track is submitted, with this cover task."""
        where = "number = ? AND state = 'submitted' AND cover_task_id = ?"
        (found,) = self.execute(
            f"SELECT count(*) FROM tracks WHERE {where}",  # noqa: S608 - a constant of ours
            (number, cover_task_id),
        ).fetchone()
        return bool(found)

    def counts(self) -> list[tuple[object, int, int]]:
        """Return each state, the count of its tracks, and the number of the first of them."""
        return self.execute(
            "SELECT state, count(*), min(number) FROM tracks GROUP BY state"
        ).fetchall()

    def count_retried(self) -> int:
        """Return how many tracks had a cover that failed and start again."""
        query = "SELECT count(*) FROM tracks WHERE state = 'submitting' AND retried <> 0"
        (retried,) = self.execute(query).fetchone()
        return int(retried)

    def unsaved(self, limit: int) -> list[Row]:
        """Return covered tracks, the oldest covers first."""
        where = "state = 'covered' ORDER BY completed_at LIMIT ?"
        return self.entries(f"FROM {self.by_age} {JOIN} WHERE {where}", limit)

    def change(self, number: int, columns: Mapping[str, Plain]) -> None:
        """Change columns of a track."""
        self._update("tracks", number, columns)

    def drop(self, state: str) -> int:
        """Remove the tracks in this state."""
        return self.execute("DELETE FROM tracks WHERE state = ?", (state,)).rowcount

    def submits(self) -> int:
        """Return how many submits were started in the life of the ledger."""
        (submits,) = self.execute("SELECT submits FROM ledger").fetchone()
        return int(submits)

    def add_submits(self, many: int, at_most: int | None = None) -> bool:
        """Add to the number of submits that were started, unless it would be above `at_most`."""
        statement = "UPDATE ledger SET submits = submits + ?"
        if at_most is None:
            return self.execute(statement, (many,)).rowcount == 1
        limited = f"{statement} WHERE submits + ? <= ?"
        return self.execute(limited, (many, many, at_most)).rowcount == 1

    def pairs(self, decisions: Sequence[str], search: str, after: int, limit: int) -> list[Row]:
        """Return saved tracks with these decisions numbered above `after`."""
        wanted = f"{_DECISION} IN ({', '.join('?' * len(decisions))})" if decisions else "true"
        where = f"state = 'saved' AND tracks.number > ? AND {wanted} AND {self.has_title}"
        rest = f"FROM tracks {JOIN} WHERE {where} ORDER BY tracks.number LIMIT ?"
        part = search.casefold()
        return self.entries(rest, after, *decisions, part, part, limit)

    def decisions(self, search: str) -> list[tuple[object, int, int]]:
        """Return each decision, the count of its saved tracks, and the number of the first."""
        part = search.casefold()
        query = (
            f"SELECT {_DECISION}, count(*), min(tracks.number) FROM tracks {JOIN} "  # noqa: S608 - constants of ours
            f"WHERE state = 'saved' AND {self.has_title} GROUP BY 1"
        )
        return self.execute(query, (part, part)).fetchall()

    def decide(
        self, number: int, cover_task_id: str, columns: Mapping[str, Plain], *, revision: int
    ) -> bool:
        """Record a choice if the one that stands has this revision."""
        changes = ", ".join(f"{name} = excluded.{name}" for name in ("cover_task_id", *columns))
        statement = f"""
            INSERT INTO choices (number, cover_task_id, {", ".join(columns)})
            SELECT ?, ?, {", ".join("?" * len(columns))}
            WHERE ? = 0 OR EXISTS (SELECT 1 FROM choices WHERE number = ?)
            ON CONFLICT (number) DO UPDATE SET {changes}
            WHERE choices.revision = ? OR choices.cover_task_id <> excluded.cover_task_id
        """  # noqa: S608 - columns of ours
        values = (number, cover_task_id, *columns.values(), revision, number, revision)
        return self.execute(statement, values).rowcount == 1

    def entries(self, rest: str, *values: Plain) -> list[Row]:
        """Select tracks with their choices, by the rest of a statement from its FROM on."""
        found = self.execute(_SELECT_ENTRY + rest, values)
        return [dict(zip(_ENTRY_COLUMNS, row, strict=True)) for row in found]

    def rows(self, columns: Sequence[str], rest: str, *values: Plain) -> list[Row]:
        """Select columns, by the rest of a statement from its FROM on."""
        found = self.execute(f"SELECT {', '.join(columns)} {rest}", values)
        return [dict(zip(columns, row, strict=True)) for row in found]

    def only(self, what: str, rest: str, value: Plain) -> Row:
        """Select one track, by the rest of a statement from its FROM on."""
        for row in self.rows(TRACK_COLUMNS, rest, value):
            return row
        raise LedgerError(f"the ledger's {what} is gone: does another program write to the ledger?")

    def _update(self, table: str, number: int, columns: Mapping[str, Plain]) -> None:
        if not columns:
            return
        changes = ", ".join(f"{column} = ?" for column in columns)
        statement = f"UPDATE {table} SET {changes} WHERE number = ?"  # noqa: S608 - columns of ours
        self.execute(statement, (*columns.values(), number))
