"""Sessions, event loops and closing: nothing is left, and nobody hangs."""

import asyncio
import contextlib
import gc
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from suno_cover_async import (
    ClientUsageError,
    CoverDetails,
    CoverStatus,
    PollPolicy,
    RateLimit,
    RateLimiter,
    RetryPolicy,
    SunoCoverClient,
    TransportError,
)
from suno_cover_async.resilience.circuit_breaker import Admission
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.clients import FREE, connect
from tests.support.virtual_time import run
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_a_borrowed_session_is_used_and_never_closed() -> None:
    async with Sandbox(FREE) as sandbox, aiohttp.ClientSession(raise_for_status=True) as borrowed:
        async with connect(sandbox, session=borrowed) as client:
            (music,) = sandbox.add_music(1)
            await client.generate(music)
            sandbox.script("submit", Fault.LOST_ANSWER)
            assert (await client.submit(music)).adopted

        assert not borrowed.closed
        assert len(sandbox.journal.bills) == 1


def test_one_client_serves_event_loops_in_turn() -> None:
    sandbox = Sandbox(FREE)
    client: SunoCoverClient | None = None

    async def turn() -> float:
        nonlocal client
        async with sandbox:  # the same world at the same address
            client = client or connect(sandbox)
            await asyncio.gather(*(client.credits() for _ in range(5)))
            return await client.credits()

    assert [asyncio.run(turn()) for _ in range(3)] == [1_000_000.0] * 3

    assert client is not None
    asyncio.run(client.aclose())
    gc.collect()


def test_a_client_that_nobody_closed_ends_with_its_loops_without_a_word() -> None:
    program = """
import asyncio
from suno_cover_async import RetryPolicy, SunoCoverClient
from suno_cover_async.sandbox import Sandbox, Scenario

async def main():
    asyncio.get_running_loop().slow_callback_duration = 60  # the machine may be busy
    async with Sandbox(Scenario(rate_limit=None)) as sandbox:
        once = RetryPolicy(max_attempts=1)
        client = SunoCoverClient(sandbox.api_key, base_url=sandbox.url, retry=once)
        await asyncio.gather(*(client.credits() for _ in range(5)))
        return client

async def again(client):
    asyncio.get_running_loop().slow_callback_duration = 60
    try:
        await client.credits()
    except Exception as error:
        print(type(error).__name__)

client = asyncio.run(main())
asyncio.run(again(client))
"""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603

    assert ended.stderr == ""
    assert ended.stdout == "TransportError\n"


async def test_a_closed_borrowed_session_is_named_at_once() -> None:
    async with Sandbox(FREE) as sandbox:
        borrowed = aiohttp.ClientSession()
        await borrowed.close()
        async with connect(sandbox, session=borrowed) as client:
            with pytest.raises(ClientUsageError, match="session is closed"):
                await client.credits()


async def test_a_client_in_use_in_another_running_loop_says_so() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        await client.credits()

        def elsewhere() -> None:
            asyncio.run(client.credits())

        with pytest.raises(ClientUsageError, match="another running event loop"):
            await asyncio.to_thread(elsewhere)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.submit("song"),
        lambda client: client.generate("song"),
        lambda client: client.wait("task"),
        lambda client: anext(client.watch("task")),
        lambda client: client.details("task"),
        lambda client: client.credits(),
        lambda client: client.music_details("song"),
        lambda client: client.wait_for_music("song"),
    ],
)
async def test_use_after_close_is_a_clear_error(
    call: Callable[[SunoCoverClient], Awaitable[object]],
) -> None:
    client = SunoCoverClient("key-of-a-test")
    await client.aclose()
    await client.aclose()

    with pytest.raises(ClientUsageError, match="closed"):
        await call(client)


async def test_closing_ends_the_waits_with_an_error_and_no_task_is_left() -> None:
    async with Sandbox(Scenario(rate_limit=None, seconds=60)) as sandbox:
        client = connect(
            sandbox, poll=PollPolicy(initial_delay=0.01, min_interval=600, max_interval=600)
        )
        (music,) = sandbox.add_music(1)
        waits = [asyncio.create_task(client.generate(music)) for _ in range(3)]
        await until(lambda: sandbox.journal.of("details"))

        await client.aclose()

        async with asyncio.timeout(100):  # the next poll is 10 minutes away
            outcomes = await asyncio.gather(*waits, return_exceptions=True)
        assert all(isinstance(outcome, ClientUsageError) for outcome in outcomes)


