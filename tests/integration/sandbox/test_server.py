"""The sandbox judged with raw HTTP and the documented and recorded bodies, never by our client."""

import asyncio
import subprocess
import sys
import time
from typing import Any

import aiohttp
import pytest

from suno_cover_async.policies import RateLimit
from suno_cover_async.protocol.values import Times
from suno_cover_async.sandbox import DuplicateId, Fault, Reply, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.raw_sandbox import (
    CREDITS,
    CURL,
    DETAILS,
    SAMPLES,
    SUBMIT,
    Mailbox,
    an_api,
    calling,
    connect,
    raw,
    said,
    shape,
)
from tests.support.waiting import until

MUSIC = "/api/v1/generate/record-info"


async def test_a_submit_is_answered_as_documented() -> None:
    async with an_api() as api:
        status, body = await api.submit(*api.sandbox.add_music())

    assert (status, said(body)) == (200, said(SAMPLES["create_success"]))
    assert shape(body) == shape(SAMPLES["create_success"])


async def test_details_are_as_recorded_at_every_status() -> None:
    async with an_api(polls=3) as api:
        cover_task_id = await api.cover()
        polls = [await api.details(cover_task_id) for _ in range(3)]
        failing = await api.cover(fails=True)
        failed = [await api.details(failing) for _ in range(3)][-1]

    cases = ("details_pending", "details_generating", "details_success_live", "details_failed")
    for body, case in zip([*polls, failed], cases, strict=True):
        assert shape(body) == shape(SAMPLES[case]), case
        assert body["data"]["successFlag"] == SAMPLES[case]["data"]["successFlag"], case
    assert failed["data"]["errorMessage"] == SAMPLES["details_failed"]["data"]["errorMessage"]


async def test_moments_are_written_as_documented_when_asked_for() -> None:
    async with an_api(times=Times.ISO) as api:
        body = await api.details(await api.cover())

    data, documented = body["data"], SAMPLES["details_success_docs"]["data"]
    for name in ("createTime", "completeTime"):
        assert len(data[name]) == len(documented[name])
        assert (data[name][10], data[name][-1]) == ("T", "Z")


async def test_moments_are_of_this_very_moment() -> None:
    async with an_api() as api:
        body = await api.details(await api.cover())

    assert abs(body["data"]["createTime"] / 1000 - time.time()) < 60


async def test_an_unknown_cover_task_is_null_data() -> None:
    async with an_api() as api:
        assert await api.details("nobody") == SAMPLES["details_unknown_or_not_yet_visible"]
        assert await api.get(DETAILS) == (200, SAMPLES["details_unknown_or_not_yet_visible"])


async def test_a_new_cover_task_is_null_data_at_first() -> None:
    async with an_api(null_polls=1) as api:
        cover_task_id = await api.cover()

        assert (await api.details(cover_task_id))["data"] is None
        assert (await api.details(cover_task_id))["data"]["successFlag"] == 1


@pytest.mark.parametrize(
    ("case", "fields"),
    [
        ("create_duplicate_400", {}),
        ("create_duplicate_400_without_id", {"duplicate_id": DuplicateId.ABSENT}),
        ("create_conflict_409", {"duplicate_code": 409}),
    ],
)
async def test_a_duplicate_is_refused_as_the_docs_say_and_not_billed(
    case: str, fields: dict[str, Any]
) -> None:
    async with an_api(**fields) as api:
        (music_task_id,) = api.sandbox.add_music()
        _, first = await api.submit(music_task_id)
        status, second = await api.submit(music_task_id)

    assert (status, said(second)) == (200, said(SAMPLES[case]))
    assert shape(second) == shape(SAMPLES[case])
    assert second["data"] in (None, first["data"])
    assert len(api.sandbox.journal.bills) == 1


async def test_a_duplicate_may_name_a_cover_of_another_music_task() -> None:
    async with an_api(duplicate_id=DuplicateId.WRONG) as api:
        (music_task_id,) = api.sandbox.add_music()
        _, first = await api.submit(music_task_id)
        _, second = await api.submit(music_task_id)
        details = await api.details(second["data"]["taskId"])

    assert second["data"] != first["data"]
    assert details["data"]["parentTaskId"] != music_task_id


