"""Calls of one account: what the limiters, the breakers and their callers learn from an answer."""

import asyncio
import contextlib
import logging

import attrs
import pytest

from suno_cover_async import (
    ClientUsageError,
    InvalidRequestError,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RetryPolicy,
    ServerError,
    TransportError,
    WrongAddressError,
)
from suno_cover_async.protocol import requests
from suno_cover_async.sandbox import Fault, Reply, Scenario
from tests.support.answering import ONCE, reply, text
from tests.support.breakers import fail, now
from tests.support.calls import calling
from tests.support.clients import NO_LIMIT
from tests.support.memory_network import MemoryLoop, eventually, in_memory, network
from tests.support.submits import SLOW
from tests.support.virtual_time import run
from tests.support.waiting import thrown

RARELY = RetryPolicy(max_attempts=1, probe_delay=3600, max_probe_delay=3600)
A_MINUTE = RateLimit(calls=1, seconds=60)


@in_memory
async def test_a_call_counts_against_the_main_limiter_or_the_one_that_is_named() -> None:
    async with calling(rate_limit=A_MINUTE, poll_rate_limit=A_MINUTE) as calls:
        for through in (None, calls.account.poll_limiter, None):
            await calls.credits(through=through)

        first, through_another, second = [arrival.at for arrival in calls.sandbox.journal.arrivals]
        assert through_another == first
        assert second - first >= 60


@in_memory
async def test_a_thousand_calls_are_never_refused_and_use_95_percent_of_the_rate() -> None:
    limit = RateLimit(calls=20, seconds=10)
    scenario = Scenario(rate_limit=limit, delay=(0.0, 0.2))
    async with calling(scenario, rate_limit=limit) as calls:
        await asyncio.gather(*(calls.credits() for _ in range(1000)))

        arrivals = calls.sandbox.journal.arrivals
        assert len(arrivals) == 1000
        assert all(arrival.admitted for arrival in arrivals)
        least = (1000 / limit.calls - 1) * limit.seconds  # the first 20 may go at once
        assert least / (arrivals[-1].at - arrivals[0].at) >= 0.95


@in_memory
async def test_an_urgent_call_goes_ahead_of_those_that_queue() -> None:
    async with calling(rate_limit=A_MINUTE) as calls:
        await calls.credits()
        usual = asyncio.create_task(calls.credits())
        urgent = asyncio.create_task(calls.credits(urgent=True))

        await asyncio.wait([usual, urgent], return_when=asyncio.FIRST_COMPLETED)

        assert (urgent.done(), usual.done()) == (True, False)
        await usual


@in_memory
async def test_a_get_is_repeated_and_its_last_error_names_its_task() -> None:
    async with calling(retry=RetryPolicy(max_attempts=3)) as calls:
        calls.sandbox.script("details", *[Fault.SERVER_ERROR] * 3)

        with pytest.raises(ServerError) as caught:
            await calls.transport.get(requests.details("c1"))
        assert caught.value.cover_task_id == "c1"
        assert len(calls.sandbox.journal.arrivals) == 3


@in_memory
async def test_a_get_cancelled_on_the_wire_is_cancelled_and_not_repeated() -> None:
    async with calling(SLOW) as calls:
        caller = asyncio.create_task(calls.credits())
        await eventually(lambda: calls.sandbox.journal.arrivals)
        caller.cancel()

        await asyncio.wait([caller])

        assert caller.cancelled()
        assert len(calls.sandbox.journal.arrivals) == 1


@in_memory
async def test_a_refusal_for_calling_too_often_pauses_both_limiters_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with calling(poll_rate_limit=NO_LIMIT, retry=ONCE) as calls:
        too_often = reply(429, {"code": 429, "msg": "slow down"}, Retry_After="30")
        calls.sandbox.script("credits", too_often)
        with caplog.at_level(logging.WARNING), pytest.raises(RateLimitError):
            await calls.credits()
        refused = now()

        for through in (calls.account.poll_limiter, None):
            await calls.credits(through=through)

        assert "all requests paused for 30.0 s" in caplog.text
        later = [arrival.at for arrival in calls.sandbox.journal.arrivals[1:]]
        assert min(later) - refused >= 30


