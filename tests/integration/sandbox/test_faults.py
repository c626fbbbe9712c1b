"""Faults that the sandbox plays: lost answers, resets, cut and garbled bodies."""

import asyncio
import time
from contextlib import suppress

import aiohttp
import attrs
import pytest

from suno_cover_async.sandbox import Fault, Reply
from tests.support.raw_sandbox import (
    CREDITS,
    CURL,
    SAMPLES,
    an_api,
    raw,
)


@pytest.mark.parametrize("fault", Fault)
async def test_a_submit_is_billed_exactly_when_its_fault_comes_after(fault: Fault) -> None:
    async with an_api(slow_seconds=0.01) as api:
        (music_task_id,) = api.sandbox.add_music()
        api.sandbox.script("submit", fault)
        with suppress(aiohttp.ClientError, ValueError):
            await api.submit(music_task_id)

    (arrival,) = api.sandbox.journal.of("submit")
    assert (arrival.fault, arrival.music_task_id) == (fault, music_task_id)
    assert len(api.sandbox.journal.bills) == arrival.executed == fault.executes
    assert (arrival.cover_task_id is not None) == fault.executes


@pytest.mark.parametrize("fault", [Fault.LOST_REQUEST, Fault.LOST_ANSWER])
async def test_a_lost_answer_is_a_connection_that_ends_without_a_byte(fault: Fault) -> None:
    async with an_api() as api:
        api.sandbox.script("credits", fault)
        answer = await raw(api.sandbox, CREDITS, headers=f"User-Agent: {CURL}\r\n")

    (arrival,) = api.sandbox.journal.arrivals
    assert answer == b""
    assert (arrival.status, arrival.code) == (None, None)


async def test_a_reset_is_a_tcp_reset() -> None:
    async with an_api() as api:
        api.sandbox.script("credits", Fault.RESET)

        with pytest.raises(ConnectionResetError):
            await raw(api.sandbox, CREDITS, headers=f"User-Agent: {CURL}\r\n")


async def test_a_truncated_answer_promises_more_than_it_sends() -> None:
    async with an_api() as api:
        api.sandbox.script("credits", Fault.TRUNCATED, Fault.TRUNCATED)
        answer = await raw(api.sandbox, CREDITS, headers=f"User-Agent: {CURL}\r\n")
        with pytest.raises(aiohttp.ClientPayloadError):
            await api.get(CREDITS)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    (promised,) = (int(line[15:]) for line in head.splitlines() if line[:15] == b"Content-Length:")
    assert 0 < len(body) < promised


async def test_garbage_is_no_text_at_all() -> None:
    async with an_api() as api:
        api.sandbox.script("credits", Fault.GARBAGE)
        async with api.http.get(api.sandbox.url + CREDITS) as response:
            status, body = response.status, await response.read()

    assert status == 200
    with pytest.raises(UnicodeDecodeError):
        body.decode()


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.GATEWAY, 502), (Fault.GATEWAY_AFTER, 502), (Fault.PAGE, 200)],
)
async def test_a_gateway_answers_with_a_page(fault: Fault, status: int) -> None:
    async with an_api() as api:
        api.sandbox.script("credits", fault)
        answered, body = await api.get(CREDITS)

    assert (answered, body[:9]) == (status, b"<!DOCTYPE")


@pytest.mark.parametrize(
    ("fault", "case"),
    [
        (Fault.MAINTENANCE, "maintenance_455"),
        (Fault.SERVER_ERROR, "server_error_500"),
        (Fault.SERVER_ERROR_AFTER, "server_error_500"),
    ],
)
@pytest.mark.parametrize("http_errors", [False, True])
async def test_a_broken_host_says_so_in_its_style(
    fault: Fault, case: str, http_errors: bool
) -> None:
    async with an_api(http_errors=http_errors) as api:
        api.sandbox.script("credits", fault)
        status, body = await api.get(CREDITS)

    assert body == SAMPLES[case]
    assert status == (body["code"] if http_errors else 200)


async def test_a_slow_answer_comes_late() -> None:
    async with an_api(slow=1, slow_seconds=0.05) as api:
        began = time.monotonic()
        _, body = await api.get(CREDITS)

    assert body["code"] == 200
    assert time.monotonic() - began >= 0.05


async def test_a_script_plays_in_order_and_then_chance_returns() -> None:
    verbatim = Reply(status=418, body=b"tea", headers={"Retry-After": "-1", "X-Pot": "yes"})
    async with an_api(maintenance=1) as api:
        api.sandbox.script("credits", Fault.NONE, verbatim)
        codes = [(await api.get(CREDITS))[1]["code"]]
        async with api.http.get(api.sandbox.url + CREDITS) as response:
            tea = response.status, await response.read(), response.headers["Retry-After"]
        codes.append((await api.get(CREDITS))[1]["code"])

    assert tea == (418, b"tea", "-1")
    assert codes == [200, 455]


@pytest.mark.parametrize("executes", [False, True])
async def test_a_scripted_reply_may_stand_in_for_an_executed_request(executes: bool) -> None:
    async with an_api() as api:
        api.sandbox.script("submit", Reply(body=b"{}", executes=executes))
        answer = await api.submit(*api.sandbox.add_music())

    assert answer == (200, {})
    assert len(api.sandbox.journal.bills) == executes


async def test_under_every_fault_at_once_each_music_task_is_billed_once() -> None:
    shares = dict.fromkeys(
        ("lost_requests", "lost_answers", "resets", "truncated", "garbage", "html"), 0.1
    )
    async with an_api(**shares, server_errors=0.1, maintenance=0.05, too_often=0.05) as api:
        music = api.sandbox.add_music(100)

        async def persist(music_task_id: str) -> None:
            for _ in range(200):
                with suppress(aiohttp.ClientError, ValueError):
                    _, body = await api.submit(music_task_id)
                    if body["code"] in {200, 400}:
                        return

        await asyncio.gather(*map(persist, music))

    journal = api.sandbox.journal
    executed = {one.music_task_id for one in journal.of("submit") if one.executed}
    assert sorted(bill.music_task_id for bill in journal.bills) == sorted(music)
    assert executed == set(music)
    assert {one.fault for one in journal.arrivals} == set(Fault) - {Fault.SLOW}


async def test_the_scenario_can_change_while_it_runs() -> None:
    async with an_api(maintenance=1) as api:
        _, before = await api.get(CREDITS)
        api.sandbox.scenario = attrs.evolve(api.sandbox.scenario, maintenance=0, credits=7)
        _, after = await api.get(CREDITS)

    assert (before["code"], after["data"]) == (455, 7)
