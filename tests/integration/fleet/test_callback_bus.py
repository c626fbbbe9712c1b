"""Callbacks that reach whoever waits: buses of several processes, on a server."""

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import Callback, CallbackBus, CoverTask, SunoCoverClient
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import bus_children
from tests.support.callback_buses import (
    bus_at,
    call,
    connected,
    make_callback_table,
    receiver_at,
    served,
    sessions,
    threads,
    until_true,
    waiting,
    written,
)
from tests.support.callback_requests import COVER, JSON, MUSIC, letter, make, path_of
from tests.support.clients import listening
from tests.support.permit_tables import opened, rows
from tests.support.postgres import PASSWORD, Server
from tests.support.waiting import until

CHANNEL = "suno_cover_callbacks_005e0dffc0f23aee"  # with a hash of "suno_cover"


@pytest.fixture
def url(database_url: str) -> str:
    """The URL of a new database with the table of callbacks."""
    make_callback_table(database_url)
    return database_url


async def test_a_callback_that_one_process_receives_wakes_the_waiter_of_another(url: str) -> None:
    with receiver_at(url) as first, receiver_at(url) as second:
        async with served(url, second.notifier) as waiter:
            await call(first)

            await waiter.come()


async def test_a_callback_that_came_before_this_process_was_connected_is_heard(url: str) -> None:
    with receiver_at(url) as first, receiver_at(url) as second:
        await call(first)
        await until_true(lambda: written(url))

        with waiting(second.notifier) as waiter:
            await waiter.come()


async def test_on_callback_is_called_in_the_process_that_received_alone(url: str) -> None:
    called: list[str] = []

    def first_hook(_: Callback) -> None:
        called.append("first")

    def second_hook(_: Callback) -> None:
        called.append("second")

    with (
        receiver_at(url, on_callback=first_hook) as first,
        receiver_at(url, on_callback=second_hook) as second,
        waiting(second.notifier) as waiter,
    ):
        await call(first)
        await waiter.come()
        await until(lambda: called)

    assert called == ["first"]


async def test_a_process_notifies_its_own_waiter_once_and_at_once(url: str) -> None:
    with (
        receiver_at(url) as first,
        receiver_at(url) as second,
        waiting(first.notifier) as own,
        waiting(second.notifier) as other,
        waiting(first.notifier, "another-song") as later,
    ):
        await call(first)
        await asyncio.sleep(0)
        assert own.notified == 1

        await other.come()
        await call(second, "another-song")
        await later.come()  # so the first process has heard of its own before
        assert (own.notified, other.notified) == (1, 1)


async def test_all_receivers_of_one_bus_hear_what_one_of_them_receives(url: str) -> None:
    with bus_at(url) as bus:
        first, second = make(bus=bus), make(bus=bus, public_url="https://me.example/other")
        with waiting(second.notifier) as waiter:
            await call(first)

            await waiter.come()
            assert waiter.notified == 1


async def test_two_ids_and_a_moment_are_all_that_is_written(url: str) -> None:
    with receiver_at(url) as receiver:
        await call(receiver)
        await until_true(lambda: written(url))

    ((number, music, cover, seconds),) = rows(
        url,
        "SELECT id, music_task_id, cover_task_id, extract(epoch FROM clock_timestamp() -"
        " received_at)::float8 FROM suno_cover.callbacks",
    )
    assert (number, music, cover) == (1, MUSIC, COVER)
    assert 0 <= seconds < 100


async def test_a_process_that_refuses_a_callback_shares_it_with_nobody(url: str) -> None:
    with receiver_at(url) as receiver:
        refused = await receiver.receive("POST", "/suno/not-a-token", {}, b"{}")
        assert refused.status == 400
        task = CoverTask(music_task_id=MUSIC, cover_task_id=COVER)
        with listening(receiver.notifier, task):
            parts = ("POST", path_of(receiver), JSON, letter("a-cover-of-another-song"))
            refused = await receiver.receive(*parts)
        assert refused.status == 400
        await call(receiver, music_task_id="another-song")
        await until_true(lambda: written(url))

    assert written(url) == [("another-song", COVER)]


async def test_a_callback_is_answered_and_wakes_this_process_without_the_database(
    postgres_server: Server,
) -> None:
    nowhere = postgres_server.url("nowhere")
    with receiver_at(nowhere) as receiver, waiting(receiver.notifier) as waiter:
        await call(receiver)
        await asyncio.sleep(0)

        assert waiter.notified == 1


async def test_two_schemas_of_one_database_share_nothing(url: str) -> None:
    other_url = f"{url}?schema=label_b"
    make_callback_table(other_url)
    with (
        receiver_at(url) as first,
        receiver_at(url) as second,
        receiver_at(other_url) as third,
        waiting(second.notifier) as waiter,
        waiting(third.notifier) as apart,
    ):
        await connected(url, 2)
        await call(first)
        await waiter.come()
        await call(third, music_task_id="its-own")
        await until_true(lambda: rows(url, "SELECT id FROM label_b.callbacks"))

        assert apart.notified == 0
        assert written(url) == [(MUSIC, COVER)]


