"""The API's answers in other spellings, over sockets: codes, flags, reasons, and no credits.

What answers that are not the API's mean is `test_gateway.py`'s.
"""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    APIBOX,
    KIE,
    SUNOAPI,
    AuthenticationError,
    Covered,
    CoverExistsError,
    CoverFailedError,
    CoverStatus,
    CoverTimeoutError,
    Host,
    InsufficientCreditsError,
    InvalidRequestError,
    Ledger,
    MaintenanceError,
    MusicDetails,
    NotFoundError,
    PollPolicy,
    RateLimitError,
    ServerError,
    SunoCoverError,
    TrackState,
    UnexpectedResponseError,
)
from suno_cover_async.sandbox import Reply
from tests.support import virtual_time
from tests.support.answering import ONCE, Stage, play, reply, stage
from tests.support.clients import FAST_POLL, connect
from tests.support.runs import billed, covered_to_its_end, states

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

HOSTS = [SUNOAPI, KIE, APIBOX]


def said(code: object, reason: str = "") -> Reply:
    """Word an answer of the API that executes nothing."""
    answer = reply(200, {"code": code, "msg": reason, "data": None})
    return attrs.evolve(answer, executes=False)


# --- codes and reasons -------------------------------------------------------------------------


@pytest.mark.parametrize("code", [401, "401", 401.0])
async def test_a_code_is_read_as_a_number_as_text_and_as_a_float(code: object) -> None:
    async with stage(retry=ONCE) as here:
        here.sandbox.script("details", said(code, "unauthorized"))

        error = await here.error("details")

        assert type(error) is AuthenticationError
        assert error.code == 401
        assert "unauthorized (code 401)" in str(error)


@pytest.mark.parametrize("code", [200, "200", 200.0])
async def test_an_acceptance_is_read_as_a_number_as_text_and_as_a_float(code: object) -> None:
    async with stage() as here:
        here.sandbox.script("credits", reply(200, {"code": code, "data": 7}))

        assert await here.client.credits() == 7


@pytest.mark.parametrize("code", [400, "400", 400.0, 409, "409", 409.0])
async def test_a_duplicate_is_adopted_however_its_code_is_written(code: object) -> None:
    async with stage() as here:
        data = {"taskId": here.covered.cover_task_id}
        here.sandbox.script("submit", reply(200, {"code": code, "msg": "exists", "data": data}))

        task = await here.client.submit("another-song")

        assert task.adopted
        assert task.cover_task_id == here.covered.cover_task_id


@pytest.mark.parametrize(
    "body",
    [
        {"code": 422, "message": "Please enter callBackUrl."},
        {"code": 422, "msg": None, "message": "Please enter callBackUrl."},
        {"code": 422, "msg": "", "message": "Please enter callBackUrl."},
        {"code": 422, "msg": "Please enter callBackUrl.", "message": "Please enter callBackUrl."},
        {"code": 422, "msg": "error", "message": "Please enter callBackUrl."},
    ],
)
async def test_a_reason_may_be_called_message(body: dict[str, Any]) -> None:
    async with stage(retry=ONCE) as here:
        here.sandbox.script("submit", reply(200, body))

        error = await here.error("submit")

        assert type(error) is InvalidRequestError
        assert "Please enter callBackUrl. (code 422)" in str(error)


def test_a_catalog_whose_submits_are_answered_unreadably_ends_and_repeats_none_any_further(
    tmp_path: Path,
) -> None:
    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(3)
        body = {"code": 200, "msg": "Out of order", "data": None}
        here.sandbox.script("submit", *[attrs.evolve(reply(200, body), executes=False)] * 50)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes, error = await covered_to_its_end(here.client, songs, ledger)

            assert outcomes == []
            assert type(error) is UnexpectedResponseError
            assert "it says: Out of order" in str(error)
            posts = Counter(submit.music_task_id for submit in here.sandbox.journal.of("submit"))
            assert max(posts[song] for song in songs) == 4  # the first, and three repetitions
            assert {*states(ledger)} <= {TrackState.SUBMITTING, TrackState.WAITING}

    play(scene)