@pytest.mark.parametrize("callback_url", [None, "", 5])
async def test_a_submit_without_a_callback_url_is_invalid(callback_url: object) -> None:
    async with an_api() as api:
        (music_task_id,) = api.sandbox.add_music()
        answer = await api.submit(music_task_id, callback_url)

    assert answer == (200, SAMPLES["validation_422_missing_callback"])
    assert api.sandbox.journal.bills == []


@pytest.mark.parametrize("music_task_id", ["nobody", "", None, 5, ["x"]])
async def test_a_submit_for_unknown_music_is_invalid(music_task_id: object) -> None:
    async with an_api() as api:
        answer = await api.submit(music_task_id)

    assert answer == (200, SAMPLES["validation_422_unknown_music_task"])


@pytest.mark.parametrize("body", [[], "x", None, {}])
async def test_nonsense_for_a_body_is_invalid(body: object) -> None:
    async with an_api() as api:
        assert await api.send(body) == (200, SAMPLES["validation_422_missing_callback"])


@pytest.mark.parametrize(
    ("case", "code"), [("insufficient_credits_402", 402), ("insufficient_credits_as_429", 429)]
)
async def test_credits_run_out(case: str, code: int) -> None:
    async with an_api(credits=5, price=5, no_credits_code=code) as api:
        await api.cover()
        answer = await api.submit(*api.sandbox.add_music())

    assert answer == (200, SAMPLES[case])


@pytest.mark.parametrize(
    ("path", "case"), [(CREDITS, "credits_sunoapi"), ("/api/v1/chat/credit", "credits_kie")]
)
async def test_both_credits_paths_tell_the_balance_as_a_float(path: str, case: str) -> None:
    async with an_api(credits=1030.6, price=5) as api:
        await api.cover()
        _, body = await api.get(path)

    assert shape(body) == shape(SAMPLES[case])
    assert body["data"] == 1025.6


async def test_music_details_follow_the_music() -> None:
    async with an_api() as api:
        (music_task_id,) = api.sandbox.add_music(1, status="GENERATING")
        _, before = await api.get(MUSIC, taskId=music_task_id)
        api.sandbox.set_music(music_task_id, "SUCCESS")
        _, after = await api.get(MUSIC, taskId=music_task_id)
        _, unknown = await api.get(MUSIC, taskId="nobody")

    assert (before["data"]["taskId"], before["data"]["status"]) == (music_task_id, "GENERATING")
    assert before["data"]["response"] is None
    assert after["data"]["status"] == "SUCCESS"
    assert after["data"]["response"]["sunoData"][0]["audioUrl"].startswith(api.sandbox.url)
    assert unknown["data"] is None


async def test_an_unknown_route_is_a_real_404_that_is_not_the_apis() -> None:
    async with an_api() as api:
        for path in ("/", "/api/v1/generate", SUBMIT, "/s"):
            assert await api.get(path) == (404, {"status": 404, "error": "Not Found"})


@pytest.mark.parametrize("key", ["Bearer wrong", "sandbox-key", "Bearer ", "Bearer schlüssel"])
async def test_a_wrong_key_is_refused_and_kept_nowhere(key: str) -> None:
    async with Sandbox() as sandbox, calling(sandbox, Authorization=key) as api:
        for status, body in [await api.submit("x"), await api.get(CREDITS)]:
            assert status == 200
            assert body.items() >= SAMPLES["unauthorized_401"].items()

    assert all(arrival.key_sent for arrival in sandbox.journal.arrivals)
    assert key not in repr(sandbox.journal)


async def test_a_key_of_odd_bytes_is_refused_like_any_other() -> None:
    async with Sandbox(api_key="key-of-a-test") as sandbox:
        reader, writer = await connect(sandbox)
        writer.write(
            f"GET {CREDITS} HTTP/1.0\r\nUser-Agent: {CURL}\r\n".encode()
            + b"Authorization: Bearer \xff\xfe\r\n\r\n"
        )
        answer = await reader.read()
        writer.close()

    assert b'"code": 401' in answer


async def test_a_refusal_can_be_an_http_status_too() -> None:
    async with an_api(http_errors=True) as api:
        status, body = await api.submit("nobody")

    assert (status, body) == (422, SAMPLES["validation_422_unknown_music_task"])


