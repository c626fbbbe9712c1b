"""The tables of a ledger: who may make them, and which version they have."""

from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from suno_cover_async import Ledger, LedgerCondition
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.postgres.database import PostgresDatabase
from suno_cover_async.ledger.postgres.tables import VERSION, check_version, make_or_migrate
from suno_cover_async.postgres.connection import connect
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.cut_proxy import cut_proxy
from tests.support.postgres import ROLE, Server
from tests.support.shared_ledgers import (
    TABLES,
    Session,
    at_the_same_time,
    session,
    until_it_waits,
)

OF_THE_FLEET = {"callbacks", "pauses", "permits"}


def test_the_tables_are_made_once_in_the_schema_of_the_url(database_url: str) -> None:
    for schema in ("suno_cover", "label_a", "_1"):
        url = DatabaseUrl.parse(f"{database_url}?schema={schema}")
        with connect(url, "test") as connection:
            assert make_or_migrate(connection, url) == 0
            assert make_or_migrate(connection, url) == VERSION
            check_version(connection, url)
            found = connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)
            )
            assert {name for (name,) in found} == {*TABLES, "commits", *OF_THE_FLEET}


async def test_a_server_older_than_13_is_refused_with_a_sentence_and_left_as_it_is(
    postgres_server: Server, database_url: str
) -> None:
    with cut_proxy(postgres_server.port) as proxy:
        url = database_url.replace(f":{proxy.leads_to}/", f":{proxy.port}/")
        shown = DatabaseUrl.parse(url).shown
        proxy.as_version = b"12"

        with pytest.raises(LedgerError) as refused:
            await Ledger(url).init()
        assert str(refused.value) == f"{shown} is older than PostgreSQL 13, which a ledger needs"
        # What an earlier step says leads to that one.
        with pytest.raises(LedgerError, match=f"run `suno-cover ledger init {shown}` once"):
            await Ledger(url).__aenter__()
        proxy.as_version = b"13"
        assert await Ledger(url).init() == 0  # nothing was there


def test_making_the_tables_again_changes_nothing(one: Session, url: DatabaseUrl) -> None:
    one.fill(3)
    before = one.contents()
    make_or_migrate(one.connection, url)

    assert one.contents() == before


def test_two_sessions_that_make_the_tables_at_once_make_them_once(database_url: str) -> None:
    url = DatabaseUrl.parse(database_url)
    with session(url) as one, session(url) as two, session(url) as watcher:
        one.execute("BEGIN")
        assert make_or_migrate(one.connection, url) == 0
        with at_the_same_time(lambda: make_or_migrate(two.connection, url)) as answers:
            until_it_waits(watcher, two)
            one.execute("COMMIT")

        assert answers == [VERSION]
        assert len(one.contents("ledger")["ledger"]) == 1


def test_tables_that_are_not_made_to_the_end_are_not_there(database_url: str) -> None:
    url = DatabaseUrl.parse(database_url)
    with session(url) as one:
        one.execute("BEGIN")
        make_or_migrate(one.connection, url)
        one.execute("ROLLBACK")
        assert make_or_migrate(one.connection, url) == 0


def test_a_database_without_a_ledger_says_what_to_run(database_url: str) -> None:
    url = DatabaseUrl.parse(database_url)
    with session(url) as one:
        with pytest.raises(
            LedgerError, match="no ledger yet: run `suno-cover ledger init"
        ) as error:
            check_version(one.connection, url)
        assert url.shown in str(error.value)
        one.execute("CREATE SCHEMA suno_cover")
        with pytest.raises(LedgerError, match="no ledger yet"):
            check_version(one.connection, url)


def test_a_newer_version_is_refused_and_nothing_is_changed(one: Session, url: DatabaseUrl) -> None:
    one.execute("UPDATE ledger SET version = %s", VERSION + 1)
    before = one.contents()
    for refuse in (check_version, make_or_migrate):
        with pytest.raises(LedgerError, match="update suno-cover-async") as refused:
            refuse(one.connection, url)
        assert f"has version {VERSION + 1} and this software knows {VERSION}" in str(refused.value)

    assert one.contents() == before


def test_an_older_version_says_what_to_run(one: Session, url: DatabaseUrl) -> None:
    one.execute("UPDATE ledger SET version = 0")
    one.execute("UPDATE ledger SET version = -1")
    with pytest.raises(LedgerError, match="an older version: run `suno-cover ledger init"):
        check_version(one.connection, url)


def test_the_tables_hold_one_ledger_and_no_values_that_have_no_meaning(one: Session) -> None:
    one.fill(1)
    for statement in (
        "INSERT INTO ledger (version) VALUES (1)",
        "UPDATE tracks SET state = 'nosuch'",
        "UPDATE ledger SET dead_after = 0.99",
        "UPDATE ledger SET dead_after = 'NaN'",
        "UPDATE ledger SET dead_after = 'infinity'",
        "INSERT INTO tracks (music_task_id, names, titles) VALUES ('m1', '{}', '')",
    ):
        with pytest.raises(psycopg.IntegrityError):
            one.execute(statement)


