"""The permits of accounts in tables of a PostgreSQL database that processes and machines share.

This module knows SQL and the server's clock; `limiter.py` knows when to take permits.
"""

import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, TypeVar

from suno_cover_async.fleet.permit_file import SHARED_AGAIN
from suno_cover_async.policies import RateLimit
from suno_cover_async.postgres.connection import Connection, connect
from suno_cover_async.postgres.failures import (
    ANSWERS_AGAIN,
    in_short,
    is_passing,
    passing_problem,
    problem,
)
from suno_cover_async.postgres.url import DatabaseUrl

T = TypeVar("T")

_SOON = 0.01  # seconds; a free permit that another process is just taking has been taken by then

# The row that is chosen is locked, and read anew if another process changed it since the statement
# began. Rows that others lock are passed over, so nobody waits for anybody.
_TAKE = """
WITH chosen AS (
    SELECT number FROM permits
    WHERE account = %(account)s AND calls = %(calls)s AND seconds = %(seconds)s
        AND free_at <= clock_timestamp()
        AND NOT EXISTS (
            SELECT FROM pauses WHERE account = %(account)s AND until > clock_timestamp()
                AND until <= clock_timestamp() + interval '1 hour'
        )
    ORDER BY free_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE permits SET token = %(token)s, free_at = clock_timestamp() + make_interval(secs => %(lease)s)
FROM chosen WHERE permits.account = %(account)s AND permits.number = chosen.number
"""

# A held permit is free one window after its release, and that is not before now. After the server's
# clock was set back, a permit may seem to be held for longer than any lease: then its lease begins
# now. A second is left for processes that write meanwhile.
_WAIT = """
WITH moment AS MATERIALIZED (SELECT clock_timestamp() AS now), shortened AS (
    UPDATE permits SET free_at = clock_timestamp() + make_interval(secs => %(lease)s)
    WHERE account = %(account)s AND calls = %(calls)s AND seconds = %(seconds)s
        AND free_at > clock_timestamp() + make_interval(secs => %(lease)s + 1)
)
SELECT count(number), extract(epoch FROM greatest(
    min(least(free_at, now + make_interval(
        secs => CASE WHEN token IS NULL THEN %(lease)s ELSE %(window)s END
    ))),
    (SELECT until FROM pauses
        WHERE account = %(account)s AND until <= clock_timestamp() + interval '1 hour')
) - now)::float8
FROM moment LEFT JOIN permits
    ON account = %(account)s AND calls = %(calls)s AND seconds = %(seconds)s
GROUP BY now
"""

_GIVE_BACK = """
UPDATE permits SET token = NULL, free_at = clock_timestamp() + make_interval(secs => %(wait)s)
WHERE account = %(account)s AND token = %(token)s
"""

_RENEW = """
UPDATE permits SET free_at = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE account = %(account)s AND token = ANY(%(tokens)s)
"""

_PAUSE = """
INSERT INTO pauses
VALUES (%(account)s, clock_timestamp() + make_interval(secs => least(%(wait)s, 3600)))
ON CONFLICT (account) DO UPDATE SET until = excluded.until
WHERE pauses.until < excluded.until OR pauses.until > clock_timestamp() + interval '1 hour'
"""

_OTHER_LIMIT = """
SELECT calls, seconds FROM permits
WHERE account = %(account)s AND (calls, seconds) <> (%(calls)s, %(seconds)s)
    AND free_at > clock_timestamp()
LIMIT 1
"""

_LOCK_ACCOUNT = "SELECT pg_advisory_xact_lock(hashtextextended('permits of ' || %(account)s, 0))"

_LOCK_PERMITS = "SELECT number FROM permits WHERE account = %(account)s FOR UPDATE"

_REMOVE_OTHERS = """
DELETE FROM permits
WHERE account = %(account)s AND (calls, seconds) <> (%(calls)s, %(seconds)s)
"""

_ADD = """
INSERT INTO permits
SELECT %(account)s, number, %(calls)s, %(seconds)s, NULL,
    clock_timestamp() + make_interval(secs => %(wait)s)
FROM generate_series(0, %(calls)s - 1) AS number
ON CONFLICT (account, number) DO NOTHING
"""


class OtherLimitError(Exception):
    """Other processes use the account's permits under another limit."""


