"""The permits of accounts in a file that the processes of one machine share.

This module knows SQLite and a clock; `limiter.py` knows when a permit is taken and returned.
"""

import contextlib
import errno
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import ClassVar

from suno_cover_async.common.text import printable

SHARED_AGAIN = "the limit is shared again"

_BUSY_SECONDS = 5.0  # a step takes a millisecond; a stopped process may hold the file for longer
_LONGEST_PAUSE = 3600.0  # the longest that a batch obeys

_PERMITS = """
CREATE TABLE IF NOT EXISTS permit (
    account TEXT, number INTEGER, token INTEGER, free_at REAL, PRIMARY KEY (account, number)
) WITHOUT ROWID"""
_FOREIGN = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('permit', 'pause')"
_PAUSES = "CREATE TABLE IF NOT EXISTS pause (account TEXT PRIMARY KEY, until REAL) WITHOUT ROWID"


class PermitFile:
    """The permits of accounts, as rows of a small database. Every method blocks for milliseconds.

    A permit is free, or returns at a known moment, or is held: then it has a token and a lease, at
    whose end it is free again even if its process was killed. A token fences what is done with a
    permit: once another process has it, the old token changes nothing.

    Attributes:
        failures: What the methods raise.
    """

    # All moments are `time.monotonic` of this machine, which all of its processes share, and which
    # no correction of the wall clock moves. It starts anew at boot, so moments of an earlier boot
    # may be in the far future; such a moment cannot be true and counts as the longest possible one.
    # The file is opened for each step: nothing has to be closed, it survives a fork, and a file
    # that was deleted is made again. It is not synced, because after a power cut no permit matters;
    # one that the power cut damaged is deleted.

    failures: ClassVar[tuple[type[Exception], ...]] = (sqlite3.Error, OSError)

    def __init__(
        self, path: Path, calls: int, lease: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make the file, readable for its owner only, unless it exists.

        Args:
            path: The file; its folder is made as well.
            calls: How many permits an account has.
            lease: The seconds after which a held permit is free, unless it is renewed.
            clock: Returns seconds; the same ones in all processes.

        Raises:
            OSError: The folder cannot be made, or the path is no regular file's.
            sqlite3.Error: The file cannot be made or written, or is something else.
        """
        self._path = path
        self._calls = calls
        self._lease = lease
        self._clock = clock
        self._turn = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        if not path.is_file():  # SQLite accepts devices, which keep nothing
            raise OSError(errno.EINVAL, "it is no regular file")
        with self._step():
            pass

    def take(self, account: str, window: float) -> tuple[int, float]:
        """Take a permit.

        Args:
            account: The account.
            window: The least seconds until a permit that is held now is free.

        Returns:
            Its token and 0; or 0, and the seconds after which one may be free.
        """
        with self._step() as (database, now):
            latest = now + self._lease
            until = _first(database, "SELECT until FROM pause WHERE account = ?", account)
            if until is not None and now < until < now + _LONGEST_PAUSE:
                return 0, until - now
            database.executemany(
                "INSERT OR IGNORE INTO permit VALUES (?, ?, NULL, 0)",
                [(account, number) for number in range(self._calls)],
            )
            database.execute(
                "UPDATE permit SET free_at = ? WHERE account = ? AND free_at > ?",
                (latest, account, latest),
            )
            token = 1 + secrets.randbits(62)
            taken = database.execute(
                "UPDATE permit SET token = ?, free_at = ? WHERE account = ? AND number = ("
                "SELECT number FROM permit WHERE account = ? AND number < ? AND free_at <= ? "
                "ORDER BY free_at LIMIT 1)",
                (token, latest, account, account, self._calls, now),
            )
            if taken.rowcount:
                return token, 0.0
            # A held permit is free one window after its release, and that is not before now.
            soonest = _first(
                database,
                "SELECT min(CASE WHEN token IS NULL THEN free_at ELSE min(free_at, ?) END) "
                "FROM permit WHERE account = ? AND number < ?",
                *(now + window, account, self._calls),
            )
            return 0, max(0.0, (soonest or now) - now)

    def give_back(self, account: str, token: int, seconds: float) -> None:
        """Return a permit; it is free after `seconds`."""
        with self._step() as (database, now):
            database.execute(
                "UPDATE permit SET token = NULL, free_at = ? WHERE account = ? AND token = ?",
                (now + seconds, account, token),
            )

    def renew(self, account: str, tokens: Iterable[int]) -> None:
        """Begin the leases of held permits anew."""
        with self._step() as (database, now):
            database.executemany(
                "UPDATE permit SET free_at = ? WHERE account = ? AND token = ?",
                [(now + self._lease, account, token) for token in tokens],
            )

    def pause(self, account: str, seconds: float) -> None:
        """Give no permit of an account for `seconds`, at most for an hour; a longer pause stays."""
        with self._step() as (database, now):
            until = now + min(seconds, _LONGEST_PAUSE)
            database.execute(
                "INSERT INTO pause VALUES (?, ?) ON CONFLICT (account) DO UPDATE "
                "SET until = excluded.until WHERE until < excluded.until OR until >= ?",
                (account, until, now + _LONGEST_PAUSE),
            )

    def may_pass(self, _error: BaseException) -> bool:
        """Return whether a step that failed may succeed later: files come back."""
        return True

    def problem(self, error: BaseException) -> str:
        """Return what is wrong with the file, and what to do."""
        return self.unusable(self._path, error)

    def in_short(self, _error: BaseException) -> str:
        """Return in a few words what an error means."""
        return "the file of the shared rate limit cannot be used"

    def told(self, error: BaseException) -> tuple[str, str]:
        """Return what to say of an error that may pass, and what once it has passed."""
        return self.problem(error), SHARED_AGAIN

    @staticmethod
    def unusable(path: Path, error: BaseException) -> str:
        """Return what is wrong with a file that could not be opened, and what to do."""
        reason = getattr(error, "strerror", None) or str(error)
        advice = "choose a path on a local disk where you may write"
        if type(error) is sqlite3.DatabaseError:  # of its content; a subclass, of the system
            advice = "choose another path, or delete the file if a power cut damaged it"
        return (
            f"the file of the shared rate limit, {printable(str(path))}, cannot be used "
            f"({printable(reason)}); {advice}"
        )

    @contextlib.contextmanager
    def _step(self) -> Generator[tuple[sqlite3.Connection, float], None, None]:
        """Open the file, and yield it in a transaction with the time; commit at the end."""
        is_ours = False
        try:
            # SQLite waits for a lock by sleeping, up to 100 ms at a time, so the threads of this
            # process take turns by a lock of their own.
            with (
                self._turn,
                contextlib.closing(
                    sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
                ) as database,
            ):
                database.execute("PRAGMA synchronous = OFF")
                database.execute("BEGIN IMMEDIATE")
                if database.execute(_FOREIGN).fetchone() is not None:
                    raise sqlite3.DatabaseError("it is another program's database")
                is_ours = True
                database.execute(_PERMITS)
                database.execute(_PAUSES)
                # The clock is read once the file is locked: waiting for the lock takes time.
                yield database, self._clock()
                database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            if is_ours and getattr(error, "sqlite_errorname", "").startswith("SQLITE_CORRUPT"):
                with contextlib.suppress(OSError):
                    self._path.unlink()  # the next step makes it anew
            raise


def use_of(
    path: Path, account: str, clock: Callable[[], float] = time.monotonic
) -> tuple[int, float]:
    """Return how many permits of an account are held now, and for how many seconds it is paused.

    The file is only read. It blocks for milliseconds.

    Raises:
        OSError: The path is no regular file's.
        sqlite3.Error: It cannot be read, or is something else.
    """
    if not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file")
    with contextlib.closing(
        sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
    ) as database:
        if database.execute(_FOREIGN).fetchone() is not None:
            raise sqlite3.DatabaseError("it is another program's database")
        held = "SELECT count(*) FROM permit WHERE account = ? AND token IS NOT NULL AND free_at > ?"
        many = _first(database, held, account, clock())
        until = _first(database, "SELECT until FROM pause WHERE account = ?", account)
    pause = (until or 0.0) - clock()
    return int(many or 0), pause if 0 < pause < _LONGEST_PAUSE else 0.0


def _first(database: sqlite3.Connection, statement: str, *values: object) -> float | None:
    row = database.execute(statement, values).fetchone()
    return None if row is None else row[0]
