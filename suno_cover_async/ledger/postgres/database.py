"""Run the steps of a ledger in transactions, and repeat one whose connection was lost.

This module owns when a transaction is repeated, and how long. It must not know any statement on a
table of ours.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import psycopg

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.postgres.commits import (
    forget_old_numbers,
    has_changes,
    last_number,
    leave_number,
)
from suno_cover_async.ledger.postgres.statements import Places, transaction
from suno_cover_async.ledger.postgres.tables import check_version
from suno_cover_async.ledger.store import Transaction, Work
from suno_cover_async.ledger.writer import CommitFailedError
from suno_cover_async.log_fields import fields
from suno_cover_async.postgres.connection import Connection, NotLetInError, connect
from suno_cover_async.postgres.failures import (
    ANSWERS_AGAIN,
    in_short,
    is_conflict,
    is_passing,
    passing_problem,
)
from suno_cover_async.postgres.url import DatabaseUrl

_log = logging.getLogger("suno_cover_async")

_LONGEST_FAILURE = 60.0  # seconds; a server restarts within these
_LONGEST_HURRIED = 5.0  # seconds, once the ledger is being closed
_ANOTHER_OUTAGE = 120.0  # seconds after a failure; a later one is of another outage
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"  # whatever the role or the database is set to
# A new ledger has no statistics: a claim would read all free tracks, and sort them.
_PLAN = "SET enable_bitmapscan = off; SET enable_sort = off"
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0  # seconds between two attempts
_FORGOT = (
    "the database has forgotten what was committed: it was restored from a backup, or is a standby "
    "that lagged behind"
)


class PostgresDatabase:
    """A connection to a ledger, and the next one when it is lost; `writer.Database` documents it.

    It blocks, and is used by one thread at a time.

    Attributes:
        trouble: What hinders the database for the moment, while it is tried again; None if nothing
            does. It may be read in any thread.
    """

    def __init__(
        self,
        url: DatabaseUrl,
        application: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        builds_on_earlier: bool = True,
    ) -> None:
        """Set the URL; nothing is opened yet.

        Args:
            url: The URL.
            application: What the server's list of connections shows.
            clock: Returns the seconds that limits count in.
            builds_on_earlier: Whether later transactions rely on the earlier ones, so that none is
                committed once the database has forgotten one.
        """
        self._url = url
        self._application = application
        self._clock = clock
        self._builds_on_earlier = builds_on_earlier
        self._writer, self._number, self._left = str(uuid4()), 0, 0
        self._connection: Connection | None = None
        self._places: Places = {}
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._wait = _FIRST_WAIT
        self.trouble: str | None = None
        self._hurried = threading.Event()

    def open(self) -> None:
        """Connect, and check the version of the tables.

        A server that does not let this process in at the first try may be the wrong one, and is
        not tried again. One that has let it in is there: where the connection is lost after that,
        it is made again as in `commit`, until `hurry` is called.

        Raises:
            LedgerError: There is no ledger, it has another version, or it cannot be reached.
        """
        was_let_in = False
        while True:
            try:
                forget_old_numbers(self._connected())
            except psycopg.Error as error:
                was_let_in = was_let_in or not isinstance(error, NotLetInError)
                may_wait = was_let_in and not self._hurried.is_set()
                if may_wait and self._may_try_again(error):
                    continue
                problem = unreachable(self._url, error)
                break
            self._succeeded()
            return
        self.close()
        raise problem

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def hurry(self) -> None:
        """Repeat a failed commit for a short time only from now on; called in any thread."""
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
        # A connection that is lost during COMMIT leaves open whether the commit took effect. So a
        # transaction that changes something leaves a number of ours, and one that is repeated asks
        # for that first, and waits for the earlier one to end: no step is done twice. The server's
        # own number of the transaction would not do: after a crash, another one may get it.
        answers: list[Any] = []
        is_unsure = has_left = False
        self._number += 1
        while True:
            try:
                connection = self._connected()
                connection.execute(_BEGIN)
                if is_unsure and not leave_number(connection, self._writer, self._number):
                    connection.execute("ROLLBACK")
                    break
                answers = self._attempt_all(transaction(connection, places=self._places), works)
                if not is_unsure and (has_left := has_changes(connection)):
                    leave_number(connection, self._writer, self._number)
                is_unsure = True
                connection.execute("COMMIT")
                break
            except Exception as error:  # noqa: BLE001 - the writer's thread must survive any error
                if not self._may_try_again(error):
                    raise CommitFailedError(error) from None
        self._succeeded()
        if has_left:
            self._left = self._number
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
                answer = error
                if isinstance(error, psycopg.Error):
                    if not _is_of_step(error):
                        raise
                    answer = self.failed(error)
                self._connection.execute("ROLLBACK TO work")
                answers.append(answer)
            self._connection.execute("RELEASE work")
        return answers

    def _connected(self) -> Connection:
        """Return the connection, a new one if the last was lost."""
        if self._connection is None:
            connection = connect(self._url, self._application)
            try:
                check_version(connection, self._url)
                self._check_memory(connection)
                connection.execute(_PLAN)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _check_memory(self, connection: Connection) -> None:
        """Raise LedgerError if the database has forgotten what was committed before.

        What a run knows of its tracks, and that they are its own, is then no longer so.
        """
        if self._builds_on_earlier and last_number(connection, self._writer) < self._left:
            raise LedgerError(_FORGOT)

    def _give_up_connection(self, error: Exception) -> None:
        """Undo the transaction; close the connection unless only another one was in the way."""
        if is_conflict(error) and self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.execute("ROLLBACK")
                return
        self.close()

    def _may_try_again(self, error: Exception) -> bool:
        """Return after a while whether to try again, with a warning from the second failure on."""
        self._give_up_connection(error)
        if not is_passing(error):
            self.trouble = None
            return False
        longest = _LONGEST_HURRIED if self._hurried.is_set() else _LONGEST_FAILURE
        now, since = self._clock(), self._failing_since
        # Steps that are in line when the ledger gives up are tried once each, not for 60 s each.
        is_first = since is None or now - self._failed_at > _ANOTHER_OUTAGE
        self._failed_at = now
        if since is None or is_first:
            self._failing_since = since = now
        if now - since > longest:
            self.trouble = None
            return False
        if not (is_first or self.trouble or is_conflict(error)):
            self.trouble = in_short(error)
            problem = passing_problem(self._url, error)
            facts = fields("ledger_outage", outage=(self._url.shown, self.trouble))
            _log.warning("%s; trying again for %.0f s", problem, longest, extra=facts)
            words = self._url.hide(str(error))
            _log.info("the ledger %s: %s", self._url.shown, words, extra=fields("ledger_outage"))
        if self._hurried.wait(self._wait):
            time.sleep(_FIRST_WAIT)
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        return True

    def _succeeded(self) -> None:
        if self.trouble:
            told = fields("ledger_outage_over", outage=(self._url.shown, ANSWERS_AGAIN))
            _log.warning(ANSWERS_AGAIN, extra=told)
        self._failing_since, self._wait, self.trouble = None, _FIRST_WAIT, None


def _is_of_step(error: psycopg.Error) -> bool:
    """Return whether a step's own values were at fault, so that another step may succeed."""
    return isinstance(error, psycopg.DataError | psycopg.IntegrityError)


def unreachable(url: DatabaseUrl, error: Exception) -> LedgerError:
    """Return the LedgerError for a ledger that cannot be opened or read."""
    return LedgerError(
        f"the ledger {url.shown} cannot be used ({url.hide(str(error))}); check the URL, the "
        "server, and the password and the rights of the role"
    )
