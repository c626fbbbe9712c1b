"""The thread of a callback bus: lost connections, floods, missing tables, and its end."""

import asyncio
import contextlib
import gc
import logging
import sys
from collections.abc import Generator, Iterator
from typing import ClassVar

import pytest

from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.fleet.bus_thread import BusThread
from suno_cover_async.fleet.callback_table import CallbackTable
from suno_cover_async.models import Callback
from suno_cover_async.postgres.url import DatabaseUrl
from tests.support.callback_buses import (
    SESSIONS,
    connected,
    make_callback_table,
    sessions,
    threads,
    until_true,
    waiting,
    written,
)
from tests.support.callback_requests import COVER, MUSIC
from tests.support.cut_proxy import CutProxy, cut_proxy
from tests.support.permit_tables import rows
from tests.support.postgres import PASSWORD, Server
from tests.support.waiting import until

CALLBACK = Callback(music_task_id=MUSIC, cover_task_id=COVER)
CHANNEL = "suno_cover_callbacks_005e0dffc0f23aee"
SOURCE = Notifier()
LOST = "cannot be used"
BACK = "uses its database again"


@pytest.fixture
def url(database_url: str) -> str:
    make_callback_table(database_url)
    return database_url


@pytest.fixture
def proxy(url: str, postgres_server: Server) -> Iterator[CutProxy]:
    """A proxy to the server of `url`."""
    assert url
    with cut_proxy(postgres_server.port) as between:
        yield between


def through(proxy: CutProxy, url: str, postgres_server: Server) -> str:
    return postgres_server.url(url.rpartition("/")[2], port=proxy.port)


@contextlib.contextmanager
def thread_at(
    url: str, *, read_seconds: float = 1000.0, idle_seconds: float = 1000.0
) -> Generator[BusThread]:
    """The thread of one process; it ends with the block."""
    thread = BusThread(DatabaseUrl.parse(url), read_seconds=read_seconds, idle_seconds=idle_seconds)
    try:
        yield thread
    finally:
        thread.close()


@contextlib.contextmanager
def notifier_at(url: str, **options: float) -> Generator[Notifier]:
    """A notifier whose waiters are woken by a thread of its own, as in another process."""
    with thread_at(url, **options) as thread:
        yield Notifier("https://me.example", thread)


def callback(number: int) -> Callback:
    return Callback(music_task_id=f"song-{number}", cover_task_id=f"cover-{number}")


def told(caplog: pytest.LogCaptureFixture, level: int, part: str = "") -> list[str]:
    found = [one for one in caplog.records if one.levelno == level and part in one.getMessage()]
    return [one.getMessage() for one in found if one.name == "suno_cover_async"]


