"""Connections to a real server: settings, refusals without secrets, and what its errors mean."""

import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest

from suno_cover_async.postgres.connection import Connection, connect
from suno_cover_async.postgres.failures import is_conflict, is_passing
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.canary import Search
from tests.support.cut_proxy import cut_proxy
from tests.support.database_commands import without_password
from tests.support.postgres import PASSWORD, Server


@pytest.fixture
def url(database_url: str) -> DatabaseUrl:
    return DatabaseUrl.parse(database_url)


@pytest.fixture
def connection(url: DatabaseUrl) -> Iterator[Connection]:
    with connect(url, "test") as opened:
        yield opened


def setting(connection: Connection, name: str) -> str:
    return str(connection.execute("SELECT current_setting(%s)", (name,)).fetchall()[0][0])


def database_of(url: str) -> str:
    return urlsplit(url).path[1:]


def test_a_connection_finds_tables_in_the_urls_schema_alone(database_url: str) -> None:
    with connect(DatabaseUrl.parse(f"{database_url}?schema=label_a"), "test") as connection:
        connection.execute("CREATE SCHEMA label_a")
        connection.execute("CREATE TABLE tracks ()")
        connection.execute("CREATE TABLE public.others ()")
        found = connection.execute("SELECT to_regclass('others'), to_regclass('label_a.tracks')")

        assert found.fetchall() == [(None, "tracks")]
        assert setting(connection, "search_path") == "label_a"


def test_each_statement_is_committed_at_once(url: DatabaseUrl, connection: Connection) -> None:
    connection.execute("CREATE TABLE public.seen ()")

    with connect(url, "test") as other:
        assert other.execute("SELECT * FROM public.seen").fetchall() == []


def test_a_pooler_in_between_is_refused_with_the_reason_and_nothing_is_set_behind_it(
    postgres_server: Server, database_url: str
) -> None:
    with cut_proxy(postgres_server.port) as proxy:
        parts = urlsplit(database_url)
        pooled = DatabaseUrl.parse(database_url.replace(f":{parts.port}/", f":{proxy.port}/"))
        connect(pooled, "test").close()
        proxy.as_pooler = True

        with pytest.raises(psycopg.NotSupportedError, match="pooler such as PgBouncer") as refused:
            connect(pooled, "test")

        assert not is_passing(refused.value)  # so nobody waits for a minute
        with connect(pooled, "test", may_be_pooled=True) as connection:
            assert setting(connection, "search_path") == '"$user", public'
            assert setting(connection, "lock_timeout") == "0"


def test_no_transaction_fails_for_the_isolation_that_a_database_is_set_to(
    postgres_server: Server, url: DatabaseUrl, database_url: str
) -> None:
    postgres_server.execute(
        f'ALTER DATABASE "{database_of(database_url)}" '
        "SET default_transaction_isolation = 'serializable'"
    )
    with connect(url, "test") as connection:
        assert setting(connection, "transaction_isolation") == "read committed"


def test_settings_keep_a_lock_short_and_text_whole(connection: Connection) -> None:
    assert setting(connection, "idle_in_transaction_session_timeout") == "15s"
    assert setting(connection, "lock_timeout") == "10s"
    assert setting(connection, "client_encoding") == "UTF8"
    assert setting(connection, "application_name") == "test"


@pytest.mark.parametrize(
    ("set_to", "becomes"),
    [
        *((one, "on") for one in ("off", "local", "remote_write", "on")),
        ("remote_apply", "remote_apply"),
    ],
)
def test_a_commit_is_on_the_disk_whatever_role_and_database_are_set_to(
    postgres_server: Server, database_url: str, set_to: str, becomes: str
) -> None:
    name = database_of(database_url)
    postgres_server.execute(f"ALTER DATABASE {name} SET synchronous_commit = {set_to}")
    postgres_server.execute(
        f"ALTER ROLE cover IN DATABASE {name} SET synchronous_commit = {set_to}"
    )

    with connect(DatabaseUrl.parse(database_url), "test") as connection:
        assert setting(connection, "synchronous_commit") == becomes


def test_settings_of_the_urls_own_do_not_weaken_a_commit(database_url: str) -> None:
    options = quote("-c synchronous_commit=off -c search_path=public -c work_mem=5MB", safe="")
    url = DatabaseUrl.parse(f"{database_url}?options={options}&client_encoding=LATIN1")

    with connect(url, "test") as connection:
        assert setting(connection, "synchronous_commit") == "on"
        assert setting(connection, "search_path") == "suno_cover"
        assert setting(connection, "client_encoding") == "UTF8"
        assert setting(connection, "work_mem") == "5MB"
        assert connection.execute("SELECT 'å€ﷺ'").fetchall() == [("å€ﷺ",)]


