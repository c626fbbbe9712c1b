"""Callbacks of the sandbox, in virtual time: signed, tried again, doubled, early and forged."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from suno_cover_async.sandbox import Delivery, Scenario, callback_sender, forged_callbacks
from suno_cover_async.sandbox.callback_sender import CallbackSender, letter
from suno_cover_async.sandbox.scenario import Mishap
from suno_cover_async.sandbox.world import Notice
from tests.support.raw_sandbox import Mailbox, a_mailbox
from tests.support.virtual_time import run as in_virtual_time

BASE = "http://127.0.0.1:1"
IMAGES = ("/s/1.png", "/s/2.png")


def test_a_signature_matches_the_published_formula() -> None:
    headers = callback_sender.signature(
        "test-webhook-key", "21aee3c3c2a01fa5e030b3799fa4dd56", 1760512082
    )

    assert headers == {
        "X-Webhook-Timestamp": "1760512082",
        "X-Webhook-Signature": "XOgwLuSjMdf36p9BCIszUAUO1N3RoIxG9oZqOWKqpEQ=",
    }


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8080/x", True),
        ("http://127.9.9.9/x", True),
        ("http://[::1]:8080/x", True),
        ("http://localhost/x", True),
        ("https://127.0.0.1/x", True),
        ("http://localhost.example.com/x", False),
        ("http://127.0.0.1.example.com/x", False),
        ("http://127.0.0.1@example.com/x", False),
        ("http://[::ffff:10.0.0.1]/x", False),
        ("http://2130706433/x", False),
        ("http://0.0.0.0/x", False),
        ("ftp://127.0.0.1/x", False),
        ("http://[", False),
        ("http://[]@", False),
        ("/x", False),
        ("", False),
    ],
)
def test_only_addresses_of_this_machine_are_its_own(url: str, own: bool) -> None:
    assert callback_sender.is_own(url) is own


def test_a_success_names_the_images_by_their_whole_urls() -> None:
    body = json.loads(letter(Notice(cover_task_id="c", url="x", images=IMAGES), BASE))

    assert body["code"] == 200
    assert body["data"] == {"taskId": "c", "images": [BASE + path for path in IMAGES]}


def test_a_failure_names_no_images() -> None:
    body = json.loads(letter(Notice(cover_task_id="c", url="x", images=None), BASE))

    assert (body["code"], body["data"]["taskId"]) == (501, "c")
    assert not body["data"].get("images")


@attrs.frozen(kw_only=True)
class Post:
    """A sender in virtual time, and the mailbox that it knows."""

    sender: CallbackSender
    box: Mailbox
    scenario: Scenario

    def send(self, *, url: str | None = None, mishap: Mishap = Mishap.NONE) -> None:
        url = self.box.url if url is None else url
        callback = Notice(cover_task_id="c", url=url, images=IMAGES, mishap=mishap)
        self.sender.send(callback, self.scenario, BASE)


def deliver(
    scene: Callable[[Post], Awaitable[None]], *statuses: int, **fields: Any
) -> tuple[list[Delivery], Mailbox]:
    """Play a scene, and let an hour pass."""

    async def whole() -> tuple[list[Delivery], Mailbox]:
        clock = asyncio.get_running_loop().time
        async with a_mailbox() as box:
            box.statuses = [*statuses]
            sender = CallbackSender([], clock)
            scenario = Scenario(**fields)
            await scene(Post(sender=sender, box=box, scenario=scenario))
            await asyncio.sleep(3_600)
            await sender.aclose()
        return sender.deliveries, box

    return in_virtual_time(whole())


async def once(post: Post) -> None:
    post.send()


@pytest.mark.parametrize(
    ("answers", "moments"),
    [
        ([200], [0]),
        ([201, 302, 200], [0, 5, 10]),
        ([500] * 9, [0, 5, 10, 15]),
    ],
)
def test_a_callback_is_tried_up_to_four_times_until_200_with_pauses(
    answers: list[int], moments: list[int]
) -> None:
    made, box = deliver(once, *answers, callback_pause=10, scale=2)

    assert [one.status for one in made] == answers[: len(moments)]
    assert [round(one.at, 3) for one in made] == moments
    assert len(box.paths) == len(moments)
    assert {(one.cover_task_id, one.url, one.skipped, one.forged) for one in made} == {
        ("c", box.url, False, False)
    }


def test_an_answer_is_awaited_for_15_seconds() -> None:
    async def scene(post: Post) -> None:
        post.box.answer.clear()
        post.send()
        await asyncio.sleep(20)
        post.box.answer.set()

    made, _ = deliver(scene, callback_pause=10)

    assert [(one.status, round(one.at)) for one in made] == [(None, 15), (200, 25)]


def test_a_callback_to_nobody_is_tried_and_has_no_status() -> None:
    async def scene(post: Post) -> None:
        post.send(url=BASE)

    made, _ = deliver(scene)

    assert [(one.status, one.skipped) for one in made] == [(None, False)] * 4


def test_another_machine_is_never_contacted() -> None:
    async def scene(post: Post) -> None:
        post.send(url="http://192.0.2.1/callback", mishap=Mishap.EARLY)
        await post.sender.tried("c")

    made, _ = deliver(scene, callback_copies=3)

    assert [(one.status, one.skipped) for one in made] == [(None, True)]


@pytest.mark.parametrize(("mishap", "copies"), [(Mishap.NONE, 2), (Mishap.DOUBLED, 3)])
def test_a_doubled_callback_comes_in_one_copy_more(mishap: Mishap, copies: int) -> None:
    async def scene(post: Post) -> None:
        post.send(mishap=mishap)

    made, _ = deliver(scene, callback_copies=2)

    assert [one.status for one in made] == [200] * copies


@pytest.mark.parametrize("key", [None, "a-key"])
def test_a_signature_is_sent_if_the_host_has_a_key(key: str | None) -> None:
    made, box = deliver(once, **({} if key is None else {"hmac_key": key}))

    headers, body = box.letters.get_nowait()
    stamp = headers.get("X-Webhook-Timestamp")
    sent = {name: value for name, value in headers.items() if name.startswith("X-Webhook")}
    expected = {} if key is None else callback_sender.signature(key, "c", int(stamp or 0))
    assert [one.status for one in made] == [200]
    assert body["data"]["taskId"] == "c"
    assert headers["Content-Type"] == "application/json"
    assert sent == expected


def test_an_early_callback_is_awaited_until_each_copy_was_tried_once() -> None:
    waited: list[float] = []

    async def scene(post: Post) -> None:
        clock = asyncio.get_running_loop().time
        post.box.answer.clear()
        asyncio.get_running_loop().call_later(7, post.box.answer.set)
        post.send(mishap=Mishap.EARLY)
        for cover_task_id in (None, "another", "c", "c"):
            await post.sender.tried(cover_task_id)
            waited.append(round(clock(), 1))

    made, _ = deliver(scene, 500, 500, 200, callback_copies=2, callback_pause=100)

    assert waited == [0, 0, 7, 7]
    assert [one.status for one in made[:2]] == [500, 500]


def test_a_callback_that_is_not_early_is_not_awaited() -> None:
    async def scene(post: Post) -> None:
        post.box.answer.clear()
        post.send()
        await post.sender.tried("c")
        post.box.answer.set()

    made, _ = deliver(scene)

    assert [round(one.at) for one in made] == [0]


def test_a_forged_callback_comes_first_and_is_tried_once() -> None:
    async def scene(post: Post) -> None:
        post.send(mishap=Mishap.FORGED)

    made, box = deliver(scene, 403, 500, 200, hmac_key="a-key")
    (_, made_up), (_, real), _ = [box.letters.get_nowait() for _ in range(3)]

    assert [(one.forged, one.status) for one in made] == [(True, 403), (False, 500), (False, 200)]
    assert made[0].url != made[1].url == made[2].url == box.url
    assert made_up["data"]["taskId"] == real["data"]["taskId"] == "c"
    assert not {*made_up["data"]["images"]} & {*real["data"]["images"]}


def test_a_forged_callback_is_signed_with_another_key() -> None:
    async def scene(post: Post) -> None:
        post.send(mishap=Mishap.FORGED)

    _, box = deliver(scene, hmac_key="a-key")
    headers, _ = box.letters.get_nowait()

    stamp = int(headers["X-Webhook-Timestamp"])
    wrong = callback_sender.signature(forged_callbacks.wrong_key("a-key"), "c", stamp)
    assert headers["X-Webhook-Signature"] == wrong["X-Webhook-Signature"]


def test_closing_cancels_what_is_under_way() -> None:
    async def whole() -> tuple[int, int, bool]:
        clock = asyncio.get_running_loop().time
        async with a_mailbox() as box:
            sender = CallbackSender([], clock)
            box.statuses = [500] * 9
            Post(sender=sender, box=box, scenario=Scenario(callback_pause=100)).send()
            await asyncio.sleep(10)
            under_way = len(sender._tasks)
            await sender.aclose()
            left = len(sender._tasks)
            await asyncio.sleep(3_600)
            return under_way, left, len(sender.deliveries) == 1

    assert in_virtual_time(whole()) == (1, 0, True)
