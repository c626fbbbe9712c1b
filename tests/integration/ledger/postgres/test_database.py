"""Transactions that are repeated: lost connections, a COMMIT without an answer, and conflicts."""

import threading
from functools import partial
from typing import Any, Literal

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.entry import TrackState, write_columns
from suno_cover_async.ledger.postgres.database import PostgresDatabase
from suno_cover_async.ledger.run_steps import HeldBy
from suno_cover_async.ledger.store import Transaction, Work
from suno_cover_async.ledger.writer import CommitFailedError
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.cut_proxy import CutProxy, Where, cut_proxy
from tests.support.ledger_steps import FILES, TASK, details
from tests.support.postgres import Server
from tests.support.shared_ledgers import (
    Session,
    at_the_same_time,
    jumping,
    made,
    opened,
    session,
    through,
)


def prepared(one: Session) -> int:
    """A run that holds a track."""
    one.fill(1)
    run = one.begin()
    one.claim(run)
    return run


def submitted_step(run: int) -> Work[None]:
    """A step as that of `steps.Submitted`, but one that counts each time that it is done."""

    def work(there: Transaction) -> None:
        there.change(1, write_columns(state=TrackState.SUBMITTED, cover_task_id="c1"))
        there.count_submit(run, adopted=False)

    return HeldBy(run, work)


def counted(one: Session, run: int) -> tuple[int, int, str]:
    return one.run(run)["submitted"], one.there.submits(), one.track()["state"]


def test_steps_are_committed_together_and_answered_in_order(url: DatabaseUrl, one: Session) -> None:
    with opened(url) as database:
        answers = database.commit(
            [lambda there: there.add_submits(2), lambda there: there.submits()]
        )

    assert answers == [True, 2]
    assert one.there.submits() == 2


def fails(there: Transaction) -> None:
    there.add_submits(100)
    raise ZeroDivisionError("the step's own")


def breaks_a_rule(there: Transaction) -> None:
    there.add_submits(100)
    there.change(1, {"state": "nosuch"})


def says_too_much(there: Transaction) -> None:
    there.add_submits(100)
    there.change(1, {"completed_at": "no number"})


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (fails, ZeroDivisionError),
        (breaks_a_rule, LedgerError),
        (says_too_much, LedgerError),
    ],
)
def test_a_steps_own_error_undoes_that_step_alone(
    url: DatabaseUrl, one: Session, step: Work[None], error: type[Exception]
) -> None:
    one.fill(1)
    with opened(url) as database:
        first, second, third = database.commit(
            [lambda there: there.add_submits(1), step, lambda there: there.add_submits(1)]
        )

    assert (first, third) == (True, True)
    assert type(second) is error
    assert one.there.submits() == 2


def test_a_connection_that_was_dropped_is_made_again(url: DatabaseUrl, one: Session) -> None:
    with opened(url) as database:
        for _ in range(3):
            drop_all_but(one)
            database.commit([lambda there: there.add_submits(1)])

    assert one.there.submits() == 3