def test_a_host_that_vanishes_is_noticed_unless_the_url_says_otherwise(database_url: str) -> None:
    names = ("connect_timeout", "keepalives_idle", "tcp_user_timeout", "target_session_attrs")
    for query, expected in (
        ("", ["10", "10", "20000", "read-write"]),
        (
            "?connect_timeout=7&tcp_user_timeout=9&target_session_attrs=primary",
            ["7", "10", "9", "primary"],
        ),
    ):
        with connect(DatabaseUrl.parse(database_url + query), "test") as connection:
            used = connection.info.get_parameters()
            assert [used[name] for name in names if name in used] == expected


def test_a_password_with_odd_characters_is_the_one_that_the_server_asks_for(
    connection: Connection,
) -> None:
    assert connection.pgconn.used_password
    assert connection.info.password == PASSWORD


def test_a_socket_in_a_folder_is_reached(postgres_server: Server) -> None:
    url = (
        f"postgresql://postgres@/postgres?host={postgres_server.folder}&port={postgres_server.port}"
    )
    with connect(DatabaseUrl.parse(url), "test") as connection:
        assert connection.execute("SELECT inet_server_addr()").fetchall() == [(None,)]


def test_of_several_hosts_the_one_that_answers_is_used(
    postgres_server: Server, database_url: str
) -> None:
    port = postgres_server.port
    with cut_proxy(port) as proxy:
        proxy.refuse()
        url = database_url.replace(f":{port}/", f":{proxy.port},127.0.0.1:{port}/")
        with connect(DatabaseUrl.parse(url), "test") as connection:
            assert connection.info.port == port


def test_a_standby_is_not_taken_for_the_server_that_writes(
    postgres_server: Server, database_url: str
) -> None:
    name = database_of(database_url)
    postgres_server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    with pytest.raises(psycopg.OperationalError, match="read-only") as refused:
        connect(DatabaseUrl.parse(database_url), "test")

    assert is_passing(refused.value)


def refusals(server: Server, url: str) -> dict[str, str]:
    name, where = database_of(url), f"127.0.0.1:{server.port}"
    return {
        "password": url.replace("4f1d9c2e", "4f1d9c2f"),
        "database": url.replace(name, "nosuch"),
        "role": url.replace("cover:", "nobody:"),
        "port": url.replace(where, "127.0.0.1:1"),
        "host": url.replace(where, "no-such-host.invalid"),
        "several": url.replace(where, "127.0.0.1:1,127.0.0.1:2"),
        "a host with an empty part": url.replace(where, "a..b"),
        "a host too long": url.replace(where, "a" * 64),
        "socket": f"{url}?host=/nosuch",
        "TLS": f"{url}?sslmode=require",
        "a parameter unknown": f"{url}?nosuch=1",
        "a value": f"{url}?connect_timeout=x",
        "sslmode": f"{url}?sslmode=x",
        "a setting": f"{url}?options=-cnosuch%3D1",
        "ports of no host": f"{url}?port=1,2,3",
    }


@pytest.mark.parametrize("what", refusals(Server(Path(), 0), ""))
def test_a_refusal_says_why_and_shows_no_password(
    what: str, postgres_server: Server, database_url: str
) -> None:
    url = DatabaseUrl.parse(refusals(postgres_server, database_url)[what])
    assert url.has_password

    with pytest.raises(psycopg.Error) as refused:
        connect(url, "test")

    assert str(refused.value)
    search = Search(PASSWORD, quote(PASSWORD, safe=""), "4f1d9c2f", piece=8)

    search.error("refused", refused.value)
    assert search.hits == {}
    assert "\n" not in str(refused.value)


def test_a_password_that_is_nowhere_is_said_with_the_places_for_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))

    with pytest.raises(psycopg.Error) as refused:
        connect(DatabaseUrl.parse(without_password(database_url)), "test")

    assert "no password supplied" in str(refused.value)
    assert str(refused.value).endswith("; put the password into ~/.pgpass or PGPASSWORD")


def test_a_url_that_the_driver_cannot_use_is_no_reason_to_wait(database_url: str) -> None:
    for query in ("?nosuch=1", "?connect_timeout=x"):
        with pytest.raises(psycopg.ProgrammingError) as refused:
            connect(DatabaseUrl.parse(database_url + query), "test")
        assert not is_passing(refused.value)
    with pytest.raises(psycopg.ProgrammingError, match="name of a host") as refused:
        connect(DatabaseUrl.parse(database_url.replace("127.0.0.1", "a..b")), "test")
    assert not is_passing(refused.value)


def test_the_server_sees_no_password_and_no_part_of_the_url(
    postgres_server: Server, connection: Connection
) -> None:
    search = Search(PASSWORD, quote(PASSWORD, safe=""), piece=8)

    for row in postgres_server.execute("SELECT * FROM pg_stat_activity"):
        search.text("sessions", repr(row))
    search.value("connection", connection)

    assert search.searched > 1
    assert search.hits == {}


