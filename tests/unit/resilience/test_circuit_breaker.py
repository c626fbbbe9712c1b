"""Outages: the breaker alone in virtual time, then a client whose host breaks or goes away."""

import asyncio
import logging
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suno_cover_async import (
    AddressRefusedError,
    AuthenticationError,
    ClientBlockedError,
    ClientUsageError,
    CoverExistsError,
    DownloadError,
    InsufficientCreditsError,
    InvalidRequestError,
    MaintenanceError,
    NotFoundError,
    RateLimitError,
    ServerError,
    SunoCoverError,
    UnexpectedResponseError,
)
from suno_cover_async.resilience.circuit_breaker import Admission, CircuitBreaker
from tests.support.breakers import DOWN, LONG, at, fail, now, send, shut, turns
from tests.support.virtual_time import VirtualTimeLoop, run


def test_unarmed_everybody_passes_at_once_and_nothing_is_counted() -> None:
    async def scenario() -> None:
        breaker = CircuitBreaker()
        await fail(breaker, 100)
        assert now() == 0
        assert breaker.admit()
        with breaker.armed():
            await fail(breaker, 4)

            assert not breaker.is_open
            assert (breaker.times_opened, breaker.opened_at, breaker.last_error) == (0, None, None)
        await fail(breaker, 100)
        assert not breaker.is_open

    run(scenario())


@pytest.mark.parametrize(
    "trouble",
    [
        DOWN,
        ServerError("500"),
        MaintenanceError("455"),
        UnexpectedResponseError("a gateway's page", retryable=True),
    ],
)
def test_it_closes_at_the_fifth_trouble_in_a_row(trouble: SunoCoverError) -> None:
    async def scenario() -> None:
        breaker = CircuitBreaker()
        with breaker.armed():
            await asyncio.sleep(7)
            for _ in range(4):
                await send(breaker, trouble)
            assert not breaker.is_open
            await send(breaker, trouble)

            assert breaker.is_open
            assert (breaker.times_opened, breaker.opened_at) == (1, 7)
            assert type(breaker.last_error) is type(trouble)
            assert str(breaker.last_error) == str(trouble)
            assert breaker.last_error is not trouble  # whoever raises that gives it a traceback

    run(scenario())


@pytest.mark.parametrize(
    "good",
    [
        None,
        "an answer",
        AuthenticationError("401"),
        InsufficientCreditsError("402"),
        InvalidRequestError("400"),
        CoverExistsError("409"),
        NotFoundError("404"),
        ClientBlockedError("403"),
        UnexpectedResponseError("it names another task"),
    ],
)
def test_any_answer_is_good_news_whether_open_or_closed(good: object) -> None:
    async def scenario() -> None:
        breaker = CircuitBreaker()
        with breaker.armed():
            for _ in range(5):
                await fail(breaker, 4)
                await send(breaker, good)
            assert breaker.times_opened == 0
            await fail(breaker)
            assert breaker.is_open
            await send(breaker, good)
            assert not breaker.is_open

    run(scenario())


def test_an_image_that_is_missing_is_an_answer_of_the_image_host() -> None:
    missing = DownloadError("404", retryable=True)
    missing.is_missing = True

    async def scenario() -> None:
        breaker = CircuitBreaker()
        with breaker.armed():
            for _ in range(10):
                await send(breaker, missing)
            assert breaker.times_opened == 0
            await fail(breaker)
            await send(breaker, missing)
            assert not breaker.is_open

    run(scenario())


@pytest.mark.parametrize(
    "silent", [RateLimitError("429"), ClientUsageError("closed"), AddressRefusedError("private")]
)
def test_what_says_nothing_of_the_host_changes_nothing(silent: SunoCoverError) -> None:
    async def scenario() -> None:
        breaker = CircuitBreaker()
        with breaker.armed():
            for _ in range(10):
                await send(breaker, silent)
            await fail(breaker, 4)
            await send(breaker, silent)
            assert not breaker.is_open
            await send(breaker, DOWN)
            assert breaker.is_open
            first = await send(breaker, silent)
            second = await send(breaker, silent)

            assert 0.9 <= first <= 1.1
            assert second == first  # a probe without a result leaves the next one its turn
            assert breaker.is_open

    run(scenario())


async def probing(breaker: CircuitBreaker, callers: int, until: float, took: float) -> list[Any]:
    """Have callers try again and again, all in vain; return who was let in when, and left."""
    probes: list[tuple[int, float, float]] = []

    async def caller(number: int) -> None:
        while True:
            began = await send(breaker, DOWN, took=took)
            probes.append((number, began, now()))

    tasks = [asyncio.create_task(caller(number)) for number in range(callers)]
    await asyncio.sleep(until)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return probes


