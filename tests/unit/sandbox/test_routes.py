"""Answers of the host without a server: routes, codes, the two styles of errors, and faults."""

import io
import json
import random
from typing import Any

import pytest
from PIL import Image

from suno_cover_async.hosts import HOSTS
from suno_cover_async.sandbox import DuplicateId, Fault, Kind, Reply, Scenario
from suno_cover_async.sandbox.routes import (
    BLOCKED,
    NO_ROUTE,
    ApiRequest,
    apply_fault,
    execute,
    holds_key,
    is_blocked,
    kind_of,
    read,
    too_often,
)
from suno_cover_async.sandbox.world import World
from tests.support.raw_sandbox import CREDITS, DETAILS, SUBMIT
from tests.support.worlds import URL, a_cover, a_world

BASE = "http://127.0.0.1:1"
WHOLE = Reply(body=b'{"code":200}', code=200)


def asked(kind: Kind, task_id: str | None = None, **fields: Any) -> ApiRequest:
    defaults: dict[str, Any] = {
        "path": "/",
        "at": 1_000.0,
        "base_url": BASE,
        "callback_url": URL,
        "authorized": True,
    }
    return ApiRequest(kind=kind, task_id=task_id, **(defaults | fields))


def answer(world: World, kind: Kind, task_id: str | None = None, **fields: Any) -> Any:
    """Execute a request, and return the body of its answer."""
    return json.loads(execute(asked(kind, task_id, **fields), world).body)


def music(world: World) -> str:
    (music_task_id,) = world.add_music(1, status="SUCCESS", fails=None)
    return music_task_id


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", SUBMIT, "submit"),
        ("GET", SUBMIT, "other"),
        ("GET", DETAILS, "details"),
        ("POST", DETAILS, "other"),
        ("GET", CREDITS, "credits"),
        ("GET", "/s/1_a.png", "image"),
        ("POST", "/s/1_a.png", "other"),
        ("GET", "/s", "other"),
        ("GET", f"{DETAILS}/", "other"),
    ],
)
def test_a_route_has_its_method_and_its_path(method: str, path: str, kind: Kind) -> None:
    assert kind_of(method, path) == kind


def test_the_balance_is_at_the_path_of_every_host() -> None:
    paths = {host.credits_path for host in HOSTS.values()}

    assert len(paths) > 1
    assert {kind_of("GET", path) for path in paths} == {"credits"}


@pytest.mark.parametrize(
    ("user_agent", "blocked"),
    [
        (None, True),
        ("", True),
        ("Python-urllib/3.11", True),
        ("Python/3.11 aiohttp/3.9", True),
        ("curl/8.5.0", False),
        ("suno-cover-async/1.0 Python/3.11", False),
        ("Pythonista", False),
    ],
)
def test_a_client_without_a_name_of_its_own_is_blocked(
    user_agent: str | None, blocked: bool
) -> None:
    assert is_blocked(user_agent) is blocked
    assert BLOCKED.status == 403


@pytest.mark.parametrize(
    ("header", "holds"),
    [
        ("Bearer key", True),
        ("bearer key", False),
        ("Bearer  key", False),
        ("Bearer keys", False),
        ("Bearer ", False),
        ("key", False),
        ("", False),
        (None, False),
        ("Bearer k\udcffy", False),
    ],
)
def test_the_key_is_right_to_the_letter(header: str | None, holds: bool) -> None:
    assert holds_key(header, "key") is holds


def test_a_key_of_any_characters_can_be_compared() -> None:
    assert holds_key("Bearer schlüssel", "schlüssel")


def test_a_submit_names_its_task_in_its_body_and_all_others_in_the_query() -> None:
    body = json.dumps({"taskId": "m", "callBackUrl": URL}).encode()

    assert read("submit", {"taskId": "x"}, body) == ("m", URL)
    assert read("details", {"taskId": "x"}, body) == ("x", None)
    assert read("credits", {}, b"") == (None, None)
    assert read("submit", {}, b"\xff") == (None, None)


def test_a_request_names_a_music_task_or_a_cover_task() -> None:
    names = {
        kind: (asked(kind, "t").music_task_id, asked(kind, "t").cover_task_id) for kind in KINDS
    }

    assert names == {
        "submit": ("t", None),
        "music": ("t", None),
        "details": (None, "t"),
        "credits": (None, None),
    }


KINDS: tuple[Kind, ...] = ("submit", "details", "music", "credits")


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_key_is_refused_and_nothing_executed(kind: Kind) -> None:
    world = a_world()

    body = answer(world, kind, music(world), authorized=False)

    assert body["code"] == 401
    assert world.bills == []


def test_images_and_unknown_routes_need_no_key() -> None:
    world = a_world()

    assert execute(asked("image", path="/s/nothing", authorized=False), world) == NO_ROUTE
    assert execute(asked("other", authorized=False), world) == NO_ROUTE


def test_a_submit_is_billed_and_answered_with_its_cover_task() -> None:
    world = a_world()
    music_task_id = music(world)

    body = answer(world, "submit", music_task_id)

    assert (body["code"], body["data"]["taskId"]) == (200, world.cover_of(music_task_id))
    assert [bill.music_task_id for bill in world.bills] == [music_task_id]


@pytest.mark.parametrize(
    ("task_id", "callback_url", "words"),
    [
        ("nobody", URL, "record does not exist"),
        (None, URL, "record does not exist"),
        ("nobody", None, "callBackUrl"),
        ("nobody", "", "callBackUrl"),
    ],
)
def test_a_submit_that_is_not_valid_is_refused(
    task_id: str | None, callback_url: str | None, words: str
) -> None:
    body = answer(a_world(), "submit", task_id, callback_url=callback_url)

    assert body["code"] == 422
    assert words in body["msg"]


