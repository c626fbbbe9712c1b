"""The sandbox judged with raw HTTP and the documented and recorded bodies, never by our client."""

import asyncio
import base64
import hashlib
import hmac
import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from aiohttp import web
from PIL import Image

from suno_cover_async.policies import RateLimit
from suno_cover_async.protocol.fields import Times
from suno_cover_async.sandbox import Delivery, DuplicateId, Fault, Reply, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.waiting import until

SUBMIT = "/api/v1/suno/cover/generate"
DETAILS = "/api/v1/suno/cover/record-info"
MUSIC = "/api/v1/generate/record-info"
CREDITS = "/api/v1/generate/credit"
PLACEHOLDER = "https://example.com/callback"
CURL = "curl/8.5.0"

_RECORDS = json.loads((Path(__file__).parents[2] / "samples" / "api_samples.json").read_text())
SAMPLES: dict[str, Any] = {record["case"]: record["body"] for record in _RECORDS}


class Api:
    """A bare HTTP caller."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.http = http

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        url = path if path.startswith("http") else self.sandbox.url + path
        async with self.http.get(url, params=query) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(body) if is_json else body

    async def submit(
        self, music_task_id: object, callback_url: object = PLACEHOLDER
    ) -> tuple[int, Any]:
        return await self.send({"taskId": music_task_id, "callBackUrl": callback_url})

    async def send(self, body: object) -> tuple[int, Any]:
        async with self.http.post(self.sandbox.url + SUBMIT, json=body) as response:
            return response.status, json.loads(await response.read())

    async def order(self, callback_url: str, **music: Any) -> tuple[int, Any]:
        (music_task_id,) = self.sandbox.add_music(1, **music)
        return await self.submit(music_task_id, callback_url)

    async def cover(self, **music: Any) -> str:
        _, body = await self.order(PLACEHOLDER, **music)
        cover_task_id: str = body["data"]["taskId"]
        return cover_task_id

    async def details(self, cover_task_id: str) -> Any:
        status, body = await self.get(DETAILS, taskId=cover_task_id)
        assert status == 200
        return body


@asynccontextmanager
async def calling(sandbox: Sandbox, **headers: str) -> AsyncIterator[Api]:
    headers = {"User-Agent": CURL, "Authorization": f"Bearer {sandbox.api_key}"} | headers
    async with aiohttp.ClientSession(headers=headers) as http:
        yield Api(sandbox, http)


@asynccontextmanager
async def an_api(**fields: Any) -> AsyncIterator[Api]:
    fields = {"seconds": 0, "rate_limit": None, "image_size": 64} | fields
    async with Sandbox(Scenario(**fields)) as sandbox, calling(sandbox) as api:
        yield api


async def connect(sandbox: Sandbox) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(sandbox.url.rsplit(":")[-1]))


async def raw(sandbox: Sandbox, target: str, *, headers: str = "", body: bytes = b"") -> bytes:
    """Send one request over a bare socket, and read until the connection ends."""
    reader, writer = await connect(sandbox)
    method = "POST" if body else "GET"
    writer.write(
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {sandbox.api_key}\r\nContent-Length: {len(body)}\r\n"
        f"{headers}\r\n".encode()
        + body
    )
    try:
        return await reader.read()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def shape(value: Any) -> Any:
    """Reduce a body to its keys and types."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else type(value).__name__


def said(body: Any) -> tuple[int, str]:
    return body["code"], body["msg"]


# --- answers, as the samples have them ---------------------------------------------------------


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
    async with Sandbox(api_key="k") as sandbox:
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


# --- images ------------------------------------------------------------------------------------


async def test_images_are_two_distinct_pngs_that_need_no_key() -> None:
    async with an_api(image_size=512) as api:
        body = await api.details(await api.cover())
        api.http.headers.pop("Authorization")
        urls = body["data"]["response"]["images"]
        answers = [await api.get(url) for url in urls]

    for _, content in answers:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert (picture.format, picture.size) == ("PNG", (512, 512))
    assert answers[0] != answers[1]
    assert not any(arrival.key_sent for arrival in api.sandbox.journal.of("image"))
    live = SAMPLES["details_success_live"]["data"]["response"]["images"]
    assert [len(url.rsplit("/s/")[1]) for url in urls] == [
        len(url.rsplit("/s/")[1]) for url in live
    ]


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_expired_images_are_gone(status: int) -> None:
    async with an_api(gone_status=status) as api:
        body = await api.details(await api.cover())
        (url, _) = body["data"]["response"]["images"]
        before, _ = await api.get(url)
        api.sandbox.expire_images()

        assert before == 200
        async with api.http.get(url) as response:
            assert (response.status, await response.read()) == (status, b"")


