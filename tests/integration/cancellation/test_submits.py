"""Submits that are cancelled or closed: nothing billed is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from suno_cover_async import (
    ClientUsageError,
    CoverDetails,
    CoverStatus,
    CoverTask,
    RateLimit,
    RateLimiter,
    SunoCoverClient,
    SunoCoverError,
    TransportError,
)
from suno_cover_async.sandbox import DuplicateId, Fault, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.clients import FREE, connect
from tests.support.runs import billed
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def arrived(sandbox: Sandbox, count: int) -> None:
    await until(lambda: len(sandbox.journal.arrivals) >= count)


async def cancelled_on_the_wire(
    sandbox: Sandbox, client: SunoCoverClient, music_task_id: str
) -> asyncio.Task[CoverTask]:
    """Begin a submit, and cancel it once; its answer is still to come."""
    caller = asyncio.create_task(client.submit(music_task_id))
    await arrived(sandbox, 1)
    caller.cancel()
    await asyncio.sleep(0)
    return caller


async def test_a_cancelled_submit_that_is_on_the_wire_is_finished_and_remembered() -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.05, 0.05))
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        caller = asyncio.create_task(client.submit(music))
        await arrived(sandbox, 1)

        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await client.settled(music)

        (bill,) = sandbox.journal.bills
        (task,) = client.unclaimed
        assert task.cover_task_id == bill.cover_task_id
        assert await client.submit(music) == task
        assert not client.unclaimed
        assert len(sandbox.journal.of("submit")) == 1


async def test_a_cancelled_submit_that_was_not_sent_never_is() -> None:
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, rate_limit=RateLimit(calls=1, seconds=60)) as client,
    ):
        (music,) = sandbox.add_music(1)
        await client.credits()
        caller = asyncio.create_task(client.submit(music))
        await asyncio.sleep(0.01)

        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

        assert not sandbox.journal.of("submit")
        assert not client.unclaimed


async def test_one_cancelled_caller_takes_nothing_from_the_other() -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.02, 0.02))
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        doomed = asyncio.create_task(client.submit(music))
        other = asyncio.create_task(client.submit(music))
        await arrived(sandbox, 1)

        doomed.cancel()

        task = await other
        assert billed(sandbox) == {music: 1}
        assert not task.adopted
        await asyncio.wait([doomed])


async def test_a_generate_cancelled_while_it_waits_is_taken_up_without_a_submit() -> None:
    scenario = Scenario(rate_limit=None, seconds=0.3)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        caller = asyncio.create_task(client.generate(music))
        await arrived(sandbox, 3)

        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert len(client.unclaimed) == 1
        details = await client.generate(music)

        assert details.status is CoverStatus.SUCCESS
        assert len(sandbox.journal.of("submit")) == 1
        assert not client.unclaimed


async def test_a_cancellation_between_two_attempts_leaves_a_trace() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.LOST_ANSWER)
        caller = asyncio.create_task(client.submit(music))
        await until(lambda: client.possibly_billed)

        caller.cancel()
        await asyncio.wait([caller])

        assert caller.cancelled()
        assert client.possibly_billed == (music,)
        assert len(sandbox.journal.of("submit")) == 1


async def test_who_submits_while_another_is_being_cancelled_gets_what_that_one_brings() -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.05, 0.05))
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        first = await cancelled_on_the_wire(sandbox, client, music)

        task = await client.submit(music)

        assert first.cancelled()
        assert task.cover_task_id == sandbox.journal.bills[0].cover_task_id
        assert len(sandbox.journal.of("submit")) == 1


async def test_many_who_submit_while_another_is_being_cancelled_make_one_request() -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.05, 0.05))
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        first = await cancelled_on_the_wire(sandbox, client, music)
        others = [asyncio.create_task(client.submit(music)) for _ in range(5)]
        await asyncio.sleep(0)
        first.cancel()

        tasks = await asyncio.gather(*others)

        assert len(set(tasks)) == 1
        assert len(sandbox.journal.of("submit")) == 1
        assert billed(sandbox) == {music: 1}


async def test_all_who_submit_while_another_is_being_cancelled_get_what_that_one_brings() -> None:
    scenario = Scenario(
        rate_limit=None, polls=1, delay=(0.05, 0.05), duplicate_id=DuplicateId.ABSENT
    )
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        await cancelled_on_the_wire(sandbox, client, music)

        tasks = await asyncio.gather(*(client.submit(music) for _ in range(5)))

        assert {task.cover_task_id for task in tasks} == {
            bill.cover_task_id for bill in sandbox.journal.bills
        }
        assert len(sandbox.journal.of("submit")) == 1


async def test_two_callers_whose_time_is_up_together_forget_nothing() -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.1, 0.1))
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)

        async def hurried() -> None:
            async with asyncio.timeout(0.15):
                await client.submit(music)

        outcomes = await asyncio.gather(hurried(), hurried(), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [TimeoutError, TimeoutError]
        await client.settled(music)
        assert [task.cover_task_id for task in client.unclaimed] == [
            bill.cover_task_id for bill in sandbox.journal.bills
        ]


async def test_closing_does_not_hurry_a_submit_that_is_being_cancelled() -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.05, 0.05))
    async with Sandbox(scenario) as sandbox:
        client = connect(sandbox)
        caller = await cancelled_on_the_wire(sandbox, client, *sandbox.add_music(1))

        await client.aclose()
        await asyncio.wait([caller])

        assert [task.cover_task_id for task in client.unclaimed] == [
            bill.cover_task_id for bill in sandbox.journal.bills
        ]
        assert len(sandbox.journal.bills) == 1


async def test_closing_finishes_a_left_submit_that_another_caller_waits_for() -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.05, 0.05))
    async with Sandbox(scenario) as sandbox:
        client = connect(sandbox)
        (music,) = sandbox.add_music(1)
        await cancelled_on_the_wire(sandbox, client, music)
        other = asyncio.create_task(client.submit(music))
        await asyncio.sleep(0)

        await client.aclose()
        await asyncio.wait([other])

        (bill,) = sandbox.journal.bills
        assert [task.cover_task_id for task in client.unclaimed] == [bill.cover_task_id]
        assert isinstance(other.exception(), ClientUsageError)


@pytest.mark.parametrize("turns", range(0, 400, 20))
async def test_closing_at_any_moment_forgets_nothing_that_was_billed(turns: int) -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=2)) as sandbox:
        client = connect(sandbox)
        songs = sandbox.add_music(20)
        callers = [asyncio.create_task(client.generate(song)) for song in songs]
        for _ in range(turns):
            await asyncio.sleep(0)

        await client.aclose()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)

        known = {task.cover_task_id for task in client.unclaimed}
        known |= {cover.cover_task_id for cover in outcomes if isinstance(cover, CoverDetails)}
        assert {
            bill.cover_task_id
            for bill in sandbox.journal.bills
            if bill.music_task_id not in client.possibly_billed
        } <= known
        assert all(isinstance(o, CoverDetails | ClientUsageError) for o in outcomes)


def test_a_submit_whose_borrowed_session_is_closed_under_it_stays_possibly_billed() -> None:
    async def scenario() -> tuple[bool, tuple[str, ...]]:
        async with (
            Sandbox(FREE) as sandbox,
            aiohttp.ClientSession() as session,
            connect(sandbox, session=session) as client,
        ):
            sandbox.script("submit", Fault.SLOW)
            caller = asyncio.create_task(client.submit(*sandbox.add_music(["song"])))
            await arrived(sandbox, 1)

            await session.close()

            with pytest.raises(ClientUsageError, match="session is closed") as caught:
                await caller
            return caught.value.possibly_billed, client.possibly_billed

    assert virtual_time.run(scenario()) == (True, ("song",))


async def test_a_submit_that_begins_as_the_client_closes_is_never_sent_and_leaves_its_slot() -> (
    None
):
    window = RateLimiter(RateLimit(calls=1, seconds=60))
    async with Sandbox(FREE) as sandbox:
        async with connect(sandbox, rate_limit=window) as client:
            caller = asyncio.create_task(client.submit(*sandbox.add_music(1)))
            await asyncio.sleep(0)  # it has asked; the submit's own task has not begun

        with pytest.raises(ClientUsageError):
            await caller
        assert not sandbox.journal.arrivals
        assert window.acquire_nowait() is not None


async def test_closing_finishes_a_submit_on_the_wire_and_tells_its_caller() -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.05, 0.05))
    async with Sandbox(scenario) as sandbox:
        client = connect(sandbox)
        (music,) = sandbox.add_music(1)
        caller = asyncio.create_task(client.submit(music))
        await arrived(sandbox, 1)

        await client.aclose()

        with pytest.raises(SunoCoverError, match="closed"):
            await caller
        assert [t.cover_task_id for t in client.unclaimed] == [
            bill.cover_task_id for bill in sandbox.journal.bills
        ]


Ask = Callable[[Sandbox, SunoCoverClient, str], Awaitable[None]]


async def after_its_patience(sandbox: Sandbox, client: SunoCoverClient, music: str) -> None:
    sandbox.script("submit", *[Fault.LOST_ANSWER] * 4)
    with pytest.raises(TransportError):
        await client.submit(music)


async def cancelled_before_its_answer_was_lost(
    sandbox: Sandbox, client: SunoCoverClient, music: str
) -> None:
    sandbox.script("submit", Fault.LOST_ANSWER)
    await cancelled_on_the_wire(sandbox, client, music)
    await client.settled(music)


async def by_another_process(sandbox: Sandbox, client: SunoCoverClient, music: str) -> None:
    async with connect(sandbox) as other:
        await cancelled_before_its_answer_was_lost(sandbox, other, music)
    client.mark_possibly_billed(music)


@pytest.mark.parametrize(
    "ask", [after_its_patience, cancelled_before_its_answer_was_lost, by_another_process]
)
def test_after_a_possibly_billed_submit_the_next_is_1_s_later_at_the_soonest(ask: Ask) -> None:
    async def scenario() -> list[float]:
        clock = asyncio.get_running_loop().time
        async with Sandbox(FREE, clock=clock) as sandbox, connect(sandbox) as client:
            (music,) = sandbox.add_music(1)
            await ask(sandbox, client, music)

            task = await client.submit(music)

            assert task.adopted
            assert billed(sandbox) == {music: 1}
            return [submit.at for submit in sandbox.journal.of("submit")]

    *_, last, after = virtual_time.run(scenario())

    assert after - last >= 1.0
