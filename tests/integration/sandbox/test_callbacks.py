"""Callbacks that the sandbox sends, by raw HTTP."""

import asyncio
import base64
import hashlib
import hmac
import time
from collections import Counter
from typing import Any

import aiohttp
import attrs
import pytest

from suno_cover_async.sandbox import Delivery, Fault, Sandbox
from tests.support.raw_sandbox import (
    CREDITS,
    SAMPLES,
    Mailbox,
    an_api,
    said,
    shape,
)
from tests.support.waiting import until


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
    async with an_api(early_callbacks=1, callback_pause=60) as api, asyncio.timeout(50):
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
    async with an_api(early_callbacks=1) as api, asyncio.timeout(50):
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
