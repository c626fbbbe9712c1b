"""The log of requests: one line for each, once it ended, and never the key."""

import asyncio
import logging

import pytest

from suno_cover_async import APIError, SunoCoverError
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.http.request_log import log_request
from suno_cover_async.protocol import requests
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.sandbox import Fault, Scenario
from tests.support.answering import ONCE
from tests.support.breakers import now
from tests.support.calls import calling
from tests.support.clients import FREE
from tests.support.memory_network import eventually, in_memory

KEY = "sk-log-5f1c"


@pytest.fixture
def info(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "suno_cover_async")
    return caplog


@in_memory
async def log_of(info: pytest.LogCaptureFixture, *steps: Fault) -> list[str]:
    """Make calls that end as scripted, a submit and a poll at last; return the lines."""
    async with calling(FREE, retry=ONCE) as calls:
        calls.sandbox.script("credits", *steps)
        for _ in steps:
            with pytest.raises(SunoCoverError):
                await calls.credits()
        (song,) = calls.sandbox.add_music(1)
        task = await calls.submit(song)
        await calls.transport.get(requests.details(task.cover_task_id))
        assert task.cover_task_id in info.messages[-1]
    return [record.message for record in info.records if record.levelno == logging.INFO]


def test_each_request_is_a_line_with_method_path_status_code_and_milliseconds(
    info: pytest.LogCaptureFixture,
) -> None:
    submit, details = log_of(info)

    assert submit.startswith("POST /api/v1/suno/cover/generate: 200, code 200, ")
    assert details.startswith("GET /api/v1/suno/cover/record-info?taskId=")
    assert details.partition(": ")[2].startswith("200, code 200, ")
    assert submit.endswith(" ms")
    assert details.endswith(" ms")


def test_a_failure_is_a_line_with_its_words(info: pytest.LogCaptureFixture) -> None:
    refused, broken, cut, *_ = log_of(info, Fault.TOO_OFTEN, Fault.SERVER_ERROR, Fault.LOST_ANSWER)

    path = "GET /api/v1/generate/credit: "
    assert refused.startswith(f"{path}200, code 429, ")
    assert " ms: " in refused
    assert "(code 429)" in refused
    assert broken.startswith(path)
    assert "code 500, " in broken
    assert cut.startswith(path)
    assert " ms: no answer from http" in cut
    assert "code" not in cut.removeprefix(path)


@in_memory
async def test_the_milliseconds_are_those_of_the_answer(info: pytest.LogCaptureFixture) -> None:
    slow = Scenario(rate_limit=None, slow=1.0, slow_seconds=2.5)
    async with calling(slow) as calls:
        began = now()
        await calls.credits()
        assert now() - began >= 2.5

    assert info.messages[0].endswith(", 2500 ms")


@in_memory
async def test_a_request_that_its_caller_left_is_a_line_too(
    info: pytest.LogCaptureFixture,
) -> None:
    slow = Scenario(rate_limit=None, slow=1.0, slow_seconds=60)
    async with calling(slow) as calls:
        caller = asyncio.create_task(calls.credits())
        await eventually(lambda: calls.sandbox.journal.arrivals)
        caller.cancel()
        await asyncio.wait([caller])

    assert info.messages[0].startswith("GET /api/v1/generate/credit: ")
    assert info.messages[0].endswith(" ms: CancelledError")


@in_memory
async def test_nothing_is_logged_of_requests_at_the_level_of_warnings(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "suno_cover_async")
    async with calling() as calls:
        await calls.credits()

    assert not caplog.messages


def line_of(info: pytest.LogCaptureFixture, cover_task_id: str, outcome: object) -> str:
    key = ApiKey(KEY)
    key.check()
    call = requests.details(cover_task_id)
    log_request(call, Answer(200, "{}"), outcome, took=0.0, key=key)
    return info.messages[-1]


@pytest.mark.parametrize(
    "outcome", [None, SunoCoverError(f"it says {KEY}"), APIError("refused", code=10**30)]
)
def test_a_key_given_as_an_id_or_said_by_the_host_is_not_shown(
    outcome: object, info: pytest.LogCaptureFixture
) -> None:
    assert KEY not in line_of(info, KEY, outcome)
    assert "[key]" in info.messages[-1]


def test_a_line_has_no_control_characters_and_stays_short(info: pytest.LogCaptureFixture) -> None:
    line = line_of(info, "c", SunoCoverError("a\nb\x1b[31m" + "x" * 10_000))

    assert "a?b?[31m" in line
    assert len(line) <= 2_000


def test_a_key_at_the_end_of_what_fits_in_a_line_is_shown_in_no_part(
    info: pytest.LogCaptureFixture,
) -> None:
    before = len(line_of(info, "c", SunoCoverError("")))
    words = "x" * (2_000 - before - len(KEY) // 2)

    line = line_of(info, "c", SunoCoverError(words + KEY))

    assert KEY[:4] not in line
