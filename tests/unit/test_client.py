"""The verbs of the client, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    Callback,
    ClientUsageError,
    CoverFailedError,
    CoverStatus,
    CoverTask,
    CoverTimeoutError,
    MusicFailedError,
    NotFoundError,
    PollPolicy,
    RateLimit,
    RateLimiter,
    SunoCoverClient,
    TransportError,
    WrongAddressError,
)
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.callback_requests import make
from tests.support.clients import NO_LIMIT
from tests.support.virtual_time import run
from tests.support.waiting import until

KEY = "sk-of-the-client-5d81"

Scene = Callable[[Sandbox, SunoCoverClient], Coroutine[Any, Any, None]]


def play(scene: Scene, *, options: dict[str, Any] | None = None, **scenario: Any) -> None:
    """Play a scene with a host whose covers take 60 s, unless the scenario says otherwise."""

    async def whole() -> None:
        clock = asyncio.get_running_loop().time
        fields: dict[str, Any] = {"seconds": 60, "rate_limit": None, "image_size": 16} | scenario
        async with Sandbox(Scenario(**fields), clock=clock) as sandbox:
            place: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
            place["rate_limit"] = NO_LIMIT
            async with SunoCoverClient(**(place | (options or {}))) as client:
                await scene(sandbox, client)

    run(whole())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_cover_is_submitted_waited_for_and_saved(tmp_path: Path) -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        files = await client.download(details, tmp_path / "covers", name="A/B")
        unnamed = await client.download(details, tmp_path)

        assert details.status is CoverStatus.SUCCESS
        assert 60 <= now() < 100
        assert not client.unclaimed
        assert not client.possibly_billed
        assert [bill.music_task_id for bill in sandbox.journal.bills] == [music]
        assert [file.read_bytes()[:4] for file in files] == [b"\x89PNG"] * 2
        assert {file.parent for file in files} == {tmp_path / "covers"}
        assert [file.name for file in unnamed] == [f"{music}-1.png", f"{music}-2.png"]

    play(scene)


def test_a_submit_and_a_wait_are_one_cover_and_a_poll_shows_how_far_it_is() -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)

        assert (task.music_task_id, task.adopted) == (music, False)
        assert client.is_possibly_billed(music)
        assert (await client.details(task)).status is CoverStatus.PENDING
        assert (await client.submit(music)).cover_task_id == task.cover_task_id
        assert (await client.wait(task.cover_task_id)).finished
        assert len(sandbox.journal.bills) == 1

    play(scene)


def test_a_watch_yields_each_status_and_a_failure_is_raised_by_a_wait_alone() -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        music, failing = (*sandbox.add_music(1), *sandbox.add_music(1, fails=True))
        task, failed = await client.submit(music), await client.submit(failing)
        seen = [details.status async for details in client.watch(task)]
        last = [details async for details in client.watch(failed)][-1]
        with pytest.raises(CoverFailedError) as error:
            await client.wait(failed)

        assert seen[-1] is CoverStatus.SUCCESS
        assert len(seen) == len({*seen}) > 1
        assert last.status is CoverStatus.FAILED
        assert error.value.cover_task_id == failed.cover_task_id

    play(scene)


@pytest.mark.parametrize(("timeout", "after"), [(10.0, 10), (None, 900)])
def test_a_timeout_counts_from_the_end_of_the_submit_or_is_the_policys(
    timeout: float | None, after: float
) -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        (music,) = sandbox.add_music(1)
        with pytest.raises(CoverTimeoutError) as error:
            await client.generate(music, timeout=timeout)

        assert after <= now() < after + 1
        assert [task.cover_task_id for task in client.unclaimed] == [error.value.cover_task_id]

    play(scene, seconds=5_000)


@pytest.mark.parametrize("verb", ["generate", "wait", "wait_for_music"])
def test_the_timeout_of_the_policy_ends_each_wait(verb: str) -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        music, slow = (*sandbox.add_music(1), *sandbox.add_music(1, status="PENDING"))
        about = {"generate": music, "wait_for_music": slow}
        task = (await client.submit(music)).cover_task_id
        began = now()
        with pytest.raises(CoverTimeoutError):
            await getattr(client, verb)(about.get(verb, task))

        assert 70 <= now() - began < 71

    play(scene, seconds=5_000, options={"poll": PollPolicy(timeout=70)})


def test_music_is_waited_for_until_it_is_ready_or_has_failed() -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        coming, bad = (
            *sandbox.add_music(1, status="GENERATING"),
            *sandbox.add_music(1, status="SENSITIVE_WORD_ERROR"),
        )
        waiting = asyncio.create_task(client.wait_for_music(coming))
        await asyncio.sleep(100)
        assert not (await client.music_details(coming)).ready
        sandbox.set_music(coming, "SUCCESS")

        assert (await waiting).ready
        with pytest.raises(MusicFailedError):
            await client.wait_for_music(bad)
        with pytest.raises(NotFoundError):
            await client.music_details("nobody")

    play(scene)


def test_at_most_so_many_covers_are_in_flight_and_a_slot_is_one_of_them() -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        songs = sandbox.add_music(5)
        async with client.slot():
            covers = [asyncio.create_task(client.generate(song)) for song in songs]
            await asyncio.sleep(30)
            assert len(sandbox.journal.bills) == 2
        await asyncio.sleep(10)
        assert len(sandbox.journal.bills) == 3

        await asyncio.gather(*covers)
        assert len(sandbox.journal.bills) == 5

    play(scene, options={"concurrency": 3})


def test_calls_wait_for_the_limit_and_polls_for_a_limit_of_their_own() -> None:
    limit, polls = RateLimit(calls=1, seconds=50), RateLimiter(NO_LIMIT)

    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        for music in sandbox.add_music(2):
            await client.credits()
            for _ in range(5):
                await client.music_details(music)

        assert [arrival.at for arrival in sandbox.journal.of("music")][:5] == [0.0] * 5
        assert sandbox.journal.of("credits")[1].at >= 50

    play(scene, options={"rate_limit": limit, "poll_rate_limit": polls})


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://example.com/suno-cover-async/no-callback"),
        ({"callback_url": "http://127.0.0.1:9/mine"}, "http://127.0.0.1:9/mine"),
        ({"receiver": make()}, make().url("song")),
    ],
)
def test_a_submit_names_where_callbacks_go(options: dict[str, Any], url: str) -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        await client.submit(*sandbox.add_music(["song"]))
        await asyncio.sleep(70)

        assert {delivery.url for delivery in sandbox.journal.callbacks} == {url}

    play(scene, options=options)


def test_a_callback_wakes_the_waiter_and_one_poll_confirms_it() -> None:
    receiver = make()

    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)
        waiting = asyncio.create_task(client.wait(task))
        await asyncio.sleep(35)
        receiver.notify(Callback(music_task_id=music, cover_task_id=task.cover_task_id))

        assert (await waiting).status is CoverStatus.SUCCESS
        assert 35 <= now() < 36
        assert len(sandbox.journal.of("details")) == 1

    play(scene, seconds=30, options={"receiver": receiver})


def test_a_lost_answer_leaves_the_music_possibly_billed_until_it_is_submitted_again() -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", *[Fault.LOST_ANSWER] * 5)
        with pytest.raises(TransportError) as error:
            await client.submit(music)
        assert error.value.possibly_billed
        assert client.possibly_billed == (music,)
        assert client.is_possibly_billed(music)

        assert (await client.submit(music)).adopted
        assert not client.possibly_billed
        assert len(sandbox.journal.bills) == 1

    play(scene)


def test_what_another_process_may_have_submitted_is_not_sent_within_1_s() -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        music, other = sandbox.add_music(2)
        client.mark_possibly_billed(music, failed=None)
        assert client.possibly_billed == (music,)
        assert not client.is_possibly_billed(other)

        await client.submit(music)

        assert sandbox.journal.of("submit")[0].at >= 1

    play(scene)


def test_a_cancelled_submit_is_finished_and_settled_waits_for_that() -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.SLOW)
        caller = asyncio.create_task(client.submit(music))
        await until(lambda: sandbox.journal.bills)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert not client.unclaimed

        await client.settled(music)

        assert [task.music_task_id for task in client.unclaimed] == [music]
        await client.settled("nobody")

    play(scene, slow_seconds=20)


def test_a_base_url_that_is_trusted_is_not_called_wrong() -> None:
    page = Reply(status=404, body=b"<html>Not here</html>")

    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        sandbox.script("credits", page)
        with pytest.raises(WrongAddressError):
            await client.credits()
        client.trust_base_url()
        sandbox.script("credits", page)

        assert await client.credits() == 1_000_000.0
        assert client.breakers.api is not client.breakers.images

    play(scene)


def test_a_closed_client_says_so_and_is_closed_twice() -> None:
    async def scene(sandbox: Sandbox, client: SunoCoverClient) -> None:
        await client.aclose()
        await client.aclose()

        with pytest.raises(ClientUsageError, match="closed"):
            await client.submit(*sandbox.add_music(1))
        assert not sandbox.journal.arrivals

    play(scene)


async def test_no_verb_takes_the_key_for_an_id_or_shows_it() -> None:
    task = CoverTask(cover_task_id="cover", music_task_id=KEY)
    async with SunoCoverClient(KEY, base_url="http://127.0.0.1:9") as client:
        for verb in (
            client.generate,
            client.submit,
            client.music_details,
            client.wait_for_music,
            client.settled,
            client.wait,
            client.details,
        ):
            with pytest.raises(ValueError, match=r"is the API key \(not shown\)") as caught:
                await verb(KEY)
            assert KEY not in str(caught.value)
        for act in (client.watch, client.is_possibly_billed, client.mark_possibly_billed):
            with pytest.raises(ValueError, match=r"is the API key \(not shown\)"):
                act(KEY)
        for wait in (client.wait, client.details):
            with pytest.raises(ValueError, match=r"^task.music_task_id is the API key"):
                await wait(task)
        with pytest.raises(ValueError, match=r"^music_task_id is the API key"):
            await client.submit(f"Bearer {KEY}")  # what else is wrong is said with its text