@in_memory
async def test_an_answer_ends_the_doubling_of_pauses() -> None:
    window = RateLimit(calls=1000, seconds=10)
    async with calling(rate_limit=window) as calls:
        calls.sandbox.script("credits", *[Fault.TOO_OFTEN] * 2, Fault.NONE, Fault.TOO_OFTEN)
        for _ in range(2):
            await calls.credits()

        first, second, third, last, again = [one.at for one in calls.sandbox.journal.arrivals]
        assert 10 <= second - first < 12
        assert 20 <= third - second < 23
        assert 10 <= again - last < 12


@in_memory
async def test_after_a_lost_answer_the_next_request_comes_two_windows_later() -> None:
    async with calling(rate_limit=RateLimit(calls=1, seconds=10)) as calls:
        calls.sandbox.script("credits", Fault.LOST_ANSWER)
        for _ in range(2):
            await calls.credits()

        arrivals = [arrival.at for arrival in calls.sandbox.journal.arrivals]
        assert arrivals == pytest.approx([0, 20.1, 30.15], abs=0.01)


@in_memory
async def test_an_accepted_submit_is_kept_and_not_possibly_billed() -> None:
    async with calling() as calls:
        task = await calls.submit(calls.sandbox.add_music(1)[0])

        assert calls.kept == [task]
        assert calls.billed == []


EXECUTED = [Fault.LOST_ANSWER, Fault.GARBAGE, Fault.GATEWAY_AFTER, Fault.SERVER_ERROR_AFTER]
NOTHING = [
    reply(200, {"code": 422, "msg": "no"}),
    reply(200, {"code": 429, "msg": "slow down"}),
    reply(200, {"code": 455, "msg": "closed"}),
]


@pytest.mark.parametrize(
    ("step", "possibly_billed"),
    [
        *((fault, True) for fault in EXECUTED),
        (Fault.GATEWAY, True),
        (text(429, "Too Many Requests"), True),
        *((refusal, False) for refusal in NOTHING),
    ],
    ids=lambda step: repr(step)[:50],
)
@in_memory
async def test_a_submit_is_possibly_billed_unless_the_api_itself_refused_it(
    step: Fault | Reply, possibly_billed: bool
) -> None:
    async with calling() as calls:
        (song,) = calls.sandbox.add_music(1)
        await calls.credits()
        calls.sandbox.script("submit", step)

        error = await calls.error(song, ONCE)

        assert error.possibly_billed is possibly_billed
        assert calls.billed == [song] * possibly_billed
        assert error.music_task_id == song
        assert calls.kept == []


@in_memory
async def test_a_submit_that_was_not_sent_is_not_billed() -> None:
    async with calling(retry=ONCE) as calls:
        (song,) = calls.sandbox.add_music(1)
        network().servers.clear()

        error = await calls.error(song)

        assert isinstance(error, TransportError)
        assert not error.possibly_billed
        assert calls.billed == []


@in_memory
async def test_a_submit_to_a_wrong_address_is_not_repeated_and_is_possibly_billed() -> None:
    async with calling() as calls:
        (song,) = calls.sandbox.add_music(1)
        calls.sandbox.script("submit", reply(302, Location="https://other.example"))

        error = await calls.error(song)

        assert isinstance(error, WrongAddressError)
        assert error.possibly_billed
        assert calls.billed == [song]
        assert len(calls.sandbox.journal.arrivals) == 1


@in_memory
async def test_a_submit_cancelled_on_the_wire_ends_when_its_answer_is_kept() -> None:
    async with calling(SLOW) as calls:
        caller = asyncio.create_task(calls.submit(calls.sandbox.add_music(1)[0]))
        await eventually(lambda: calls.sandbox.journal.arrivals)
        caller.cancel()

        await asyncio.wait([caller])

        assert caller.cancelled()
        bills = [bill.cover_task_id for bill in calls.sandbox.journal.bills]
        assert [task.cover_task_id for task in calls.kept] == bills != []