@pytest.mark.parametrize("took", [0.0, 3.0])
def test_one_probes_at_a_time_after_waits_that_double_from_1_s_to_30_s(took: float) -> None:
    async def scenario() -> tuple[float, list[Any]]:
        async with shut() as breaker:
            return now(), await probing(breaker, 7, 1000, took)

    closed, probes = run(scenario())

    ends = [closed, *(end for _, _, end in probes)]
    waits = [began - end for (_, began, _), end in zip(probes, ends, strict=False)]
    assert len(waits) > 25
    for wait, nominal in zip(waits, [1, 2, 4, 8, 16, *[30] * 99], strict=False):
        assert 0.9 * nominal - 1e-9 <= wait <= 1.1 * nominal + 1e-9
    assert len(set(waits[5:])) > 20  # jittered


def test_probes_are_taken_in_order_and_who_failed_goes_to_the_back() -> None:
    async def scenario() -> list[Any]:
        async with shut() as breaker:
            return await probing(breaker, 5, 1000, 1.0)

    order = [number for number, _, _ in run(scenario())]

    assert order == [number % 5 for number in range(len(order))]
    assert len(order) > 20


def test_the_longest_wait_holds_from_the_first_one_on() -> None:
    async def scenario() -> float:
        async with shut(CircuitBreaker(probe_delay=100, max_probe_delay=10)) as breaker:
            return await send(breaker)

    assert 9 <= run(scenario()) <= 11


def test_a_probe_that_succeeds_lets_everybody_in_and_resets_the_wait() -> None:
    async def scenario() -> None:
        async with shut() as breaker:
            for _ in range(4):
                await send(breaker, DOWN)
            waiting = [asyncio.create_task(send(breaker, took=2.0)) for _ in range(20)]
            first, *others = await asyncio.gather(*waiting)
            assert {*others} == {first + 2.0}
            assert not breaker.is_open
            assert (breaker.opened_at, breaker.last_error, breaker.times_opened) == (None, None, 1)
            await fail(breaker, 5)
            closed = now()
            assert breaker.times_opened == 2
            assert closed + 0.9 <= await send(breaker) <= closed + 1.1

    run(scenario())


def test_a_good_answer_to_what_was_under_way_lets_everybody_in() -> None:
    async def scenario() -> list[float]:
        breaker = CircuitBreaker()
        with breaker.armed():
            under_way = asyncio.create_task(send(breaker, took=0.5))
            await turns()
            await fail(breaker)
            waiting = [asyncio.create_task(send(breaker)) for _ in range(3)]
            await under_way
            return await asyncio.gather(*waiting)

    assert run(scenario()) == [0.5] * 3


def test_trouble_of_what_was_under_way_changes_nothing_then_nor_later() -> None:
    async def scenario() -> None:
        breaker = CircuitBreaker()
        with breaker.armed():
            under_way = [
                asyncio.create_task(send(breaker, ServerError("500"), took=took))
                for took in [0.5] * 9 + [20] * 9
            ]
            await turns()
            await fail(breaker)
            first = await send(breaker, DOWN)
            assert str(breaker.last_error) == "no answer"
            assert 0.9 <= first <= 1.1
            second = await send(breaker)
            assert 1.8 <= second - first <= 2.2
            await asyncio.wait(under_way)  # the last of them after it opened
            assert now() == 20
            assert not breaker.is_open
            assert breaker.times_opened == 1

    run(scenario())


def test_a_probe_of_a_past_outage_is_none_of_this_one() -> None:
    async def scenario() -> None:
        breaker = CircuitBreaker()
        with breaker.armed():
            under_way = asyncio.create_task(send(breaker, took=1.5))
            await turns()
            await fail(breaker)
            old = await breaker.wait_for_admission(
                LONG
            )  # the probe, when something else closes the breaker
            assert isinstance(old, Admission)
            assert breaker.is_current(old)
            await under_way
            assert breaker.is_current(old)
            await fail(breaker)
            assert not breaker.is_current(old)
            probe = await breaker.wait_for_admission(LONG)
            assert isinstance(probe, Admission)
            assert breaker.is_current(probe)
            breaker.record(old, ServerError("500"))
            breaker.release(old)
            assert str(breaker.last_error) == "no answer"
            assert isinstance(await breaker.wait_for_admission(60), str)

    run(scenario())


