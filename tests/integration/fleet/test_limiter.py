"""Processes with one limit in a database: its server and its connections fail meanwhile."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
from collections.abc import Sized
from functools import partial
from pathlib import Path

import pytest

from suno_cover_async import (
    ClientUsageError,
    CoverStatus,
    RateLimit,
    SharedRateLimiter,
    SunoCoverClient,
)
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.clients import connect
from tests.support.cut_proxy import cut_proxy
from tests.support.limit_processes import CALLS, end, has, run, start
from tests.support.permit_tables import backends, make_tables, rows
from tests.support.postgres import PASSWORD, Server
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

SECONDS = 0.5


@pytest.mark.parametrize("fault", ["dropped", "restarted", "crashed"])
async def test_processes_go_on_through_a_fault_of_the_server_and_are_never_refused(
    own_postgres: Server, fault: str
) -> None:
    with own_postgres.database() as name:
        url = own_postgres.url(name)
        make_tables(url)

        def happens() -> None:
            if fault == "dropped":
                own_postgres.drop_connections(name)
                return
            if fault == "restarted":
                own_postgres.stop()
            else:
                own_postgres.crash()
            own_postgres.start()

        async def meanwhile(arrived: Sized) -> None:
            for number in (30, 70, 110):
                await until(partial(has, arrived, number), every=0.001)
                await asyncio.to_thread(happens)

        seen = await run(url, (40, 40, 40, 40), seconds=SECONDS, meanwhile=meanwhile)

    assert len(seen.arrived) == 160
    assert seen.refused == 0


async def test_a_process_that_was_stopped_with_a_permit_does_not_send_on_it_when_it_goes_on(
    limit_url: str,
) -> None:
    limit = RateLimit(calls=CALLS, seconds=SECONDS)
    async with Sandbox(Scenario(rate_limit=limit)) as sandbox:
        arrivals = sandbox.journal.arrivals
        stopped = await start(sandbox, limit_url, SECONDS, 0)
        await until(partial(_is_stopped, stopped.pid), every=0.01)
        ((held,),) = rows(limit_url, "SELECT token FROM permits WHERE token IS NOT NULL")
        other = await start(sandbox, limit_url, SECONDS, 10 * CALLS)

        def window_is_full() -> bool:  # so the others have the stopped one's permit too
            last = arrivals[-CALLS:]
            return len(last) == CALLS and last[-1].at - last[0].at < SECONDS

        await until(window_is_full, every=0.001)
        assert rows(limit_url, "SELECT number FROM permits WHERE token = %s", held) == []
        os.kill(stopped.pid, signal.SIGCONT)
        await end(stopped)
        await end(other)

        assert len(arrivals) == 10 * CALLS + 1
        assert all(arrival.admitted for arrival in arrivals)


def _is_stopped(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


async def test_a_pause_after_a_refusal_binds_other_processes(limit_url: str) -> None:
    scenario = Scenario(rate_limit=None, retry_after="1")
    async with Sandbox(scenario) as sandbox:
        limits = [SharedRateLimiter(limit_url, calls=CALLS, seconds=SECONDS) for _ in range(2)]
        async with (
            connect(sandbox, rate_limit=limits[0]) as refused,
            connect(sandbox, rate_limit=limits[1]) as other,
        ):
            await other.credits()
            sandbox.script("credits", Fault.TOO_OFTEN)
            again = asyncio.create_task(refused.credits())
            await until(partial(rows, limit_url, "SELECT account FROM pauses"), every=0.01)
            await other.credits()
            await again

    _, first, *later = [arrival.at for arrival in sandbox.journal.arrivals]
    assert len(later) == 2
    assert later[0] - first >= 1.0


async def test_covers_are_made_under_a_limit_in_a_database_that_holds_no_key(
    limit_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Sandbox(Scenario(rate_limit=RateLimit(calls=CALLS, seconds=1.0))) as sandbox:
        limit = SharedRateLimiter(limit_url, calls=CALLS, seconds=1.0)
        async with connect(sandbox, rate_limit=limit) as client:
            covers = await asyncio.gather(*map(client.generate, sandbox.add_music(5)))
            account = client.account

    assert {cover.status for cover in covers} == {CoverStatus.SUCCESS}
    assert all(arrival.admitted for arrival in sandbox.journal.arrivals)
    found = rows(limit_url, "SELECT DISTINCT account FROM permits")
    assert found == [(account,)]
    assert sandbox.api_key not in account
    assert PASSWORD not in caplog.text


def test_a_limit_is_made_without_its_server_and_after_a_minute_callers_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"postgresql://user:{PASSWORD.replace('@', '%40').replace('/', '%2F')}@127.0.0.1:1/none"
    url = url.replace("?", "%3F").replace("#", "%23").replace("%r", "%25r")
    caplog.set_level(logging.DEBUG)

    async def work() -> None:
        limit = SharedRateLimiter(url)
        callers = [limit.acquire() for _ in range(3)]
        told = await asyncio.gather(*callers, return_exceptions=True)
        assert asyncio.get_running_loop().time() >= 59
        for one in told:
            assert isinstance(one, ClientUsageError)
            assert "postgresql://user@127.0.0.1:1/none, cannot be used" in str(one)
            assert "check the URL, that the server runs" in str(one)
            assert "it was tried for 6" in str(one)
            assert PASSWORD not in repr(one)
        assert PASSWORD not in f"{vars(limit)}"

    virtual_time.run(work())

    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.getMessage() == (
        "the database postgresql://user@127.0.0.1:1/none does not answer (Connection refused); "
        "check the server; trying again for 60 s"
    )
    assert PASSWORD not in caplog.text


async def test_an_outage_that_nobody_waits_for_any_more_is_over() -> None:
    limit = SharedRateLimiter("postgresql://user@127.0.0.1:1/none")
    for _ in range(2):
        caller = asyncio.create_task(limit.acquire())
        await until(lambda: limit.trouble, every=0.01)
        assert limit.trouble == "the database does not answer"
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert limit.trouble is None


def test_each_outage_is_waited_out_for_a_minute_of_its_own() -> None:
    async def work() -> list[float]:
        clock = asyncio.get_running_loop().time
        limit = SharedRateLimiter("postgresql://user@127.0.0.1:1/none")
        took: list[float] = []
        for seconds in (50.0, 90.0):
            began = clock()
            with contextlib.suppress(TimeoutError, ClientUsageError):
                async with asyncio.timeout(seconds):
                    await limit.acquire()
            took.append(clock() - began)
            await asyncio.sleep(1000)
        return took

    waited, told = virtual_time.run(work())
    assert waited == pytest.approx(50, abs=1)
    assert told == pytest.approx(60, abs=2)


async def test_where_the_tables_are_missing_callers_are_told_at_once(database_url: str) -> None:
    limit = SharedRateLimiter(database_url)

    with pytest.raises(ClientUsageError, match="run suno-cover ledger init postgresql://cover@"):
        await limit.acquire()

    make_tables(database_url)
    limit.return_unused(await limit.acquire())


async def test_steps_that_fail_for_a_while_are_logged_without_the_password_and_jam_nothing(
    limit_url: str, postgres_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with cut_proxy(postgres_server.port) as proxy:
        url = postgres_server.url(limit_url.rpartition("/")[2], port=proxy.port)
        limit = SharedRateLimiter(url, calls=2, seconds=SECONDS)
        permit = await limit.acquire()
        proxy.refuse()
        limit.release(permit, answered=True)
        await until(lambda: "a step on the shared limit failed" in caplog.text, every=0.01)
        waiting = asyncio.create_task(limit.acquire())
        await until(lambda: "check the server; trying again for 60 s" in caplog.text, every=0.01)
        proxy.accept()
        await waiting
    assert PASSWORD not in caplog.text


async def test_a_process_with_another_limit_waits_until_the_others_have_ended(
    limit_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = SharedRateLimiter(limit_url, calls=2, seconds=SECONDS)
    other = SharedRateLimiter(limit_url, calls=3, seconds=SECONDS)
    permit = await first.acquire()
    waiting = asyncio.create_task(other.acquire())
    await until(lambda: "share the account's limit as 2 calls in 0.5 s" in caplog.text, every=0.01)
    assert not waiting.done()

    first.release(permit, answered=True)

    await waiting
    assert rows(limit_url, "SELECT DISTINCT calls FROM permits") == [(3,)]


async def test_a_limiter_that_is_not_used_any_more_leaves_no_connection(limit_url: str) -> None:
    limit = SharedRateLimiter(limit_url, seconds=SECONDS)
    client = SunoCoverClient("key-one-123", rate_limit=limit)
    limit.return_unused(await limit.acquire())
    assert len(backends(limit_url)) == 1
    await client.aclose()
    held = "SELECT number FROM permits WHERE token IS NOT NULL"
    await until(lambda: not rows(limit_url, held), every=0.01)

    del limit, client
    gc.collect()

    await until(lambda: not backends(limit_url), every=0.01)
