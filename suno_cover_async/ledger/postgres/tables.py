"""Define the tables of a ledger in PostgreSQL, make them, and check their version.

This module must not know what a state means. `statements.py` has the statements on the tables.
"""

import shlex

import psycopg
from psycopg import sql

from suno_cover_async.common.text import printable
from suno_cover_async.errors import LedgerError
from suno_cover_async.postgres.connection import OLDEST_SERVER, Connection
from suno_cover_async.postgres.tables import CALLBACK_TABLES, PERMIT_TABLES
from suno_cover_async.postgres.url import DatabaseUrl

VERSION = 1
"""The version of the tables, in the only row of `ledger`."""

# Columns that SQLite's tables have too are of the same kinds here: moments are seconds since 1970,
# flags are 0 or 1, and lists are JSON text. `holder` is the run that works on a track, and
# `heard_at` when that run was alive, by the server's clock; `returned_at` is when it was heard
# again after it had missed beats. `titles` are the keys of `names` in small letters, for the
# search.
# `commits` has the last transaction of each connection that writes.
# Claims order by `number + 0`, which `tracks_free` alone has: by `number`, the planner may go
# through all finished tracks in the order of the primary key.
_LEDGER = """
    CREATE TABLE ledger (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        version integer NOT NULL,
        catalog text,
        submits bigint NOT NULL DEFAULT 0,
        dead_after double precision NOT NULL DEFAULT 40
            CHECK (dead_after BETWEEN 1 AND 86400)
    );
    CREATE TABLE commits (
        writer text PRIMARY KEY,
        number bigint NOT NULL,
        left_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE TABLE base_urls (base_url text PRIMARY KEY);
    CREATE TABLE runs (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account text NOT NULL,
        host text NOT NULL,
        process integer NOT NULL,
        catalog text,
        began_at double precision NOT NULL,
        ended_at double precision,
        heard_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        returned_at timestamptz,
        released_at timestamptz,
        balance_before double precision,
        balance_after double precision,
        submitted bigint NOT NULL DEFAULT 0,
        adopted bigint NOT NULL DEFAULT 0
    );
    CREATE INDEX runs_at_work ON runs (number) WHERE released_at IS NULL;
    CREATE TABLE tracks (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        music_task_id text COLLATE "C" NOT NULL UNIQUE,
        names text NOT NULL,
        titles text NOT NULL,
        state text NOT NULL DEFAULT 'waiting' CHECK (state IN (
            'waiting', 'submitting', 'submitted', 'covered', 'saved', 'failed', 'attention'
        )),
        cover_task_id text,
        adopted integer NOT NULL DEFAULT 0,
        images text NOT NULL DEFAULT '[]',
        created_at double precision,
        completed_at double precision,
        files text NOT NULL DEFAULT '[]',
        saved_on text,
        error text,
        reason text,
        submits integer NOT NULL DEFAULT 0,
        retried integer NOT NULL DEFAULT 0,
        put_off bigint,
        account text,
        holder bigint,
        held_since timestamptz
    );
    CREATE INDEX tracks_by_state ON tracks (state, number);
    CREATE INDEX tracks_by_age ON tracks (completed_at) WHERE state = 'covered';
    CREATE INDEX tracks_free ON tracks (state, (number + 0)) WHERE holder IS NULL;
    CREATE INDEX tracks_held ON tracks (holder) WHERE holder IS NOT NULL;
    CREATE TABLE choices (
        number bigint PRIMARY KEY,
        cover_task_id text NOT NULL,
        decision text NOT NULL CHECK (decision IN ('undecided', 'image', 'neither', 'later')),
        image integer,
        revision integer NOT NULL,
        decided_at double precision NOT NULL,
        decided_by text
    );
"""

_LACKING = """
    SELECT wanted, tablename
    FROM pg_tables, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS wanted
    WHERE schemaname = current_schema()
        AND NOT has_table_privilege(
            format('%I.%I', schemaname, tablename)::regclass, wanted
        )
    ORDER BY tablename, wanted
    LIMIT 20
"""


def make_or_migrate(connection: Connection, url: DatabaseUrl) -> int:
    """Make the tables in the URL's schema, or move them to this version, in one transaction.

    They are those of the ledger, and those that `fleet/` shares.

    Returns:
        The version that was there; 0 if there were no tables.

    Raises:
        LedgerError: The server is too old, the database's encoding cannot hold every text, the
            tables have a newer version, or they are another role's, which gave this one no rights.
        psycopg.Error: The role lacks a right, or the connection was lost; nothing was changed.
    """
    if connection.info.server_version < OLDEST_SERVER:
        raise LedgerError(f"{url.shown} is older than PostgreSQL 13, which a ledger needs")
    encoding = _value(connection, "SELECT current_setting('server_encoding')")
    if encoding != "UTF8":
        raise LedgerError(
            f"{url.shown} has the encoding {encoding}, which cannot hold every title: use a "
            "database that was created with ENCODING 'UTF8'"
        )
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('suno_cover_async'))")
        schema = sql.Identifier(url.schema)
        if _value(connection, "SELECT to_regnamespace(%s)", url.schema) is None:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        version = _version(connection, url)
        _refuse_newer(version, url)
        if not version:
            connection.execute(_LEDGER)
            connection.execute(PERMIT_TABLES)
            connection.execute(CALLBACK_TABLES)
            connection.execute("INSERT INTO ledger (version) VALUES (%s)", (VERSION,))
    return version


def check_version(connection: Connection, url: DatabaseUrl) -> None:
    """Check that the tables are there, and have this version.

    Raises:
        LedgerError: They are missing, have another version, or the role has no rights on them.
        psycopg.Error: The connection was lost.
    """
    version = _version(connection, url)
    _refuse_newer(version, url)
    if version < VERSION:
        what = "an older version" if version else "no ledger yet"
        command = f"suno-cover ledger init {shlex.quote(url.shown)}"
        raise LedgerError(f"{url.shown} has {what}: run `{command}` once")


def missing_rights(connection: Connection) -> tuple[str, ...]:
    """Return what the role lacks for a run, such as "INSERT on tracks"; the tables are there."""
    lacking = connection.execute(_LACKING).fetchall()
    return tuple(f"{right} on {printable(str(table), 80)}" for right, table in lacking)


def _value(connection: Connection, query: str, *values: str) -> object:
    found = connection.execute(query.encode(), values or None).fetchone()
    return None if found is None else found[0]


def _version(connection: Connection, url: DatabaseUrl) -> int:
    try:
        with connection.transaction():
            found = connection.execute("SELECT version FROM ledger").fetchone()
    except psycopg.errors.UndefinedTable:
        # Where a role may not use a schema, the tables in it seem to be missing.
        may_use = "SELECT has_schema_privilege(to_regnamespace(%s), 'USAGE')"
        if connection.execute(may_use, (url.schema,)).fetchone() != (False,):
            return 0
    except psycopg.errors.InsufficientPrivilege:
        pass
    else:
        return 0 if found is None else int(found[0])
    raise LedgerError(
        f"the role {printable(connection.info.user, 80)} has no rights on the ledger {url.shown}: "
        "its owner gives them by the GRANT statements that `suno-cover ledger init` prints"
    )


def _refuse_newer(version: int, url: DatabaseUrl) -> None:
    if version > VERSION:
        raise LedgerError(
            f"the ledger {url.shown} has version {version} and this software knows {VERSION}: "
            "update suno-cover-async (nothing was changed)"
        )