def test_a_probe_that_is_cancelled_leaves_its_turn_to_the_next() -> None:
    async def scenario() -> tuple[float, float]:
        async with shut() as breaker:
            probe = asyncio.create_task(send(breaker, took=LONG))
            following = asyncio.create_task(send(breaker))
            await asyncio.sleep(50)
            probe.cancel()
            return now(), await following

    cancelled, followed = run(scenario())
    assert followed == cancelled == 50


def test_a_turn_given_in_the_moment_of_a_cancellation_is_passed_on() -> None:
    async def scenario() -> bool:
        async with shut() as breaker:
            probe = await breaker.wait_for_admission(LONG)
            assert isinstance(probe, Admission)
            first = asyncio.create_task(send(breaker))
            following = asyncio.create_task(send(breaker))
            await turns()
            breaker.release(probe)
            first.cancel()
            async with asyncio.timeout(10):
                await asyncio.wait([first, following])
            assert first.cancelled()
            return not breaker.is_open

    assert run(scenario())


moments = st.tuples(st.integers(0, 60), st.integers(0, 5))


@attrs.frozen(kw_only=True)
class Caller:
    """When one comes and is cancelled, in tenths of a second and turns of the loop."""

    comes: tuple[int, int]
    took: int
    cancelled: tuple[int, int] | None


callers = st.builds(
    Caller,
    comes=moments,
    took=st.integers(0, 20),
    cancelled=st.none() | moments,
)


async def world(plan: list[Caller], recovers: float) -> list[tuple[float, float]]:
    """Let callers come and go while the host is down; return when who stayed came and was served.

    Nobody but one at a time is let in before the host is back.
    """
    breaker = CircuitBreaker()
    inside = 0

    async def caller(its: Caller) -> tuple[float, float]:
        nonlocal inside
        await at(its.comes)
        came = now()
        while True:
            admission = await breaker.wait_for_admission(LONG)
            assert isinstance(admission, Admission)
            inside += 1
            assert inside == 1 or not breaker.is_open
            try:
                down = now() < recovers
                await asyncio.sleep(its.took / 10)
                breaker.record(admission, DOWN if down else None)
            finally:
                inside -= 1
                breaker.release(admission)
            if not down:
                return came, now()

    async def doomed(its: Caller, task: asyncio.Task[Any]) -> None:
        if its.cancelled is not None:
            await at(its.cancelled)
            task.cancel()

    async with shut(breaker):
        tasks = [asyncio.create_task(caller(its)) for its in plan]
        dooms = [doomed(its, task) for its, task in zip(plan, tasks, strict=True)]
        async with asyncio.timeout(10_000):
            await asyncio.gather(*dooms)
            ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        assert isinstance(end, tuple | asyncio.CancelledError), end
    return [end for end in ends if isinstance(end, tuple)]


@given(plan=st.lists(callers, min_size=1, max_size=8), recovers=st.integers(0, 100))
@settings(max_examples=300, deadline=None)
def test_no_turn_is_lost_in_any_order_of_coming_probing_and_cancellation(
    plan: list[Caller], recovers: int
) -> None:
    served = run(world(plan, recovers / 10))

    assert len(served) >= sum(its.cancelled is None for its in plan)
    for came, end in served:
        # one probe that began before the host was back, the wait after it, one that succeeds
        assert end <= max(came, recovers / 10) + 2.0 + 1.1 * 8 + 2.0 + 2.0


@pytest.mark.parametrize("patience", [0.0, 0.5, 60.0])
def test_patience_ends_in_a_sentence_that_says_what_is_wrong(patience: float) -> None:
    async def scenario() -> str:
        async with shut() as breaker:
            probe = asyncio.create_task(send(breaker, ServerError("HTTP 500"), took=70))
            await turns()
            ended = await breaker.wait_for_admission(patience)
            assert now() == patience
            assert isinstance(ended, str)
            failed = await probe + 70
            assert 1.8 <= await send(breaker) - failed <= 2.2  # who left holds up nobody
            return ended

    assert f"in trouble for {patience:.0f} s (no answer)" in run(scenario())


def test_the_seconds_at_the_open_breaker_are_told() -> None:
    async def scenario() -> tuple[float, float, float]:
        async with shut() as breaker:
            probe = asyncio.create_task(send(breaker, took=5))
            await asyncio.sleep(2)
            admission = await breaker.wait_for_admission(LONG)
            assert isinstance(admission, Admission)
            free = await breaker.wait_for_admission(LONG)
            assert isinstance(free, Admission)
            return await probe, admission.waited, free.waited

    probed, waited, free = run(scenario())
    assert waited == pytest.approx(probed + 5 - 2)
    assert free == 0