@asynccontextmanager
async def resolving(**options: Any) -> AsyncGenerator[tuple[SunoCoverClient, CoverDetails]]:
    """Have a client, and details, whose hosts' names are resolved without end."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    async def ask(*_: Any, **__: Any) -> Any:
        asked.set()
        await asyncio.Event().wait()

    loop.getaddrinfo = ask  # type: ignore[method-assign]
    url = "http://localhost:9"
    success: dict[str, Any] = {"status": CoverStatus.SUCCESS, "images": (f"{url}/a.png",)}
    client = SunoCoverClient("key-of-a-test", base_url=url, **options)
    try:
        yield client, CoverDetails(cover_task_id="c", music_task_id="m", **success)
    finally:
        await client.aclose()
    assert asked.is_set()


NAMED: dict[str, Callable[[SunoCoverClient, CoverDetails, Path], Awaitable[object]]] = {
    "submit": lambda client, *_: client.submit("song-1"),
    "generate": lambda client, *_: client.generate("song-2"),
    "wait": lambda client, *_: client.wait("task-1"),
    "details": lambda client, *_: client.details("task-2"),
    "credits": lambda client, *_: client.credits(),
    "wait_for_music": lambda client, *_: client.wait_for_music("song-3"),
    "download": lambda client, details, into: client.download(details, into),
}


@pytest.mark.parametrize("verb", NAMED)
async def test_closing_while_a_name_is_resolved_is_an_error_and_no_cancellation(
    verb: str, tmp_path: Path
) -> None:
    async with resolving() as (client, details):
        calls = [asyncio.ensure_future(NAMED[verb](client, details, tmp_path)) for _ in range(2)]
        await a_moment()

        await client.aclose()

        async with asyncio.timeout(100):
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, ClientUsageError) for outcome in outcomes), outcomes


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("verb", NAMED)
async def test_a_cancellation_while_a_name_is_resolved_passes_though_the_client_closes_too(
    verb: str, tmp_path: Path, steps: int
) -> None:
    async with resolving() as (client, details):
        call = asyncio.ensure_future(NAMED[verb](client, details, tmp_path))
        await a_moment()
        closing = asyncio.create_task(client.aclose())
        for _ in range(steps):
            await asyncio.sleep(0)
        was_under_way = call.cancel()
        await closing

        expected = asyncio.CancelledError if was_under_way else ClientUsageError
        with pytest.raises(expected):
            await call


async def test_a_borrowed_session_that_closes_while_a_name_is_resolved_is_named() -> None:
    by_the_system = aiohttp.TCPConnector(resolver=aiohttp.ThreadedResolver())
    async with (
        aiohttp.ClientSession(connector=by_the_system) as borrowed,
        resolving(session=borrowed) as (client, _),
    ):
        call = asyncio.create_task(client.credits())
        await a_moment()

        await borrowed.close()

        with pytest.raises(ClientUsageError, match="session is closed"):
            await call


async def slot(client: SunoCoverClient, *_: object) -> None:
    async with client.slot():
        pass


WAITS = {
    "limiter": ["submit", "generate", "wait", "details", "credits", "wait_for_music"],
    "outage": ["submit", "generate", "wait", "details", "credits", "wait_for_music", "download"],
    "retry": ["submit", "wait", "details", "credits", "wait_for_music", "download"],
    "slots": ["generate", "slot"],
}


@pytest.mark.parametrize(
    ("wait", "verb"), [(wait, verb) for wait, verbs in WAITS.items() for verb in verbs]
)
def test_closing_ends_every_wait_at_once_and_a_cancellation_still_passes(
    wait: str, verb: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        url = "http://127.0.0.1:9"  # where nobody listens
        window = RateLimiter(RateLimit(calls=99, seconds=1))
        retry = RetryPolicy(initial_delay=600, max_delay=600, total_timeout=900)
        client = SunoCoverClient(
            "key-of-a-test", base_url=url, rate_limit=window, retry=retry, concurrency=2
        )
        success: dict[str, Any] = {"status": CoverStatus.SUCCESS, "images": (f"{url}/a.png",)}
        details = CoverDetails(cover_task_id="c", music_task_id="m", **success)
        async with contextlib.AsyncExitStack() as stack:
            if wait == "limiter":
                window.pause(600)
            for breaker in [client.breakers.api, client.breakers.submit, client.breakers.images]:
                if wait == "outage":
                    stack.enter_context(breaker.armed())
                    for _ in range(5):
                        breaker.record(Admission(times_opened=0), TransportError("no answer"))
                    # It probes without end.
                    assert isinstance(await breaker.wait_for_admission(60), Admission)
            for _ in range(2 if wait == "slots" else 0):
                await stack.enter_async_context(client.slot())
            act = (NAMED | {"slot": slot})[verb]
            calls = [asyncio.ensure_future(act(client, details, tmp_path)) for _ in range(2)]
            await asyncio.sleep(5)
            assert not any(call.done() for call in calls)
            began = clock()
            calls[0].cancel()

            await client.aclose()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)

            assert isinstance(outcomes[0], asyncio.CancelledError)
            assert isinstance(outcomes[1], ClientUsageError)
            assert clock() == began

    run(scenario())


async def a_moment() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
