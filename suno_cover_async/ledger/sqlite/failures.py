"""Translate the errors of SQLite and of the system to LedgerErrors that say what to do.

This module must not know what a ledger holds.
"""

import sqlite3
from pathlib import Path

from suno_cover_async.common.text import printable
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.sqlite.file_system import described, refused

NO_USE = (sqlite3.Error, UnicodeDecodeError)
"""The errors that SQLite raises for an unusable file; damaged names in it may not be UTF-8."""

ANOTHER_PATH = "give another path (nothing was changed)"


def unusable(ledger: Path, error: Exception) -> LedgerError:
    """Return the LedgerError for an error that makes a ledger unusable."""
    if isinstance(error, UnicodeDecodeError):
        return damaged(ledger, "its schema cannot be read")
    name = getattr(error, "sqlite_errorname", "")
    what = refused(ledger.absolute().parent, error)
    if what:
        return file_system_refuses(ledger, what)
    if name.startswith("SQLITE_NOTADB"):
        return LedgerError(f"{shown(ledger)} is no ledger; {ANOTHER_PATH}")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_CONSTRAINT")) or name == "SQLITE_ERROR":
        return damaged(ledger, _words(error))  # a missing table is a plain SQLITE_ERROR
    if name.startswith("SQLITE_CANTOPEN") and (missing := missing_folder(ledger)):
        return missing
    return LedgerError(
        f"the ledger {shown(ledger)} cannot be used ({_words(error)}); check the path, the disk "
        "and its permissions"
    )


def missing_folder(ledger: Path) -> LedgerError | None:
    """Return the LedgerError for a ledger in a folder that does not exist; None if it exists."""
    folder = ledger.absolute().parent
    if folder.is_dir():
        return None
    return LedgerError(f"there is no folder {shown(folder)} for the ledger; make it first")


def file_system_refuses(ledger: Path, what: str) -> LedgerError:
    """Return the LedgerError for a ledger whose file system refuses what SQLite needs."""
    holder = printable(described(ledger.absolute()), 200)
    return LedgerError(
        f"the file system that holds {shown(ledger)}{holder} refuses {what}, as network file "
        "systems (NFS, SMB, 9p) may; put the ledger on a local disk"
    )


def damaged(ledger: Path, how: str) -> LedgerError:
    """Return the LedgerError for a damaged ledger."""
    return LedgerError(
        f"the ledger {shown(ledger)} is damaged ({printable(how)}) and left as it is: restore a "
        "copy, or move it away and start again, which costs requests and never a second payment"
    )


def commit_failed(ledger: str, error: Exception) -> LedgerError:
    """Return the LedgerError for a commit that failed."""
    return LedgerError(
        f"the ledger {ledger} cannot be written ({_words(error)}), so nothing more is submitted; "
        "free space on the disk or repair it, then run again: paid covers are found again"
    )


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection holds the lock that was requested."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_storage_failure(error: Exception) -> bool:
    """Return whether the disk, the file or the memory caused it, so that every step would fail."""
    wrong = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    return isinstance(error, sqlite3.DatabaseError | MemoryError) and not isinstance(error, wrong)


def shown(ledger: Path) -> str:
    """Return a path in printable form, for messages."""
    return printable(str(ledger))


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return printable(f"{error}, {getattr(error, 'sqlite_errorname', type(error).__name__)}")
