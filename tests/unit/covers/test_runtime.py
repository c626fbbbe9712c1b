"""The parts of a client in one event loop: slots, downloads at once, and closing in order."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from suno_cover_async import ClientUsageError, CoverDetails, CoverStatus, RetryPolicy
from suno_cover_async.client import covers_of
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.breakers import now
from tests.support.clients import FREE, connect
from tests.support.memory_network import eventually, in_memory, network
from tests.support.submits import SLOW, paid_for, submitting, unclaimed


@in_memory
async def test_generate_keeps_at_most_concurrency_covers_in_flight() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, polls=3)) as sandbox,
        connect(sandbox, concurrency=4) as client,
    ):
        await asyncio.gather(*(client.generate(music) for music in sandbox.add_music(20)))

        in_flight, most = set[str](), 0
        for arrival in sandbox.journal.arrivals:
            task = arrival.cover_task_id or ""
            polls = [a for a in sandbox.journal.of("details") if a.cover_task_id == task]
            in_flight.add(task)
            most = max(most, len(in_flight))
            if arrival is polls[-1]:
                in_flight.discard(task)
        assert most <= 4


@in_memory
async def test_both_images_are_fetched_at_once(tmp_path: Path) -> None:
    scenario = Scenario(rate_limit=None, polls=1, delay=(0.1, 0.1))
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        await client.download(await client.generate(music), into=tmp_path)

        first, second = sandbox.journal.of("image")
        assert second.at - first.at < 0.1


@in_memory
async def test_an_image_that_stumbles_is_fetched_again(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        empty = Reply(body=b"", headers={"Content-Type": "image/png"})
        sandbox.script("image", Fault.RESET, Fault.TRUNCATED, empty)

        files = await client.download(details, into=tmp_path)

        assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
        assert [file.name for file in files] == [f"{music}-1.png", f"{music}-2.png"]


@in_memory
async def test_at_most_16_images_are_fetched_at_once(tmp_path: Path) -> None:
    slow = Scenario(rate_limit=None, slow_seconds=10)
    async with submitting(slow) as (sandbox, client, _):
        sandbox.script("image", *[Fault.SLOW] * 40)
        images = tuple(f"{sandbox.url}/s/{number}.png" for number in range(40))
        details = CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS, images=images)
        downloading = asyncio.create_task(client.download(details, tmp_path))
        await asyncio.sleep(5)

        assert len(sandbox.journal.of("image")) == 16
        downloading.cancel()
        await asyncio.wait([downloading])


@in_memory
async def test_closing_ends_waits_for_a_slot_and_finishes_the_submit_on_the_wire() -> None:
    async with submitting(SLOW, concurrency=1) as (sandbox, client, song):
        holder = asyncio.create_task(client.generate(song))
        queued = asyncio.create_task(client.generate(song))
        await eventually(lambda: sandbox.journal.arrivals)
        await client.aclose()

        outcomes = await asyncio.gather(holder, queued, return_exceptions=True)

        assert [type(outcome) for outcome in outcomes] == [ClientUsageError] * 2
        assert unclaimed(client) == paid_for(sandbox) != []


@in_memory
async def test_closing_ends_a_wait_for_a_slot_that_is_never_given_back() -> None:
    async with submitting(concurrency=1) as (_, client, song), client.slot():
        queued = asyncio.create_task(client.generate(song))
        await asyncio.sleep(1)
        await client.aclose()

        async with asyncio.timeout(1):
            await asyncio.wait([queued])
        assert isinstance(queued.exception(), ClientUsageError)


@pytest.mark.parametrize(("cancelled", "closed_at"), [(True, 5), (False, 0)])
@in_memory
async def test_closing_waits_for_the_work_of_a_catalog_that_was_cancelled(
    cancelled: bool, closed_at: int
) -> None:
    async def records() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep(5)

    async with submitting() as (_, client, _song):
        work = asyncio.create_task(records())
        covers_of(client).used_by(work)
        await covers_of(client).enter()
        await asyncio.sleep(0)
        if cancelled:
            work.cancel()

        await client.aclose()

        assert now() == closed_at
        work.cancel()
        await asyncio.wait([work])


@in_memory
async def test_plain_http_leads_to_no_other_machine_whatever_its_name_resolves_to() -> None:
    network().names["localhost"] = ["10.0.0.1"]
    async with submitting(base_url="http://localhost:80", retry=RetryPolicy(max_attempts=1)) as (
        _,
        client,
        _song,
    ):
        with pytest.raises(Exception, match="not on this machine; use https"):
            await client.credits()
    assert network().connected == []


@in_memory
async def test_a_borrowed_session_is_used_and_left_open() -> None:
    async with aiohttp.ClientSession() as session:
        async with submitting(session=session) as (sandbox, client, _):
            await client.credits()
            assert len(sandbox.journal.arrivals) == 1
        assert not session.closed