async def test_what_came_while_the_connection_was_lost_is_read_once_it_is_back(
    url: str, proxy: CutProxy, postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    there = through(proxy, url, postgres_server)
    with (
        notifier_at(there) as notifier,
        thread_at(url) as other,
        waiting(notifier) as waiter,
    ):
        await connected(url)
        await asyncio.to_thread(proxy.refuse)
        await until(lambda: told(caplog, logging.WARNING), every=0.001)
        other.publish(CALLBACK, SOURCE)
        await until_true(lambda: written(url))
        assert waiter.notified == 0

        await asyncio.to_thread(proxy.accept)
        await waiter.come()

        await until(lambda: told(caplog, logging.WARNING, BACK), every=0.001)
        assert len(told(caplog, logging.WARNING, LOST)) == 1
        assert len(told(caplog, logging.WARNING)) == 2
        other.publish(callback(2), SOURCE)
        with waiting(notifier, "song-2", "cover-2") as next_one:
            await next_one.come()
        assert waiter.notified == 1


async def test_what_this_process_received_while_the_connection_was_lost_is_written_then(
    url: str, proxy: CutProxy, postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    there = through(proxy, url, postgres_server)
    with thread_at(there) as thread, notifier_at(url) as notifier, waiting(notifier) as waiter:
        thread.publish(callback(1), SOURCE)
        await until_true(lambda: written(url))
        await asyncio.to_thread(proxy.refuse)
        thread.publish(CALLBACK, SOURCE)
        await until(lambda: told(caplog, logging.WARNING), every=0.001)

        await asyncio.to_thread(proxy.accept)
        await waiter.come()

    assert written(url) == [("song-1", "cover-1"), (MUSIC, COVER)]


def test_after_an_outage_it_reads_from_the_moment_of_the_last_read(url: str) -> None:
    class Asked(CallbackTable):
        since: ClassVar[list[float | None]] = []

        def read(self, since: float | None) -> tuple[list[str], float]:
            self.since.append(since)
            return [], 1000.0 + len(self.since)

    thread = BusThread(DatabaseUrl.parse(url), read_seconds=0)
    for _ in range(3):  # over a connection each
        with contextlib.closing(Asked(DatabaseUrl.parse(url))) as table:
            thread._read(table)

    assert Asked.since == [None, 1001.0, 1002.0]


async def test_connections_that_the_server_ends_again_and_again_lose_nothing(
    url: str, postgres_server: Server
) -> None:
    name = url.rpartition("/")[2]
    with thread_at(url) as thread, notifier_at(url) as notifier:
        for number in range(5):
            with waiting(notifier, f"song-{number}", f"cover-{number}") as waiter:
                thread.publish(callback(number), SOURCE)
                await asyncio.to_thread(postgres_server.drop_connections, name)
                await waiter.come()


async def test_a_server_that_crashes_and_starts_again_loses_nothing(
    own_postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with own_postgres.database() as name:
        url = own_postgres.url(name)
        make_callback_table(url)
        with thread_at(url) as thread, notifier_at(url) as notifier:
            with waiting(notifier, "song-1", "cover-1") as waiter:
                thread.publish(callback(1), SOURCE)
                await waiter.come()
            with waiting(notifier, "song-2", "cover-2") as waiter:
                own_postgres.crash()
                thread.publish(callback(2), SOURCE)
                await until(lambda: len(told(caplog, logging.WARNING, LOST)) == 2, every=0.001)
                await asyncio.to_thread(own_postgres.start)
                await waiter.come()


async def test_while_the_database_is_away_the_newest_4096_are_kept_with_one_warning(
    url: str, proxy: CutProxy, postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.refuse()
    with thread_at(through(proxy, url, postgres_server)) as thread:
        for number in range(5000):
            thread.publish(callback(number), SOURCE)
        dropped = told(caplog, logging.WARNING, "the oldest are dropped")
        assert len(dropped) == 1

        await asyncio.to_thread(proxy.accept)
        await until_true(lambda: len(written(url)) == 4096)

    assert written(url) == [(f"song-{n}", f"cover-{n}") for n in range(904, 5000)]


async def test_what_is_queued_is_written_before_the_thread_ends(url: str) -> None:
    with thread_at(url) as thread:
        for number in range(1000):
            thread.publish(callback(number), SOURCE)
        thread.end()
        await until(lambda: not threads(), every=0.001)

    assert len(written(url)) == 1000


async def test_of_one_song_at_most_four_callbacks_are_shared_in_ten_seconds(url: str) -> None:
    with thread_at(url) as thread:
        for number in range(1000):
            thread.publish(Callback(music_task_id=MUSIC, cover_task_id=f"c-{number}"), SOURCE)
        thread.publish(callback(1), SOURCE)
        await until_true(lambda: ("song-1", "cover-1") in written(url))

    assert written(url) == [*((MUSIC, f"c-{n}") for n in range(4)), ("song-1", "cover-1")]


async def test_without_notifications_callbacks_are_found_by_reading_the_table(url: str) -> None:
    with notifier_at(url, read_seconds=0.1) as notifier, waiting(notifier) as waiter:
        await connected(url)
        insert = "INSERT INTO suno_cover.callbacks (music_task_id, cover_task_id) VALUES (%s, %s)"
        rows(url, insert, MUSIC, COVER)

        await waiter.come()
        rows(url, insert, "song-2", "cover-2")
        with waiting(notifier, "song-2", "cover-2") as later:
            await later.come()
        assert waiter.notified == 1  # it is read again, and told once


@pytest.mark.parametrize(
    "payload",
    [
        "",
        " ",
        "1",
        f"1 {MUSIC}",
        f"{MUSIC} {COVER}",
        f"x {MUSIC} {COVER}",
        f"1 {MUSIC} {COVER} more",
        f"1  {MUSIC} {COVER}",
        f"1 {MUSIC} {'c' * 129}",
        f"1 https://evil.example {COVER}",
        f"1 {MUSIC} cöver",
        f"1 {MUSIC}\n{COVER}",
        "9" * 7000,
    ],
)
async def test_a_malformed_notification_is_ignored_and_not_quoted(
    url: str, payload: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with (
        thread_at(url) as thread,
        notifier_at(url) as notifier,
        waiting(notifier) as waiter,
        waiting(notifier, MUSIC, None) as of_the_song,
    ):
        await connected(url)
        rows(url, "SELECT pg_notify(%s, %s)", CHANNEL, payload)
        thread.publish(Callback(music_task_id=MUSIC, cover_task_id="another"), SOURCE)
        await of_the_song.come()

        assert (waiter.notified, of_the_song.notified) == (0, 1)
        assert len(told(caplog, logging.DEBUG, "a malformed notification")) == 1
        assert told(caplog, logging.WARNING) == []
        assert len(payload) < 4 or payload not in caplog.text


async def test_a_flood_of_forged_notifications_fills_no_memory_and_stops_no_callback(
    url: str,
) -> None:
    with thread_at(url) as thread, notifier_at(url) as notifier, waiting(notifier) as waiter:
        await connected(url)
        rows(
            url,
            "SELECT count(pg_notify(%s, number || ' song-' || number || ' c'))"
            " FROM generate_series(1, 20000) AS number",
            CHANNEL,
        )
        thread.publish(CALLBACK, SOURCE)
        await waiter.come()

        (bus,) = [notifier._bus]
        assert isinstance(bus, BusThread)
        assert len(bus._seen) <= 8192
        assert len(notifier._notes) <= 4096


async def test_a_number_that_is_given_again_to_another_callback_is_another_one(url: str) -> None:
    with notifier_at(url) as notifier, waiting(notifier) as waiter:
        await connected(url)
        for ids in ("song-1 cover-1", f"{MUSIC} {COVER}", f"{MUSIC} {COVER}"):
            rows(url, "SELECT pg_notify(%s, %s)", CHANNEL, f"7 {ids}")
        rows(url, "SELECT pg_notify(%s, %s)", CHANNEL, "8 song-8 cover-8")
        with waiting(notifier, "song-8", None) as last:
            await last.come()

        assert waiter.notified == 1


async def test_missing_tables_are_told_once_with_the_command_and_tried_again(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with (
        thread_at(database_url) as thread,
        notifier_at(database_url) as notifier,
        waiting(notifier) as waiter,
    ):
        thread.publish(CALLBACK, SOURCE)
        again = "run suno-cover ledger init"
        await until(lambda: len(told(caplog, logging.DEBUG, again)) >= 2, every=0.001)
        assert len(told(caplog, logging.WARNING, again)) == 2  # one of each process
        assert told(caplog, logging.INFO) == []

        make_callback_table(database_url)
        await waiter.come()

    assert PASSWORD not in caplog.text


async def test_without_the_right_to_write_others_are_heard_and_one_warning_says_so(
    own_postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with own_postgres.database() as name:
        url = own_postgres.url(name)
        make_callback_table(url)
        for statement in (
            f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'",
            "GRANT USAGE ON SCHEMA suno_cover TO reader",
            "GRANT SELECT, DELETE ON suno_cover.callbacks TO reader",
        ):
            own_postgres.execute(statement, database=name)
        with (
            notifier_at(own_postgres.url(name, role="reader")) as notifier,
            thread_at(url) as other,
            waiting(notifier) as waiter,
        ):
            notifier.receive(callback(1))
            await until(lambda: len(told(caplog, logging.DEBUG, LOST)) >= 2, every=0.001)
            other.publish(CALLBACK, SOURCE)
            await waiter.come()

            assert len(told(caplog, logging.WARNING, LOST)) == 1
            assert told(caplog, logging.WARNING, BACK) == []
            grant = "GRANT INSERT ON suno_cover.callbacks TO reader"
            own_postgres.execute(grant, database=name)
            await until_true(lambda: ("song-1", "cover-1") in written(url))


async def test_the_thread_ends_when_nobody_waits_any_more_and_not_before(url: str) -> None:
    with notifier_at(url, idle_seconds=0.2, read_seconds=0.05) as notifier:
        with waiting(notifier):
            await connected(url)
            while not rows(
                url,
                f"{SESSIONS} AND query_start > backend_start + interval '0.5 s'",
            ):
                assert len(threads()) == 1

        await until(lambda: not threads(), every=0.001)
        await until_true(lambda: not sessions(url))
        with thread_at(url) as thread, waiting(notifier) as waiter:
            thread.publish(CALLBACK, SOURCE)
            await waiter.come()


async def test_a_thread_that_ends_while_the_database_is_away_ends_at_once(
    postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with thread_at(postgres_server.url("nowhere")) as thread:
        thread.publish(CALLBACK, SOURCE)
        await until(lambda: len(told(caplog, logging.DEBUG, LOST)) >= 3, every=0.001)

        thread.close()
        assert threads() == []


async def test_attempts_to_connect_come_after_a_tenth_of_a_second_and_ever_later(
    url: str, proxy: CutProxy, postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    proxy.refuse()
    with notifier_at(through(proxy, url, postgres_server)) as notifier, waiting(notifier):
        await until(lambda: len(told(caplog, logging.DEBUG, LOST)) >= 4, every=0.001)

    moments = [one.created for one in caplog.records if LOST in one.getMessage()]
    assert moments[1] - moments[0] >= 0.04
    assert moments[4] - moments[3] >= 0.35


async def test_callbacks_do_not_hurry_the_next_attempt_to_connect(
    postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with thread_at(postgres_server.url("nowhere")) as thread:
        number = 0
        while len(told(caplog, logging.DEBUG, LOST)) < 4:
            number += 1
            thread.publish(callback(number), SOURCE)
            await asyncio.sleep(0)

    moments = [one.created for one in caplog.records if LOST in one.getMessage()]
    assert moments[4] - moments[0] >= 0.7


async def test_notifiers_that_are_gone_are_kept_by_no_thread(url: str) -> None:
    with thread_at(url) as thread:
        notifier = Notifier("https://me.example", thread)
        with waiting(notifier):
            await connected(url)
        del notifier
        gc.collect()

        thread.publish(CALLBACK, SOURCE)
        await until_true(lambda: written(url))
        assert set(thread._notifiers) == {SOURCE}


def test_a_system_without_threads_costs_a_warning_and_no_callback(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    if sys.platform == "win32":
        pytest.skip("limits of a process are set by the module resource")
    import resource  # noqa: PLC0415 - one system's

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with thread_at(url) as thread:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            thread.publish(CALLBACK, SOURCE)
            thread.publish(CALLBACK, SOURCE)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(told(caplog, logging.WARNING, "could not start its thread")) == 1

        thread.publish(callback(1), SOURCE)
        while len(written(url)) < 3:
            pass
