"""What SQLite's errors, and the system's, come to: LedgerErrors that say what to do.

It must not know what a ledger holds.
"""

import sqlite3
from pathlib import Path

from suno_cover_async.common.text import printable
from suno_cover_async.errors import LedgerError

NO_USE = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises of a file that is no good: it quotes damaged names as they are."""

ANOTHER_PATH = "give another path (nothing was changed)"


def unusable(ledger: Path, error: Exception) -> LedgerError:
    """Name what keeps a ledger from being used."""
    if isinstance(error, UnicodeDecodeError):
        return damaged(ledger, "its schema cannot be read")
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_NOTADB"):
        return LedgerError(f"{shown(ledger)} is no ledger; {ANOTHER_PATH}")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_CONSTRAINT")) or name == "SQLITE_ERROR":
        return damaged(ledger, _words(error))  # a missing table is a plain SQLITE_ERROR
    return LedgerError(
        f"the ledger {shown(ledger)} cannot be used ({_words(error)}); check the path, the disk "
        "and its permissions"
    )


def damaged(ledger: Path, how: str) -> LedgerError:
    """Name what is wrong with a ledger."""
    return LedgerError(
        f"the ledger {shown(ledger)} is damaged ({printable(how)}) and left as it is: bring back a "
        "copy, or move it away and begin anew, which costs requests and never a second payment"
    )


def commit_failed(ledger: str, error: Exception) -> LedgerError:
    """Name the error of whoever waited for a commit that failed."""
    return LedgerError(
        f"the ledger {ledger} cannot be written ({_words(error)}), so nothing more is submitted; "
        "make room on the disk or repair it, then run again: what was paid for is found again"
    )


def is_busy(error: sqlite3.Error) -> bool:
    """Whether somebody else has what was asked for."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def is_trouble(error: Exception) -> bool:
    """Whether it comes from the disk, the file or the memory, so that every step would meet it."""
    wrong = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    return isinstance(error, sqlite3.DatabaseError | MemoryError) and not isinstance(error, wrong)


def shown(ledger: Path) -> str:
    """Show a path to people."""
    return printable(str(ledger))


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return printable(f"{error}, {getattr(error, 'sqlite_errorname', type(error).__name__)}")
