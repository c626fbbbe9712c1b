"""Ledgers in a database: tables, several connections to them, and runs that others give up."""

import contextlib
import itertools
import select
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

import attrs
from psycopg.rows import dict_row

from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.postgres.database import PostgresDatabase
from suno_cover_async.ledger.postgres.statements import Places, transaction
from suno_cover_async.ledger.postgres.tables import make_or_migrate
from suno_cover_async.ledger.store import Transaction, Work
from suno_cover_async.models import Track
from suno_cover_async.postgres.connection import Connection, connect
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.cut_proxy import CutProxy
from tests.support.ledger_steps import details

TABLES = ("ledger", "base_urls", "runs", "tracks", "choices")
OURS, OTHERS = "0123456789abcdef", "fedcba9876543210"
"""Fingerprints of two accounts."""


def made(url: str) -> DatabaseUrl:
    """Make the tables, and return the URL."""
    parsed = DatabaseUrl.parse(url)
    with contextlib.closing(connect(parsed, "test")) as connection:
        make_or_migrate(connection, parsed)
    return parsed


def through(proxy: CutProxy, url: DatabaseUrl) -> DatabaseUrl:
    """Return the URL of a database by way of a proxy."""
    return DatabaseUrl.parse(url.conninfo.replace(f":{proxy.leads_to}/", f":{proxy.port}/"))


@contextlib.contextmanager
def opened(
    url: DatabaseUrl,
    clock: Callable[[], float] = time.monotonic,
    *,
    builds_on_earlier: bool = True,
) -> Generator[PostgresDatabase]:
    """Open what a ledger's thread works with."""
    database = PostgresDatabase(url, "test", clock=clock, builds_on_earlier=builds_on_earlier)
    database.open()
    try:
        yield database
    finally:
        database.close()


def jumping(seconds: float) -> Callable[[], float]:
    """Return a clock that goes on by so much each time that it is asked."""
    steady = itertools.count()
    return lambda: next(steady) * seconds


@attrs.frozen
class Session:
    """A connection to a ledger; each statement commits by itself outside of `transaction`."""

    connection: Connection
    places: Places = attrs.Factory(dict[tuple[int, str], int])

    @property
    def there(self) -> Transaction:
        return transaction(self.connection, places=self.places)

    @contextlib.contextmanager
    def transaction(self) -> Generator[Transaction]:
        with self.connection.transaction():
            yield self.there

    def do(self, work: Work[Any]) -> Any:
        """Do a step in a transaction."""
        with self.transaction() as there:
            return work(there)

    def execute(self, statement: str, *values: object) -> list[Any]:
        cursor = self.connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []

    def contents(self, *tables: str) -> dict[str, list[dict[str, Any]]]:
        """Read whole tables, all of the ledger's by default."""
        with self.connection.cursor(row_factory=dict_row) as rows:
            return {
                table: rows.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall()  # noqa: S608
                for table in tables or TABLES
            }

    def track(self, number: int = 1) -> dict[str, Any]:
        return next(row for row in self.contents("tracks")["tracks"] if row["number"] == number)

    def run(self, number: int) -> dict[str, Any]:
        return next(row for row in self.contents("runs")["runs"] if row["number"] == number)

    def fill(self, many: int) -> None:
        """Add waiting tracks with the next numbers."""
        (last,) = self.execute("SELECT coalesce(max(number), 0) FROM tracks")[0]
        numbers = range(last + 1, last + 1 + many)
        self.do(steps.take_in([Track(f"m{n}", title=f"Song {n}") for n in numbers]))

    def begin(self, account: str = OURS) -> int:
        """Begin a run that is not silent for an hour, and is old enough to give up others."""
        run: int = self.do(run_steps.begin_run(account, "L")).number
        self.execute(
            "UPDATE runs SET heard_at = clock_timestamp() + interval '1 hour', "
            "began_at = began_at - 3600 WHERE number = %s",
            run,
        )
        return run

    def silence(self, run: int) -> None:
        """Let a run have been silent for too long, however young the server is."""
        self.execute("UPDATE ledger SET dead_after = 1")
        self.execute(
            "UPDATE runs SET heard_at = clock_timestamp() - interval '1 hour' WHERE number = %s",
            run,
        )
        while self.execute("SELECT pg_postmaster_start_time() + interval '1.1 s' > now()")[0][0]:
            pass

    def claim(self, run: int, limit: int = 99, state: TrackState = TrackState.WAITING) -> list[int]:
        """Claim as a run does, and return the numbers."""
        found = self.do(run_steps.HeldBy(run, run_steps.claim([state], run, limit)))
        return [entry.number for entry in found]

    def cover(self, *numbers: int) -> None:
        """Finish the covers of tracks, as their holders would."""
        for number in numbers:
            self.hold(number)
            self.do(steps.covered(number, 0, details()))

    def hold(self, number: int, run: int = 0) -> None:
        """Let a run hold a track, by default one that never was."""
        self.execute("UPDATE tracks SET holder = %s WHERE number = %s", run, number)

    def claim_unsaved(self, run: int, limit: int = 99) -> list[int]:
        found = self.do(run_steps.HeldBy(run, run_steps.claim_unsaved(run, limit)))
        return [entry.number for entry in found]

    def waits_for(self, other: "Session") -> bool:
        """Whether the connection waits for a lock of another one; asked over this one."""
        blocking = self.execute("SELECT pg_blocking_pids(%s)", other.connection.info.backend_pid)[
            0
        ][0]
        return bool(blocking)


@contextlib.contextmanager
def session(url: DatabaseUrl) -> Generator[Session]:
    with contextlib.closing(connect(url, "test")) as connection:
        yield Session(connection)


@contextlib.contextmanager
def at_the_same_time(act: Callable[[], Any]) -> Generator[list[Any]]:
    """Do something in a thread during the block; its answer, or error, is in the list after it."""
    answer: list[Any] = []

    def acting() -> None:
        try:
            answer.append(act())
        except Exception as error:  # noqa: BLE001 - the test checks it
            answer.append(error)

    thread = threading.Thread(target=acting)
    thread.start()
    try:
        yield answer
    finally:
        thread.join()


def until_it_waits(watcher: Session, waiting: Session) -> None:
    """Return when a connection waits for a lock that another one holds."""
    while not watcher.waits_for(waiting):
        select.select([], [], [], 0.001)
