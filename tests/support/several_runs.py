"""The statements on a ledger in memory that several runs share.

The rules of `ledger/run_steps.py` are tested on it; the stores have tests of their own.
"""

import contextlib
import sqlite3
from collections.abc import Generator

from suno_cover_async.ledger.entry import Row
from suno_cover_async.ledger.sqlite import statements, tables


class SeveralRuns(statements._Transaction):
    """Runs of several hosts, as a database server would know them.

    Attributes:
        working_on: The catalog that each run at work has, by its number.
        silent: The runs that were not heard of for too long.
        holder: The run that holds a track, by its number.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(database)
        self.working_on: dict[int, str | None] = {}
        self.silent: set[int] = set()
        self.holder: dict[int, int] = {}

    def add_run(self, began_at: float, account: str) -> int:
        number = super().add_run(began_at, account)
        self.working_on[number] = None
        return number

    def is_at_work(self, run: int) -> bool:
        return run in self.working_on

    def beat_seconds(self) -> float | None:
        return 10.0

    def count_foreign(self, account: str) -> int:
        return 7 if account == "another" else 0

    def take_account(self, account: str) -> bool:
        return account != ""

    def end_run(self, run: int, ended_at: float) -> None:
        self.change_run(run, {"ended_at": ended_at})
        self.give_up(run)

    def drop_run(self, number: int) -> bool:
        self.working_on.pop(number, None)
        return super().drop_run(number)

    def give_up_silent_runs(self, _run: int) -> None:
        for run in self.silent & self.working_on.keys():
            self.give_up(run)

    def give_up(self, run: int) -> bool:
        for number in [number for number, holder in self.holder.items() if holder == run]:
            self.release(number, run)
        was_at_work = run in self.working_on
        self.working_on.pop(run, None)
        return was_at_work

    def others(self, run: int) -> list[tuple[int, str, str | None, bool]]:
        return [
            (number, f"host-{number}", catalog, False)
            for number, catalog in self.working_on.items()
            if number != run
        ]

    def work_on(self, run: int, catalog: str) -> None:
        self.working_on[run] = catalog

    def claim(self, state: str, run: int, limit: int) -> list[Row]:
        rows = super().claim(state, run, limit)
        self.holder |= {int(str(row["number"])): run for row in rows}
        return rows

    def holds(self, number: int, run: int) -> bool:
        return self.holder.get(number) == run

    def release(self, number: int, run: int) -> None:
        if self.holds(number, run):
            super().release(number, run)
            del self.holder[number]


@contextlib.contextmanager
def several_runs() -> Generator[SeveralRuns, None, None]:
    """Return the statements on an empty ledger; each commits by itself."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        tables.make(database)
        statements.prepare_to_hold(database)
        yield SeveralRuns(database)