def test_a_deadlock_is_a_conflict(url: DatabaseUrl, connection: Connection) -> None:
    connection.execute("CREATE TABLE public.two AS SELECT generate_series(1, 2) AS id")
    change = "UPDATE public.two SET id = id WHERE id = %s"
    raised: list[BaseException] = []

    def crossing(one: Connection, first: int, second: int, both: threading.Barrier) -> None:
        try:
            with one.transaction():
                one.execute(change, (first,))
                both.wait()
                one.execute(change, (second,))
        except psycopg.Error as error:
            raised.append(error)

    with connect(url, "test") as other:
        both = threading.Barrier(2)
        thread = threading.Thread(target=crossing, args=[other, 2, 1, both])
        thread.start()
        crossing(connection, 1, 2, both)
        thread.join()

    assert [is_conflict(error) for error in raised] == [True]
    assert [is_passing(error) for error in raised] == [True]


def test_a_lock_that_is_not_granted_in_time_is_a_conflict(
    url: DatabaseUrl, connection: Connection
) -> None:
    connection.execute("CREATE TABLE public.held ()")
    with connect(url, "test") as other, connection.transaction():
        connection.execute("LOCK TABLE public.held")
        other.execute("SET lock_timeout = '1ms'")
        with pytest.raises(psycopg.Error) as refused:
            other.execute("SELECT * FROM public.held")

    assert is_conflict(refused.value)


def test_a_transaction_that_stands_still_is_ended_and_passes(connection: Connection) -> None:
    connection.execute("SET idle_in_transaction_session_timeout = '1ms'")
    connection.execute("BEGIN")
    select.select([connection], [], [])  # what the server says without being asked is its end
    with pytest.raises(psycopg.Error) as refused:
        connection.execute("SELECT 1")

    assert is_passing(refused.value)
    assert connection.broken


def test_a_dropped_connection_passes(
    postgres_server: Server, database_url: str, connection: Connection
) -> None:
    assert postgres_server.drop_connections(database_of(database_url)) == 1

    with pytest.raises(psycopg.Error) as refused:
        connection.execute("SELECT 1")
    assert is_passing(refused.value)
    with pytest.raises(psycopg.Error) as again:
        connection.execute("SELECT 1")
    assert is_passing(again.value)  # by now the driver knows that it is closed


def test_a_connection_cut_by_the_network_passes_and_so_does_one_refused(
    postgres_server: Server, database_url: str
) -> None:
    with cut_proxy(postgres_server.port) as proxy:
        url = DatabaseUrl.parse(
            database_url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        )
        with connect(url, "test") as connection:
            proxy.refuse()
            with pytest.raises(psycopg.Error) as cut:
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.Error) as refused:
            connect(url, "test")
        proxy.accept()
        connect(url, "test").close()
        proxy.hold()
        with pytest.raises(psycopg.Error) as held:
            connect(DatabaseUrl.parse(f"{url.conninfo}?connect_timeout=2"), "test")

    assert [is_passing(one.value) for one in (cut, refused, held)] == [True] * 3


@pytest.mark.parametrize("end", ["crash", "stop", "stop at once"])
def test_a_server_that_ends_passes_and_what_was_committed_is_there_after_it_starts(
    own_postgres: Server, end: str
) -> None:
    with own_postgres.database() as name:
        url = DatabaseUrl.parse(own_postgres.url(name))
        with connect(url, "test") as connection:
            connection.execute("CREATE TABLE public.kept ()")
            if end == "crash":
                own_postgres.crash()
            else:
                own_postgres.stop("immediate" if end == "stop at once" else "fast")
            with pytest.raises(psycopg.Error) as lost:
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.Error) as refused:
            connect(url, "test")
        own_postgres.start()
        with connect(url, "test") as connection:
            assert connection.execute("SELECT * FROM public.kept").fetchall() == []

    assert is_passing(lost.value)
    assert is_passing(refused.value)
    assert not is_conflict(lost.value)


def test_a_server_without_free_connections_passes(
    postgres_server: Server, database_url: str
) -> None:
    postgres_server.execute(f"ALTER DATABASE {database_of(database_url)} CONNECTION LIMIT 0")

    with pytest.raises(psycopg.Error, match="too many connections") as refused:
        connect(DatabaseUrl.parse(database_url), "test")

    assert is_passing(refused.value)


def test_without_psycopg_the_error_names_what_to_install() -> None:
    script = """
import sys
sys.modules["psycopg"] = None
from suno_cover_async.postgres.url import DatabaseUrl
DatabaseUrl.parse("postgresql://h/d")
try:
    import suno_cover_async.postgres.connection
except ModuleNotFoundError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)  # noqa: S603

    assert b"pip install 'suno-cover-async[postgres]'" in done.stdout
