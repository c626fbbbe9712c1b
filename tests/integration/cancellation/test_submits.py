"""Submits that are cancelled or closed: nothing billed is forgotten."""

import asyncio

import aiohttp
import pytest

from suno_cover_async import (
    ClientUsageError,
    CoverDetails,
    CoverStatus,
    RateLimit,
    RateLimiter,
)
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.clients import FREE, connect
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_a_generate_cancelled_while_it_waits_is_taken_up_without_a_submit() -> None:
    scenario = Scenario(rate_limit=None, seconds=0.3)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        caller = asyncio.create_task(client.generate(music))
        await until(lambda: len(sandbox.journal.arrivals) >= 3)

        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert len(client.unclaimed) == 1
        details = await client.generate(music)

        assert details.status is CoverStatus.SUCCESS
        assert len(sandbox.journal.of("submit")) == 1
        assert not client.unclaimed


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
            await until(lambda: sandbox.journal.arrivals)

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