@pytest.mark.parametrize(
    "user_agent", ["Python-urllib/3.11", "Python/3.11 aiohttp/3.14.5", "", None]
)
@pytest.mark.parametrize("path", [CREDITS, "/s/1_a.png", "/nowhere"])
async def test_a_client_without_a_name_of_its_own_is_blocked(
    user_agent: str | None, path: str
) -> None:
    header = "" if user_agent is None else f"User-Agent: {user_agent}\r\n"
    async with Sandbox() as sandbox:
        answer = await raw(sandbox, path, headers=header)

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\n" + SAMPLES["cloudflare_block"].encode())


async def test_leaving_is_prompt_whatever_is_still_going_on(mailbox: Mailbox) -> None:
    mailbox.answer.clear()
    async with asyncio.timeout(50), an_api(slow_seconds=60) as api:
        await api.order(mailbox.url)
        await mailbox.take()
        api.sandbox.script("credits", Fault.SLOW)
        slow = asyncio.create_task(api.get(CREDITS))
        await until(lambda: bool(api.sandbox.journal.of("credits")))

    with pytest.raises(aiohttp.ClientError):
        await slow
    mailbox.answer.set()


async def test_leaving_is_prompt_while_a_submit_awaits_its_early_callback(
    mailbox: Mailbox,
) -> None:
    mailbox.answer.clear()
    async with an_api(early_callbacks=1) as api:
        submit = asyncio.create_task(api.order(mailbox.url))
        await mailbox.take()
        async with asyncio.timeout(50):
            await api.sandbox.__aexit__(None, None, None)

        with pytest.raises(aiohttp.ClientError):
            await submit
    mailbox.answer.set()


@pytest.mark.parametrize("ticks", range(12))
async def test_leaving_leaves_nobody_hanging_who_was_just_coming_in(ticks: int) -> None:
    async with an_api(slow=1, slow_seconds=60) as api:
        callers = [asyncio.create_task(api.get(CREDITS)) for _ in range(12)]
        for _ in range(ticks):
            await asyncio.sleep(0)
        await api.sandbox.__aexit__(None, None, None)
        async with asyncio.timeout(100):
            ends = await asyncio.gather(*callers, return_exceptions=True)

    assert all(isinstance(end, aiohttp.ClientError) for end in ends)


async def test_nothing_of_it_is_left_running() -> None:
    before = asyncio.all_tasks()
    async with an_api(seconds=60) as api:
        await api.order("http://127.0.0.1:1/callback")
        await api.cover()

    assert asyncio.all_tasks() == before


async def test_a_client_that_left_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    async with an_api(slow=1, slow_seconds=60) as api:
        impatient = asyncio.create_task(api.submit(*api.sandbox.add_music()))
        await until(lambda: bool(api.sandbox.journal.bills))
        impatient.cancel()
        await asyncio.wait([impatient])

    assert asyncio.all_tasks() <= before


async def test_entered_again_it_is_the_same_world_at_the_same_address() -> None:
    sandbox = Sandbox(Scenario(seconds=0))
    async with sandbox, calling(sandbox) as api:
        url, cover_task_id = sandbox.url, await api.cover()
    async with calling(sandbox) as api:
        with pytest.raises(aiohttp.ClientConnectionError):
            await api.get(CREDITS)
    async with sandbox, calling(sandbox) as api:
        details = await api.details(cover_task_id)

    assert sandbox.url == url
    assert details["data"]["successFlag"] == 1


async def test_a_taken_port_is_an_error_that_leaves_nothing_open() -> None:
    async with Sandbox() as sandbox:
        port = int(sandbox.url.rsplit(":")[-1])

        with pytest.raises(OSError, match="address already in use"):
            await Sandbox(port=port).__aenter__()


async def test_music_can_be_added_before_it_is_entered() -> None:
    sandbox = Sandbox()
    music = sandbox.add_music(2)

    with pytest.raises(RuntimeError, match="async with"):
        _ = sandbox.url
    async with sandbox, calling(sandbox) as api:
        assert (await api.submit(music[1]))[1]["code"] == 200


async def test_the_key_is_in_no_repr() -> None:
    async with Sandbox(Scenario(hmac_key="hush"), api_key="a-made-up-key") as sandbox:
        async with calling(sandbox) as api:
            await api.get(CREDITS)
        shown = repr(sandbox) + repr(sandbox.journal) + repr(sandbox.scenario)

    assert "a-made-up-key" not in shown
    assert "hush" not in shown


