"""The verbs, against the sandbox."""

import asyncio
import contextlib
import sys

import pytest

from suno_cover_async import (
    APIBOX,
    KIE,
    SUNOAPI,
    CoverStatus,
    CoverTask,
    CoverTimeoutError,
    Host,
    NotFoundError,
    PollPolicy,
    RateLimit,
    RateLimiter,
    SunoCoverClient,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.clients import FREE, connect
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_leaving_a_watch_early_ends_its_polls() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=60)) as sandbox,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)
        task = await client.submit(music)

        async with contextlib.aclosing(client.watch(task)) as changes:
            async for _ in changes:
                break
        polls = len(sandbox.journal.of("details"))
        await client.credits()

        assert len(sandbox.journal.of("details")) == polls


async def test_an_unknown_cover_task_is_not_found_at_once_by_a_poll_and_after_grace_by_a_wait() -> (
    None
):
    poll = PollPolicy(min_interval=0.01, max_interval=0.02, not_found_grace=0.05)
    async with Sandbox(FREE) as sandbox, connect(sandbox, poll=poll) as client:
        with pytest.raises(NotFoundError) as caught:
            await client.details("nobody")
        assert caught.value.cover_task_id == "nobody"
        with pytest.raises(NotFoundError):
            await client.wait("nobody")


async def test_a_wait_by_id_alone_polls_at_once_and_survives_another_day() -> None:
    async with Sandbox(FREE) as sandbox:
        (music,) = sandbox.add_music(1)
        async with connect(sandbox) as client:
            task = await client.submit(music)
        async with connect(sandbox, poll=PollPolicy()) as tomorrow:
            details = await tomorrow.wait(task.cover_task_id)

        assert details.music_task_id == music
        assert len(sandbox.journal.of("details")) == 1


async def test_a_timeout_names_what_to_wait_for_and_loses_nothing() -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=0.3)) as sandbox,
        connect(sandbox) as client,
    ):
        (music,) = sandbox.add_music(1)

        with pytest.raises(CoverTimeoutError) as caught:
            await client.generate(music, timeout=0.05)

        assert caught.value.cover_task_id is not None
        assert caught.value.music_task_id == music
        details = await client.wait(caught.value.cover_task_id)
        assert details.status is CoverStatus.SUCCESS


async def test_the_first_poll_comes_when_the_hosts_own_durations_say_so() -> None:
    poll = PollPolicy(min_interval=0.01, max_interval=0.01)
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=0.3)) as sandbox,
        connect(sandbox, poll=poll) as client,
    ):
        first, second = sandbox.add_music(2)
        task = await client.submit(first)
        await until_finished(client, task)
        before = len(sandbox.journal.of("details"))

        await client.generate(second)

        polls = sandbox.journal.of("details")[before:]
        assert len(polls) <= 3
        assert 0.25 <= polls[0].at - sandbox.journal.of("submit")[1].at < 5


async def until_finished(client: SunoCoverClient, task: CoverTask) -> None:
    while not (await client.details(task)).finished:
        pass


async def test_the_callback_url_is_handed_on() -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=1)) as sandbox:
        url = f"{sandbox.url}/somebody/elses?song=1"
        async with connect(sandbox, callback_url=url) as client:
            await client.generate(*sandbox.add_music(1))
            await until(lambda: sandbox.journal.callbacks)

        assert sandbox.journal.callbacks[0].url == url


@pytest.mark.parametrize("host", [SUNOAPI, KIE, APIBOX], ids=lambda host: host.name)
async def test_credits_are_a_float_on_every_host(host: Host) -> None:
    scenario = Scenario(rate_limit=None, credits=1025.6)
    async with Sandbox(scenario) as sandbox, connect(sandbox, host=host) as client:
        assert await client.credits() == 1025.6
        assert sandbox.journal.arrivals[0].path == host.credits_path


async def test_two_clients_of_one_account_share_a_window() -> None:
    rate_limit = RateLimit(calls=5, seconds=0.2)
    window = RateLimiter(rate_limit)
    async with Sandbox(Scenario(rate_limit=rate_limit)) as sandbox:
        async with (
            connect(sandbox, rate_limit=window) as first,
            connect(sandbox, rate_limit=window) as second,
        ):
            await asyncio.gather(
                *(client.credits() for client in (first, second) for _ in range(10))
            )

        assert all(arrival.admitted for arrival in sandbox.journal.arrivals)


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not for Windows")
def test_covers_are_made_on_uvloop_as_well() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def cover() -> int:
        limit = RateLimit(calls=20, seconds=0.2)
        async with Sandbox(Scenario(rate_limit=limit, seconds=(0.05, 0.2))) as sandbox:
            songs = sandbox.add_music(50)
            async with connect(sandbox, rate_limit=limit) as client:
                covers = await asyncio.gather(*map(client.generate, songs))
            async with connect(sandbox, rate_limit=limit) as client:  # polls that are due at once
                again = await asyncio.gather(*(client.wait(one.cover_task_id) for one in covers))
            assert again == covers
            return len(sandbox.journal.bills)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(cover()) == 50
