"""Define the tables of a ledger in SQLite, their migration, and the check for damage.

This module must not know files, threads or what a state means. `statements.py` has the statements
on the tables.
"""

import sqlite3
from collections.abc import Iterable

APPLICATION = 0x53434F56
"""The `application_id` in the file's header: "SCOV" in ASCII."""

VERSION = 3
"""The `user_version` in the file's header."""

_SCHEMA = """
    CREATE TABLE ledger (account TEXT, catalog TEXT, submits INTEGER NOT NULL DEFAULT 0) STRICT;
    CREATE TABLE base_urls (base_url TEXT PRIMARY KEY) STRICT;
    CREATE TABLE runs (
        number INTEGER PRIMARY KEY,
        began_at REAL NOT NULL,
        ended_at REAL,
        balance_before REAL,
        balance_after REAL,
        submitted INTEGER NOT NULL DEFAULT 0,
        adopted INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE tracks (
        number INTEGER PRIMARY KEY,
        music_task_id TEXT NOT NULL UNIQUE,
        names TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN (
            'waiting', 'submitting', 'submitted', 'covered', 'saved', 'failed', 'attention'
        )),
        cover_task_id TEXT,
        adopted INTEGER NOT NULL DEFAULT 0,
        images TEXT NOT NULL DEFAULT '[]',
        created_at REAL,
        completed_at REAL,
        files TEXT NOT NULL DEFAULT '[]',
        saved_on TEXT,
        error TEXT,
        reason TEXT,
        submits INTEGER NOT NULL DEFAULT 0,
        retried INTEGER NOT NULL DEFAULT 0,
        put_off INTEGER
    ) STRICT;
"""
_CHOICES = """
    CREATE TABLE choices (
        number INTEGER PRIMARY KEY,
        cover_task_id TEXT NOT NULL,
        decision TEXT NOT NULL CHECK (decision IN ('undecided', 'image', 'neither', 'later')),
        image INTEGER,
        revision INTEGER NOT NULL,
        decided_at REAL NOT NULL,
        decided_by TEXT
    ) STRICT;
"""
_INDEXES = """
    CREATE INDEX tracks_by_state ON tracks (state, number);
    CREATE INDEX tracks_by_age ON tracks (completed_at) WHERE state = 'covered';
"""
_TABLES = {
    1: {"runs", "tracks"},
    2: {"ledger", "base_urls", "runs", "tracks", "choices"},
    3: {"ledger", "base_urls", "runs", "tracks", "choices"},
}
_ROW_OF_ITS_OWN = {  # exactly one row, however often the ledger was used
    1: ("SELECT count(*), min(typeof(number)) FROM runs", (1, "integer")),
    2: ("SELECT count(*) FROM ledger", (1,)),
    3: ("SELECT count(*) FROM ledger", (1,)),
}

_COUNT_SUBMITS = "UPDATE ledger SET submits = (SELECT coalesce(sum(submits), 0) FROM tracks);"

# Version 1 had numbers for states, counted its openings in `runs`, and got the table `answered`
# later. Its images that were put off until the next run become images that no run puts off
# (`put_off` is NULL), since every later run is a next run.
_FROM_VERSION_1 = (
    """
    CREATE TABLE IF NOT EXISTS answered (base_url TEXT PRIMARY KEY) STRICT;
    DROP INDEX tracks_by_state;
    DROP INDEX tracks_by_age;
    ALTER TABLE tracks RENAME TO old_tracks;
    ALTER TABLE runs RENAME TO old_runs;
    """,
    _SCHEMA,
    _CHOICES,
    """
    INSERT INTO ledger SELECT NULL, catalog, 0 FROM old_runs;
    INSERT INTO base_urls SELECT base_url FROM answered;
    INSERT INTO tracks
        SELECT
            number, music_task_id, names,
            CASE state
                WHEN 0 THEN 'waiting'
                WHEN 1 THEN 'submitting'
                WHEN 2 THEN 'submitted'
                WHEN 3 THEN 'covered'
                WHEN 4 THEN 'saved'
                WHEN 5 THEN 'failed'
                WHEN 6 THEN 'attention'
                ELSE 'unknown'
            END,
            cover_task_id, adopted, coalesce(images, '[]'), created_at, completed_at,
            coalesce(files, '[]'), NULL, error, reason, state <> 0, 0, NULL
        FROM old_tracks ORDER BY number;
    DROP TABLE answered;
    DROP TABLE old_runs;
    DROP TABLE old_tracks;
    """,
    _INDEXES,
    _COUNT_SUBMITS,
)

# Version 2 counted submits by track alone, and had a table for choices that nothing wrote to.
_FROM_VERSION_2 = (
    "DROP TABLE choices;",
    _CHOICES,
    "ALTER TABLE ledger ADD COLUMN submits INTEGER NOT NULL DEFAULT 0;",
    _COUNT_SUBMITS,
)


def make(database: sqlite3.Connection) -> None:
    """Create the tables of a new ledger, in a transaction."""
    database.execute("BEGIN")
    only_row = "INSERT INTO ledger (account, catalog) VALUES (NULL, NULL)"
    _run(database, (_SCHEMA, _CHOICES, only_row, _INDEXES))
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def migrate(database: sqlite3.Connection) -> None:
    """Migrate a ledger of an older version to this version, in a transaction.

    Raises:
        sqlite3.Error: The migration failed; rolling back the transaction leaves the old ledger.
    """
    database.execute("BEGIN IMMEDIATE")
    _run(database, _FROM_VERSION_1 if version_of(database) == 1 else _FROM_VERSION_2)
    database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


def version_of(database: sqlite3.Connection) -> int:
    """Return the version of a ledger."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    return int(version)


def owner_of(database: sqlite3.Connection) -> str | None:
    """Return the account of a ledger of this version; None if it has none yet."""
    (owner,) = database.execute("SELECT account FROM ledger").fetchone()
    return None if owner is None else str(owner)


def damage_of(database: sqlite3.Connection, version: int) -> str:
    """Return what is wrong with a ledger of this version; the empty string if nothing is."""
    (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        return str(found)
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    missing = _TABLES.get(version, {"version"}) - tables
    if missing:
        return f"it has no {min(missing)}"
    query, expected = _ROW_OF_ITS_OWN[version]
    if database.execute(query).fetchone() != expected:
        return "it does not know what it is a ledger of"
    return ""


def _run(database: sqlite3.Connection, scripts: Iterable[str]) -> None:
    # `executescript` would commit first, and a failed migration could not be rolled back.
    for statement in ";".join(scripts).split(";"):
        if statement.strip():
            database.execute(statement)