def drop_all_but(one: Session) -> None:
    """Drop all connections to the database but this one."""
    one.execute(
        "SELECT pg_terminate_backend(pid, 50000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize("forgets", ["the last", "all"])
@pytest.mark.parametrize("where", ["", "before", "after"])
def test_a_run_commits_nothing_once_the_database_forgot_what_it_committed(
    url: DatabaseUrl, one: Session, proxy: CutProxy, forgets: str, where: Where | Literal[""]
) -> None:
    with opened(through(proxy, url)) as database:
        database.commit([lambda there: there.add_submits(1)])
        if where:
            proxy.cut_at(b"COMMIT\0", where)
        database.commit([lambda there: there.add_submits(1)])
        database.commit([lambda there: there.submits()])
        if forgets == "all":
            one.execute("DELETE FROM commits")
        else:
            one.execute("UPDATE commits SET number = number - 1")
        drop_all_but(one)

        for _ in range(2):
            with pytest.raises(CommitFailedError) as failed:
                database.commit([lambda there: there.add_submits(1)])

    assert one.there.submits() == 2
    assert str(database.failed(failed.value.reason)) == (
        f"the ledger {through(proxy, url).shown} cannot be written (the database has forgotten "
        "what was committed: it was restored from a backup, or is a standby that lagged behind), "
        "so nothing more is submitted; see to the server, then run again: paid covers are found "
        "again"
    )


def test_single_steps_go_on_over_a_database_that_forgot_some(
    url: DatabaseUrl, one: Session
) -> None:
    with opened(url, builds_on_earlier=False) as database:
        for _ in range(2):
            database.commit([lambda there: there.add_submits(1)])
            one.execute("DELETE FROM commits")
            drop_all_but(one)

    assert one.there.submits() == 2


def test_a_transaction_whose_connection_is_lost_is_redone_whole(
    url: DatabaseUrl, one: Session, proxy: CutProxy
) -> None:
    called: list[str] = []

    def first(there: Transaction) -> None:
        called.append("first")
        there.add_submits(1)

    def second(there: Transaction) -> None:
        called.append("second")
        there.add_submits(1)
        if called.count("second") < 3:
            proxy.cut()
        there.add_submits(1)

    with opened(through(proxy, url)) as database:
        database.commit([first, second])

    assert called == ["first", "second"] * 3
    assert one.there.submits() == 3


@pytest.mark.parametrize("where", ["before", "after", "between"])
def test_a_commit_without_an_answer_is_done_once(
    url: DatabaseUrl, one: Session, proxy: CutProxy, where: Where
) -> None:
    run = prepared(one)
    with opened(through(proxy, url)) as database:
        for number, work in enumerate([steps.submitting(1, run), submitted_step(run)]):
            proxy.cut_at(b"COMMIT\0", where)
            if where == "between":
                with at_the_same_time(partial(database.commit, [work])) as answers:
                    until_somebody_waits(one)  # it waits for the transaction that was cut off
                    proxy.deliver()
                (given,) = answers[0]
            else:
                (given,) = database.commit([work])
            assert given is (None if number else True)

        assert proxy.opened == 3  # each was cut once
    assert counted(one, run) == (1, 1, "submitted")


def until_somebody_waits(watcher: Session) -> None:
    while not watcher.execute(
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        "AND cardinality(pg_blocking_pids(pid)) > 0"
    ):
        pass


def test_a_transaction_that_was_cut_off_and_ends_undone_is_redone(
    url: DatabaseUrl, one: Session, proxy: CutProxy
) -> None:
    run = prepared(one)

    def cut_off(database: PostgresDatabase) -> list[None]:
        proxy.cut_at(b"COMMIT\0", "between")
        return database.commit([submitted_step(run)])

    with (
        opened(through(proxy, url)) as database,
        at_the_same_time(lambda: cut_off(database)) as answers,
    ):
        until_somebody_waits(one)
        one.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND state = 'idle in transaction'"
        )
    assert answers == [[None]]
    assert counted(one, run)[0] == 1


def test_after_a_crash_a_transaction_is_not_taken_for_another_one_with_its_number(
    own_postgres: Server,
) -> None:
    """A server that lost a transaction in a crash gives its number to another one."""
    with own_postgres.database() as name, cut_proxy(own_postgres.port) as proxy:
        url = made(own_postgres.url(name))
        with session(url) as one:
            run = prepared(one)
        with opened(through(proxy, url)) as database:
            proxy.cut_at(b"COMMIT\0", "between and refuse")
            with at_the_same_time(lambda: database.commit([submitted_step(run)])) as answers:
                with session(url) as one:
                    while not proxy.holds_back:
                        pass
                    own_postgres.crash()
                own_postgres.start()
                with session(url) as one:
                    for _ in range(9):  # one of these gets the number
                        one.there.add_submits(1)
                proxy.accept()
        with session(url) as one:
            assert answers == [[None]]
            assert counted(one, run) == (1, 9, "submitted")


@pytest.mark.parametrize("how", ["crash", "fast", "immediate"])
def test_a_commit_goes_on_through_a_restart_of_the_server(
    own_postgres: Server, how: Literal["crash", "fast", "immediate"]
) -> None:
    with own_postgres.database() as name:
        url = made(own_postgres.url(name))
        with session(url) as one:
            run = prepared(one)

        is_down = threading.Event()

        def work(there: Transaction) -> None:
            submitted_step(run)(there)
            if not is_down.is_set():
                if how == "crash":
                    own_postgres.crash()
                else:
                    own_postgres.stop(how)
                is_down.set()

        with (
            opened(url) as database,
            at_the_same_time(lambda: database.commit([work])) as answers,
        ):
            is_down.wait()
            own_postgres.start()
        assert answers == [[None]]
        with session(url) as one:
            assert counted(one, run)[0] == 1


