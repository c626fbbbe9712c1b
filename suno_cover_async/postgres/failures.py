"""Tell what an error of PostgreSQL means for a transaction: repeat it, or give up.

It must not know what a transaction was about.
"""

import re
from textwrap import shorten

import psycopg

from suno_cover_async.common.text import in_one_line, printable
from suno_cover_async.postgres.url import DatabaseUrl

_NOT_MADE = ("42P01", "42703", "3F000")  # no such table, column or schema
_CONFLICTS = ("40001", "40P01", "55P03")  # serialization, deadlock, a lock not granted in time
ANSWERS_AGAIN = "the database answers again"

_AWAY = (
    "08",  # the connection failed
    *("57P01", "57P02", "57P03"),  # the server shuts down or starts, or a person ended the session
)
# What the driver's errors say around the reason.
_FRAME = re.compile(r"^.*? port \d+ failed: |FATAL: +|\.? (Is the server running|Multiple conn).*")
_PASSING = (
    *_AWAY,
    "53",  # the server lacks memory, disk or connections
    "57P05",  # the server ended a session that was idle
    "25P03",  # the server ended a session that stood still in a transaction
    "25006",  # the server became a standby that refuses to write
    "58",  # the server's own disk failed
)


def is_passing(error: BaseException) -> bool:
    """Return whether the same transaction may succeed later, over a new connection."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # the connection was lost, or could not be made
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_PASSING) or is_conflict(error)


def in_short(error: BaseException) -> str:
    """Return in a few words what hinders a database for the moment, without a secret."""
    if _is_away(error):
        return "the database does not answer"
    return f"the database cannot work ({printable(_short_reason(error))})"


def passing_problem(url: DatabaseUrl, error: BaseException) -> str:
    """Return what hinders a database for the moment, why, and what to do, without a secret."""
    reason = url.hide(_short_reason(error))
    what = "the password" if "password" in reason else "the server"
    happens = "does not answer" if _is_away(error) else "cannot work"
    return f"the database {url.shown} {happens} ({reason}); check {what}"


def _short_reason(error: BaseException) -> str:
    return shorten(_FRAME.sub("", reason_of(error)), 48, placeholder="...")


def _is_away(error: BaseException) -> bool:
    state = error.sqlstate if isinstance(error, psycopg.Error) else None
    return state is None or state.startswith(_AWAY)


def is_conflict(error: BaseException) -> bool:
    """Return whether another transaction was in the way, so that repeating it at once is right."""
    return isinstance(error, psycopg.Error) and error.sqlstate in _CONFLICTS


def reason_of(error: BaseException) -> str:
    """Return an error's text in one line; it may hold a secret of the URL."""
    text = str(error).strip() or type(error).__name__
    return in_one_line(text)


def problem(what: str, url: DatabaseUrl, error: BaseException, rights: str) -> str:
    """Return what is wrong with a database and what to do, without a secret.

    Args:
        what: What uses the database.
        url: The database.
        error: The error.
        rights: What the user must be allowed to do there.
    """
    where = f"the database of the {what}, {url.shown}"
    if isinstance(error, psycopg.Error) and error.sqlstate in _NOT_MADE:
        return f"{where}, lacks its tables; run suno-cover ledger init {url.shown}"
    return (
        f"{where}, cannot be used ({url.hide(reason_of(error))}); check the URL, that the server "
        f"runs, and that the user may {rights}"
    )