async def test_an_unknown_image_is_not_found() -> None:
    async with an_api() as api:
        assert (await api.get("/s/1_a.png"))[0] == 404


async def test_a_fault_of_an_image_is_an_http_status() -> None:
    async with an_api() as api:
        api.sandbox.script("image", Fault.SERVER_ERROR, Fault.MAINTENANCE)

        assert [(await api.get("/s/1_a.png"))[0] for _ in range(2)] == [500, 455]


# --- the limit ---------------------------------------------------------------------------------


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


# --- faults ------------------------------------------------------------------------------------


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


# --- callbacks ---------------------------------------------------------------------------------


class Mailbox:
    """A callback URL that keeps what it gets, and answers as told."""

    def __init__(self) -> None:
        self.url = ""
        self.letters: asyncio.Queue[tuple[dict[str, str], Any]] = asyncio.Queue()
        self.paths: list[str] = []
        self.statuses: list[int] = []
        self.answer = asyncio.Event()
        self.answer.set()

    async def keep(self, request: web.BaseRequest) -> web.Response:
        self.paths.append(request.path)
        self.letters.put_nowait((dict(request.headers), json.loads(await request.read())))
        await self.answer.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "http://192.0.2.1/"})

    async def take(self) -> tuple[dict[str, str], Any]:
        return await asyncio.wait_for(self.letters.get(), 5)


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    runner = web.ServerRunner(web.Server(box.keep, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    box.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    yield box
    await runner.cleanup()
    await asyncio.sleep(0)  # its sockets close now


async def deliveries(sandbox: Sandbox, count: int) -> list[Delivery]:
    await until(lambda: len(sandbox.journal.callbacks) >= count)
    return sandbox.journal.callbacks


def kies_signature(key: bytes, headers: dict[str, str], letter: Any) -> str:
    message = f"{letter['data']['taskId']}.{headers['X-Webhook-Timestamp']}".encode()
    return base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()


async def test_a_callback_tells_of_success_without_anyone_looking(mailbox: Mailbox) -> None:
    async with an_api(seconds=0.03) as api:
        _, body = await api.order(mailbox.url)
        headers, letter = await mailbox.take()
        details = await api.details(letter["data"]["taskId"])
        (delivery,) = await deliveries(api.sandbox, 1)

    assert shape(letter) == shape(SAMPLES["callback_success"])
    assert said(letter) == said(SAMPLES["callback_success"])
    assert letter["data"]["taskId"] == body["data"]["taskId"]
    assert letter["data"]["images"] == details["data"]["response"]["images"]
    assert headers["Content-Type"] == "application/json"
    assert not any("Webhook" in name for name in headers)
    assert (delivery.status, delivery.skipped) == (200, False)


async def test_a_callback_tells_of_failure(mailbox: Mailbox) -> None:
    async with an_api() as api:
        await api.order(mailbox.url, fails=True)
        _, letter = await mailbox.take()

    assert said(letter) == said(SAMPLES["callback_failure_501"])
    assert shape(letter) == shape(SAMPLES["callback_failure_501"])


async def test_the_poll_that_finishes_a_cover_sends_its_callback(mailbox: Mailbox) -> None:
    async with an_api(polls=2) as api:
        _, body = await api.order(mailbox.url)
        await api.details(body["data"]["taskId"])
        assert mailbox.letters.empty()
        await api.details(body["data"]["taskId"])

        assert (await mailbox.take())[1]["code"] == 200


async def test_a_callback_is_signed_as_kie_signs(mailbox: Mailbox) -> None:
    async with an_api(hmac_key="a-key") as api:
        await api.order(mailbox.url)
        headers, letter = await mailbox.take()

    assert headers["X-Webhook-Signature"] == kies_signature(b"a-key", headers, letter)
    assert abs(int(headers["X-Webhook-Timestamp"]) - time.time()) < 60


@pytest.mark.parametrize(
    ("answers", "tries"), [([500, 302, 200], 3), ([500] * 9, 4), ([201, 200], 2)]
)
async def test_a_callback_is_tried_again_three_times_until_200(
    mailbox: Mailbox, answers: list[int], tries: int
) -> None:
    mailbox.statuses = answers.copy()
    async with an_api(callback_pause=0) as api:
        await api.order(mailbox.url)
        made = await deliveries(api.sandbox, tries)
        await api.get(CREDITS)

    assert [delivery.status for delivery in made] == answers[:tries]


async def test_a_callback_may_come_twice(mailbox: Mailbox) -> None:
    async with an_api(callback_copies=2) as api:
        await api.order(mailbox.url)
        (_, first), (_, second) = await mailbox.take(), await mailbox.take()

    assert first == second


async def test_a_callback_to_nobody_is_noted_as_unanswered() -> None:
    async with an_api(callback_pause=0) as api:
        await api.order("http://127.0.0.1:1/callback")
        made = await deliveries(api.sandbox, 4)

    assert [(delivery.status, delivery.skipped) for delivery in made] == [(None, False)] * 4


async def test_no_other_machine_is_ever_contacted() -> None:
    async with an_api(callback_copies=3) as api:
        await api.order("http://192.0.2.1/callback")
        (delivery,) = await deliveries(api.sandbox, 1)

    assert (delivery.url, delivery.skipped) == ("http://192.0.2.1/callback", True)


async def test_a_lost_callback_is_never_sent(mailbox: Mailbox) -> None:
    async with an_api(lost_callbacks=1) as api:
        _, lost = await api.order(mailbox.url)
        details = await api.details(lost["data"]["taskId"])
        api.sandbox.scenario = attrs.evolve(api.sandbox.scenario, lost_callbacks=0)
        _, sent = await api.order(mailbox.url)
        _, letter = await mailbox.take()
        (delivery,) = await deliveries(api.sandbox, 1)

    assert details["data"]["successFlag"] == 1
    assert letter["data"]["taskId"] == delivery.cover_task_id == sent["data"]["taskId"]
    assert mailbox.letters.empty()


async def test_a_doubled_callback_comes_once_more_than_the_others(mailbox: Mailbox) -> None:
    async with an_api(doubled_callbacks=1, callback_copies=2) as api:
        _, doubled = await api.order(mailbox.url)
        api.sandbox.scenario = attrs.evolve(api.sandbox.scenario, doubled_callbacks=0)
        _, plain = await api.order(mailbox.url)
        made = await deliveries(api.sandbox, 5)

    expected = {doubled["data"]["taskId"]: 3, plain["data"]["taskId"]: 2}
    assert Counter(delivery.cover_task_id for delivery in made) == expected
    letters = [mailbox.letters.get_nowait()[1]["data"]["taskId"] for _ in range(5)]
    assert Counter(letters) == expected


@pytest.mark.parametrize("fields", [{"seconds": 60}, {"polls": 9}])
async def test_an_early_callback_is_answered_before_its_submit_is(
    mailbox: Mailbox, fields: dict[str, Any]
) -> None:
    mailbox.answer.clear()
    async with an_api(early_callbacks=1, **fields) as api:
        submit = asyncio.create_task(api.order(mailbox.url))
        _, letter = await mailbox.take()
        details = [await api.details(letter["data"]["taskId"]) for _ in range(20)]
        assert not submit.done()
        assert api.sandbox.journal.callbacks == []
        mailbox.answer.set()
        _, body = await submit
        (delivery,) = api.sandbox.journal.callbacks

    assert body["data"]["taskId"] == letter["data"]["taskId"] == delivery.cover_task_id
    assert letter["data"]["images"] == details[0]["data"]["response"]["images"]
    assert (delivery.status, len(api.sandbox.journal.bills)) == (200, 1)


@pytest.mark.parametrize("status", [None, 500])
async def test_an_early_callback_delays_its_submit_by_one_try_only(
    mailbox: Mailbox, status: int | None
) -> None:
    mailbox.statuses = [500]
    url = "http://127.0.0.1:1/callback" if status is None else mailbox.url
    async with an_api(early_callbacks=1, callback_pause=60) as api, asyncio.timeout(5):
        _, body = await api.order(url)

    assert body["code"] == 200
    assert [delivery.status for delivery in api.sandbox.journal.callbacks] == [status]


async def test_an_early_callback_comes_before_an_answer_that_is_lost(mailbox: Mailbox) -> None:
    async with an_api(early_callbacks=1) as api:
        api.sandbox.script("submit", Fault.LOST_ANSWER)
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await api.order(mailbox.url)

        assert [delivery.status for delivery in api.sandbox.journal.callbacks] == [200]
        (submit,) = api.sandbox.journal.of("submit")
        assert (await mailbox.take())[1]["data"]["taskId"] == submit.cover_task_id


async def test_an_early_callback_to_another_machine_holds_up_nobody() -> None:
    async with an_api(early_callbacks=1) as api, asyncio.timeout(5):
        _, body = await api.order("http://192.0.2.1/callback")

    assert body["code"] == 200
    assert [delivery.skipped for delivery in api.sandbox.journal.callbacks] == [True]


async def test_a_late_callback_comes_long_after_its_cover_finished(mailbox: Mailbox) -> None:
    async with an_api(late_callbacks=1, late_seconds=20, scale=100) as api:
        _, body = await api.order(mailbox.url)
        details = await api.details(body["data"]["taskId"])
        _, letter = await mailbox.take()
        (delivery,) = await deliveries(api.sandbox, 1)

    assert details["data"]["successFlag"] == 1
    assert letter["data"]["taskId"] == body["data"]["taskId"]
    assert delivery.at - api.sandbox.journal.bills[0].at >= 0.2


@pytest.mark.parametrize("hmac_key", [None, "a-key"])
async def test_a_forged_callback_comes_first_and_is_tried_once(
    mailbox: Mailbox, hmac_key: str | None
) -> None:
    mailbox.statuses = [403, 500, 200]
    async with an_api(forged_callbacks=1, hmac_key=hmac_key, callback_pause=0) as api:
        _, body = await api.order(mailbox.url + "/token")
        (_, forged), (_, real), _ = [await mailbox.take() for _ in range(3)]
        details = await api.details(body["data"]["taskId"])
        made = await deliveries(api.sandbox, 3)

    assert [(one.forged, one.status) for one in made] == [(True, 403), (False, 500), (False, 200)]
    origin = mailbox.url.removesuffix("/callback")
    assert [one.url for one in made] == [origin + path for path in mailbox.paths]
    assert mailbox.paths[0] != mailbox.paths[1] == mailbox.paths[2] == "/callback/token"
    assert {one.cover_task_id for one in made} == {body["data"]["taskId"]}
    assert shape(forged) == shape(real)
    assert forged["data"]["taskId"] == body["data"]["taskId"]
    assert real["data"]["images"] == details["data"]["response"]["images"]
    assert not set(forged["data"]["images"]) & set(real["data"]["images"])


async def test_a_forger_has_another_key_than_the_host(mailbox: Mailbox) -> None:
    async with an_api(forged_callbacks=1, hmac_key="a-key") as api:
        await api.order(mailbox.url)
        forged, real = await mailbox.take(), await mailbox.take()

    assert forged[0]["X-Webhook-Signature"] != kies_signature(b"a-key", *forged)
    assert len(forged[0]["X-Webhook-Signature"]) == len(real[0]["X-Webhook-Signature"])
    assert real[0]["X-Webhook-Signature"] == kies_signature(b"a-key", *real)


# --- coming and going --------------------------------------------------------------------------


async def test_leaving_is_prompt_whatever_is_still_going_on(mailbox: Mailbox) -> None:
    mailbox.answer.clear()
    async with an_api(slow_seconds=60) as api:
        await api.order(mailbox.url)
        await mailbox.take()
        api.sandbox.script("credits", Fault.SLOW)
        slow = asyncio.create_task(api.get(CREDITS))
        await until(lambda: bool(api.sandbox.journal.of("credits")))
        began = time.monotonic()

    assert time.monotonic() - began < 1
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
        began = time.monotonic()
        await api.sandbox.__aexit__(None, None, None)

        assert time.monotonic() - began < 1
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
        async with asyncio.timeout(5):
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

    assert "pip install pillow" in result.stderr.splitlines()[-1]


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
