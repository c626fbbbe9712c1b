"""A client whose host breaks or goes away: probes only, and no work lost."""

import asyncio
import contextlib
import itertools
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    InvalidRequestError,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SunoCoverClient,
    TransportError,
)
from suno_cover_async.resilience.circuit_breaker import Admission
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.breakers import fail, now, shut
from tests.support.clients import connect
from tests.support.virtual_time import run
from tests.support.waiting import until

NOWHERE = "http://127.0.0.1:9"

BROKEN = Scenario(rate_limit=None, server_errors=1.0)

HEALTHY = Scenario(rate_limit=None, polls=1)

PROBING = RetryPolicy(
    initial_delay=0.001, max_delay=0.01, max_attempts=50, probe_delay=0.01, max_probe_delay=0.05
)

RARELY = RetryPolicy(max_attempts=1, probe_delay=3600, max_probe_delay=3600)

sockets = pytest.mark.usefixtures("no_task_is_left_behind")


async def break_down(client: SunoCoverClient) -> None:
    """Have polls open the breaker."""
    polls = [client.details(f"cover-{number}") for number in range(5)]
    await asyncio.gather(*polls, return_exceptions=True)
    assert client.breakers.api.is_open


@sockets
async def test_while_the_host_is_broken_nothing_but_probes_goes_out() -> None:
    rate_limit = RateLimit(calls=20, seconds=0.5)
    async with (
        Sandbox(BROKEN) as sandbox,
        connect(sandbox, rate_limit=rate_limit, retry=PROBING) as client,
    ):
        with client.breakers.api.armed():
            calls = [asyncio.create_task(client.credits()) for _ in range(100)]
            await until(lambda: len(sandbox.journal.arrivals) >= 26)
            sandbox.scenario = HEALTHY
            await asyncio.gather(*calls)

        assert client.breakers.api.times_opened == 1
        arrivals = [arrival.at for arrival in sandbox.journal.arrivals]
        probes = arrivals[20:27]  # the first 20 were under way when it closed
        gaps = [after - before for before, after in itertools.pairwise(probes)]
        for gap, wait in zip(gaps, [0.02, 0.04, 0.05, 0.05, 0.05], strict=False):
            assert gap >= 0.9 * wait - 0.001
        assert len(sandbox.journal.arrivals) == 20 + 6 + 100


@sockets
async def test_work_goes_on_when_the_host_that_was_gone_is_back() -> None:
    sandbox = Sandbox(Scenario(rate_limit=None, polls=1))
    async with contextlib.AsyncExitStack() as stack:
        async with sandbox:
            client = await stack.enter_async_context(connect(sandbox, retry=PROBING))
            stack.enter_context(client.breakers.api.armed())
            songs = sandbox.add_music(30)
            early = await asyncio.gather(*(client.submit(song) for song in songs[:10]))
        waits = [asyncio.create_task(client.wait(task)) for task in early]
        covers = [asyncio.create_task(client.generate(song)) for song in songs[10:]]
        await until(lambda: client.breakers.api.times_opened)
        assert client.breakers.api.is_open
        async with sandbox:
            details = await asyncio.gather(*waits, *covers)

            assert [cover.music_task_id for cover in details] == songs
            assert not client.breakers.api.is_open
            assert client.breakers.api.times_opened == 1
        assert sorted(bill.music_task_id for bill in sandbox.journal.bills) == sorted(songs)


@sockets
async def test_unarmed_every_request_has_its_own_tries() -> None:
    retry = RetryPolicy(initial_delay=0.001, max_delay=0.002, max_attempts=3)
    async with Sandbox(BROKEN) as sandbox, connect(sandbox, retry=retry) as client:
        with client.breakers.api.armed():
            pass
        outcomes = await asyncio.gather(
            *(client.credits() for _ in range(10)), return_exceptions=True
        )

        assert all(isinstance(outcome, ServerError) for outcome in outcomes)
        assert len(sandbox.journal.arrivals) == 30
        assert client.breakers.api.times_opened == 0


@sockets
async def test_a_refusal_opens_the_breaker_and_calling_too_often_does_not() -> None:
    retry = RetryPolicy(max_attempts=1, probe_delay=0.01, max_probe_delay=0.05)
    rate_limit = RateLimit(calls=1000, seconds=0.01)
    async with (
        Sandbox(BROKEN) as sandbox,
        connect(sandbox, rate_limit=rate_limit, retry=retry) as client,
    ):
        with client.breakers.api.armed():
            await break_down(client)
            sandbox.script("credits", Fault.TOO_OFTEN)
            with pytest.raises(RateLimitError):
                await client.credits()
            assert client.breakers.api.is_open
            sandbox.scenario = HEALTHY
            sandbox.script("credits", Reply(status=422, body=b'{"code":422,"msg":"no"}'))
            with pytest.raises(InvalidRequestError):
                await client.credits()
            assert not client.breakers.api.is_open


