"""The table of callbacks over one connection, on a server."""

import contextlib
from collections.abc import Generator

import psycopg
import pytest

from suno_cover_async.fleet.callback_table import MOST_READ, CallbackTable, problem
from suno_cover_async.models import Callback
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.callback_buses import make_callback_table
from tests.support.permit_tables import opened, rows
from tests.support.postgres import PASSWORD, Server

FIRST = Callback(music_task_id="song-1", cover_task_id="cover-1")
SECOND = Callback(music_task_id="song-2", cover_task_id="cover-2")
INSERT = "INSERT INTO suno_cover.callbacks (music_task_id, cover_task_id) VALUES ('song', 'x')"


@pytest.fixture
def url(database_url: str) -> str:
    make_callback_table(database_url)
    return database_url


@contextlib.contextmanager
def table_at(url: str) -> Generator[CallbackTable]:
    with contextlib.closing(CallbackTable(DatabaseUrl.parse(url))) as table:
        yield table


def heard(table: CallbackTable) -> list[str]:
    """What arrives next, which may take some milliseconds."""
    while not (payloads := table.arrived()):
        pass
    return payloads


def test_what_is_written_is_told_to_all_who_listen_and_to_the_writer(url: str) -> None:
    with table_at(url) as one, table_at(url) as other:
        payloads = one.write([FIRST, SECOND])

        assert payloads == ["1 song-1 cover-1", "2 song-2 cover-2"]
        assert heard(other) == payloads
        assert heard(one) == payloads
        assert (one.arrived(), other.arrived()) == ([], [])


def test_a_notification_that_comes_with_another_answer_is_not_lost(url: str) -> None:
    with table_at(url) as one, table_at(url) as other:
        one.write([FIRST])
        other.prune()
        other.read(None)

        assert heard(other) == ["1 song-1 cover-1"]


def test_a_row_of_the_last_minute_is_read_although_later_ones_were_committed_first(
    url: str,
) -> None:
    with table_at(url) as table, opened(url) as slow:
        with slow.transaction():
            slow.execute(INSERT.encode())
            table.write([FIRST])
            payloads, since = table.read(None)
            assert payloads == ["2 song-1 cover-1"]
        payloads, _ = table.read(since)

        assert payloads == ["1 song x", "2 song-1 cover-1"]


@pytest.mark.parametrize(
    ("age", "since", "is_read"),
    [(50, 0, True), (70, 0, False), (70, 30, True), (100, 30, False), (3500, 3600, True)],
)
def test_rows_are_read_from_a_minute_before_the_last_read(
    url: str, age: float, since: float, is_read: bool
) -> None:
    with table_at(url) as table:
        _, now = table.read(None)
        table.write([FIRST])
        _grow_older(url, age)

        payloads, _ = table.read(now - since)

        assert bool(payloads) is is_read


def test_after_an_outage_of_hours_the_rows_of_the_last_hour_are_read(url: str) -> None:
    with table_at(url) as table:
        _, now = table.read(None)
        table.write([FIRST])
        _grow_older(url, 3700)
        table.write([SECOND])

        assert table.read(now - 86400)[0] == ["2 song-2 cover-2"]


def test_a_clock_of_the_server_that_was_set_back_hides_no_row(url: str) -> None:
    with table_at(url) as table:
        _, now = table.read(None)
        table.write([FIRST])

        assert table.read(now + 3600)[0] == ["1 song-1 cover-1"]


def test_at_most_4096_rows_are_read_the_newest_in_order(url: str) -> None:
    with opened(url) as forger:
        forger.execute(
            "INSERT INTO suno_cover.callbacks (music_task_id, cover_task_id)"
            " SELECT 'song-' || number, 'cover' FROM generate_series(1, 5000) AS number"
        )
    with table_at(url) as table:
        payloads, _ = table.read(None)

    assert len(payloads) == MOST_READ == 4096
    assert (payloads[0], payloads[-1]) == ("905 song-905 cover", "5000 song-5000 cover")


def test_rows_are_removed_after_an_hour_of_the_servers_clock_and_not_before(url: str) -> None:
    with table_at(url) as table:
        table.write([FIRST])
        _grow_older(url, 100)
        table.write([SECOND])
        _grow_older(url, 3550)

        table.prune()

        assert rows(url, "SELECT music_task_id FROM suno_cover.callbacks") == [("song-2",)]


def _grow_older(url: str, seconds: float) -> None:
    older = "UPDATE suno_cover.callbacks SET received_at = received_at - make_interval(secs => %s)"
    rows(url, older, seconds)


def test_no_rights_are_needed_but_to_select_insert_and_delete(own_postgres: Server) -> None:
    with own_postgres.database() as name:
        make_callback_table(own_postgres.url(name))
        for statement in (
            f"CREATE ROLE worker LOGIN PASSWORD '{PASSWORD}'",
            "GRANT USAGE ON SCHEMA suno_cover TO worker",
            "GRANT SELECT, INSERT, DELETE ON suno_cover.callbacks TO worker",
        ):
            own_postgres.execute(statement, database=name)
        url = own_postgres.url(name, role="worker")

        with table_at(url) as table:
            table.write([FIRST])
            table.read(None)
            table.prune()
            own_postgres.execute("REVOKE INSERT ON suno_cover.callbacks FROM worker", database=name)
            with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
                table.write([FIRST])

        assert "the user may read, write and delete" in problem(
            DatabaseUrl.parse(url), refused.value
        )


def test_the_statements_work_where_a_pooler_changes_the_servers_session(url: str) -> None:
    with table_at(url) as table:
        table._connection.execute("RESET ALL")  # the names of tables mean other schemas now
        for _ in range(10):  # psycopg prepares a statement that it sends often
            table.write([FIRST])
            table.read(None)
        assert not table._connection.execute("SELECT FROM pg_prepared_statements").rowcount


def test_where_the_table_is_missing_the_error_names_the_command_that_makes_it(
    database_url: str,
) -> None:
    parsed = DatabaseUrl.parse(database_url)
    with table_at(database_url) as table, pytest.raises(psycopg.Error) as missing:
        table.read(None)

    told = problem(parsed, missing.value)
    assert told.endswith(f"lacks its tables; run suno-cover ledger init {parsed.shown}")
    assert PASSWORD not in told


def test_a_channel_has_a_name_that_fits_however_long_the_schemas_is(database_url: str) -> None:
    long = f"{database_url}?schema={'s' * 63}"
    make_callback_table(long)
    with table_at(long) as one, table_at(long) as other:
        one.write([FIRST])

        assert heard(other) == ["1 song-1 cover-1"]


def test_a_lost_connection_is_an_error_and_no_silence(url: str, postgres_server: Server) -> None:
    with table_at(url) as table:
        postgres_server.drop_connections(url.rpartition("/")[2])
        with pytest.raises(psycopg.OperationalError) as lost:
            list(iter(table.arrived, None))  # until it fails

    assert "cannot be used" in problem(DatabaseUrl.parse(url), lost.value)