@pytest.mark.parametrize("key", ["msg", "message"])
async def test_a_duplicate_without_an_id_is_known_by_its_reason_under_either_name(key: str) -> None:
    async with stage(retry=ONCE) as here:
        body = {"code": 400, key: "Cover already exists for this task"}
        here.sandbox.script("submit", reply(200, body))

        assert type(await here.error("submit")) is CoverExistsError


# --- flags and error codes ---------------------------------------------------------------------


def record(here: Stage, **more: object) -> Reply:
    data = {"taskId": here.covered.cover_task_id, "parentTaskId": "another-song"} | more
    return reply(200, {"code": 200, "msg": "success", "data": data})


IMAGES = {"response": {"images": ["https://images.example/a.png"]}}


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (0, CoverStatus.PENDING),
        (1, CoverStatus.SUCCESS),
        (2, CoverStatus.GENERATING),
        (3, CoverStatus.FAILED),
    ],
)
@pytest.mark.parametrize("write", [int, str, float], ids=lambda write: write.__name__)
async def test_a_flag_is_read_as_a_number_as_text_and_as_a_float(
    number: int, status: CoverStatus, write: type
) -> None:
    async with stage() as here:
        here.sandbox.script("details", record(here, successFlag=write(number), **IMAGES))

        details = await here.client.details(here.covered)

        assert details.status is status


@pytest.mark.parametrize("code", [501, "501", 501.0])
async def test_an_error_code_is_read_as_a_number_as_text_and_as_a_float(code: object) -> None:
    async with stage() as here:
        failed = record(here, successFlag="3", errorCode=code, errorMessage="no picture")
        here.sandbox.script("details", failed)

        with pytest.raises(CoverFailedError, match="no picture") as caught:
            await here.client.wait(here.covered)

        assert caught.value.details.error_code == 501
        assert caught.value.code == 501


@pytest.mark.parametrize("none", [0, 200, "0", "200", 200.0, "", None, "CREATE_FAILED", True])
async def test_what_means_no_error_is_none_however_it_is_written(none: object) -> None:
    async with stage() as here:
        here.sandbox.script("details", record(here, successFlag="1", errorCode=none, **IMAGES))

        assert (await here.client.details(here.covered)).error_code is None


# --- 201 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201])
@pytest.mark.parametrize("code", [201, "201"])
def test_201_without_data_is_pending_even_after_the_grace(code: object, status: int) -> None:
    running = reply(status, {"code": code, "msg": "running", "data": None})

    async def scene(here: Stage) -> None:
        here.sandbox.script("details", *[running] * 9)
        known = here.covered.cover_task_id

        poll = await here.client.details(known)
        began = asyncio.get_running_loop().time()
        details = await here.client.wait(known, timeout=900)

        assert (poll.cover_task_id, poll.status) == (known, CoverStatus.PENDING)
        assert details.status is CoverStatus.SUCCESS
        assert asyncio.get_running_loop().time() - began > 60
        assert len(here.moments("details")) == 10

    play(
        scene,
        poll=PollPolicy(initial_delay=10, min_interval=15, max_interval=15, not_found_grace=60),
    )


def test_null_with_code_200_is_still_unknown_after_the_grace() -> None:
    async def scene(here: Stage) -> None:
        here.sandbox.script("details", *[said(200)] * 20)

        with pytest.raises(NotFoundError):
            await here.client.wait(here.covered.cover_task_id, timeout=900)

    play(
        scene,
        poll=PollPolicy(initial_delay=10, min_interval=15, max_interval=15, not_found_grace=60),
    )


async def test_201_with_data_is_read_like_200() -> None:
    async with stage() as here:
        data = {"taskId": here.covered.cover_task_id, "successFlag": 1} | IMAGES
        here.sandbox.script("details", reply(201, {"code": 201, "data": data}))

        details = await here.client.details(here.covered.cover_task_id)

        assert details.status is CoverStatus.SUCCESS
        assert len(details.images) == 1