def test_a_submit_that_was_not_let_in_ends_at_the_deadline_and_is_not_possibly_billed() -> None:
    async def scenario() -> tuple[float, TransportError]:
        retry = RetryPolicy(
            max_attempts=9, total_timeout=45, probe_delay=3600, max_probe_delay=3600
        )
        client = SunoCoverClient("key-of-a-test", base_url=NOWHERE, retry=retry)
        async with client, shut(client.breakers.submit):
            with pytest.raises(TransportError, match=r"for 45 s .*nothing was sent") as caught:
                await client.submit("a-song")
            assert client.possibly_billed == ()
            return now(), caught.value

    ended, error = run(scenario())

    assert ended == 45
    assert error.retryable
    assert not error.possibly_billed
    assert error.music_task_id == "a-song"


def test_all_waits_of_an_attempt_share_one_deadline() -> None:
    """A host in trouble again and again holds no attempt for longer than one outage does."""

    async def scenario() -> float:
        window = RateLimiter(RateLimit(calls=1, seconds=3600))
        retry = RetryPolicy(total_timeout=60, probe_delay=3600, max_probe_delay=3600)
        async with SunoCoverClient(
            "key-of-a-test", base_url=NOWHERE, rate_limit=window, retry=retry
        ) as client:
            slot = await window.acquire()
            async with shut(client.breakers.submit):
                waiting = asyncio.create_task(client.submit("a-song"))
                await asyncio.sleep(40)
                client.breakers.submit.record(Admission(times_opened=1), "an answer")
                await asyncio.sleep(1000)  # in the limiter's queue
                assert window.busy
                await fail(client.breakers.submit)
                window.return_unused(slot)
                with pytest.raises(TransportError, match="in trouble for 20 s"):
                    await waiting
                return now()

    assert run(scenario()) == 40 + 1000 + 20


@sockets
async def test_a_possibly_billed_submit_stays_so_when_an_outage_outlasts_it() -> None:
    retry = attrs.evolve(RARELY, max_attempts=9, initial_delay=0.001, total_timeout=1.3)
    async with Sandbox(HEALTHY) as sandbox, connect(sandbox, retry=retry) as client:
        songs = sandbox.add_music(5)
        sandbox.script("submit", *[Fault.LOST_ANSWER] * 5)
        # They wait 1 s as possibly billed submits must, and then at the breaker.
        with client.breakers.submit.armed():
            ends = await asyncio.gather(
                *(client.submit(song) for song in songs), return_exceptions=True
            )
        assert len(sandbox.journal.arrivals) == 5
        for end in ends:
            assert isinstance(end, TransportError)
            assert "nothing was sent" in str(end)
            assert end.possibly_billed
        assert sorted(client.possibly_billed) == sorted(songs)

        tasks = await asyncio.gather(*(client.submit(song) for song in songs))

        assert all(task.adopted for task in tasks)
        assert len(sandbox.journal.bills) == 5


@sockets
async def test_submits_in_trouble_pause_by_themselves_while_polls_go_on() -> None:
    no_submits = attrs.evolve(BROKEN, faults_on=frozenset({"submit"}))
    async with Sandbox(no_submits) as sandbox, connect(sandbox, retry=RARELY) as client:
        songs = sandbox.add_music(30)
        with client.breakers.api.armed(), client.breakers.submit.armed():
            submits = [asyncio.create_task(client.submit(song)) for song in songs[:5]]
            await asyncio.wait(submits)
            submits = [asyncio.create_task(client.submit(song)) for song in songs[5:]]
            assert [await client.credits() for _ in range(10)]

            assert not client.breakers.api.is_open
            assert client.breakers.submit.is_open
            assert len(sandbox.journal.of("submit")) == 5
            sandbox.scenario = HEALTHY
        await asyncio.gather(*submits)


@pytest.mark.parametrize("name", ["probe_delay", "max_probe_delay"])
@pytest.mark.parametrize("nonsense", [0, -1, float("inf"), float("nan")])
def test_waits_that_are_no_numbers_above_0_are_refused(name: str, nonsense: float) -> None:
    policy: dict[str, Any] = {name: nonsense}
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**policy)
