"""Odd spellings of the callback URL."""

import json

import aiohttp
import pytest

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.clients import FREE, connect
from tests.support.peers import answer, peer, redirect
from tests.support.redirects import STATUSES
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "[::]", "127.1", "2130706433", "localhost.", "127.0.0.1@10.0.0.1"],  # noqa: S104
)
async def test_the_sandbox_calls_no_address_but_this_machines_own(host: str) -> None:
    async with Sandbox(FREE) as sandbox, peer(answer()) as listening:
        url = f"http://{host}:{listening.port}/callback"
        body = json.dumps({"taskId": sandbox.add_music(1)[0], "callBackUrl": url})
        headers = {"Authorization": f"Bearer {sandbox.api_key}", "User-Agent": "test"}
        submit = f"{sandbox.url}/api/v1/suno/cover/generate"
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(submit, data=body) as response,
        ):
            task = (await response.json())["data"]["taskId"]
        async with connect(sandbox) as client:
            await client.wait(task)
        await until(lambda: sandbox.journal.callbacks)

        assert all(delivery.skipped for delivery in sandbox.journal.callbacks)
        assert not listening.received


@pytest.mark.parametrize("status", STATUSES)
async def test_the_sandbox_follows_no_redirect_of_a_callback(status: int) -> None:
    async with (
        Sandbox(Scenario(rate_limit=None, polls=1, callback_pause=0)) as sandbox,
        peer() as away,
    ):
        async with peer(redirect(status, f"{away.url}/callback")) as listening:
            async with connect(sandbox, callback_url=listening.url) as client:
                await client.generate(*sandbox.add_music(1))
            await until(lambda: len(sandbox.journal.callbacks) == 4)

        assert [delivery.status for delivery in sandbox.journal.callbacks] == [status] * 4
        assert not away.received
