"""Define the numbers that tell whether a transaction took effect, in the table `commits`.

This module must not know when a transaction is repeated: `database.py` owns that.
"""

from suno_cover_async.postgres.connection import Connection


def has_changes(connection: Connection) -> bool:
    """Return whether the current transaction changed or locked anything."""
    row = connection.execute("SELECT pg_current_xact_id_if_assigned() IS NOT NULL").fetchone()
    return row is not None and bool(row[0])


def leave_number(connection: Connection, writer: str, number: int) -> bool:
    """Leave the number of a writer's transaction in the tables, as a part of that transaction.

    Returns:
        Whether it is above all numbers that this writer left so far. It waits for an earlier
        transaction of the writer that is under way.
    """
    left = connection.execute(
        "INSERT INTO commits (writer, number) VALUES (%s, %s) ON CONFLICT (writer) "
        "DO UPDATE SET number = excluded.number, left_at = excluded.left_at "
        "WHERE commits.number < excluded.number",
        (writer, number),
    )
    return left.rowcount == 1


def last_number(connection: Connection, writer: str) -> int:
    """Return the number that a writer left last; 0 if there is none."""
    row = connection.execute("SELECT number FROM commits WHERE writer = %s", (writer,)).fetchone()
    return 0 if row is None else int(row[0])


def forget_old_numbers(connection: Connection) -> None:
    """Remove the numbers of writers that are surely gone: they left none for 30 days."""
    # A writer whose number is missing takes the database for one that has forgotten its commits.
    connection.execute("DELETE FROM commits WHERE left_at < clock_timestamp() - interval '30 days'")
