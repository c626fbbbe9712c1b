"""The limiter, the pauses and the poll rhythm, in virtual time."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_cover_async import ClientUsageError, RateLimit, RateLimiter
from suno_cover_async.common.tasks import Closing
from suno_cover_async.resilience.limiter import Permit
from suno_cover_async.resilience.rate_limiter import Backpressure
from tests.support.limiting import arrivals, fullest_window
from tests.support.virtual_time import run


@pytest.mark.parametrize("moment", [0.0, 5.0, 10.05, 12.0, 20.1])
def test_closing_one_client_ends_its_own_waits_at_a_shared_window_and_loses_no_slot(
    moment: float,
) -> None:
    def closed() -> ClientUsageError:
        return ClientUsageError("closed")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        window = RateLimiter(RateLimit(calls=2, seconds=10))
        ours, theirs = Closing(closed), Closing(closed)

        async def enter(closing: Closing) -> float:
            slot = await closing.unless_closed(window.acquire())
            window.release(slot, answered=True)
            return loop.time()

        callers = [asyncio.create_task(enter(closing)) for closing in (ours, theirs) * 4]
        loop.call_at(moment, ours.close)
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        late = loop.time()
        with pytest.raises(ClientUsageError):
            await enter(ours)

        assert all(isinstance(one, float | ClientUsageError) for one in outcomes[::2])
        assert not any(isinstance(one, float) and one > moment for one in outcomes[::2])
        assert all(isinstance(one, float) for one in outcomes[1::2])
        times = sorted(one for one in outcomes if isinstance(one, float))
        assert times == pytest.approx([10.05 * (place // 2) for place in range(len(times))])
        await asyncio.sleep(late + 60)
        assert [window.acquire_nowait() is not None for _ in range(3)] == [True, True, False]
        assert not window.busy

    run(scenario())


@given(
    seed=st.integers(0, 2**32),
    calls=st.integers(1, 25),
    seconds=st.sampled_from([0.1, 1.0, 10.0]),
    most_delay=st.sampled_from([0.0, 0.001, 0.3, 5.0, 60.0]),
)
@settings(max_examples=60, deadline=None)
def test_no_server_window_ever_holds_more_than_the_rate(
    seed: int, calls: int, seconds: float, most_delay: float
) -> None:
    window = RateLimiter(RateLimit(calls=calls, seconds=seconds))

    arrived = run(arrivals(window, 8 * calls, random.Random(seed), most_delay))

    assert len(arrived) == 8 * calls
    assert fullest_window(arrived, seconds) <= calls


def test_at_least_95_percent_of_the_rate_is_used_at_usual_latencies() -> None:
    window = RateLimiter(RateLimit(calls=20, seconds=10))

    arrived = run(arrivals(window, 1000, random.Random(1), most=0.2))

    windows_needed = 1000 / 20 - 1  # the first 20 may go at once
    assert windows_needed * 10 / (arrived[-1] - arrived[0]) >= 0.95


def test_an_idle_client_may_burst() -> None:
    window = RateLimiter(RateLimit(calls=20, seconds=10))

    arrived = run(arrivals(window, 20, random.Random(1), most=0.0))

    assert arrived[-1] == arrived[0]


def test_what_a_dead_loop_finishes_late_gives_no_slot_twice() -> None:
    window = RateLimiter(RateLimit(calls=3, seconds=10))

    async def die_in_flight() -> list[Permit]:
        return [await window.acquire() for _ in range(3)]

    left = run(die_in_flight())

    async def then() -> list[float]:
        sending = asyncio.create_task(arrivals(window, 12, random.Random(1), most=0.0))
        await asyncio.sleep(1)  # the new loop has the window by now
        for slot in left:
            window.release(slot, answered=True)
        return await sending

    assert fullest_window(run(then()), 10) <= 3


def test_what_is_left_behind_by_a_dead_loop_gives_its_slot_back_without_a_word() -> None:
    window = RateLimiter(RateLimit(calls=1, seconds=10))

    async def die_in_flight() -> Permit:
        return await window.acquire()

    window.release(run(die_in_flight()), answered=False)

    assert run(arrivals(window, 2, random.Random(1), most=0.0)) == pytest.approx([20.1, 30.15])


def test_a_request_without_an_answer_may_still_travel_so_its_slot_comes_later() -> None:
    async def scenario() -> float:
        window = RateLimiter(RateLimit(calls=1, seconds=10))
        window.release(await window.acquire(), answered=False)
        return (await window.acquire()).acquired_at

    assert run(scenario()) == pytest.approx(20.1)


def test_one_unanswered_request_holds_up_only_its_own_slot() -> None:
    async def scenario() -> list[float]:
        clock = asyncio.get_running_loop().time
        window = RateLimiter(RateLimit(calls=20, seconds=10))
        first = [await window.acquire() for _ in range(20)]

        async def caller() -> float:
            slot = await window.acquire()
            window.release(slot, answered=True)
            return clock()

        callers = [asyncio.create_task(caller()) for _ in range(20)]
        await asyncio.sleep(0)
        for number, slot in enumerate(first):
            window.release(slot, answered=number > 0)
        return sorted(await asyncio.gather(*callers))

    times = run(scenario())

    assert times[:19] == [pytest.approx(10.05)] * 19
    assert times[19] == pytest.approx(20.1)


def test_an_unused_slot_comes_back_at_once() -> None:
    async def scenario() -> float:
        window = RateLimiter(RateLimit(calls=1, seconds=10))
        slot = await window.acquire()
        waiting = asyncio.create_task(window.acquire())
        await asyncio.sleep(0)
        window.return_unused(slot)
        return (await waiting).acquired_at

    assert run(scenario()) == 0.0


@given(
    seed=st.integers(0, 2**32),
    calls=st.integers(1, 25),
    most_delay=st.sampled_from([0.0, 0.3, 5.0]),
)
@settings(max_examples=40, deadline=None)
def test_urgent_callers_leave_others_a_quarter_and_all_together_keep_the_rate(
    seed: int, calls: int, most_delay: float
) -> None:
    async def both() -> tuple[list[float], list[float]]:
        window, dice = RateLimiter(RateLimit(calls=calls, seconds=10)), random.Random(seed)
        urgent, usual = await asyncio.gather(
            arrivals(window, 12 * calls, dice, most_delay, urgent=True),
            arrivals(window, 4 * calls, dice, most_delay),
        )
        return urgent, usual

    urgent, usual = run(both())

    assert fullest_window(sorted(urgent + usual), 10) <= calls
    first_windows = [at for at in usual if at <= urgent[-1]]
    assert len(first_windows) >= min(len(urgent) // 3, len(usual)) - calls
    assert sum(at <= usual[-1] for at in urgent) >= 9 * calls  # the others' end came last


def test_a_pause_holds_everybody_back() -> None:
    async def scenario() -> list[float]:
        window = RateLimiter(RateLimit(calls=20, seconds=10))
        window.pause(until=50.0)
        return await arrivals(window, 3, random.Random(1), most=0.0)

    assert run(scenario()) == [50.0, 50.0, 50.0]


def test_one_window_serves_event_loops_in_turn_and_keeps_the_limit_across_them() -> None:
    window = RateLimiter(RateLimit(calls=5, seconds=10))

    run(arrivals(window, 5, random.Random(1), most=0.0))
    second = run(arrivals(window, 5, random.Random(1), most=0.0))

    assert second[0] >= 10.0


def test_requests_that_a_dead_loop_left_in_flight_do_not_jam_the_window() -> None:
    window = RateLimiter(RateLimit(calls=1, seconds=10))

    async def die_in_flight() -> None:
        await window.acquire()

    run(die_in_flight())

    assert run(arrivals(window, 1, random.Random(1), most=0.0)) == [pytest.approx(20.1)]


@given(waits=st.lists(st.one_of(st.none(), st.floats(0.1, 500)), min_size=1, max_size=40))
def test_own_pauses_double_up_to_60_s_and_retry_after_is_obeyed(waits: list[float | None]) -> None:
    backpressure = Backpressure(RateLimit(calls=20, seconds=10), max_retry_after=120)
    now = 0.0

    for refusals, retry_after in enumerate(waits):
        until = backpressure.refused(acquired_at=now, now=now, retry_after=retry_after)
        pause = until - now
        if retry_after is None:
            doubled = min(10 * 2**refusals, 60)
            assert doubled * 0.999 <= pause <= doubled * 1.101
        else:
            assert pause == pytest.approx(min(retry_after, 120))
        now = until


def test_refusals_of_one_burst_count_as_one() -> None:
    backpressure = Backpressure(RateLimit(calls=20, seconds=10), max_retry_after=120)

    until = [backpressure.refused(acquired_at=0, now=0.1, retry_after=None) for _ in range(20)]

    assert max(until) <= 0.1 + 11


def test_an_accepted_request_ends_the_doubling() -> None:
    backpressure = Backpressure(RateLimit(calls=20, seconds=10), max_retry_after=120)
    until = backpressure.refused(acquired_at=0, now=0, retry_after=None)
    until = backpressure.refused(acquired_at=until, now=until, retry_after=None)
    backpressure.accepted(acquired_at=until)

    third = backpressure.refused(acquired_at=until, now=until, retry_after=None)

    assert third - until <= 11
