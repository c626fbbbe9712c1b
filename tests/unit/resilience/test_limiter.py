"""The queue that every limiter has, by the limiter of one process, in virtual time."""

import asyncio
import random
from functools import partial

import pytest

from suno_cover_async import RateLimit, RateLimiter
from suno_cover_async.resilience.limiter import Permit
from tests.support.limiting import arrivals, note, taken
from tests.support.virtual_time import run


def test_a_caller_that_is_closed_while_it_queues_leaves_the_queue() -> None:
    async def scenario() -> None:
        window = RateLimiter(RateLimit(calls=1, seconds=10))
        window.release(await window.acquire(), answered=True)
        caller = window.acquire()
        caller.send(None)
        caller.close()

        assert not window.busy
        await asyncio.sleep(11)
        assert window.acquire_nowait() is not None

    run(scenario())


def test_callers_are_served_in_the_order_they_came() -> None:
    async def order() -> list[int]:
        window = RateLimiter(RateLimit(calls=2, seconds=1))
        served: list[int] = []

        async def caller(number: int) -> None:
            async with taken(window):
                served.append(number)

        await asyncio.gather(*(caller(number) for number in range(50)))
        return served

    assert run(order()) == list(range(50))


def test_a_cancelled_caller_loses_no_slot_for_the_others() -> None:
    async def scenario(doomed: int) -> float:
        window = RateLimiter(RateLimit(calls=1, seconds=1))
        clock = asyncio.get_running_loop().time

        async def caller() -> None:
            async with taken(window):
                pass

        tasks = [asyncio.create_task(caller()) for _ in range(5)]
        await asyncio.sleep(0)
        tasks[doomed].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return clock()

    for doomed in range(1, 5):
        assert run(scenario(doomed)) == pytest.approx(3 * 1.005)


def test_a_slot_given_in_the_moment_of_a_cancellation_is_passed_on() -> None:
    async def scenario() -> bool:
        window = RateLimiter(RateLimit(calls=1, seconds=1))
        entered = asyncio.Event()

        async def caller() -> None:
            async with taken(window):
                entered.set()

        async with taken(window):
            first = asyncio.create_task(caller())
            second = asyncio.create_task(caller())
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        # In the same turn of the loop: after the slot was given, before its owner runs.
        loop.call_at(loop.time() + 1.005 + 1e-10, first.cancel)
        async with asyncio.timeout(10):
            await asyncio.wait([first, second])
        assert first.cancelled()
        return entered.is_set()

    assert run(scenario())


@pytest.mark.parametrize("urgent", [False, True])
def test_loops_that_take_turns_leave_nobody_hanging(urgent: bool) -> None:
    window = RateLimiter(RateLimit(calls=1, seconds=0.05))
    paused, other = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def hold_and_queue() -> list[asyncio.Task[Permit]]:
        slot = await window.acquire()
        callers = [asyncio.create_task(window.acquire(urgent=urgent)) for _ in range(3)]
        await asyncio.sleep(0)
        window.release(slot, answered=True)
        return callers

    async def through() -> None:
        window.release(await window.acquire(), answered=True)

    async def finish(callers: list[asyncio.Task[Permit]]) -> int:
        callers[0].cancel()
        async with asyncio.timeout(5):
            for caller in callers[1:]:
                window.release(await caller, answered=True)
        return window._free + len(window._returning)

    try:
        callers = paused.run_until_complete(hold_and_queue())
        other.run_until_complete(asyncio.wait_for(through(), 5))

        assert paused.run_until_complete(finish(callers)) == 1
        other.run_until_complete(asyncio.wait_for(through(), 5))
    finally:
        paused.close()
        other.close()


def test_cancelled_callers_leave_no_timers_and_do_not_make_the_window_busy() -> None:
    async def scenario() -> tuple[int, bool]:
        loop = asyncio.get_running_loop()
        window = RateLimiter(RateLimit(calls=1, seconds=10))
        slot = await window.acquire()
        window.release(slot, answered=True)
        for _ in range(50):
            caller = asyncio.create_task(window.acquire())
            await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait([caller])
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        return len(timers), window.busy

    timers, busy = run(scenario())

    assert timers <= 1
    assert not busy


def test_urgent_callers_may_have_all_while_nobody_else_waits() -> None:
    async def scenario() -> float:
        window = RateLimiter(RateLimit(calls=20, seconds=10))
        return (await arrivals(window, 100, random.Random(1), most=0.0, urgent=True))[-1]

    assert run(scenario()) == pytest.approx(4 * 10.05)


def test_who_is_urgent_is_served_before_all_who_queue() -> None:
    async def scenario() -> list[str]:
        window = RateLimiter(RateLimit(calls=4, seconds=10))
        served: list[str] = []
        call = partial(note, window, served)
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(call("usual"))
            await asyncio.sleep(1)
            group.create_task(call("urgent"))
        return served

    assert run(scenario()) == ["usual"] * 4 + ["urgent"] + ["usual"] * 4


def test_every_fourth_of_a_queue_is_not_urgent() -> None:
    async def scenario() -> list[str]:
        window = RateLimiter(RateLimit(calls=1, seconds=10))
        served: list[str] = []
        call = partial(note, window, served)
        async with asyncio.TaskGroup() as group:
            group.create_task(call("usual"))
            await asyncio.sleep(1)
            for _ in range(7):
                group.create_task(call("usual"))
                group.create_task(call("urgent"))
        return served[1:]

    three = ["urgent"] * 3
    assert run(scenario()) == [*three, "usual", *three, "usual", "urgent", *["usual"] * 5]


@pytest.mark.parametrize("urgent", [False, True])
def test_who_is_urgent_and_leaves_early_takes_nothing_along(*, urgent: bool) -> None:
    async def scenario() -> float:
        window = RateLimiter(RateLimit(calls=2, seconds=10))
        async with taken(window), taken(window, urgent=urgent):
            doomed = asyncio.create_task(window.acquire(urgent=True))
            await asyncio.sleep(1)
            doomed.cancel()
            await asyncio.wait([doomed])
        async with taken(window, urgent=True):
            return asyncio.get_running_loop().time()

    assert run(scenario()) == pytest.approx(1 + 10.05)


def test_an_unused_place_of_who_was_urgent_comes_back_at_once() -> None:
    async def scenario() -> float:
        window = RateLimiter(RateLimit(calls=2, seconds=10))
        for _ in range(5):
            window.return_unused(await window.acquire(urgent=True))
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 0
