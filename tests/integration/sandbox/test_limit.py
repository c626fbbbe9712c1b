"""The sandbox's rate limit, by raw HTTP."""

import asyncio
import time

import pytest

from suno_cover_async.policies import RateLimit
from suno_cover_async.sandbox import Fault
from tests.support.raw_sandbox import (
    CREDITS,
    CURL,
    PLACEHOLDER,
    SAMPLES,
    SUBMIT,
    an_api,
    connect,
)
from tests.support.waiting import until


async def test_the_limit_refuses_what_is_over_it_and_says_when_to_return() -> None:
    async with an_api(rate_limit=RateLimit(calls=5, seconds=60), retry_after="7") as api:
        answers = await asyncio.gather(*(api.get(CREDITS) for _ in range(8)))
        async with api.http.get(api.sandbox.url + CREDITS) as response:
            assert response.headers["Retry-After"] == "7"

    refused = [body for _, body in answers if body["code"] != 200]
    assert refused == [SAMPLES["rate_429"]] * 3
    admitted = [arrival.admitted for arrival in api.sandbox.journal.arrivals]
    assert admitted == [True] * 5 + [False] * 4
    assert sum(arrival.executed for arrival in api.sandbox.journal.arrivals) == 5


@pytest.mark.parametrize(("case", "code"), [("rate_430", 430), ("rate_429", 429)])
async def test_calling_too_often_has_the_hosts_code(case: str, code: int) -> None:
    async with an_api(too_often_code=code) as api:
        api.sandbox.script("credits", Fault.TOO_OFTEN)

        assert await api.get(CREDITS) == (200, SAMPLES[case])


async def test_images_and_unknown_routes_take_no_place_in_the_limit() -> None:
    async with an_api(rate_limit=RateLimit(calls=1, seconds=60)) as api:
        for path in ("/s/1_a.png", "/nowhere", "/s/2_b.png"):
            await api.get(path)
        _, body = await api.get(CREDITS)

    assert body["code"] == 200


@pytest.mark.parametrize("counted", [{"submit"}, {"submit", "credits"}])
async def test_what_a_scenario_does_not_count_is_never_refused(counted: set[str]) -> None:
    async with an_api(rate_limit=RateLimit(calls=1, seconds=60), counted=counted) as api:
        cover_task_id = await api.cover()
        polls = [await api.details(cover_task_id) for _ in range(3)]
        _, credit = await api.get(CREDITS)
        _, second = await api.order(PLACEHOLDER)

    assert {poll["code"] for poll in polls} == {200}
    assert credit["code"] == (429 if "credits" in counted else 200)
    assert second == SAMPLES["rate_429"]


async def test_a_refused_submit_is_not_executed() -> None:
    async with an_api(rate_limit=RateLimit(calls=1, seconds=60)) as api:
        await api.get(CREDITS)
        _, body = await api.submit(*api.sandbox.add_music())

    assert body == SAMPLES["rate_429"]
    assert api.sandbox.journal.bills == []


async def test_an_arrival_is_noted_before_its_body_is_there() -> None:
    async with an_api() as api:
        _, writer = await connect(api.sandbox)
        head = f"POST {SUBMIT} HTTP/1.1\r\nHost: x\r\nUser-Agent: {CURL}\r\nContent-Length: 9"
        writer.write(f"{head}\r\n\r\n{{".encode())
        await until(lambda: bool(api.sandbox.journal.arrivals))
        writer.close()
        await writer.wait_closed()

    (arrival,) = api.sandbox.journal.arrivals
    assert (arrival.kind, arrival.executed, arrival.status) == ("submit", False, None)


async def test_the_way_there_takes_time_before_the_arrival_counts() -> None:
    async with an_api(delay=(0.02, 0.02)) as api:
        sent = time.monotonic()
        await api.get(CREDITS)
        answered = time.monotonic()

    (arrival,) = api.sandbox.journal.arrivals
    assert arrival.at - sent >= 0.019
    assert answered - arrival.at >= 0.019
