"""Never be refused for calling too often, over real sockets with a network that dawdles."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from suno_cover_async import RateLimit, RateLimitError, RetryPolicy
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.clients import FAST_RETRY, connect

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_a_thousand_requests_are_never_refused() -> None:
    rate_limit = RateLimit(calls=20, seconds=0.1)
    scenario = Scenario(rate_limit=rate_limit, delay=(0.0, 0.008))
    async with Sandbox(scenario) as sandbox, connect(sandbox, rate_limit=rate_limit) as client:
        await asyncio.gather(*(client.credits() for _ in range(1000)))

        arrivals = sandbox.journal.arrivals
        assert len(arrivals) == 1000
        assert all(arrival.admitted for arrival in arrivals)


async def test_retries_count_too_and_none_is_refused_under_faults() -> None:
    rate_limit = RateLimit(calls=20, seconds=0.2)
    scenario = Scenario(
        rate_limit=rate_limit,
        delay=(0.0, 0.02),
        lost_requests=0.1,
        resets=0.1,
        html=0.1,
        server_errors=0.1,
    )
    async with Sandbox(scenario) as sandbox:
        async with connect(
            sandbox, rate_limit=rate_limit, retry=RetryPolicy(initial_delay=0.001, max_attempts=9)
        ) as client:
            client.trust_base_url()  # so that a gateway's answer is no sign of a wrong address
            await asyncio.gather(*(client.credits() for _ in range(200)))

        assert len(sandbox.journal.arrivals) > 250
        assert all(arrival.admitted for arrival in sandbox.journal.arrivals)


async def test_no_time_in_the_queue_counts_against_a_request() -> None:
    rate_limit = RateLimit(calls=1, seconds=0.2)
    retry = RetryPolicy(initial_delay=0.001, attempt_timeout=0.3, total_timeout=0.3, max_attempts=2)
    async with Sandbox(Scenario(rate_limit=None)) as sandbox:
        async with connect(sandbox, rate_limit=rate_limit, retry=retry) as client:
            sandbox.script("credits", *[Fault.NONE] * 3, Fault.RESET)
            balances = await asyncio.gather(*(client.credits() for _ in range(6)))

        assert len(balances) == 6
        assert len(sandbox.journal.arrivals) == 7


async def test_callers_who_leave_early_cause_no_refusal() -> None:
    rate_limit = RateLimit(calls=20, seconds=0.5)
    async with Sandbox(Scenario(rate_limit=rate_limit, delay=(0.0, 0.4))) as sandbox:
        async with connect(sandbox, rate_limit=rate_limit) as client:

            async def hurried() -> None:
                async with asyncio.timeout(0.2):
                    await client.credits()

            await asyncio.gather(*(hurried() for _ in range(20)), return_exceptions=True)
            await asyncio.gather(*(client.credits() for _ in range(40)))

        assert all(arrival.admitted for arrival in sandbox.journal.arrivals)


async def test_polls_share_the_limit_with_submits() -> None:
    rate_limit = RateLimit(calls=10, seconds=0.3)
    async with Sandbox(Scenario(rate_limit=rate_limit, polls=3)) as sandbox:
        async with connect(sandbox, rate_limit=rate_limit) as client:
            await asyncio.gather(*(client.generate(m) for m in sandbox.add_music(20)))

        assert len(sandbox.journal.of("details")) == 60
        assert all(arrival.admitted for arrival in sandbox.journal.arrivals)


async def test_polls_have_a_limit_of_their_own_where_one_is_given() -> None:
    rate_limit, poll_rate_limit = RateLimit(calls=4, seconds=0.2), RateLimit(calls=100, seconds=0.2)
    async with Sandbox(Scenario(rate_limit=None, polls=5)) as sandbox:
        async with connect(
            sandbox, rate_limit=rate_limit, poll_rate_limit=poll_rate_limit
        ) as client:
            await asyncio.gather(*(client.generate(m) for m in sandbox.add_music(8)))

        submits = [arrival.at for arrival in sandbox.journal.of("submit")]
        assert submits[4] - submits[0] >= rate_limit.seconds
        assert len(sandbox.journal.of("details")) == 40


async def test_a_refusal_makes_everybody_wait() -> None:
    scenario = Scenario(rate_limit=None, retry_after="1")
    async with Sandbox(scenario) as sandbox, connect(sandbox) as client:
        sandbox.script("credits", Fault.TOO_OFTEN)

        await client.credits()
        await asyncio.gather(*(client.credits() for _ in range(10)))

        first, *others = sandbox.journal.arrivals
        assert len(others) == 11
        assert all(other.at - first.at >= 1.0 for other in others)


@pytest.mark.parametrize(
    ("header", "least"),
    [
        ("0.3", 0.3),
        ("in 2 s", 0.9),  # an HTTP date has whole seconds
        ("0", 0.1),
        ("-1", 0.1),
        ("nan", 0.1),
        ("9" * 35, 0.1),
        ("Fri, 01 Jan 100000 00:00:00 GMT", 0.1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 0.1),
        (None, 0.1),
    ],
)
async def test_each_form_of_retry_after_is_waited_for_or_one_window_instead(
    header: str | None, least: float
) -> None:
    if header == "in 2 s":
        header = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    scenario = Scenario(rate_limit=None, retry_after=header)
    rate_limit = RateLimit(calls=1000, seconds=0.1)
    async with Sandbox(scenario) as sandbox, connect(sandbox, rate_limit=rate_limit) as client:
        sandbox.script("credits", Fault.TOO_OFTEN)

        await client.credits()

        refused, accepted = sandbox.journal.arrivals
        assert least <= accepted.at - refused.at < least + 30


async def test_refusals_without_end_become_an_error_that_says_how_long_to_stay_away() -> None:
    scenario = Scenario(rate_limit=None, too_often=1.0, retry_after="0.05")
    retry = RetryPolicy(max_attempts=3, initial_delay=FAST_RETRY.initial_delay)
    async with Sandbox(scenario) as sandbox, connect(sandbox, retry=retry) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.credits()

        assert caught.value.retry_after == 0.05
        assert caught.value.retryable
        assert len(sandbox.journal.arrivals) == 3
