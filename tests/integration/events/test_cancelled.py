"""What was begun is told to end, also when callers are cancelled and when the client closes."""

import asyncio

import pytest

from suno_cover_async import (
    CoverSubmitted,
    Operation,
    RateLimit,
    RequestEnded,
    RequestSent,
)
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.clients import FREE, connect
from tests.support.observed import Seen
from tests.support.waiting import until


@pytest.mark.usefixtures("no_task_is_left_behind")
async def test_a_submit_that_outlives_its_cancelled_caller_is_told_to_its_end() -> None:
    seen = Seen()
    slow = Scenario(rate_limit=None, polls=1, slow_seconds=0.2)
    async with Sandbox(slow) as sandbox, connect(sandbox, on_event=seen) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.SLOW)
        caller = asyncio.create_task(client.generate(music))
        await until(lambda: sandbox.journal.arrivals)
        caller.cancel()
        await asyncio.wait([caller])
        await client.settled(music)

        assert [task.music_task_id for task in client.unclaimed] == [music]
    (whole,) = seen.ended(Operation.GENERATE)
    (submit,) = seen.ended(Operation.SUBMIT)
    (submitted,) = seen.of(CoverSubmitted)
    assert whole.error == "CancelledError"
    assert seen.index(whole) < seen.index(submitted) < seen.index(submit)
    assert submitted.operation_id == submit.operation_id
    assert len(sandbox.journal.bills) == 1
    assert len(seen.of(RequestSent)) == len(seen.of(RequestEnded)) == 1


@pytest.mark.usefixtures("no_task_is_left_behind")
async def test_callers_that_join_a_submit_share_its_operation() -> None:
    seen = Seen()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen) as client:
        (music,) = sandbox.add_music(1)
        await asyncio.gather(*(client.submit(music) for _ in range(5)))

    assert len(seen.ended(Operation.SUBMIT)) == len(sandbox.journal.of("submit")) == 1


@pytest.mark.usefixtures("no_task_is_left_behind")
@pytest.mark.parametrize("turns", range(0, 300, 20))
async def test_whenever_the_client_closes_all_that_began_has_ended(turns: int) -> None:
    seen = Seen()
    async with Sandbox(FREE) as sandbox:
        client = connect(sandbox, on_event=seen)
        callers = [asyncio.create_task(client.generate(song)) for song in sandbox.add_music(5)]
        for _ in range(turns):
            await asyncio.sleep(0)

        await client.aclose()
        await asyncio.gather(*callers, return_exceptions=True)

    assert_all_ended(seen)


@pytest.mark.usefixtures("no_task_is_left_behind")
async def test_a_caller_that_waits_for_a_permit_has_sent_no_request() -> None:
    seen, limit = Seen(), RateLimit(calls=1, seconds=60)
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen, rate_limit=limit) as one:
        await one.credits()
        caller = asyncio.create_task(one.submit(*sandbox.add_music(1)))
        await until(lambda: one.limiter.busy)
        caller.cancel()
        await asyncio.wait([caller])

    assert len(seen.of(RequestSent)) == len(sandbox.journal.arrivals) == 1
    assert seen.ended(Operation.SUBMIT)[0].error == "CancelledError"


def test_a_client_that_nobody_closes_ends_with_its_event_loop_all_that_it_began() -> None:
    seen = Seen()

    async def scenario() -> None:
        async with Sandbox(Scenario(rate_limit=None, slow=1.0, slow_seconds=60)) as sandbox:
            client = connect(sandbox, on_event=seen)
            work = (client.credits(), client.generate("music"))
            tasks = [asyncio.create_task(one) for one in work]
            await until(lambda: len(sandbox.journal.arrivals) == len(tasks))

    asyncio.run(scenario())

    assert_all_ended(seen)


def assert_all_ended(seen: Seen) -> None:
    operations = {one.operation_id for kind in Operation for one in seen.started(kind)}
    assert operations == {one.operation_id for kind in Operation for one in seen.ended(kind)}
    requests = {one.request_id for one in seen.of(RequestSent)}
    assert requests == {one.request_id for one in seen.of(RequestEnded)}