async def test_the_journal_knows_what_every_request_was() -> None:
    async with an_api() as api:
        (music_task_id,) = api.sandbox.add_music()
        _, body = await api.submit(music_task_id)
        cover_task_id = body["data"]["taskId"]
        await api.details(cover_task_id)
        await api.get(MUSIC, taskId=music_task_id)
        await api.get(CREDITS)
        await api.get("/s/1_a.png")
        await api.get("/nowhere")

    journal = api.sandbox.journal
    assert [
        (one.kind, one.method, one.music_task_id, one.cover_task_id, one.status, one.code)
        for one in journal.arrivals
    ] == [
        ("submit", "POST", music_task_id, cover_task_id, 200, 200),
        ("details", "GET", None, cover_task_id, 200, 200),
        ("music", "GET", music_task_id, None, 200, 200),
        ("credits", "GET", None, None, 200, 200),
        ("image", "GET", None, None, 404, None),
        ("other", "GET", None, None, 404, None),
    ]
    assert {one.user_agent for one in journal.arrivals} == {CURL}
    times = [one.at for one in journal.arrivals]
    assert times == sorted(times)
    (bill,) = journal.bills
    assert (bill.music_task_id, bill.cover_task_id, bill.credits) == (
        music_task_id,
        cover_task_id,
        1,
    )


@pytest.mark.parametrize("fails", [False, True])
async def test_the_journal_knows_when_a_cover_ended_and_which_poll_was_told_first(
    fails: bool,
) -> None:
    async with an_api(seconds=0.1, null_polls=1) as api:
        cover_task_id = await api.cover(fails=fails)
        for pause in (0, 0, 0.15, 0.05):
            await asyncio.sleep(pause)
            await api.details(cover_task_id)
        async with calling(api.sandbox, Authorization="Bearer another") as other_cover:
            await other_cover.get(DETAILS, taskId=cover_task_id)

    journal = api.sandbox.journal
    submit, *polls = journal.arrivals
    ended = polls[2].finished_at
    assert [poll.finished_at for poll in polls] == [None, None, ended, ended, None]
    assert submit.finished_at is None
    assert ended is not None
    assert ended - journal.bills[0].at == pytest.approx(0.1)
    assert journal.delays() == {cover_task_id: polls[2].at - ended}


async def test_an_answer_that_nobody_could_read_told_of_no_end() -> None:
    unreadable = (Fault.LOST_ANSWER, Fault.TRUNCATED, Fault.GATEWAY_AFTER, Fault.TOO_OFTEN)
    async with an_api(rate_limit=RateLimit(calls=8, seconds=60)) as api:
        cover_task_id = await api.cover()
        api.sandbox.script("details", *unreadable, Reply(body=b"{}", code=200, executes=True))
        for _ in range(9):  # the last two are over the limit
            target = f"{DETAILS}?taskId={cover_task_id}"
            await raw(api.sandbox, target, headers=f"User-Agent: {CURL}\r\n")

    polls = api.sandbox.journal.of("details")
    assert [one.finished_at is not None for one in polls] == [False] * 5 + [
        True,
        True,
        False,
        False,
    ]
    assert api.sandbox.journal.delays() == {
        cover_task_id: polls[5].at - (polls[5].finished_at or 0.0)
    }


async def test_an_end_that_the_poll_itself_brings_is_noticed_at_once() -> None:
    async with an_api(polls=1) as api:
        cover_task_id = await api.cover()
        await api.details(cover_task_id)

    assert api.sandbox.journal.delays() == {cover_task_id: 0.0}


def test_without_pillow_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['PIL'] = None; import suno_cover_async.sandbox"
    result = subprocess.run(  # noqa: S603  # our own interpreter, a fixed program
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert "pip install 'suno-cover-async[sandbox]'" in result.stderr.splitlines()[-1]


def test_it_lives_by_the_clock_that_it_is_given() -> None:
    async def scenario() -> list[int]:
        clock = asyncio.get_running_loop().time
        made = Sandbox(Scenario(seconds=3600), clock=clock)
        async with made as sandbox, calling(sandbox) as api:
            cover_task_id = await api.cover()
            flags: list[int] = []
            for seconds in (3599, 2):
                await asyncio.sleep(seconds)
                flags.append((await api.details(cover_task_id))["data"]["successFlag"])
            return flags

    assert virtual_time.run(scenario()) == [2, 1]