def test_a_role_without_rights_is_told_so_and_not_that_there_is_no_ledger(
    one: Session, postgres_server: Server, database_url: str
) -> None:
    name = urlsplit(database_url).path[1:]
    role = f"outsider_{name}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        outsider = DatabaseUrl.parse(
            f"postgresql://{role}:secret@127.0.0.1:{postgres_server.port}/{name}"
        )
        for granted in ("CONNECT ON DATABASE " + name, "USAGE ON SCHEMA suno_cover"):
            one.execute(f"GRANT {granted} TO {role}")
            with session(outsider) as two:
                for refuse in (check_version, make_or_migrate):
                    with pytest.raises(LedgerError, match="has no rights on the ledger") as refused:
                        refuse(two.connection, outsider)
                    assert f"the role {role}" in str(refused.value)
                    assert "the GRANT statements that `suno-cover ledger init` prints" in str(
                        refused.value
                    )
                    assert "secret" not in str(refused.value)
    finally:
        postgres_server.execute(f"DROP OWNED BY {role}", database=name)
        postgres_server.execute(f"DROP ROLE {role}")


def test_a_role_with_rights_on_the_tables_alone_does_all_but_make_them(
    one: Session, postgres_server: Server, database_url: str
) -> None:
    name = urlsplit(database_url).path[1:]
    role = f"minimal_{name}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        one.execute(f"GRANT USAGE ON SCHEMA suno_cover TO {role}")
        one.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA suno_cover TO {role}"
        )
        there = f"127.0.0.1:{postgres_server.port}/{name}"
        minimal = DatabaseUrl.parse(f"postgresql://{role}:secret@{there}")
        with session(minimal) as two:
            check_version(two.connection, minimal)
            two.fill(2)
            run = two.begin()
            assert two.claim(run) == [1, 2]
            assert make_or_migrate(two.connection, minimal) == VERSION
        database = PostgresDatabase(minimal, "test")
        database.open()  # which removes old numbers
        database.close()
        elsewhere = DatabaseUrl.parse(f"postgresql://{role}:secret@{there}?schema=other")
        with session(elsewhere) as two, pytest.raises(psycopg.errors.InsufficientPrivilege):
            make_or_migrate(two.connection, elsewhere)
    finally:
        postgres_server.execute(f"DROP OWNED BY {role}", database=name)
        postgres_server.execute(f"DROP ROLE {role}")


def test_a_role_that_may_not_use_the_schema_is_not_told_that_no_ledger_is_there(
    one: Session, url: DatabaseUrl
) -> None:
    one.execute(f"REVOKE USAGE ON SCHEMA suno_cover FROM {ROLE}")
    for refuse in (check_version, make_or_migrate):
        with pytest.raises(LedgerError, match=r"has no rights on the ledger .*GRANT") as refused:
            refuse(one.connection, url)
        assert url.shown in str(refused.value)


async def test_a_run_is_told_which_rights_it_lacks_and_how_many_tracks_are_others(
    one: Session, database_url: str
) -> None:
    ledger = Ledger(database_url)
    assert await ledger.condition("ours") == LedgerCondition(version=VERSION, newest=VERSION)

    one.fill(3)
    one.execute("UPDATE tracks SET state = 'submitted', account = 'other' WHERE number < 3")
    for statement in ("INSERT ON tracks", "DELETE ON permits"):
        one.execute(f"REVOKE {statement} FROM {ROLE}")
    condition = await ledger.condition("ours")

    assert condition.foreign_tracks == 2
    assert condition.missing_rights == ("DELETE on permits", "INSERT on tracks")
    assert (await ledger.condition("other")).foreign_tracks == 0
    assert (await ledger.condition()).foreign_tracks == 0


def test_a_database_whose_encoding_lacks_letters_gets_no_ledger(postgres_server: Server) -> None:
    name = f"test_{uuid4().hex}"
    postgres_server.execute(
        f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE template0 ENCODING 'LATIN1' "
        "LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    try:
        url = DatabaseUrl.parse(postgres_server.url(name))
        with session(url) as one:
            with pytest.raises(LedgerError, match=r"encoding LATIN1.*ENCODING 'UTF8'"):
                make_or_migrate(one.connection, url)
            assert one.execute("SELECT to_regnamespace('suno_cover')") == [(None,)]
    finally:
        postgres_server.execute(f"DROP DATABASE {name}")


def test_tables_of_somebody_else_are_no_ledger(database_url: str) -> None:
    url = DatabaseUrl.parse(database_url)
    with session(url) as one:
        one.execute("CREATE SCHEMA suno_cover")
        one.execute("CREATE TABLE ledger (amount integer)")
        with pytest.raises((LedgerError, psycopg.Error)):
            check_version(one.connection, url)
        with pytest.raises((LedgerError, psycopg.Error)):
            make_or_migrate(one.connection, url)
        assert one.contents("ledger") == {"ledger": []}
