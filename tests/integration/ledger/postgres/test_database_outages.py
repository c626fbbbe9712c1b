"""A database that is away: while a ledger opens and later, for how long, and what is said of it."""

import contextlib
import logging

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.postgres.database import PostgresDatabase
from suno_cover_async.ledger.writer import CommitFailedError
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.canary import Search
from tests.support.cut_proxy import CutProxy
from tests.support.postgres import PASSWORD, ROLE
from tests.support.shared_ledgers import jumping, opened, through


@pytest.mark.parametrize(
    ("hurried", "seconds", "attempts"),
    [(False, 59.0, 3), (False, 61.0, 2), (True, 4.9, 3), (True, 5.1, 2)],
)
def test_an_outage_is_waited_out_for_60_seconds_and_for_5_once_the_ledger_is_closing(
    url: DatabaseUrl, proxy: CutProxy, hurried: bool, seconds: float, attempts: int
) -> None:
    moments: list[float] = []
    clock = jumping(seconds)

    def seen() -> float:
        moments.append(clock())
        return moments[-1]

    with opened(through(proxy, url), seen) as database:
        proxy.refuse()
        if hurried:
            database.hurry()
        with pytest.raises(CommitFailedError) as failed:
            database.commit([lambda there: there.add_submits(1)])
        assert len(moments) == attempts
        with pytest.raises(CommitFailedError):
            database.commit([lambda there: there.add_submits(1)])
        assert len(moments) == attempts + 1  # the outage goes on: the next one is tried once
        proxy.accept()
        assert database.commit([lambda there: there.add_submits(1)]) == [True]
        moments.clear()
        proxy.refuse()
        with pytest.raises(CommitFailedError):
            database.commit([lambda there: there.add_submits(1)])
        assert len(moments) == attempts  # a new outage has as long again

    assert isinstance(database.failed(failed.value.reason), LedgerError)


def test_an_error_names_the_server_and_what_to_do_and_no_password(
    url: DatabaseUrl, proxy: CutProxy
) -> None:
    with opened(through(proxy, url), jumping(100)) as database:
        proxy.refuse()
        with pytest.raises(CommitFailedError) as failed:
            database.commit([lambda there: there.add_submits(1)])
        error = database.failed(failed.value.reason)

    assert f"127.0.0.1:{proxy.port}" in str(error)
    assert "run again: paid covers are found" in str(error)
    search = Search(PASSWORD, piece=8)
    search.error("failed", error)
    search.error("reason", failed.value.reason)
    assert search.hits == {}


@pytest.mark.parametrize("words", [b"set_config", b"FROM ledger", b"DELETE FROM commits"])
def test_a_connection_that_is_lost_while_a_ledger_opens_is_made_again(
    url: DatabaseUrl, proxy: CutProxy, words: bytes
) -> None:
    proxy.cut_at(words, "before")
    with opened(through(proxy, url)) as database:
        assert database.commit([lambda there: there.submits()]) == [0]

    assert proxy.opened == 2


def test_a_server_that_let_a_ledger_in_and_is_away_then_is_waited_for_for_60_seconds(
    url: DatabaseUrl, proxy: CutProxy
) -> None:
    clock = jumping(59)
    proxy.cut_at(b"DELETE FROM commits", "between and refuse")

    with pytest.raises(LedgerError, match="cannot be used"):
        PostgresDatabase(through(proxy, url), "test", clock=clock).open()

    assert clock() == 3 * 59  # it failed at 0 s, 59 s and 118 s


def test_a_ledger_that_is_hurried_while_it_opens_tries_no_more(
    url: DatabaseUrl, proxy: CutProxy
) -> None:
    clock = jumping(0.001)

    def hurries() -> float:
        database.hurry()
        return clock()

    proxy.cut_at(b"DELETE FROM commits", "between and refuse")
    database = PostgresDatabase(through(proxy, url), "test", clock=hurries)

    with pytest.raises(LedgerError, match="cannot be used"):
        database.open()

    assert clock() == 0.001  # it was asked once: at the loss, not at the attempt after it


def test_a_server_that_lets_nobody_in_is_not_waited_for(url: DatabaseUrl, proxy: CutProxy) -> None:
    def never() -> float:
        raise AssertionError("it waits")

    proxy.refuse()
    password = DatabaseUrl.parse(url.conninfo.replace(f"//{ROLE}:", f"//{ROLE}:not-"))
    database = DatabaseUrl.parse(f"{url.conninfo}_not")
    for wrong in (through(proxy, url), password, database):
        with pytest.raises(LedgerError, match="cannot be used"):
            PostgresDatabase(wrong, "test", clock=never).open()


def test_an_outage_is_one_warning_and_its_end_another_one(
    url: DatabaseUrl, proxy: CutProxy, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str | None] = []

    def clock() -> float:  # it is asked once in each attempt that fails
        seen.append(database.trouble)
        if len(seen) == 5:
            proxy.accept()
        return 0.0

    database = PostgresDatabase(through(proxy, url), "test", clock=clock)
    database.open()
    with contextlib.closing(database), caplog.at_level(logging.WARNING):
        proxy.cut()
        database.commit([lambda there: there.submits()])  # made again at once: no word of that
        assert caplog.messages == []
        seen.clear()
        proxy.refuse()
        database.commit([lambda there: there.submits()])

    away = "the database does not answer"
    gone, back = caplog.messages
    shown = through(proxy, url).shown
    assert gone.startswith(f"the database {shown} does not answer (")
    assert gone.endswith("); check the server; trying again for 60 s")
    assert PASSWORD not in gone
    assert back == "the database answers again"
    assert seen == [None, None, away, away, away]
    assert database.trouble is None


def test_a_ledger_that_gave_up_is_in_no_trouble_and_waits_again_in_a_later_outage(
    url: DatabaseUrl, proxy: CutProxy
) -> None:
    moments = iter([0.0, 59.0, 61.0, 119.0, 1000.0, 1020.0, 1040.0, 1060.0, 1061.0])
    seen: list[str | None] = []

    def clock() -> float:
        seen.append(database.trouble)
        return next(moments)

    database = PostgresDatabase(through(proxy, url), "test", clock=clock)
    database.open()
    proxy.cut()
    proxy.refuse()
    with contextlib.closing(database):
        for asked in (3, 4, 9):  # the second time it does not wait again
            with pytest.raises(CommitFailedError):
                database.commit([lambda there: there.submits()])
            assert len(seen) == asked
            assert database.trouble is None

    away = "the database does not answer"
    assert seen == [None, None, away, None, None, None, away, away, away]


def test_a_database_without_a_server_or_a_ledger_cannot_be_opened(
    url: DatabaseUrl, database_url: str, proxy: CutProxy
) -> None:
    proxy.refuse()
    with pytest.raises(LedgerError, match="cannot be used"):
        PostgresDatabase(through(proxy, url), "test").open()
    elsewhere = DatabaseUrl.parse(f"{database_url}?schema=elsewhere")
    with pytest.raises(LedgerError, match="no ledger yet: run `suno-cover ledger init"):
        PostgresDatabase(elsewhere, "test").open()