def test_two_transactions_in_each_others_way_are_both_done(url: DatabaseUrl, one: Session) -> None:
    one.fill(2)
    with opened(url) as first, opened(url) as second:
        met: list[int] = []

        def crossing(here: int, there_: int) -> Work[None]:
            def work(there: Transaction) -> None:
                there.change(here, {"submits": 1})
                met.append(here)
                while len(set(met)) < 2:
                    pass
                there.change(there_, {"reason": f"from {here}"})

            return work

        with at_the_same_time(lambda: second.commit([crossing(2, 1)])) as answers:
            assert first.commit([crossing(1, 2)]) == [None]
        assert answers == [[None]]
    assert len(met) == 3  # one was undone and done again
    assert [row["submits"] for row in one.contents("tracks")["tracks"]] == [1, 1]


def test_a_lock_that_is_not_granted_in_time_is_asked_for_again_over_the_same_connection(
    url: DatabaseUrl, one: Session, proxy: CutProxy
) -> None:
    one.execute("BEGIN")
    one.execute("SELECT 1 FROM ledger FOR UPDATE")
    tries: list[int] = []

    def work(there: Transaction) -> None:
        there.execute("SET LOCAL lock_timeout = '1ms'")  # type: ignore[attr-defined]
        tries.append(1)
        if len(tries) == 3:
            one.execute("ROLLBACK")
        there.add_submits(1)

    with opened(through(proxy, url)) as database:
        assert database.commit([work]) == [None]

    assert (len(tries), proxy.opened, one.there.submits()) == (3, 1, 1)


@pytest.mark.parametrize("code", ["53100", "53200", "58030", "25006"])
def test_a_full_or_broken_disk_of_the_server_is_waited_out(
    url: DatabaseUrl, one: Session, code: str
) -> None:
    tries: list[str] = []

    def work(there: Transaction) -> None:
        there.add_submits(1)
        tries.append(code)
        if len(tries) < 3:
            there.execute(  # type: ignore[attr-defined]
                f"DO $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '{code}'; END $$"
            )

    with opened(url) as database:
        assert database.commit([work]) == [None]
    assert (len(tries), one.there.submits()) == (3, 1)


def test_a_connection_that_cannot_be_made_again_for_a_lasting_reason_is_no_reason_to_wait(
    url: DatabaseUrl, one: Session, proxy: CutProxy
) -> None:
    with opened(through(proxy, url)) as database:
        one.execute("UPDATE ledger SET version = 99")
        proxy.cut()
        with pytest.raises(CommitFailedError) as failed:
            database.commit([lambda there: there.add_submits(1)])

    assert "update suno-cover-async" in str(failed.value.reason)


def test_a_right_that_is_lacking_fails_the_commit_at_once(
    url: DatabaseUrl, one: Session, postgres_server: Server
) -> None:
    name = one.connection.info.dbname
    role = f"{name}_reader"
    postgres_server.execute(f"CREATE ROLE {role}")
    try:
        one.execute(f"GRANT USAGE ON SCHEMA suno_cover TO {role}")
        one.execute(f"GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA suno_cover TO {role}")
        with opened(url) as database:
            one.execute("CREATE TABLE forbidden ()")

            def work(there: Transaction) -> None:
                there.execute(f"SET LOCAL ROLE {role}")  # type: ignore[attr-defined]
                there.drop("waiting")

            postgres_server.execute(f"GRANT {role} TO cover")
            with pytest.raises(CommitFailedError, match="permission denied"):
                database.commit([work])
            assert database.commit([lambda there: there.add_submits(1)]) == [True]
    finally:
        postgres_server.execute(f"DROP OWNED BY {role}", database=name)
        postgres_server.execute(f"DROP ROLE {role}")


