"""The callbacks that processes share, as rows of a table and as notifications about them.

This module knows SQL and one connection; `callback_bus.py` knows when to connect, read and write.
"""

import hashlib
from collections.abc import Sequence

from suno_cover_async.models import Callback
from suno_cover_async.postgres.connection import Connection, connect
from suno_cover_async.postgres.failures import problem as problem_of
from suno_cover_async.postgres.url import DatabaseUrl

FAILURES = (Connection.Error, OSError)
"""What the methods raise where the database cannot be reached or used."""

MOST_READ = 4096
"""How many rows are read at most, the newest ones: a notifier keeps no more."""


# The table is named with its schema, so that a pooler may change the server's session behind the
# connection. `FOR UPDATE` is not used: it needs rights that nothing else here needs.
_WRITE = """
WITH written AS (
    INSERT INTO {table} (music_task_id, cover_task_id)
    SELECT * FROM unnest(%(music)s::text[], %(covers)s::text[])
    RETURNING concat_ws(' ', id, music_task_id, cover_task_id) AS payload
)
SELECT payload, pg_notify(%(channel)s, payload) FROM written
"""

# Where the clock of the server was set back, the rows since then are read, and not none.
_READ = """
SELECT concat_ws(' ', id, music_task_id, cover_task_id) FROM {table}
WHERE received_at > least(to_timestamp(%(since)s), clock_timestamp()) - interval '1 minute'
    AND received_at > clock_timestamp() - interval '1 hour'
ORDER BY id DESC LIMIT %(most)s
"""

_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"

_PRUNE = "DELETE FROM {table} WHERE received_at < clock_timestamp() - interval '1 hour'"


class CallbackTable:
    """One connection to the table of callbacks. Every method blocks, mostly for milliseconds.

    A row is told as its payload: its number and the two ids, with spaces between them.
    """

    def __init__(self, url: DatabaseUrl) -> None:
        """Connect, and be notified from now on of the rows that are written.

        Raises:
            psycopg.Error: The server cannot be reached, or refuses.
        """
        self._table = f'"{url.schema}".callbacks'  # a schema's name has no quotation mark
        # A hash, since a channel's name has 63 bytes at most, and so may have a schema's.
        name = hashlib.sha256(url.schema.encode()).hexdigest()[:16]
        self._channel = f"suno_cover_callbacks_{name}"
        self._payloads = payloads = list[str]()
        self._connection = connect(url, "suno-cover callback bus", may_be_pooled=True)
        try:
            self._connection.prepare_threshold = None  # a pooler may change the server's session
            self._connection.add_notify_handler(
                lambda notification: payloads.append(notification.payload)
            )
            self._connection.execute(f"LISTEN {self._channel}".encode())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def fileno(self) -> int:
        """Return the connection's socket, to wait for notifications."""
        return self._connection.fileno()

    def write(self, callbacks: Sequence[Callback]) -> list[str]:
        """Add a row for each callback, in one transaction that notifies all; return the payloads.

        Raises:
            psycopg.Error: The connection was lost, or the server refuses.
        """
        values = {
            "music": [callback.music_task_id for callback in callbacks],
            "covers": [callback.cover_task_id for callback in callbacks],
            "channel": self._channel,
        }
        rows = self._connection.execute(self._statement(_WRITE), values)
        return [payload for payload, _ in rows]

    def read(self, since: float | None) -> tuple[list[str], float]:
        """Return the payloads of the newest rows, oldest first, and the moment to read from next.

        A transaction may commit some time after its row was written, so the rows of the minute
        before are returned again. All moments are the server's, in seconds.

        Args:
            since: The moment that the last call returned; None for now.

        Raises:
            psycopg.Error: The connection was lost, or the server refuses.
        """
        ((now,),) = self._connection.execute(_NOW).fetchall()
        values = {"since": since, "most": MOST_READ}
        rows = self._connection.execute(self._statement(_READ), values)
        return [payload for (payload,) in rows][::-1], now

    def prune(self) -> None:
        """Remove the rows that are older than an hour.

        Raises:
            psycopg.Error: The connection was lost, or the server refuses.
        """
        self._connection.execute(self._statement(_PRUNE))

    def arrived(self) -> list[str]:
        """Return the payloads of the notifications that have arrived since the last call.

        Raises:
            psycopg.Error: The connection was lost.
        """
        # `Connection.notifies` would miss those that come with the answer to another statement.
        self._connection.pgconn.consume_input()
        while notification := self._connection.pgconn.notifies():
            self._payloads.append(notification.extra.decode(errors="replace"))
        payloads = self._payloads.copy()
        self._payloads.clear()
        return payloads

    def _statement(self, template: str) -> bytes:
        return template.format(table=self._table).encode()


def problem(url: DatabaseUrl, error: BaseException) -> str:
    """Return what is wrong and what to do, without a secret."""
    return problem_of("callback bus", url, error, "read, write and delete rows of its table")