class PermitTable:
    """The permits of accounts, as rows of a table. Every method blocks, mostly for milliseconds.

    A permit is free, or returns at a known moment, or is held: then it has a token and a lease, at
    whose end it is free again even if its process was killed. A token fences what is done with a
    permit: once another process has it, the old token changes nothing.

    It connects at the first step, once in each process, and again where the connection was lost.

    Attributes:
        failures: What the methods raise.
    """

    # All moments are the server's `clock_timestamp()`, so the clocks of the machines do not matter.
    # Each step is one statement that commits by itself, so a process that is stopped or killed
    # holds no lock. A commit is synced before it is answered: after a crash of the server that
    # forgot who had taken a permit, it would be given twice.

    failures: ClassVar[tuple[type[Exception], ...]] = (Connection.Error, OtherLimitError)

    def __init__(self, url: str, limit: RateLimit, lease: float) -> None:
        """Read the URL, and do not connect.

        Args:
            url: The URL of the database.
            limit: An account has `calls` permits; it must be the same in all processes.
            lease: The seconds after which a held permit is free, unless it is renewed.

        Raises:
            ValueError: It is no such URL.
        """
        self._url = DatabaseUrl.parse(url)
        self._values = {"calls": limit.calls, "seconds": float(limit.seconds), "lease": lease}
        # After a fork the connection is the parent's, and so may be the lock: by its process id a
        # child finds none of them. The parent's is kept there, for its end would end the session.
        self._sessions: dict[int, _Session] = {}
        weakref.finalize(self, _close, self._sessions)

    def take(self, account: str, window: float) -> tuple[int, float]:
        """Take a permit.

        Args:
            account: The account.
            window: The least seconds until a permit that is held now is free.

        Returns:
            Its token and 0; or 0, and the seconds after which one may be free.

        Raises:
            OtherLimitError: Permits of another limit of the account are in use.
            psycopg.Error: The server cannot be reached, or refuses.
        """
        token = 1 + secrets.randbits(62)
        values = {**self._values, "account": account, "token": token, "window": window}

        def step(connection: Connection) -> tuple[int, float]:
            if connection.execute(_TAKE, values).rowcount:
                return token, 0.0
            ((number, seconds),) = connection.execute(_WAIT, values).fetchall()
            if number != values["calls"]:
                _add(connection, values)
                seconds = 0.0
            return 0, max(_SOON, seconds)

        return self._step(step)

    def give_back(self, account: str, token: int, seconds: float) -> None:
        """Return a permit; it is free after `seconds`."""
        values = {"account": account, "token": token, "wait": seconds}
        self._step(lambda connection: connection.execute(_GIVE_BACK, values))

    def renew(self, account: str, tokens: Iterable[int]) -> None:
        """Begin the leases of held permits anew."""
        values = {**self._values, "account": account, "tokens": list(tokens)}
        self._step(lambda connection: connection.execute(_RENEW, values))

    def pause(self, account: str, seconds: float) -> None:
        """Give no permit of an account for `seconds`, at most for an hour; a longer pause stays."""
        values = {"account": account, "wait": seconds}
        self._step(lambda connection: connection.execute(_PAUSE, values))

    def may_pass(self, error: BaseException) -> bool:
        """Return whether the step may succeed later, though nobody changes anything."""
        return isinstance(error, OtherLimitError) or is_passing(error)

    def problem(self, error: BaseException) -> str:
        """Return what is wrong and what to do, without a secret."""
        if isinstance(error, OtherLimitError):
            return str(error)
        return problem("shared rate limit", self._url, error, "read and write the tables")

    def in_short(self, error: BaseException) -> str:
        """Return in a few words what an error that may pass means, without a secret."""
        if isinstance(error, OtherLimitError):
            return "other processes keep another limit"
        return in_short(error)

    def told(self, error: BaseException) -> tuple[str, str]:
        """Return what to say of an error that may pass, and what once it has passed."""
        if isinstance(error, OtherLimitError):
            return str(error), SHARED_AGAIN
        return passing_problem(self._url, error), ANSWERS_AGAIN

    def _step(self, step: Callable[[Connection], T]) -> T:
        """Take a step over this process's connection; if it was lost meanwhile, over a new one."""
        # A step that was committed unseen and is taken again does no harm: a second return of a
        # permit finds no token, and a permit that was taken is free at the end of its lease.
        session = self._sessions.setdefault(os.getpid(), _Session())
        with session.turn:
            was_connected = session.connection is not None
            try:
                return self._try(session, step)
            except Connection.Error as error:
                if not was_connected or not is_passing(error):
                    raise
            return self._try(session, step)

    def _try(self, session: "_Session", step: Callable[[Connection], T]) -> T:
        if session.connection is None:
            session.connection = connect(self._url, "suno-cover shared rate limit")
        try:
            return step(session.connection)
        except Connection.Error:
            session.connection.close()
            session.connection = None
            raise


class _Session:
    """The connection of one process, and whose turn it is among its threads."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.connection: Connection | None = None


def _close(sessions: dict[int, _Session]) -> None:
    """Close this process's connection, as its limiter is collected or the process ends."""
    session = sessions.get(os.getpid())
    if session is not None and session.connection is not None:
        session.connection.close()


def _add(connection: Connection, values: Mapping[str, object]) -> None:
    """Add the permits of an account that are not there yet, and remove those of another limit.

    Raises:
        OtherLimitError: Permits of another limit are in use.
    """
    # Two limits at once would let through more than either. Which one is right cannot be known
    # here, so the one whose permits are in use goes on. Once all of them are free, another one may
    # take its place: nobody can take one meanwhile, since all rows are locked. The new permits are
    # free a window later, in case that windows are longer now.
    _refuse_other_limit(connection, values)  # first without a lock that others would wait for
    with connection.transaction():
        connection.execute(_LOCK_ACCOUNT, values)
        connection.execute(_LOCK_PERMITS, values)
        _refuse_other_limit(connection, values)
        removed = connection.execute(_REMOVE_OTHERS, values).rowcount
        connection.execute(_ADD, {**values, "wait": values["window"] if removed else 0.0})


def _refuse_other_limit(connection: Connection, values: Mapping[str, object]) -> None:
    other = connection.execute(_OTHER_LIMIT, values).fetchone()
    if other is not None:
        calls, seconds = other
        raise OtherLimitError(
            f"other processes share the account's limit as {calls} calls in {seconds:g} s, "
            f"this one as {values['calls']} in {values['seconds']:g} s: give all the same `calls` "
            "and `seconds`, or end the others first"
        )