def test_a_paid_cover_that_is_written_again_after_a_commit_without_an_answer_counts_once(
    url: DatabaseUrl, one: Session, proxy: CutProxy
) -> None:
    run = prepared(one)
    submitted = HeldBy(run, steps.Submitted(number=1, task=TASK, run=run, base_url="https://a"))
    with opened(through(proxy, url), jumping(100)) as database:
        database.commit([steps.submitting(1, run)])
        proxy.cut_at(b"COMMIT\0", "between and refuse")
        with pytest.raises(CommitFailedError):
            database.commit([submitted])
        proxy.deliver()  # it took effect after all
        proxy.accept()
        database.commit([submitted])  # as the writer does with a fact before its next step

    assert counted(one, run) == (1, 1, "submitted")


def test_a_finished_cover_that_is_written_again_undoes_nothing_that_another_run_did_since(
    url: DatabaseUrl, one: Session, proxy: CutProxy
) -> None:
    run, other = prepared(one), one.begin()
    covered = HeldBy(run, steps.covered(1, run, details()))
    with opened(through(proxy, url), jumping(100)) as database:
        proxy.cut_at(b"COMMIT\0", "between and refuse")
        with pytest.raises(CommitFailedError):
            database.commit([covered])
        proxy.deliver()  # it took effect after all
        proxy.accept()
        while not one.claim_unsaved(other):
            pass
        (entry,) = one.do(steps.page([], 0, 9))
        one.do(HeldBy(other, steps.saved(entry, other, FILES)))
        database.commit([covered])  # as the writer does with a fact before its next step

    assert one.track()["state"] == "saved"


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_claim_is_released_whatever_isolation_the_database_is_set_to(
    url: DatabaseUrl, one: Session, watcher: Session, postgres_server: Server, isolation: str
) -> None:
    one.fill(1)
    slow, alive = one.begin(), one.begin()
    postgres_server.execute(
        f"ALTER DATABASE {one.connection.info.dbname} "
        f"SET default_transaction_isolation = '{isolation}'"
    )
    with opened(url) as database:
        one.execute("BEGIN")
        HeldBy(slow, run_steps.claim([TrackState.WAITING], slow, 3))(one.there)
        with at_the_same_time(
            lambda: database.commit([lambda there: there.give_up(slow)])
        ) as given:
            until_somebody_waits(watcher)
            one.execute("COMMIT")

    assert given == [[True]]
    assert one.claim(alive) == [1]


def test_what_only_reads_leaves_no_number(url: DatabaseUrl, one: Session) -> None:
    with opened(url) as database:
        database.commit([lambda there: there.submits()])
        assert one.execute("SELECT number FROM commits") == []
        for _ in range(3):
            database.commit([lambda there: there.add_submits(1)])
        assert one.execute("SELECT number FROM commits") == [(4,)]


def read_rows(there: Any) -> int:
    """How many rows of the tracks this transaction has read."""
    query = (
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'tracks'"
    )
    return int(there.execute(query).fetchone()[0])


@pytest.mark.parametrize("analyzed", ["before", "between", "after", "never"])
@pytest.mark.parametrize("state", ["waiting", "covered"])
def test_a_claim_reads_few_rows_however_many_there_are_and_whatever_the_planner_knows(
    url: DatabaseUrl, one: Session, analyzed: str, state: str
) -> None:
    """A plan that sorts all free tracks, or goes through those that are finished, takes seconds."""
    one.execute("ALTER TABLE tracks SET (autovacuum_enabled = off)")

    def add(state: str) -> None:
        one.execute(
            "INSERT INTO tracks (music_task_id, names, titles, state, completed_at) "
            "SELECT gen_random_uuid(), '{\"\": {}}', '', %s, n FROM generate_series(1, 20000) n",
            state,
        )

    def analyze(now: str) -> None:
        if analyzed == now:
            one.execute("ANALYZE tracks")

    analyze("before")
    add("saved")
    analyze("between")
    add(state)
    analyze("after")
    run = one.begin()

    def claim(there: Transaction) -> tuple[int, int]:
        rows = there.claim_unsaved(run, 20) if state == "covered" else there.claim(state, run, 20)
        return len(rows), read_rows(there)

    with opened(url) as database:
        ((claimed, read),) = database.commit([claim])

    assert claimed == 20
    assert read < 200
