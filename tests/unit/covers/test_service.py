"""The operations of one client: what waits, watches, music and downloads come to."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from suno_cover_async import (
    ClientUsageError,
    CoverExpiredError,
    CoverFailedError,
    CoverStatus,
    CoverTimeoutError,
    MusicFailedError,
    NotFoundError,
    SunoCoverError,
    UnexpectedResponseError,
)
from suno_cover_async.client import covers_of
from suno_cover_async.covers.cover_polling import id_of
from suno_cover_async.protocol import codec
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.answering import ONCE
from tests.support.clients import FREE, NO_LIMIT, connect
from tests.support.memory_network import eventually, in_memory
from tests.support.submits import submitting


@in_memory
async def test_music_is_waited_for_until_it_is_ready() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1, status="GENERATING")
        waiting = asyncio.create_task(client.wait_for_music(music))
        await eventually(lambda: len(sandbox.journal.of("music")) >= 3)

        sandbox.set_music(music, "SUCCESS")

        assert (await waiting).ready


@in_memory
async def test_failed_music_unknown_music_and_slow_music_are_told_apart() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (failed,) = sandbox.add_music(1, status="SENSITIVE_WORD_ERROR")
        (slow,) = sandbox.add_music(1, status="PENDING")

        with pytest.raises(MusicFailedError) as caught:
            await client.wait_for_music(failed)
        assert caught.value.details.status == "SENSITIVE_WORD_ERROR"
        with pytest.raises(NotFoundError):
            await client.wait_for_music("nobody")
        sandbox.scenario = Scenario(rate_limit=None, slow_seconds=100)
        sandbox.script("music", Fault.NONE, Fault.SLOW)
        async with asyncio.timeout(50):
            with pytest.raises(CoverTimeoutError) as late:
                await client.wait_for_music(slow, timeout=0.2)
        assert (late.value.music_task_id, late.value.cover_task_id) == (slow, None)


@in_memory
async def test_trouble_that_passes_does_not_end_a_wait_for_music() -> None:
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, retry=ONCE) as client,
    ):
        (music,) = sandbox.add_music(1)
        sandbox.script("music", Fault.LOST_ANSWER, Fault.GATEWAY)

        assert (await client.wait_for_music(music)).ready


@in_memory
async def test_null_right_after_the_submit_is_pending() -> None:
    scenario = Scenario(rate_limit=None, polls=1, null_polls=3)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        music, other = sandbox.add_music(2)
        task = await client.submit(music)

        assert (await client.details(task.cover_task_id)).status is CoverStatus.PENDING
        assert (await client.wait(task)).status is CoverStatus.SUCCESS
        assert (await client.generate(other)).status is CoverStatus.SUCCESS


@in_memory
async def test_watch_yields_a_failure_and_does_not_raise_it() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1, fails=True)
        task = await client.submit(music)

        seen = [details async for details in client.watch(task)]

        assert seen[-1].status is CoverStatus.FAILED
        assert seen[-1].error_message


@in_memory
async def test_watch_yields_pending_at_once_without_a_request() -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)
        for what, song in ((task, music), (task.cover_task_id, None), ("nobody", None)):
            async with contextlib.aclosing(client.watch(what)) as changes:
                first = await anext(changes)

                assert first.status is CoverStatus.PENDING
                assert (first.cover_task_id, first.music_task_id) == (id_of(what), song)
        assert sandbox.journal.of("details") == []


@in_memory
async def test_a_watch_yields_no_status_twice_and_costs_the_requests_of_a_wait() -> None:
    scenario = Scenario(rate_limit=None, polls=4)
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        watched, waited = [await client.submit(song) for song in sandbox.add_music(2)]

        seen = [details.status async for details in client.watch(watched)]
        await client.wait(waited)

        assert seen == [CoverStatus.PENDING, CoverStatus.GENERATING, CoverStatus.SUCCESS]
        polls = [one.cover_task_id for one in sandbox.journal.of("details")]
        assert polls.count(watched.cover_task_id) == polls.count(waited.cover_task_id) == 4


@in_memory
async def test_a_watch_of_a_pending_cover_of_other_music_is_refused_at_its_first_poll() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=600)) as sandbox,
        connect(sandbox) as client,
    ):
        music, other = sandbox.add_music(2)
        task = attrs.evolve(await client.submit(music), music_task_id=other)

        changes = client.watch(task)
        await anext(changes)
        with pytest.raises(UnexpectedResponseError, match="its cover is not used"):
            await anext(changes)

        assert len(sandbox.journal.of("details")) == 1


@in_memory
async def test_watch_yields_every_change_of_status_up_to_the_last() -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=4)) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)

        seen = [details.status async for details in client.watch(task)]

        assert seen == [CoverStatus.PENDING, CoverStatus.GENERATING, CoverStatus.SUCCESS]


@in_memory
async def test_what_a_timed_out_generate_left_is_settled_by_a_wait() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=0.2)) as sandbox,
        connect(sandbox) as client,
    ):
        with pytest.raises(CoverTimeoutError) as caught:
            await client.generate(*sandbox.add_music(1), timeout=0.05)
        (left,) = client.unclaimed
        assert left.cover_task_id == caught.value.cover_task_id

        await client.wait(left)

        assert not client.unclaimed


@in_memory
async def test_gone_images_are_asked_for_once_more_and_then_expired(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        details = attrs.evolve(details, completed_at=datetime.now(UTC) - timedelta(days=14))
        polls = len(sandbox.journal.of("details"))
        sandbox.expire_images()

        with pytest.raises(CoverExpiredError) as caught:
            await client.download(details, into=tmp_path)

        assert caught.value.music_task_id == music
        assert len(sandbox.journal.of("details")) == polls + 1
        assert list(tmp_path.iterdir()) == []


@in_memory
async def test_images_that_moved_are_found_at_their_new_place(tmp_path: Path) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        old = attrs.evolve(details, images=(f"{sandbox.url}/s/1_a.png", f"{sandbox.url}/s/1_b.png"))

        assert len(await client.download(old, into=tmp_path)) == 2


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"parentTaskId": "another-song"}, UnexpectedResponseError),
        ({"successFlag": 3}, CoverExpiredError),
        ({"successFlag": 2}, CoverExpiredError),
    ],
)
@in_memory
async def test_images_of_another_song_or_of_no_success_do_not_stand_in_for_ones_that_are_gone(
    tmp_path: Path, said: dict[str, object], error: type[SunoCoverError]
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        long_ago = datetime.now(UTC) - timedelta(days=14)
        images = (f"{sandbox.url}/s/1_a.png",)
        old = attrs.evolve(details, images=images, completed_at=long_ago)
        record = {"taskId": details.cover_task_id, "parentTaskId": music, "successFlag": 1}
        record |= {"response": {"images": list(details.images)}} | said
        sandbox.script("details", Reply(body=codec.encode_answer(200, "success", record)))
        sandbox.script("image", Reply(status=404))

        with pytest.raises(error):
            await client.download(old, into=tmp_path)

        assert len(sandbox.journal.of("image")) == 1
        assert list(tmp_path.iterdir()) == []


@in_memory
async def test_a_failed_cover_is_raised_and_no_longer_unclaimed() -> None:
    async with submitting() as (sandbox, client, _):
        (song,) = sandbox.add_music(1, fails=True)
        task = await client.submit(song)
        covers_of(client).state.keep(task)

        with pytest.raises(CoverFailedError) as caught:
            await client.wait(task)
        assert caught.value.cover_task_id == task.cover_task_id
        assert client.unclaimed == ()


@in_memory
async def test_a_watch_settles_what_was_unclaimed() -> None:
    async with submitting() as (_, client, song):
        task = await client.submit(song)
        covers_of(client).state.keep(task)

        assert [details.status async for details in client.watch(task)][-1].finished
        assert client.unclaimed == ()


@in_memory
async def test_a_cover_task_that_nobody_submitted_now_is_not_found() -> None:
    async with submitting() as (_, client, _song):
        with pytest.raises(NotFoundError) as caught:
            await client.details("never-heard-of")
        assert caught.value.cover_task_id == "never-heard-of"


@in_memory
async def test_music_counts_as_a_poll() -> None:
    async with submitting(poll_rate_limit=NO_LIMIT) as (_, client, song):
        account = covers_of(client).account
        account.poll_limiter.pause(100)

        await client.music_details(song)

        assert asyncio.get_running_loop().time() >= 100


@in_memory
async def test_after_closing_every_use_is_refused_and_says_what_to_do() -> None:
    async with submitting() as (_, client, song):
        await client.aclose()

        with pytest.raises(ClientUsageError, match="make a new one"):
            await client.music_details(song)
        await client.settled(song)


@in_memory
async def test_what_an_earlier_process_may_have_submitted_is_possibly_billed() -> None:
    async with submitting() as (_, client, song):
        covers_of(client).mark_possibly_billed(song)

        assert client.possibly_billed == (song,)
