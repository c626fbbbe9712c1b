"""The ledger's file: made whole, opened by one process at a time, and refused when it is another's.

It knows SQLite and the file system; what a row means is `entry.py`'s.
"""

import contextlib
import os
import sqlite3
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from platform import node

from suno_cover_async.errors import LedgerError
from suno_cover_async.files import sync_directory
from suno_cover_async.text import printable

_APPLICATION = 0x53434F56  # "SCOV", in the file's header
_VERSION = 1
_SHORTEST = 512  # bytes of a database that is not empty
_WAL_PAGES = 10_000  # 40 MB: fewer rewrites of the same pages while a catalog is taken in
_BUSY_SECONDS = 30.0  # somebody may be reading the whole of it
_NAMING_SECONDS = 0.25  # somebody may be writing, or reading, who holds it
_NO_USE = (sqlite3.Error, UnicodeDecodeError)  # SQLite quotes damaged names as they are
_ANOTHER_PATH = "give another path (nothing was changed)"

_SCHEMA = """
    CREATE TABLE runs (number INTEGER NOT NULL, catalog TEXT) STRICT;
    INSERT INTO runs VALUES (0, NULL);
    CREATE TABLE tracks (
        number INTEGER PRIMARY KEY,
        music_task_id TEXT NOT NULL UNIQUE,
        names TEXT NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        cover_task_id TEXT,
        adopted INTEGER NOT NULL DEFAULT 0,
        images TEXT,
        created_at REAL,
        completed_at REAL,
        files TEXT,
        error TEXT,
        reason TEXT,
        put_off INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX tracks_by_state ON tracks (state, number);
    CREATE INDEX tracks_by_age ON tracks (completed_at) WHERE state = 3;
"""

# Added later. Older versions of this software ignore it, so the file's version stays the same.
_ADDED = "CREATE TABLE IF NOT EXISTS answered (base_url TEXT PRIMARY KEY) STRICT"


class Hold:
    """The right to write to a ledger, for one process; the system takes it back when that dies.

    It is a write transaction, never committed, on a small database beside the ledger, which names
    whoever holds it. That file stays: to remove it would let two hold it.
    """

    def __init__(self, ledger: Path) -> None:
        """Take it; raises LedgerError, which names the holder."""
        path = ledger.with_name(ledger.name + ".lock")
        try:
            self._database = sqlite3.connect(path, timeout=_NAMING_SECONDS, isolation_level=None)
        except sqlite3.Error as error:
            raise _unusable(ledger, error) from None
        try:
            self._take()
        except sqlite3.Error as error:
            holder = self._holder() if is_busy(error) else ""
            self._database.close()
            if not holder:
                raise _unusable(path, error) from None
            advice = "wait for it to end, or stop it"
            if holder.startswith(f"{_this_process()} since"):
                advice = "that is this program: await `aclose` of the ledger that has it open"
            raise LedgerError(
                f"the ledger {shown(ledger)} is in use by {holder}; {advice}"
            ) from None

    def release(self) -> None:
        """Give it back."""
        self._database.close()

    def _take(self) -> None:
        me = f"{_this_process()} since {datetime.now():%F %T}"  # noqa: DTZ005 - for people here
        self._database.execute("BEGIN EXCLUSIVE")  # nobody reads the name of the one before
        self._sign(me)
        while self._holder() != me:  # somebody came between the two transactions
            self._sign(me)

    def _sign(self, me: str) -> None:
        """Let everybody read who holds it, and hold it; it is lost and taken again in between."""
        self._database.execute("CREATE TABLE IF NOT EXISTS holder (name TEXT)")
        self._database.execute("DELETE FROM holder")
        self._database.execute("INSERT INTO holder VALUES (?)", (me,))
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def _holder(self) -> str:
        with contextlib.suppress(sqlite3.Error):
            for (name,) in self._database.execute("SELECT name FROM holder"):
                return printable(str(name))
        return "another process"


def _this_process() -> str:
    return f"process {os.getpid()} on {printable(node(), 80)}"


def open_to_write(ledger: Path) -> tuple[sqlite3.Connection, Hold]:
    """Open a ledger, made first where there is none.

    Returns:
        A connection in autocommit mode, for any one thread, and the right to use it. What it
        commits is on the disk.

    Raises:
        LedgerError: Somebody else has it, it is no ledger, of a newer version, damaged, or cannot
            be written.
    """
    ledger = _real(ledger)
    if ledger.exists():
        _refuse_foreign(ledger)
    hold = Hold(ledger)
    try:
        return _open_to_write(ledger), hold
    except _NO_USE as error:
        problem = _unusable(ledger, error)
    except LedgerError as error:
        problem = error
    hold.release()
    raise problem


def _open_to_write(ledger: Path) -> sqlite3.Connection:
    if not ledger.exists():
        _make(ledger)
    _refuse_damaged(ledger)
    database = _connect(ledger, "rw")
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA fullfsync = ON")  # on macOS, where fsync alone leaves it in caches
        database.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        database.execute(_ADDED)
        database.execute("UPDATE runs SET number = number + 1")
    except BaseException:
        database.close()
        raise
    return database


def open_privately() -> sqlite3.Connection:
    """Open a ledger of this process alone, which is gone when it is closed.

    SQLite keeps it in memory while it is small, and on the disk from then on.
    """
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA synchronous = OFF")
    database.executescript(_SCHEMA)
    database.execute(_ADDED)
    database.execute("UPDATE runs SET number = 1")
    return database