def test_music_with_201_and_no_data_is_pending_and_waited_for() -> None:
    async def scene(here: Stage) -> None:
        here.sandbox.script("music", *[said(201, "running")] * 3)

        poll = await here.client.music_details(here.song)
        ready = await here.client.wait_for_music(here.song)

        assert poll == MusicDetails(music_task_id=here.song, status="PENDING")
        assert not poll.failed
        assert ready.ready

    play(scene)


def test_a_submit_accepted_with_201_is_a_submit_and_is_billed_once() -> None:
    async def scene(here: Stage) -> None:
        data = {"taskId": "its-cover-task"}
        here.sandbox.script("submit", reply(201, {"code": 201, "msg": "created", "data": data}))

        task = await here.client.submit(here.song)

        assert (task.cover_task_id, task.adopted) == ("its-cover-task", False)
        assert len(here.moments("submit")) == 1

    play(scene)


@pytest.mark.parametrize("data", [None, {}, {"taskId": 5}, {"taskId": ""}])
def test_a_submit_with_201_and_no_id_is_possibly_billed(data: object) -> None:
    odd = reply(200, {"code": 201, "msg": "running", "data": data})

    async def scene(here: Stage) -> None:
        here.sandbox.script("submit", odd)

        task = await here.client.submit(here.song)

        assert task.adopted
        assert billed(here.sandbox)[here.song] == 1
        first, second = here.moments("submit")
        assert second - first >= 1

    async def alone(here: Stage) -> None:
        here.sandbox.script("submit", odd)

        error = await here.error("submit")

        assert type(error) is UnexpectedResponseError
        assert error.code == 201
        assert error.possibly_billed

    play(scene)
    play(alone, retry=ONCE)


async def test_credits_with_201_and_no_data_are_no_credits_at_all() -> None:
    async with stage(retry=ONCE) as here:
        here.sandbox.script("credits", said(201))

        assert type(await here.error("credits")) is UnexpectedResponseError


# --- no credits, in other words ----------------------------------------------------------------

NO_CREDITS = [
    "Insufficient credits",
    "Insufficient balance, please recharge",
    "Insufficient balance",
    "Please recharge",
    "Not enough funds: top up your account",
    "Top-up required",
    "Please topup first",
    "积分不足",
    "账户余额不足",
    "餘額不足",
    "You have no credits left",
    "You ran out of credits",
]
TOO_OFTEN = [
    "Your call frequency is too high. Please try again later.",
    "Too many requests",
    "Rate limit exceeded",
    "rate_limit reached for this credit plan",
    "请求过于频繁",
    "Too many requests. No credits were charged.",
    "Slow down. Your balance is unaffected.",
    "Request limit exceeded for your credit plan",
    "Too frequent, no more than 20 requests; see your credit plan",
    "Load balancer busy",
    "Please stop uploading",
    "操作太快, 不扣除积分",
    "",
]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
@pytest.mark.parametrize("code", [429, "429", 402, 400, 403, 405, 409, 422, 430, 433, 455, 500])
@pytest.mark.parametrize("reason", NO_CREDITS)
async def test_no_credits_in_other_words_is_no_credits_on_every_host(
    reason: str, code: object, host: Host
) -> None:
    async with stage(retry=ONCE, host=host) as here:
        here.sandbox.script("submit", said(code, reason))

        error = await here.error("submit")

        assert type(error) is InsufficientCreditsError
        assert reason in str(error)
        assert not error.retryable
        assert not here.client.possibly_billed
        assert len(here.moments("submit")) == 1


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
@pytest.mark.parametrize("reason", TOO_OFTEN)
async def test_calling_too_often_stays_a_rate_limit(reason: str, host: Host) -> None:
    for code in host.rate_codes:
        async with stage(retry=ONCE, host=host) as here:
            here.sandbox.script("submit", said(code, reason))

            assert type(await here.error("submit")) is RateLimitError


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (401, "Your balance cannot be read with this key", AuthenticationError),
        (403, "Not allowed to use these credits", AuthenticationError),
        (401, "Insufficient credits of trust", AuthenticationError),
        (404, "No such credit record", NotFoundError),
        (408, "Upstream timeout, credits refunded", ServerError),
        (455, "Maintenance; your balance is safe", MaintenanceError),
        (500, "Failed, credits refunded", ServerError),
        (400, "Cover already exists, no credits were used", CoverExistsError),
        (409, "The record exists: no credits were used", CoverExistsError),
        (422, "Original music record does not exist", InvalidRequestError),
        (422, "The record does not exist, no credits were deducted", InvalidRequestError),
        (400, "Bad request; credits refunded", InvalidRequestError),
        (422, "Rejected. Credits have been returned to your balance", InvalidRequestError),
        (422, "Song title 'Credit Card' is not allowed", InvalidRequestError),
        (422, "Please stop uploading", InvalidRequestError),
    ],
)
@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
async def test_credits_in_the_reason_of_another_refusal_change_nothing(
    code: int, reason: str, kind: type[SunoCoverError], host: Host
) -> None:
    async with stage(retry=ONCE, host=host) as here:
        here.sandbox.script("submit", said(code, reason))

        assert type(await here.error("submit")) is kind


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_a_catalog_without_credits_stops_and_does_not_loop(host: Host, tmp_path: Path) -> None:
    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(20)
        refused = said(429, "Insufficient balance, please recharge")
        here.sandbox.script("submit", refused, refused, refused, *[refused] * 50)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes, reason = await covered_to_its_end(here.client, songs, ledger)
            left = states(ledger)
            here.sandbox._scripts.clear()  # somebody paid
            async with connect(here.sandbox, host=host) as client_of_tomorrow:
                again, end = await covered_to_its_end(client_of_tomorrow, songs, ledger)

        assert type(reason) is InsufficientCreditsError
        assert not outcomes
        assert left == {TrackState.WAITING: 20}
        assert end is None
        assert [type(outcome) for outcome in again] == [Covered] * 20
        assert len(here.moments("submit")) <= 3 + 20
        assert {one: billed(here.sandbox)[one] for one in songs} == Counter(songs)

    play(scene, host=host, concurrency=3)