@in_memory
async def test_a_submit_cancelled_in_the_queue_ends_at_once_and_is_never_sent() -> None:
    async with calling(rate_limit=A_MINUTE) as calls:
        await calls.credits()
        caller = asyncio.create_task(calls.submit(calls.sandbox.add_music(1)[0]))
        await asyncio.sleep(10)
        caller.cancel()

        await asyncio.wait([caller])

        assert (caller.cancelled(), now()) == (True, 10)
        await calls.credits()
        assert now() < 61
        assert calls.sandbox.journal.of("submit") == []
        assert calls.billed == []


@in_memory
async def test_after_an_answer_to_another_request_the_connection_is_not_used_again() -> None:
    async with calling() as calls:
        await calls.credits()
        other = reply(200, {"code": 200, "data": {"taskId": "another"}})
        calls.sandbox.script("details", other, Fault.NONE)

        assert await calls.transport.get(requests.details("c1")) is None
        assert len(network().connected) == 2


@pytest.mark.parametrize("queued", [False, True])
@in_memory
async def test_a_closed_transport_sends_nothing_and_says_so(queued: bool) -> None:
    window = RateLimiter(A_MINUTE)
    async with calling(rate_limit=window) as calls:
        permit = await window.acquire()
        if not queued:
            calls.transport.closing.close()
        caller = asyncio.create_task(calls.submit("song"))
        await asyncio.sleep(1)
        calls.transport.closing.close()
        window.return_unused(permit)

        with pytest.raises(ClientUsageError, match="closed") as caught:
            await caller
        assert caught.value.music_task_id == "song"
        assert window.acquire_nowait() is not None
        assert calls.sandbox.journal.arrivals == []
        assert calls.billed == []
        with pytest.raises(ClientUsageError, match="closed"):
            await calls.credits(through=calls.account.poll_limiter)


@pytest.mark.parametrize("kind", ["credits", "submit"])
@in_memory
async def test_who_queued_in_the_limiter_when_the_breaker_opened_gives_the_slot_back(
    kind: str,
) -> None:
    window = RateLimiter(A_MINUTE)
    async with calling(rate_limit=window, retry=RARELY) as calls:
        (song,) = calls.sandbox.add_music(1)
        breakers = calls.account.breakers
        is_submit = kind == "submit"
        breaker = breakers.submit if is_submit else breakers.api
        permit = await window.acquire()
        with breaker.armed():
            queued = asyncio.create_task(calls.submit(song) if is_submit else calls.credits())
            await eventually(lambda: window.busy)
            await fail(breaker)
            window.return_unused(permit)
            window.return_unused(await window.acquire())
            await asyncio.sleep(1)

            assert not calls.sandbox.journal.arrivals
            assert not queued.done()
        await queued


@in_memory
async def test_a_probe_cancelled_in_the_limiter_leaves_its_turn_to_the_next() -> None:
    window = RateLimiter(A_MINUTE)
    retry = attrs.evolve(RARELY, probe_delay=1)
    async with calling(rate_limit=window, retry=retry) as calls:
        breaker = calls.account.breakers.api
        permit = await window.acquire()
        with breaker.armed():
            await fail(breaker)
            probe = asyncio.create_task(calls.credits())
            following = asyncio.create_task(calls.credits())
            await eventually(lambda: window.busy)
            probe.cancel()
            window.return_unused(permit)
            await following

            assert not breaker.is_open
            assert len(calls.sandbox.journal.arrivals) == 1


def test_a_call_that_nobody_goes_on_with_leaves_the_limiter_whole() -> None:
    async def dropped_at(suspension: int) -> bool:
        window = RateLimiter(RateLimit(calls=1, seconds=10))
        async with calling(rate_limit=window) as calls:
            with contextlib.suppress(GeneratorExit):
                await thrown(calls.credits(), suspension, GeneratorExit())
                return False
            async with asyncio.timeout(21):
                await window.acquire()
            return True

    dropped = [run(dropped_at(suspension), MemoryLoop) for suspension in range(1, 7)]

    assert dropped.count(True) > 1
    assert not dropped[-1]


@in_memory
async def test_a_refusal_of_the_api_is_no_trouble_of_the_host() -> None:
    async with calling() as calls:
        breaker = calls.account.breakers.submit
        calls.sandbox.script("submit", *[NOTHING[0]] * 6)
        with breaker.armed():
            for _ in range(6):
                assert isinstance(await calls.error("song"), InvalidRequestError)
            assert not breaker.is_open