@pytest.mark.parametrize("code", [400, 409])
def test_a_second_submit_is_refused_with_the_first_ones_cover_task(code: int) -> None:
    world = a_world(duplicate_code=code, credits=1)
    music_task_id, cover_task_id = a_cover(world)

    body = answer(world, "submit", music_task_id)

    assert (body["code"], body["data"]) == (code, {"taskId": cover_task_id})
    assert len(world.bills) == 1


def test_a_duplicate_may_name_no_cover_task_or_one_of_another_music_task() -> None:
    absent, wrong = (a_world(duplicate_id=one) for one in (DuplicateId.ABSENT, DuplicateId.WRONG))
    named = [answer(world, "submit", a_cover(world)[0])["data"] for world in (absent, wrong)]

    assert named[0] is None
    assert named[1]["taskId"] not in {bill.cover_task_id for bill in wrong.bills}
    assert wrong.poll(named[1]["taskId"], 1_000.0) is not None


@pytest.mark.parametrize("code", [402, 429])
def test_without_credits_nothing_is_made(code: int) -> None:
    world = a_world(credits=0.5, no_credits_code=code)

    assert answer(world, "submit", music(world))["code"] == code
    assert world.bills == []


def test_details_have_the_images_at_the_address_of_the_client() -> None:
    world = a_world(seconds=0)
    music_task_id, cover_task_id = a_cover(world)

    data = answer(world, "details", cover_task_id)["data"]

    images = data["response"]["images"]
    assert (data["taskId"], data["parentTaskId"]) == (cover_task_id, music_task_id)
    assert all(url.startswith(f"{BASE}/s/") for url in images)
    assert all(world.image(url.removeprefix(BASE)) is not None for url in images)
    assert answer(world, "details", "nobody")["data"] is None
    assert answer(world, "details")["data"] is None


def test_music_has_audio_at_the_address_of_the_client() -> None:
    world = a_world()
    music_task_id = music(world)

    data = answer(world, "music", music_task_id)["data"]

    assert data["taskId"] == music_task_id
    assert BASE + "/s/" in json.dumps(data)
    assert answer(world, "music", "nobody")["data"] is None


def test_the_balance_falls_with_each_cover() -> None:
    world = a_world(credits=10, price=2.5)
    a_cover(world)

    assert answer(world, "credits")["data"] == 7.5


def test_an_image_is_served_until_it_expires() -> None:
    world = a_world(seconds=0, image_size=32, gone_status=410)
    _, cover_task_id = a_cover(world)
    poll = world.poll(cover_task_id, 1_000.0)
    assert poll is not None
    path = poll.images[0]
    image = world.image(path)
    assert image is not None

    before = execute(asked("image", path=path, at=image.expires_at - 0.1), world)
    after = execute(asked("image", path=path, at=image.expires_at), world)

    with Image.open(io.BytesIO(before.body)) as picture:
        assert (before.headers["Content-Type"], picture.size) == ("image/png", (32, 32))
    assert (after.status, after.body) == (410, b"")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.GATEWAY, 502, None),
        (Fault.GATEWAY_AFTER, 502, None),
        (Fault.PAGE, 200, None),
        (Fault.MAINTENANCE, 200, 455),
        (Fault.SERVER_ERROR, 200, 500),
        (Fault.SERVER_ERROR_AFTER, 200, 500),
        (Fault.TOO_OFTEN, 200, 429),
        (Fault.GARBAGE, 200, None),
    ],
)
def test_a_fault_above_the_socket_replaces_the_answer(
    fault: Fault, status: int, code: int | None
) -> None:
    reply = apply_fault(fault, "submit", WHOLE, Scenario(), random.Random(1))

    assert (reply.status, reply.code) == (status, code)
    assert reply.body != WHOLE.body
    is_page = fault in {Fault.GATEWAY, Fault.GATEWAY_AFTER, Fault.PAGE}
    assert reply.headers["Content-Type"] == ("text/html" if is_page else "application/json")
    assert (b"<html" in reply.body) is is_page


@pytest.mark.parametrize(
    "fault", [Fault.NONE, Fault.LOST_ANSWER, Fault.RESET, Fault.TRUNCATED, Fault.SLOW]
)
def test_a_fault_of_the_socket_leaves_the_answer_as_it_is(fault: Fault) -> None:
    assert apply_fault(fault, "submit", WHOLE, Scenario(), random.Random(1)) is WHOLE


def test_garbage_is_other_bytes_each_time() -> None:
    dice = random.Random(1)
    bodies = {apply_fault(Fault.GARBAGE, "details", WHOLE, Scenario(), dice).body for _ in range(9)}

    assert len(bodies) == 9


@pytest.mark.parametrize(
    ("kind", "http_errors", "status"),
    [("submit", False, 200), ("submit", True, 455), ("image", False, 455)],
)
def test_a_refusal_is_an_http_status_where_the_scenario_says_so_and_for_images(
    kind: Kind, http_errors: bool, status: int
) -> None:
    scenario = Scenario(http_errors=http_errors)

    reply = apply_fault(Fault.MAINTENANCE, kind, WHOLE, scenario, random.Random(1))

    assert (reply.status, reply.code) == (status, 455)


@pytest.mark.parametrize("code", [405, 429, 430])
def test_calling_too_often_has_the_hosts_code_and_says_when_to_return_if_it_is_told_to(
    code: int,
) -> None:
    silent = too_often(Scenario(too_often_code=code))
    told = too_often(Scenario(too_often_code=code, retry_after="soon"))

    assert (silent.code, told.code) == (code, code)
    assert "Retry-After" not in silent.headers
    assert told.headers == {**silent.headers, "Retry-After": "soon"}
