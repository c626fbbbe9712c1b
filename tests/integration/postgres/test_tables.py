"""The tables, on a server."""

from suno_cover_async.postgres.tables import CALLBACK_TABLES, PERMIT_TABLES
from tests.support.callback_buses import make_callback_table
from tests.support.permit_tables import make_tables, rows


def test_the_tables_of_permits_are_made_in_the_urls_schema_and_survive_a_crash(
    database_url: str,
) -> None:
    make_tables(database_url)

    made = rows(
        database_url,
        "SELECT relname, relpersistence FROM pg_class JOIN pg_namespace ON relnamespace ="
        " pg_namespace.oid WHERE nspname = 'suno_cover' AND relkind = 'r' ORDER BY relname",
    )
    assert made == [("pauses", "p"), ("permits", "p")]  # p: logged, so that a crash keeps them


def test_each_column_says_what_it_holds() -> None:
    assert "a fingerprint of the API key" in PERMIT_TABLES
    assert "the server's clock" in CALLBACK_TABLES


def test_the_table_of_callbacks_survives_a_crash_and_its_rows_are_found_by_their_age(
    database_url: str,
) -> None:
    make_callback_table(database_url)

    made = rows(
        database_url,
        "SELECT relname, relpersistence FROM pg_class WHERE relname LIKE 'callbacks%%'"
        " AND relkind IN ('r', 'i') ORDER BY relname",
    )
    assert made == [("callbacks", "p"), ("callbacks_pkey", "p"), ("callbacks_received_at", "p")]
