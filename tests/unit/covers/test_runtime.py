"""The parts of a client in one event loop: slots, downloads at once, and closing in order."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from suno_cover_async import (
    ClientUsageError,
    CoverDetails,
    CoverExpiredError,
    CoverStatus,
    DownloadError,
    RetryPolicy,
    SunoCoverClient,
)
from suno_cover_async.client import covers_of
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.breakers import now
from tests.support.clients import FREE, connect
from tests.support.memory_network import eventually, in_memory, network
from tests.support.peers import answer, peer
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


def missing(sandbox: Sandbox, days: float | None = 0) -> CoverDetails:
    """Details of a cover that is so many days old, with an image that the host does not have."""
    made = None if days is None else datetime.now(UTC) - timedelta(days=days)
    return CoverDetails(
        cover_task_id="c",
        status=CoverStatus.SUCCESS,
        images=(f"{sandbox.url}/s/1.png",),
        completed_at=made,
    )


BATCH = RetryPolicy().for_batch()


@pytest.mark.parametrize("policy", [None, BATCH])
@pytest.mark.parametrize("status", [403, 404, 410])
@in_memory
async def test_an_image_missing_from_a_young_cover_is_tried_5_times_in_8_s_and_then_left(
    tmp_path: Path, policy: RetryPolicy | None, status: int
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox, retry=RetryPolicy()) as client:
        sandbox.script("image", *[Reply(status=status)] * 20)
        runtime = await covers_of(client).enter()
        (error,) = await runtime.save(missing(sandbox), tmp_path / "a", policy)

        assert isinstance(error, DownloadError)
        assert error.is_missing
        assert error.retryable
        assert len(sandbox.journal.of("image")) == 5
        assert now() < 8


@in_memory
async def test_an_image_that_appears_within_seconds_is_saved(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox, retry=RetryPolicy()) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        sandbox.script("image", Reply(status=404), Reply(status=403), Reply(status=404))

        files = await client.download(details, into=tmp_path)

        assert len(files) == 2
        assert len(sandbox.journal.of("image")) == 5


@pytest.mark.parametrize("policy", [None, BATCH])
@in_memory
async def test_an_image_missing_from_a_cover_near_14_days_is_gone_at_once(
    tmp_path: Path, policy: RetryPolicy | None
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox, retry=RetryPolicy()) as client:
        runtime = await covers_of(client).enter()
        (error,) = await runtime.save(missing(sandbox, days=13.5), tmp_path / "a", policy)

        assert isinstance(error, CoverExpiredError)
        assert len(sandbox.journal.of("image")) == 1


@pytest.mark.parametrize(("attempts", "kind"), [(1, DownloadError), (2, CoverExpiredError)])
@pytest.mark.parametrize("policy", [None, BATCH])
@in_memory
async def test_an_image_of_unknown_age_is_gone_only_if_it_is_missing_at_the_last_attempt_again(
    tmp_path: Path, policy: RetryPolicy | None, attempts: int, kind: type[Exception]
) -> None:
    once = RetryPolicy(max_attempts=attempts)
    async with Sandbox(FREE) as sandbox, connect(sandbox, retry=once) as client:
        runtime = await covers_of(client).enter()
        (error,) = await runtime.save(missing(sandbox, days=None), tmp_path / "a", policy)

        assert type(error) is kind
        assert len(sandbox.journal.of("image")) == attempts


@in_memory
async def test_images_that_are_missing_neither_open_the_breaker_nor_keep_it_open(
    tmp_path: Path,
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox, retry=RetryPolicy()) as client:
        runtime = await covers_of(client).enter()
        with client.breakers.armed():
            for number in range(5):
                await runtime.save(missing(sandbox), tmp_path / f"{number}", BATCH)
            assert client.breakers.images.times_opened == 0

            sandbox.script("image", *[Reply(status=503)] * 6, Reply(status=404))
            await runtime.save(missing(sandbox), tmp_path / "a", BATCH)
            assert client.breakers.images.times_opened == 1
            assert not client.breakers.images.is_open


@in_memory
async def test_an_answer_with_many_headers_is_read_by_the_apis_own_session() -> None:
    fields = [f"X-{number:04}: {'a' * 150}" for number in range(350)]
    body = b'{"code":200,"data":7}'
    async with (
        peer(answer(body, *fields)) as host,
        SunoCoverClient("key-of-a-test", base_url=host.url) as client,
    ):
        assert await client.credits() == 7


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