async def test_a_callback_to_another_process_counts_as_come_where_its_waiter_is_and_not_elsewhere(
    url: str,
) -> None:
    with receiver_at(url) as first, receiver_at(url) as second:
        for _ in range(5):
            second.notifier.missed()
        async with served(url, second.notifier) as waiter:
            await call(first, "another-song")
            await until(lambda: second.notifier.named("another-song"), every=0.001)
            assert not second.notifier.is_reliable

            await call(first)
            await waiter.come()
            await until(lambda: second.notifier.is_reliable, every=0.001)


async def test_a_forged_row_and_a_forged_notification_cost_a_poll_and_change_nothing(
    url: str,
) -> None:
    async with Sandbox(Scenario(rate_limit=None, seconds=1000.0)) as sandbox:
        sandbox.add_music([MUSIC])
        with receiver_at(url) as receiver:
            async with SunoCoverClient(
                api_key=sandbox.api_key, base_url=sandbox.url, receiver=receiver
            ) as client:
                task = await client.submit(MUSIC)
                waiter = asyncio.create_task(client.wait(task))
                await connected(url)
                await until(lambda: receiver.notifier.has_subscriptions)
                with opened(url) as forger:
                    forger.execute(
                        "WITH forged AS (INSERT INTO suno_cover.callbacks (music_task_id,"
                        " cover_task_id) VALUES (%s, %s) RETURNING *) SELECT pg_notify(%s,"
                        " concat_ws(' ', id, music_task_id, cover_task_id)) FROM forged",
                        (task.music_task_id, task.cover_task_id, CHANNEL),
                    )
                await until(lambda: polls(sandbox))

                assert not waiter.done()
                assert len(polls(sandbox)) == 1
                waiter.cancel()
                await asyncio.gather(waiter, return_exceptions=True)


def polls(sandbox: Sandbox) -> list[Any]:
    return [one for one in sandbox.journal.arrivals if one.method == "GET"]


async def test_nothing_is_begun_before_somebody_waits_or_a_callback_comes(url: str) -> None:
    with receiver_at(url) as receiver:
        assert threads() == []
        assert sessions(url) == []

        with waiting(receiver.notifier):
            await connected(url)
        assert len(sessions(url)) == 1


async def test_many_waiters_have_one_thread_and_one_connection(url: str) -> None:
    with receiver_at(url) as receiver, waiting(receiver.notifier):
        for number in range(100):
            with waiting(receiver.notifier, f"song-{number}"):
                pass
        await connected(url)

        assert len(threads()) == 1
        assert len(sessions(url)) == 1


async def test_close_ends_the_thread_and_the_connection_and_a_later_waiter_begins_again(
    url: str,
) -> None:
    with receiver_at(url) as first, bus_at(url) as bus:
        second = make(bus=bus)
        async with served(url, second.notifier):
            bus.close()
            assert threads() == []
            await until_true(lambda: not sessions(url))

        with waiting(second.notifier) as waiter:
            await call(first)
            await waiter.come()


async def test_a_bus_that_nobody_has_any_more_ends(url: str) -> None:
    receiver = make(bus=CallbackBus(url))
    with waiting(receiver.notifier):
        await connected(url)

    del receiver
    gc.collect()

    await until(lambda: not threads(), every=0.001)
    await until_true(lambda: not sessions(url))


async def test_waiters_of_several_event_loops_are_woken_each_in_its_own(url: str) -> None:
    with receiver_at(url) as first, receiver_at(url) as second:

        async def waits() -> int:
            with waiting(second.notifier) as waiter:
                await waiter.come()
                return waiter.notified

        elsewhere = [asyncio.create_task(asyncio.to_thread(asyncio.run, waits())) for _ in "12"]
        with waiting(second.notifier) as waiter:
            await connected(url)
            await call(first)
            await waiter.come()

            assert await asyncio.gather(*elsewhere) == [1, 1]


async def test_a_process_that_ends_shares_first_what_it_received(url: str) -> None:
    done = await _child(url, "end")

    assert done == "ended"
    assert written(url) == [(MUSIC, COVER)]


async def test_a_bus_made_before_a_fork_serves_the_children_and_one_in_use_survives_it(
    url: str,
) -> None:
    assert await _child(url, "fork") == "child woken, parent woken"
    assert written(url) == [(MUSIC, "from-the-parent"), (MUSIC, "from-the-child")]


async def _child(url: str, what: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, bus_children.__file__, url, what],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


async def test_the_password_is_in_no_log_and_no_repr(
    postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    for url in (
        postgres_server.url("nowhere"),
        postgres_server.url("postgres").replace("@", "-wrong-7f3a@"),
        f"{postgres_server.url('nowhere')}?connect_timeout={PASSWORD[:6]}",
    ):
        with receiver_at(url) as receiver, waiting(receiver.notifier), bus_at(url) as bus:
            await until(lambda: "cannot be used" in caplog.text, every=0.001)
            for told in (caplog.text, repr(bus), repr(vars(bus)), repr(receiver)):
                assert PASSWORD not in told
                assert "wrong-7f3a" not in told
                assert "%3Fs%23w" not in told
        caplog.clear()