@contextlib.contextmanager
def opened_to_read(ledger: Path) -> Generator[sqlite3.Connection, None, None]:
    """Open a ledger for reading only; somebody else may be writing to it.

    Raises:
        LedgerError: There is none, or it is no ledger, of a newer version, or damaged.
    """
    ledger = _real(ledger)
    if not ledger.exists():
        raise LedgerError(f"there is no ledger at {shown(ledger)}; check the path")
    _refuse_foreign(ledger)
    try:
        with contextlib.closing(_readable(ledger)) as database:
            database.execute("BEGIN")
            _check(database, ledger)
            yield database
    except _NO_USE as error:
        problem = _unusable(ledger, error)
    else:
        return
    raise problem


def _readable(ledger: Path) -> sqlite3.Connection:
    """Connect; a disk that cannot be written has no room for what WAL wants beside the file."""
    database = _connect(ledger, "ro")
    try:
        database.execute("PRAGMA user_version").fetchone()
    except sqlite3.OperationalError:
        database.close()
        if _beside(ledger, "-wal").exists():
            raise
        database = _connect(ledger, "ro&immutable=1")
    except sqlite3.Error:
        database.close()
        raise
    return database


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else has what was asked for."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def commit_failed(ledger: str, error: Exception) -> LedgerError:
    """Name the error of whoever waited for a commit that failed."""
    return LedgerError(
        f"the ledger {ledger} cannot be written ({_words(error)}), so nothing more is submitted; "
        "make room or mend the disk, then run again: what was paid for is found again"
    )


def shown(ledger: Path) -> str:
    """Show a path to people."""
    return printable(str(ledger))


def _make(ledger: Path) -> None:
    """Make a ledger that is there whole or not at all."""
    wal = _beside(ledger, "-wal")
    if wal.exists() and wal.stat().st_size:  # a reader leaves an empty one
        raise LedgerError(
            f"{shown(wal)} is there without {shown(ledger)}, which it belongs to; bring that back, "
            "or move the rest away as well"
        )
    unfinished = _beside(ledger, ".new")
    try:
        for leftover in (unfinished, _beside(unfinished, "-wal"), _beside(unfinished, "-shm")):
            leftover.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("BEGIN")
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                database.execute(statement)
            database.execute("COMMIT")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # on closing, nobody hears it fail
        unfinished.rename(ledger)
        sync_directory(ledger.absolute().parent)
    except (sqlite3.Error, OSError) as error:
        problem = _unusable(ledger, error)
    else:
        return
    raise problem


def _refuse_foreign(ledger: Path) -> None:
    """Refuse what is no ledger of ours, without leaving a trace beside it."""
    if ledger.is_dir():
        raise LedgerError(f"{shown(ledger)} is a folder; give the path of a file in it")
    try:
        with contextlib.closing(_connect(ledger, "ro&immutable=1")) as database:
            database.execute("PRAGMA writable_schema = ON")  # though pages are only in the WAL yet
            (application,) = database.execute("PRAGMA application_id").fetchone()
    except _NO_USE as error:
        problem = _unusable(ledger, error)
    else:
        if application == _APPLICATION:
            return
        size = ledger.stat().st_size
        what = "it is another program's database" if size >= _SHORTEST else f"it has {size} bytes"
        problem = LedgerError(f"{shown(ledger)} is no ledger: {what}; {_ANOTHER_PATH}")
    raise problem


def _refuse_damaged(ledger: Path) -> None:
    """Check it through a connection that cannot change it; the others do so when they close."""
    mode = "ro" if _beside(ledger, "-wal").exists() else "ro&immutable=1"
    with contextlib.closing(_connect(ledger, mode)) as database:
        _check(database, ledger)


def _check(database: sqlite3.Connection, ledger: Path) -> None:
    """Refuse a ledger that is newer than we are, or not whole."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise LedgerError(
            f"the ledger {shown(ledger)} is of version {version}, and this is suno_cover_async for "
            f"version {_VERSION}; install a newer suno_cover_async"
        )
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _damaged(ledger, str(verdict))
    runs = database.execute("SELECT count(*), min(typeof(number)) FROM runs").fetchone()
    if runs != (1, "integer"):
        raise _damaged(ledger, "it does not know how often it ran")


def _connect(ledger: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{ledger.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def _unusable(ledger: Path, error: Exception) -> LedgerError:
    """Name what keeps a ledger from being used."""
    if isinstance(error, UnicodeDecodeError):
        return _damaged(ledger, "its schema cannot be read")
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_NOTADB"):
        return LedgerError(f"{shown(ledger)} is no ledger; {_ANOTHER_PATH}")
    if name.startswith("SQLITE_CORRUPT") or name == "SQLITE_ERROR":  # such as a missing table
        return _damaged(ledger, _words(error))
    return LedgerError(
        f"the ledger {shown(ledger)} cannot be used ({_words(error)}); check the path, the disk "
        "and its permissions"
    )


def _damaged(ledger: Path, how: str) -> LedgerError:
    return LedgerError(
        f"the ledger {shown(ledger)} is damaged ({printable(how)}) and left as it is: bring back a "
        "copy, or move it away and begin anew, which costs requests and never a second payment"
    )


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return printable(f"{error}, {getattr(error, 'sqlite_errorname', type(error).__name__)}")


def _real(ledger: Path) -> Path:
    """Follow links, so that one file has one lock; a path that cannot be looked at is refused."""
    real = Path(os.path.realpath(ledger))
    try:
        real.exists()
    except OSError as error:
        problem = _unusable(ledger, error)
    else:
        return real
    raise problem


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