# --- time-outs ---------------------------------------------------------------------------------


def late(*records: dict[str, object]) -> str:
    """Wait in vain for a cover whose last polls bring these records; return the message."""

    async def scene() -> str:
        async with stage(poll=FAST_POLL) as here:
            replies = [record(here, successFlag=4, **more) for more in records]
            here.sandbox.script("details", *replies, *[replies[-1]] * 500)
            with pytest.raises(CoverTimeoutError) as caught:
                await here.client.wait(here.covered, timeout=1)
            return str(caught.value)

    return virtual_time.run(scene())


@pytest.mark.parametrize("code", [501, "501", 501.0])
def test_a_time_out_quotes_the_error_of_the_record_itself(code: object) -> None:
    words = late({"errorCode": code, "errorMessage": "the model is overloaded"})

    assert "its record says: the model is overloaded (code 501)" in words


def test_a_time_out_quotes_a_code_without_words_and_words_without_a_code() -> None:
    assert "(code 531)" in late({"errorCode": 531, "errorMessage": ""})
    assert "says: queued" in late({"errorCode": None, "errorMessage": "queued"})
    assert "record says" not in late({"errorCode": 0, "errorMessage": ""})
    assert "record says" not in late({"errorCode": 501}, {"errorCode": 200})


def test_the_error_that_a_time_out_quotes_is_bounded_and_printable() -> None:
    words = late({"errorCode": 10**4000, "errorMessage": "\x1b[2J" * 5_000})

    assert words.isprintable()
    assert len(words) < 700


def test_a_cover_that_is_a_success_without_images_is_quoted_as_well() -> None:
    async def scene() -> str:
        async with stage(
            poll=PollPolicy(initial_delay=0.5, min_interval=0.5, max_interval=0.5)
        ) as here:
            empty = record(here, successFlag=1, errorCode=531, errorMessage="refunded")
            here.sandbox.script("details", *[empty] * 9)
            with pytest.raises(CoverTimeoutError) as caught:
                await here.client.wait(here.covered, timeout=1)
            return str(caught.value)

    assert "refunded (code 531)" in virtual_time.run(scene())
