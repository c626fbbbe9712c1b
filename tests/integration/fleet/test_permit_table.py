"""The permits in tables: taken, fenced, leased, paused, by the server's clock."""

import ast
import contextlib
import gc
import itertools
import os
import re
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from suno_cover_async.fleet import permit_table as permit_table_module
from suno_cover_async.fleet.permit_table import OtherLimitError, PermitTable
from suno_cover_async.policies import RateLimit
from tests.support import permit_forks
from tests.support.cut_proxy import cut_proxy
from tests.support.permit_tables import (
    LEASE,
    WINDOW,
    backends,
    let_pass,
    make_tables,
    opened,
    permit_table,
    rows,
)
from tests.support.postgres import PASSWORD, Server

A_MOMENT = 5.0  # seconds that a busy machine may take for a step


@pytest.fixture
def permits(limit_url: str) -> PermitTable:
    return permit_table(limit_url)


def taken(permits: PermitTable, account: str = "ours") -> int:
    token, seconds = permits.take(account, WINDOW)
    if not token and seconds < 0.1:  # its rows were just made
        token, seconds = permits.take(account, WINDOW)
    assert token > 0
    assert seconds == 0
    return token


def wait(permits: PermitTable, account: str = "ours") -> float:
    token, seconds = permits.take(account, WINDOW)
    assert token == 0
    return seconds


def about(seconds: float) -> object:
    """A wait of so many seconds, less what a busy machine takes."""
    return pytest.approx(seconds - A_MOMENT / 2, abs=A_MOMENT / 2)


def test_as_many_permits_are_given_as_there_are(permits: PermitTable) -> None:
    assert taken(permits) != taken(permits)

    assert wait(permits) == WINDOW  # one that is returned now is free a window from now


def test_many_connections_at_once_take_each_permit_once(limit_url: str) -> None:
    def take(_: int) -> int:
        token, _seconds = permit_table(limit_url, calls=20).take("ours", WINDOW)
        return token

    taken(permit_table(limit_url, calls=20))
    with ThreadPoolExecutor(16) as threads:
        tokens = [token for token in threads.map(take, range(64)) if token]

    assert len(set(tokens)) == len(tokens) <= 19
    held = rows(limit_url, "SELECT token FROM permits WHERE token IS NOT NULL")
    assert {token for (token,) in held} >= set(tokens)


def test_many_that_begin_at_once_make_the_accounts_permits_once(limit_url: str) -> None:
    def take(_: int) -> Sequence[int]:
        mine = permit_table(limit_url, calls=20)
        return [mine.take("ours", WINDOW)[0] for _ in range(8)]

    with ThreadPoolExecutor(16) as threads:
        tokens = list(itertools.chain.from_iterable(threads.map(take, range(16))))

    assert len(set(tokens) - {0}) == 20
    assert rows(limit_url, "SELECT count(*) FROM permits") == [(20,)]


def test_of_two_limits_that_begin_at_once_one_alone_is_used(limit_url: str) -> None:
    begins = threading.Barrier(8)
    used: defaultdict[str, set[int]] = defaultdict(set)

    def take(calls: int) -> None:
        mine = permit_table(limit_url, calls)
        mine.renew("ours", [])  # it is connected
        for account in map(str, range(40)):
            begins.wait()
            with contextlib.suppress(OtherLimitError):
                for _ in range(2):
                    if mine.take(account, WINDOW)[0]:
                        used[account].add(calls)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take, [5, 9] * 4))

    assert {len(limits) for limits in used.values()} == {1}


def test_the_permit_that_is_free_for_the_longest_time_is_taken_first(
    limit_url: str, permits: PermitTable
) -> None:
    first, second = taken(permits), taken(permits)
    permits.give_back("ours", second, 0.0)
    permits.give_back("ours", first, 0.0)
    (longest,) = rows(limit_url, "SELECT number FROM permits ORDER BY free_at LIMIT 1")

    token = taken(permits)

    assert rows(limit_url, "SELECT number FROM permits WHERE token = %s", token) == [longest]


def test_a_permit_whose_row_another_process_holds_is_passed_over(
    limit_url: str, permits: PermitTable
) -> None:
    permits.give_back("ours", taken(permits), 0.0)
    with opened(limit_url) as other, other.transaction():
        other.execute("SELECT FROM permits WHERE number = 0 FOR UPDATE")

        token = taken(permits)
        assert wait(permits) < 0.1  # the other will have taken it by then

    assert rows(limit_url, "SELECT number FROM permits WHERE token = %s", token) == [(1,)]


