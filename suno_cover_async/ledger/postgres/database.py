"""Run the steps of a ledger in transactions, and repeat one whose connection was lost.

This module owns when a transaction is repeated, and how long. It must not know any statement on a
table of ours.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.postgres.statements import transaction
from suno_cover_async.ledger.postgres.tables import check_version
from suno_cover_async.ledger.store import Transaction, Work
from suno_cover_async.ledger.writer import CommitFailedError
from suno_cover_async.postgres.connection import Connection, connect
from suno_cover_async.postgres.failures import is_conflict, is_passing
from suno_cover_async.postgres.url import DatabaseUrl

_LONGEST_FAILURE = 60.0  # seconds; a server restarts within these
_LONGEST_HURRIED = 5.0  # seconds, once the ledger is being closed
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0  # seconds between two attempts


class PostgresDatabase:
    """A connection to a ledger, and the next one when it is lost; `writer.Database` documents it.

    It blocks, and is used by one thread at a time.
    """

    def __init__(self, url: DatabaseUrl, application: str) -> None:
        """Set the URL; nothing is opened yet."""
        self._url = url
        self._application = application
        self._connection: Connection | None = None
        self._failing_since: float | None = None
        self._hurried = threading.Event()

    def open(self) -> None:
        """Connect, and check the version of the tables.

        Raises:
            LedgerError: There is no ledger, it has another version, or it cannot be reached.
        """
        try:
            self._connected()
        except psycopg.Error as error:
            problem = unreachable(self._url, error)
        else:
            return
        raise problem

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def hurry(self) -> None:
        """Repeat a failed commit for a short time only from now on."""
        self._hurried.set()

    def failed(self, reason: Exception) -> LedgerError:
        """Return the error for a commit that failed."""
        return LedgerError(
            f"the ledger {self._url.shown} cannot be written ({self._url.hide(str(reason))}), so "
            "nothing more is submitted; see to the server, then run again: paid covers are found "
            "again"
        )

    def commit(self, works: Sequence[Work[Any]]) -> list[Any]:
        """Run steps in one transaction; redo it all over a new connection if that was lost."""
        # A connection that is lost during COMMIT leaves open whether the commit took effect. The
        # server knows: `unsure` is the transaction's number, and its status is asked for before
        # anything is done again. So no step is done twice.
        answers: list[Any] = []
        unsure: str | None = None
        wait = _FIRST_WAIT
        while True:
            try:
                connection = self._connected()
                if unsure is not None and _was_committed(connection, unsure):
                    break
                unsure = None
                connection.execute("BEGIN")
                answers = self._attempt_all(transaction(connection), works)
                unsure = _number_of_transaction(connection)
                connection.execute("COMMIT")
                break
            except Exception as error:  # noqa: BLE001 - the writer's thread must survive any error
                if not self._is_lost():
                    unsure = None
                self._give_up_connection(error)
                if not is_passing(error) and not isinstance(error, _StillRunningError):
                    raise CommitFailedError(error) from None
                if self._has_failed_for_too_long():
                    raise CommitFailedError(error) from None
                if self._hurried.wait(wait):
                    time.sleep(_FIRST_WAIT)
                wait = min(2 * wait, _LONGEST_WAIT)
        self._failing_since = None
        return answers

    def _attempt_all(self, there: Transaction, works: Sequence[Work[Any]]) -> list[Any]:
        """Run steps; undo one that is itself at fault alone, and return its error in its place."""
        answers: list[Any] = []
        assert self._connection is not None  # noqa: S101 - `_connected` was called
        for work in works:
            self._connection.execute("SAVEPOINT work")
            try:
                answers.append(work(there))
            except Exception as error:
                if isinstance(error, psycopg.Error) and not _is_of_step(error):
                    raise
                self._connection.execute("ROLLBACK TO work")
                answers.append(error)
            self._connection.execute("RELEASE work")
        return answers

    def _connected(self) -> Connection:
        """Return the connection, a new one if the last was lost."""
        if self._connection is None:
            connection = connect(self._url, self._application)
            try:
                check_version(connection, self._url)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _is_lost(self) -> bool:
        return self._connection is None or self._connection.broken

    def _give_up_connection(self, error: Exception) -> None:
        """Undo the transaction; close the connection unless only another one was in the way."""
        if is_conflict(error) and self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.execute("ROLLBACK")
                return
        self.close()

    def _has_failed_for_too_long(self) -> bool:
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        longest = _LONGEST_HURRIED if self._hurried.is_set() else _LONGEST_FAILURE
        return now - self._failing_since > longest


class _StillRunningError(Exception):
    """The server has not noticed yet that the connection of a transaction was lost."""


def _number_of_transaction(connection: Connection) -> str | None:
    """Return the number of the current transaction; None if it changed nothing."""
    row = connection.execute("SELECT pg_current_xact_id_if_assigned()::text").fetchone()
    return None if row is None else row[0]


def _was_committed(connection: Connection, number: str) -> bool:
    """Return whether a transaction was committed.

    Raises:
        _StillRunningError: It is still under way.
    """
    try:
        row = connection.execute("SELECT pg_xact_status(%s::xid8)", (number,)).fetchone()
    except psycopg.errors.InvalidParameterValue:
        return False  # the server never heard of it: another one took its place
    status = None if row is None else row[0]
    if status == "in progress":
        raise _StillRunningError("the server has not ended the transaction of a lost connection")
    return bool(status == "committed")


def _is_of_step(error: psycopg.Error) -> bool:
    """Return whether a step's own values were at fault, so that another step may succeed."""
    return isinstance(error, psycopg.DataError | psycopg.IntegrityError)


def unreachable(url: DatabaseUrl, error: Exception) -> LedgerError:
    """Return the LedgerError for a ledger that cannot be opened or read."""
    return LedgerError(
        f"the ledger {url.shown} cannot be used ({url.hide(str(error))}); check the URL, the "
        "server and the rights of the role"
    )
