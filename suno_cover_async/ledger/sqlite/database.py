"""Create the file of a ledger, open it to write or to read, and refuse a file of another program.

This module knows SQLite and the file system. It must not know what a row means, nor any statement
on one.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

from suno_cover_async.common.disk import sync_directory
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.sqlite import tables
from suno_cover_async.ledger.sqlite.failures import (
    ANOTHER_PATH,
    NO_USE,
    damaged,
    shown,
    unusable,
)
from suno_cover_async.ledger.sqlite.lock import FileLock

_SHORTEST = 512  # bytes of a database that is not empty
_WAL_PAGES = 10_000  # 40 MB: fewer rewrites of the same pages while a catalog is added
_BUSY_SECONDS = 30.0  # another process may be reading the whole file


def open_to_write(ledger: Path) -> tuple[sqlite3.Connection, FileLock]:
    """Open a ledger for writing; create it if there is none, migrate it from an older version.

    Returns:
        A connection in autocommit mode, for one thread at a time, and the lock that allows its use.
        A commit is on the disk when it returns.

    Raises:
        LedgerError: Another process holds the ledger, or the file is no ledger, has a newer
            version, is damaged, or cannot be written.
    """
    ledger = real_path(ledger)
    if ledger.exists():
        _refuse_foreign(ledger)
    lock = FileLock(ledger)
    try:
        return _open_to_write(ledger), lock
    except NO_USE as error:
        problem = unusable(ledger, error)
    except LedgerError as error:
        problem = error
    lock.release()
    raise problem


def _open_to_write(ledger: Path) -> sqlite3.Connection:
    if not ledger.exists():
        _make(ledger)
    _refuse_damaged(ledger)
    database = _connect(ledger, "rw")
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone leaves bytes in caches
        database.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        if tables.version_of(database) < tables.VERSION:
            tables.migrate(database)
    except BaseException:
        database.close()  # rolls back what was not committed
        raise
    return database


def open_to_read(ledger: Path) -> sqlite3.Connection:
    """Open a ledger for reading only, as it is now; another process may be writing to it.

    A ledger of an older version is copied and the copy is migrated, since reading must not change
    the file.

    Returns:
        A connection in a transaction that lasts until it is closed, for one thread at a time.

    Raises:
        LedgerError: There is no ledger, or the file is no ledger, has a newer version, or is
            damaged.
    """
    ledger = _existing(ledger)
    try:
        return _open_to_read(ledger)
    except NO_USE as error:
        problem = unusable(ledger, error)
    raise problem


def version_at(ledger: Path) -> int:
    """Return the version of a ledger, which `open_to_read` may have migrated in a copy."""
    with contextlib.closing(_readable(real_path(ledger))) as database:
        return tables.version_of(database)


def _open_to_read(ledger: Path) -> sqlite3.Connection:
    database = _readable(ledger)
    try:
        database.execute("BEGIN")
        version = _check(database, ledger)
        if version == tables.VERSION:
            return database
        copy = nameless()
        try:
            database.backup(copy)
            tables.migrate(copy)
        except BaseException:
            copy.close()
            raise
    except BaseException:
        database.close()
        raise
    database.close()
    return copy


def open_to_share(ledger: Path) -> sqlite3.Connection:
    """Open a ledger for single statements, beside a process that may hold it for writing.

    A ledger of an older version is migrated first, which needs its lock.

    Returns:
        A connection in autocommit mode, for one thread at a time. A commit is written when it
        returns, and on the disk once `sync_log` has returned.

    Raises:
        LedgerError: There is no ledger, it cannot be used or written, or it has an older version
            and another process holds it.
    """
    ledger = _existing(ledger)
    try:
        if _refuse_damaged(ledger) < tables.VERSION:
            migrated, lock = open_to_write(ledger)
            migrated.close()
            lock.release()
        return _open_to_share(ledger)
    except NO_USE as error:
        problem = unusable(ledger, error)
    raise problem


def _open_to_share(ledger: Path) -> sqlite3.Connection:
    # A commit holds the lock that a running catalog needs for its own commits. Three settings keep
    # that time to some 0.1 ms, within one call into SQLite, so that this process can be stopped at
    # nearly any moment (SIGSTOP) without delaying the catalog: no fsync under the lock
    # (synchronous = NORMAL; `sync_log` does it afterwards), no checkpoint, one statement each.
    database = _connect(ledger, "rw")
    try:
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        tables.version_of(database)  # opens the file
    except BaseException:
        database.close()
        raise
    return database


def sync_log(ledger: Path) -> None:
    """Make what was committed durable: sync the file that commits are appended to.

    Raises:
        OSError: It cannot be synced.
    """
    handle = os.open(_beside(real_path(ledger), "-wal"), os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _existing(ledger: Path) -> Path:
    """Resolve the path of a ledger; raise LedgerError if there is none, or a foreign file."""
    ledger = real_path(ledger)
    if not ledger.exists():
        raise LedgerError(f"there is no ledger at {shown(ledger)}; check the path")
    _refuse_foreign(ledger)
    return ledger


def _readable(ledger: Path) -> sqlite3.Connection:
    """Connect for reading, also where the disk cannot be written."""
    # Reading a WAL database creates a `-shm` file beside it, which fails on a read-only disk.
    # `immutable=1` needs no such file, but it ignores the WAL: it is used only where there is none,
    # or an empty one, because it would otherwise miss steps that are committed. The attempt before
    # may itself have created an empty WAL. It is not removed: another process may have it open.
    database = _connect(ledger, "ro")
    try:
        tables.version_of(database)
    except sqlite3.OperationalError:
        database.close()
        if _has_content(_beside(ledger, "-wal")):
            raise
        database = _connect(ledger, "ro&immutable=1")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _make(ledger: Path) -> None:
    """Create a ledger completely, or not at all."""
    # The tables are created in `<name>.new`, which is then renamed. A crash before the rename
    # leaves no ledger; creating it in place could leave a file without tables, which the next run
    # would refuse as damaged.
    wal = _beside(ledger, "-wal")
    if _has_content(wal):  # a reader leaves an empty one
        raise LedgerError(
            f"{shown(wal)} is there without {shown(ledger)}, which it belongs to; restore that "
            "file, or move the rest away too"
        )
    unfinished = _beside(ledger, ".new")
    try:
        _remove_unfinished(unfinished)
        with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            tables.make(database)
            # Closing would write the WAL into the file as well, but an error there is not raised.
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        unfinished.rename(ledger)
        sync_directory(ledger.absolute().parent)
    except (sqlite3.Error, OSError) as error:
        problem = unusable(ledger, error)
        with contextlib.suppress(OSError):
            _remove_unfinished(unfinished)
    else:
        return
    raise problem


def _remove_unfinished(unfinished: Path) -> None:
    """Remove a ledger that was not made completely; only the holder of the lock may do so."""
    for leftover in (unfinished, _beside(unfinished, "-wal"), _beside(unfinished, "-shm")):
        leftover.unlink(missing_ok=True)


def _refuse_foreign(ledger: Path) -> None:
    """Raise LedgerError for a file that is no ledger, without creating any file beside it."""
    if ledger.is_dir():
        raise LedgerError(f"{shown(ledger)} is a folder; give the path of a file in it")
    try:
        with contextlib.closing(_connect(ledger, "ro&immutable=1")) as database:
            # `immutable=1` does not read the WAL. If some pages are only there, SQLite would reject
            # the schema, and the application id could not be read.
            database.execute("PRAGMA writable_schema = ON")
            (application,) = database.execute("PRAGMA application_id").fetchone()
    except NO_USE as error:
        problem = unusable(ledger, error)
    else:
        if application == tables.APPLICATION:
            return
        size = ledger.stat().st_size
        what = "it is another program's database" if size >= _SHORTEST else f"it has {size} bytes"
        problem = LedgerError(f"{shown(ledger)} is no ledger: {what}; {ANOTHER_PATH}")
    raise problem


def _refuse_damaged(ledger: Path) -> int:
    """Check the ledger as `_check` does, through a connection that cannot change it."""
    # A writing connection checkpoints the WAL into the file when it closes, so it would change a
    # damaged ledger. That file must stay as it is for a repair.
    mode = "ro" if _beside(ledger, "-wal").exists() else "ro&immutable=1"
    with contextlib.closing(_connect(ledger, mode)) as database:
        return _check(database, ledger)


def _check(database: sqlite3.Connection, ledger: Path) -> int:
    """Return the version of a ledger; raise LedgerError for a newer version, or damage."""
    version = tables.version_of(database)
    if version > tables.VERSION:
        raise LedgerError(
            f"the ledger {shown(ledger)} has version {version}, and this suno_cover_async reads "
            f"versions up to {tables.VERSION}; install a newer suno_cover_async"
        )
    damage = tables.damage_of(database, version)
    if damage:
        raise damaged(ledger, damage)
    return version


def _connect(ledger: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{ledger.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def nameless() -> sqlite3.Connection:
    """Create a database without a file, visible to this connection only."""
    return sqlite3.connect("", isolation_level=None, check_same_thread=False)


def real_path(ledger: Path) -> Path:
    """Resolve links, so that one file has one lock; raise LedgerError for an unusable path."""
    real = Path(os.path.realpath(ledger))
    try:
        real.stat()  # from Python 3.14 on, `exists` returns False and hides this error
    except FileNotFoundError:
        return real
    except OSError as error:
        problem = unusable(ledger, error)
    else:
        return real
    raise problem


def _has_content(wal: Path) -> bool:
    return wal.exists() and wal.stat().st_size > 0


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