def test_a_returned_permit_is_free_at_its_moment_and_the_wait_is_known(
    limit_url: str, permits: PermitTable
) -> None:
    permits.give_back("ours", taken(permits), 9.0)
    taken(permits)

    assert wait(permits) == about(9.0)
    let_pass(limit_url, 9.0)
    taken(permits)


def test_a_permit_that_another_holds_is_waited_for_no_longer_than_a_window(
    permits: PermitTable,
) -> None:
    permits.give_back("ours", taken(permits), 2 * WINDOW)
    taken(permits)

    assert wait(permits) == WINDOW


def test_the_permit_of_a_killed_process_is_free_when_its_lease_ends(
    limit_url: str, permits: PermitTable
) -> None:
    taken(permits)
    taken(permits)

    let_pass(limit_url, LEASE - A_MOMENT)
    assert wait(permits) == about(A_MOMENT)
    let_pass(limit_url, A_MOMENT)
    taken(permits)
    taken(permits)


def test_a_lease_that_is_renewed_begins_anew(limit_url: str, permits: PermitTable) -> None:
    renewed, _ = taken(permits), taken(permits)

    let_pass(limit_url, LEASE - 1)
    permits.renew("ours", [renewed])
    let_pass(limit_url, 2)
    taken(permits)
    assert wait(permits) == WINDOW


def test_an_old_token_changes_nothing_once_another_process_has_the_permit(
    limit_url: str, permits: PermitTable
) -> None:
    old = [taken(permits), taken(permits)]
    let_pass(limit_url, LEASE + 1)
    now = {taken(permits), taken(permits)}
    before = rows(limit_url, "SELECT * FROM permits ORDER BY number")

    for token in old:
        permits.give_back("ours", token, 0.0)
    permits.renew("ours", old)

    assert rows(limit_url, "SELECT * FROM permits ORDER BY number") == before
    assert {row[4] for row in before} == now


def test_a_token_that_was_returned_is_not_renewed(limit_url: str, permits: PermitTable) -> None:
    token, _ = taken(permits), taken(permits)
    permits.give_back("ours", token, 1.0)

    permits.renew("ours", [token])

    let_pass(limit_url, 1)
    taken(permits)


def test_accounts_have_permits_and_pauses_of_their_own(permits: PermitTable) -> None:
    taken(permits)
    taken(permits)
    permits.pause("theirs", 60.0)

    taken(permits, "third")
    taken(permits, "third")
    assert wait(permits, "theirs") < 0.1  # its rows were just made
    assert wait(permits, "theirs") == about(60.0)


def test_a_pause_binds_every_process_and_a_shorter_one_does_not_end_it(
    limit_url: str, permits: PermitTable
) -> None:
    permits.give_back("ours", taken(permits), 0.0)
    other = permit_table(limit_url)
    other.pause("ours", 60.0)
    other.pause("ours", 3.0)

    assert wait(permits) == about(60.0)
    let_pass(limit_url, 60)
    taken(permits)


def test_a_pause_lasts_an_hour_at_most(limit_url: str, permits: PermitTable) -> None:
    permits.give_back("ours", taken(permits), 0.0)
    permits.pause("ours", 1e9)

    assert wait(permits) == about(3600.0)
    let_pass(limit_url, 3600)
    taken(permits)


def test_a_clock_of_the_server_that_was_set_back_holds_nothing_for_longer_than_a_lease(
    limit_url: str, permits: PermitTable
) -> None:
    permits.give_back("ours", taken(permits), WINDOW)
    taken(permits)
    permits.pause("ours", 60.0)
    let_pass(limit_url, -86400)

    assert wait(permits) == WINDOW
    permits.pause("ours", 7.0)
    let_pass(limit_url, LEASE)
    taken(permits)
    taken(permits)


def test_no_clock_of_a_machine_is_read() -> None:
    code = ast.walk(ast.parse(Path(permit_table_module.__file__).read_text()))
    clocks = {"time", "monotonic", "now", "datetime", "perf_counter"}

    for node in code:
        names = {getattr(node, field, None) for field in ("id", "attr", "name", "module")}
        assert not names & clocks


