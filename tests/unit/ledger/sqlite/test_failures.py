"""Errors of SQLite and of the system: each as a LedgerError that says what to do."""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from suno_cover_async.ledger.sqlite.failures import (
    NO_USE,
    commit_failed,
    damaged,
    is_busy,
    is_storage_failure,
    shown,
    unusable,
)

ODD = Path("covers\n\x1b[2J.db")
CHECK = "check the path, the disk and its permissions"
RESTORE = "is damaged ({}) and left as it is: restore a copy, or move it away and start again"


def raised(act: Callable[[], object]) -> Exception:
    with pytest.raises(NO_USE) as caught:
        act()
    return caught.value


def executed(path: Path | str, *statements: str) -> Exception:
    """Execute statements, the last of which fails, and return its error."""
    with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as database:
        for statement in statements[:-1]:
            database.execute(statement)
        return raised(lambda: database.execute(statements[-1]))


def no_database(tmp_path: Path) -> Exception:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"no database at all, " * 100)
    return executed(path, "SELECT * FROM sqlite_schema")


def corrupt(tmp_path: Path) -> Exception:
    path = tmp_path / "cut.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE tracks (names TEXT)")
        database.executemany("INSERT INTO tracks VALUES (?)", [("x" * 1_000,)] * 100)
        database.commit()
    content = path.read_bytes()
    path.write_bytes(content[:8_192] + b"\xff" * (len(content) - 8_192))
    return executed(path, "SELECT count(names || 'x') FROM tracks")


def busy(tmp_path: Path) -> Exception:
    path = tmp_path / "held.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        return executed(path, "BEGIN IMMEDIATE")


def read_only(tmp_path: Path) -> Exception:
    path = tmp_path / "covers.db"
    sqlite3.connect(path).close()
    return executed(f"{path}", "PRAGMA query_only = ON", "CREATE TABLE tracks (names TEXT)")


def no_folder(tmp_path: Path) -> Exception:
    return raised(lambda: sqlite3.connect(tmp_path / "nowhere" / "covers.db"))


def no_table(_: Path) -> Exception:
    return executed(":memory:", "SELECT * FROM tracks")


def constraint(_: Path) -> Exception:
    table = "CREATE TABLE tracks (state TEXT CHECK (state = 'waiting'))"
    return executed(":memory:", table, "INSERT INTO tracks VALUES ('odd')")


def full(_: Path) -> Exception:
    table = "CREATE TABLE tracks (names TEXT)"
    insert = "INSERT INTO tracks VALUES (zeroblob(100000))"
    return executed(":memory:", table, "PRAGMA max_page_count = 3", insert)


def not_utf8(_: Path) -> Exception:
    return raised(b"\xff".decode)


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (no_database, "the.db is no ledger; give another path (nothing was changed)"),
        (no_table, RESTORE.format("no such table: tracks, SQLITE_ERROR")),
        (corrupt, "SQLITE_CORRUPT) and left as it is: restore a copy"),
        (constraint, "SQLITE_CONSTRAINT_CHECK) and left as it is: restore a copy"),
        (not_utf8, RESTORE.format("its schema cannot be read")),
        (read_only, f"SQLITE_READONLY); {CHECK}"),
        (no_folder, "(unable to open database file, SQLITE_CANTOPEN"),
        (full, f"(database or disk is full, SQLITE_FULL); {CHECK}"),
        (busy, f"(database is locked, SQLITE_BUSY); {CHECK}"),
    ],
)
def test_what_cannot_be_used_says_why_and_what_to_do(
    tmp_path: Path, fail: Callable[[Path], Exception], expected: str
) -> None:
    message = str(unusable(Path("the.db"), fail(tmp_path)))

    assert "the.db" in message
    assert expected in message


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied", "/secret/path"), "Permission denied"),
        (OSError("odd"), "OSError"),
        (sqlite3.OperationalError("of \x1b[2J another"), "OperationalError"),
    ],
)
def test_a_failed_commit_says_that_nothing_paid_is_lost(error: Exception, words: str) -> None:
    message = str(commit_failed("covers.db", error))

    assert message.startswith("the ledger covers.db cannot be written (")
    assert words in message
    assert "/secret/path" not in message
    assert message.isprintable()
    assert message.endswith("then run again: paid covers are found again")


def test_paths_and_words_of_others_are_printable() -> None:
    error = sqlite3.OperationalError("of \x1b[2J another")

    for message in (str(unusable(ODD, error)), str(damaged(ODD, "a\x00b")), shown(ODD)):
        assert message.isprintable()
        assert "covers" in message


@pytest.mark.parametrize(
    ("fail", "is_waited_for"), [(busy, True), (full, False), (no_table, False), (no_folder, False)]
)
def test_another_holder_is_told_from_other_failures(
    tmp_path: Path, fail: Callable[[Path], sqlite3.Error], *, is_waited_for: bool
) -> None:
    assert is_busy(fail(tmp_path)) is is_waited_for


def test_an_error_that_sqlite_did_not_name_is_no_other_holder() -> None:
    assert not is_busy(sqlite3.OperationalError("made by hand"))


@pytest.mark.parametrize(
    ("error", "of_the_storage"),
    [
        (sqlite3.OperationalError("disk I/O error"), True),
        (sqlite3.DatabaseError("malformed"), True),
        (sqlite3.InternalError("x"), True),
        (MemoryError(), True),
        (sqlite3.IntegrityError("a constraint"), False),
        (sqlite3.ProgrammingError("a wrong statement"), False),
        (sqlite3.DataError("too big"), False),
        (ValueError("of the step itself"), False),
        (OSError("of the step itself"), False),
    ],
)
def test_the_failures_that_every_step_would_meet(error: Exception, *, of_the_storage: bool) -> None:
    assert is_storage_failure(error) is of_the_storage