def test_whoever_waits_for_the_opening_is_woken_and_holds_up_nobody() -> None:
    async def scenario() -> None:
        breaker = CircuitBreaker()
        await breaker.wait_until_closed()
        async with shut(breaker):
            candidate = asyncio.create_task(breaker.wait_for_admission(LONG))
            await turns()
            waiting = [asyncio.create_task(breaker.wait_until_closed()) for _ in range(3)]
            await turns()
            waiting[0].cancel()
            await turns()
            assert [task.done() for task in waiting] == [True, False, False]
            breaker.record(Admission(times_opened=1), "an answer")
            await turns()
            assert all(task.done() for task in waiting)
            assert isinstance(await candidate, Admission)
            await breaker.wait_until_closed()

    run(scenario())


def test_it_opens_when_the_last_who_armed_it_leaves() -> None:
    async def scenario() -> None:
        breaker = CircuitBreaker()
        with breaker.armed():
            async with shut(breaker):
                waiting = [asyncio.create_task(send(breaker)) for _ in range(3)]
                waiting.append(asyncio.create_task(breaker.wait_until_closed()))  # type: ignore[arg-type]
                await turns()
            await turns()
            assert breaker.is_open
            assert not any(task.done() for task in waiting)
        assert not breaker.is_open
        await turns()
        assert now() == 0
        assert all(task.done() for task in waiting)
        with breaker.armed():
            await fail(breaker, 4)
            assert not breaker.is_open
            await fail(breaker, 1)
            assert breaker.times_opened == 2

    run(scenario())


def test_another_loop_finds_it_open_and_can_arm_it_anew() -> None:
    breaker = CircuitBreaker()

    async def scenario() -> float:
        async with shut(breaker):
            waiting = [asyncio.create_task(send(breaker)) for _ in range(3)]
            waited = await asyncio.gather(*waiting)
        return waited[0]

    for times_opened in (1, 2, 3):
        assert 0.9 <= run(scenario()) <= 1.1
        assert not breaker.is_open
        assert breaker.times_opened == times_opened


@pytest.mark.parametrize("closed", [True, False])
def test_what_a_loop_that_stopped_left_behind_stops_no_other(closed: bool) -> None:
    breaker, stopped = CircuitBreaker(), VirtualTimeLoop()

    async def arm_for_ever() -> None:
        async with shut(breaker):
            waiting.extend(
                [
                    asyncio.create_task(send(breaker)),
                    asyncio.create_task(breaker.wait_until_closed()),
                ]
            )
            await asyncio.Event().wait()

    async def elsewhere() -> None:
        await fail(breaker, 10)
        await send(breaker)
        admission = await breaker.wait_for_admission(0)
        assert isinstance(admission, Admission)
        assert breaker.is_current(admission)
        await breaker.wait_until_closed()
        assert breaker.times_opened == 1
        async with shut(breaker):
            assert breaker.times_opened == 2
            assert 0.9 <= await send(breaker) <= 1.1
        with breaker.armed():
            assert not breaker.is_open

    waiting: list[asyncio.Task[Any]] = []
    catalog = stopped.create_task(arm_for_ever())
    stopped.run_until_complete(turns())
    if closed:
        for task in [catalog, *waiting]:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        stopped.close()
    run(elsewhere())
    if not closed:
        stopped.run_until_complete(turns())
        assert all(task.done() for task in waiting)
        catalog.cancel()
        stopped.run_until_complete(asyncio.wait([catalog]))
        stopped.close()


def test_who_leaves_one_loop_late_disarms_no_other() -> None:
    breaker = CircuitBreaker()
    late = breaker.armed()

    async def arm() -> None:
        late.__enter__()

    async def arm_anew() -> None:
        async with shut(breaker):
            late.__exit__(None, None, None)
            assert breaker.is_open

    run(arm())
    run(arm_anew())


def test_a_warning_says_that_it_closed_and_another_that_it_opened(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        await asyncio.sleep(100)
        async with shut() as breaker:
            await asyncio.sleep(12.34)
            await send(breaker)
            await send(breaker)

    run(scenario())

    closed, opened = caplog.records
    assert closed.name == opened.name == "suno_cover_async"
    assert closed.levelno == opened.levelno == logging.WARNING
    assert closed.getMessage() == (
        "the API is in trouble (no answer); requests to it pause, with a probe every 1 to 30 s"
    )
    assert opened.getMessage() == "the API answers again after 12.3 s"


def test_an_outage_that_is_over_leaves_no_timer() -> None:
    async def scenario() -> int:
        async with shut():
            pass
        return len([one for one in asyncio.get_running_loop()._scheduled if not one.cancelled()])  # type: ignore[attr-defined]

    assert run(scenario()) == 0