@pytest.mark.parametrize(("calls", "seconds"), [(3, WINDOW), (1, WINDOW), (2, 2 * WINDOW)])
def test_two_limits_of_one_account_are_never_used_together(
    limit_url: str, permits: PermitTable, calls: int, seconds: float
) -> None:
    held = [taken(permits), taken(permits)]
    other = permit_table(limit_url, calls, seconds)

    with pytest.raises(OtherLimitError, match="share the account's limit as 2 calls in 10 s") as no:
        other.take("ours", seconds)
    assert other.may_pass(no.value)
    for token in held:
        permits.give_back("ours", token, 5.0)
    with pytest.raises(OtherLimitError):
        other.take("ours", seconds)

    # Once all permits are free, a window as long as its own passes before the other limit is used.
    let_pass(limit_url, 5)
    assert other.take("ours", seconds)[0] == 0
    assert other.take("ours", seconds) == (0, about(seconds))
    let_pass(limit_url, seconds)
    tokens = [other.take("ours", seconds)[0] for _ in range(calls + 1)]
    assert tokens.count(0) == 1
    with pytest.raises(OtherLimitError):
        permits.take("ours", WINDOW)


def test_a_process_that_takes_one_while_the_limit_changes_prevents_it(
    limit_url: str, permits: PermitTable
) -> None:
    permits.give_back("ours", taken(permits), 0.0)
    other = permit_table(limit_url, calls=9)

    with ThreadPoolExecutor(1) as thread, opened(limit_url) as taking, taking.transaction():
        taking.execute("UPDATE permits SET free_at = clock_timestamp() + interval '20 s'")
        change = thread.submit(other.take, "ours", WINDOW)
        _until_it_waits_for_a_lock(limit_url)

    with pytest.raises(OtherLimitError):
        change.result()
    assert rows(limit_url, "SELECT count(*), max(calls) FROM permits") == [(2, 2)]


def _until_it_waits_for_a_lock(url: str) -> None:
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = %s"
    name = url.rpartition("/")[2]
    while not rows(url, waiting, name):
        pass


def test_a_lost_connection_costs_no_step(limit_url: str, postgres_server: Server) -> None:
    name = limit_url.rpartition("/")[2]
    with cut_proxy(postgres_server.port) as proxy:
        permits = permit_table(postgres_server.url(name, port=proxy.port))
        first = taken(permits)
        proxy.cut()
        permits.give_back("ours", first, 0.0)
        proxy.cut()
        taken(permits)
        assert postgres_server.drop_connections(name)
        taken(permits)
        proxy.cut()
        permits.pause("ours", 60)
        proxy.cut()
        permits.renew("ours", [first])
        assert wait(permits) == about(60)
        assert proxy.opened == 6


def test_a_permit_whose_commit_was_not_seen_is_free_when_its_lease_ends(
    limit_url: str, postgres_server: Server
) -> None:
    name = limit_url.rpartition("/")[2]
    with cut_proxy(postgres_server.port) as proxy, ThreadPoolExecutor(1) as thread:
        permits = permit_table(postgres_server.url(name, port=proxy.port), calls=3)
        taken(permits)
        with opened(limit_url) as other, other.transaction():
            other.execute("LOCK TABLE pauses IN ACCESS EXCLUSIVE MODE")
            take = thread.submit(permits.take, "ours", WINDOW)
            _until_it_waits_for_a_lock(limit_url)
            proxy.refuse()
        with pytest.raises(psycopg.OperationalError) as lost:
            take.result()
    assert permits.may_pass(lost.value)

    others = permit_table(limit_url, calls=3)
    while len(rows(limit_url, "SELECT token FROM permits WHERE token IS NOT NULL")) < 2:
        pass  # the server does what it was told, though nobody is there any more
    taken(others)
    assert wait(others) == WINDOW
    let_pass(limit_url, LEASE)
    for _ in range(3):
        taken(others)


@pytest.mark.parametrize("stop", ["fast", "crash"])
def test_permits_and_pauses_survive_a_restart_and_a_crash_of_the_server(
    own_postgres: Server, stop: str
) -> None:
    with own_postgres.database() as name:
        url = own_postgres.url(name)
        make_tables(url)
        permits = permit_table(url)
        held = {taken(permits), taken(permits)}
        permits.pause("theirs", 60.0)

        if stop == "crash":
            own_postgres.crash()
        else:
            own_postgres.stop()
        with pytest.raises(psycopg.OperationalError) as down:
            permits.take("ours", WINDOW)
        assert permits.may_pass(down.value)
        own_postgres.start()

        assert wait(permits) == WINDOW
        found = rows(url, "SELECT token FROM permits WHERE account = 'ours'")
        assert {token for (token,) in found} == held
        wait(permits, "theirs")
        assert wait(permits, "theirs") == about(60)


def test_a_commit_is_synced_though_the_database_is_set_to_faster_ones(limit_url: str) -> None:
    name = limit_url.rpartition("/")[2]
    rows(limit_url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    rows(
        limit_url,
        "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO notes"
        " VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$",
    )
    rows(limit_url, "CREATE TABLE notes (note text)")
    rows(
        limit_url,
        "CREATE TRIGGER noted AFTER UPDATE ON permits FOR EACH ROW EXECUTE FUNCTION noted()",
    )

    taken(permit_table(limit_url))

    assert rows(limit_url, "SELECT note FROM notes") == [("on",)]


def test_no_rights_are_needed_but_those_to_rows_of_its_tables(own_postgres: Server) -> None:
    with own_postgres.database() as name:
        make_tables(own_postgres.url(name))
        tables = "suno_cover.permits, suno_cover.pauses"
        for statement in (
            f"CREATE ROLE worker LOGIN PASSWORD '{PASSWORD}'",
            "GRANT USAGE ON SCHEMA suno_cover TO worker",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO worker",
        ):
            own_postgres.execute(statement, database=name)
        url = own_postgres.url(name, role="worker")

        permits = permit_table(url)
        token = taken(permits)
        permits.renew("ours", [token])
        permits.give_back("ours", token, 0.0)
        permits.pause("ours", 0.0)
        permits.pause("ours", 0.0)
        other = permit_table(url, calls=5)  # it removes rows
        assert other.take("ours", WINDOW) == (0, about(0.01))
        assert wait(other) == about(WINDOW)

        own_postgres.execute("REVOKE UPDATE ON suno_cover.permits FROM worker", database=name)
        with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
            permits.take("ours", WINDOW)
        assert not permits.may_pass(refused.value)
        assert "the user may read and write the tables" in permits.problem(refused.value)


def test_where_the_tables_are_missing_the_error_names_the_command_that_makes_them(
    database_url: str,
) -> None:
    permits = permit_table(database_url)

    with pytest.raises(psycopg.errors.UndefinedTable) as missing:
        permits.take("ours", WINDOW)

    assert not permits.may_pass(missing.value)
    told = permits.problem(missing.value)
    assert re.search(r"lacks its tables; run suno-cover ledger init postgresql://cover@\S+$", told)
    assert PASSWORD not in told


def test_the_password_is_in_no_message_and_no_repr(limit_url: str, postgres_server: Server) -> None:
    wrong = limit_url.replace("@", "-wrong-7f3a@")
    nobody = f"{postgres_server.url('nowhere')}?connect_timeout={PASSWORD[:6]}"
    no_port = postgres_server.url("nowhere", port=99999)
    for url in (wrong, nobody, no_port, postgres_server.url("nowhere")):
        permits = permit_table(url)
        with pytest.raises(psycopg.Error) as refused:
            permits.take("ours", WINDOW)
        for told in (permits.problem(refused.value), repr(permits), repr(vars(permits))):
            assert PASSWORD not in told
            assert "wrong-7f3a" not in told
            assert "%3Fs%23w" not in told


def test_a_child_has_a_connection_of_its_own_and_leaves_the_parents_open(limit_url: str) -> None:
    done = subprocess.run(  # noqa: S603 - a process without threads may fork
        [sys.executable, permit_forks.__file__, limit_url],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == ""
    told = Counter(done.stdout.split())
    assert told["parent"] == told["child"] == 2
    ids = {who: set(re.findall(rf"{who}={{(\d+)}}", done.stdout)) for who in ("parent", "child")}
    assert len(ids["parent"]) == len(ids["child"]) == 1
    assert ids["parent"] != ids["child"]


def test_the_connection_is_closed_when_the_permits_are_not_used_any_more(limit_url: str) -> None:
    permits = permit_table(limit_url)
    assert backends(limit_url) == []  # it connects at the first step

    taken(permits)
    taken(permits)
    (_,) = backends(limit_url)
    del permits
    gc.collect()

    while backends(limit_url):
        pass


def test_a_url_that_is_none_of_a_database_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="schema must be named by small letters") as refused:
        PermitTable("postgresql://u:secret@h/d?schema=A", RateLimit(calls=1, seconds=1), LEASE)
    assert "secret" not in str(refused.value)
