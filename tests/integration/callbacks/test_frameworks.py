"""The doors of the receiver, in real servers over real sockets, with the sandbox as the caller."""

import asyncio
import contextlib
import http.client
import importlib.util
import json
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from suno_cover_async.callbacks.receiver import CallbackReceiver
from suno_cover_async.models import Callback, CoverTask
from suno_cover_async.protocol import requests
from suno_cover_async.sandbox import Delivery, Sandbox, Scenario
from tests.support.clients import listening
from tests.support.waiting import until
from tests.support.web_frameworks import (
    DOORS,
    KEY,
    LETTER,
    MUSIC,
    SECRET,
    Caller,
    Door,
    ask,
    at,
    calling,
    every_door,
    every_framework,
    head,
    httptools,
    is_accepted,
    whole,
)

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


if importlib.util.find_spec("httptools"):
    DOORS.append(httptools)


async def order(sandbox: Sandbox, receiver: CallbackReceiver, **music: Any) -> CoverTask:
    """Submit with bare HTTP, and name our URL."""
    (music_task_id,) = sandbox.add_music(1, **music)
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "User-Agent": "the-doors/1"}
    body = {"taskId": music_task_id, "callBackUrl": receiver.url(music_task_id)}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(sandbox.url + requests.SUBMIT_PATH, json=body) as response,
    ):
        answer = json.loads(await response.read())
    return CoverTask(cover_task_id=answer["data"]["taskId"], music_task_id=music_task_id)


async def delivered(sandbox: Sandbox, count: int = 1) -> list[Delivery]:
    await until(lambda: len(sandbox.journal.callbacks) >= count)
    return sandbox.journal.callbacks


@every_framework
@pytest.mark.parametrize("hmac_key", [None, KEY])
async def test_the_apis_callbacks_come_in_and_notify(
    door: Door, sock: socket.socket, hmac_key: str | None
) -> None:
    receiver = at(sock, hmac_key=hmac_key)
    scenario = Scenario(seconds=0, rate_limit=None, hmac_key=hmac_key)
    notified: list[bool] = []
    async with door(receiver, sock), Sandbox(scenario) as sandbox:
        for fails in (False, True):
            task = await order(sandbox, receiver, fails=fails)
            with listening(receiver.notifier, task) as subscription:
                notified.append(await subscription.wait(asyncio.get_running_loop().time() + 10))
            assert receiver.notifier.named(task.music_task_id) == (task.cover_task_id,)
        statuses = [delivery.status for delivery in await delivered(sandbox, 2)]

    assert notified == [True, True]
    assert statuses == [200, 200]


@every_door
async def test_a_forged_callback_is_turned_away_and_the_true_one_let_in(
    door: Door, sock: socket.socket
) -> None:
    called: list[Callback] = []
    receiver = at(sock, hmac_key=KEY, on_callback=called.append)
    scenario = Scenario(seconds=0, rate_limit=None, hmac_key=KEY, forged_callbacks=1.0)
    async with door(receiver, sock), Sandbox(scenario) as sandbox:
        task = await order(sandbox, receiver)
        deliveries = await delivered(sandbox, 2)
        await until(lambda: called)

    assert [(one.forged, one.status) for one in deliveries] == [(True, 400), (False, 200)]
    assert called == [Callback(music_task_id=task.music_task_id, cover_task_id=task.cover_task_id)]


@every_door
async def test_a_connection_is_kept_for_the_next_callback(door: Door, sock: socket.socket) -> None:
    receiver = at(sock)
    async with door(receiver, sock), calling(receiver) as caller:
        answers = [await caller.ask(whole(receiver)) for _ in range(3)]

    assert all(is_accepted(answer) for answer in answers)


@every_door
async def test_a_body_may_come_in_pieces(door: Door, sock: socket.socket) -> None:
    receiver = at(sock)
    async with door(receiver, sock), calling(receiver) as caller:
        caller.writer.write(head(receiver, "Transfer-Encoding: chunked"))
        for byte in LETTER:
            caller.writer.write(b"1\r\n%c\r\n" % byte)
            await asyncio.sleep(0)
        answer = await caller.ask(b"0\r\n\r\n")

    assert is_accepted(answer)


@every_door
async def test_who_asks_before_sending_the_body_is_told_to_go_on(
    door: Door, sock: socket.socket
) -> None:
    receiver = at(sock)
    fields = ("Content-Type: application/json", "Expect: 100-continue")
    async with door(receiver, sock), calling(receiver) as caller:
        caller.writer.write(head(receiver, *fields, f"Content-Length: {len(LETTER)}"))
        go_on = await caller.reader.readuntil(b"\r\n\r\n")

        assert go_on.startswith(b"HTTP/1.1 100 ")
        assert is_accepted(await caller.ask(LETTER))


def test_the_command_line_can_listen_on_any_free_port() -> None:
    async def main() -> int:
        receiver = CallbackReceiver(public_url="http://127.0.0.1:1", secret=SECRET)
        async with receiver.listen("127.0.0.1", 0) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert is_accepted(await Caller(reader, writer).ask(whole(receiver)))
            writer.close()
            await writer.wait_closed()
        return port

    assert asyncio.run(main()) > 0


async def test_listening_where_another_listens_is_an_os_error(sock: socket.socket) -> None:
    receiver = at(sock)
    with pytest.raises(OSError, match="address already in use"):
        async with receiver.listen(*sock.getsockname()):
            pass


@every_door
async def test_a_hook_that_blocks_the_loop_lets_the_answer_out_first(
    door: Door, sock: socket.socket
) -> None:
    answered = threading.Event()
    blocked: list[bool] = []

    async def block(_: Callback) -> None:
        blocked.append(answered.wait(10))

    def call(url: str) -> int:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=100)
        with contextlib.closing(connection):
            connection.request("POST", parts.path, LETTER, {"Content-Type": "application/json"})
            status = connection.getresponse().status
            answered.set()
            return status

    receiver = at(sock, on_callback=block)
    async with door(receiver, sock):
        status = await asyncio.to_thread(call, receiver.url(MUSIC))
        await until(lambda: blocked)

    assert status == 200
    assert blocked == [True]


@every_door
async def test_a_hook_that_blocks_its_thread_delays_no_callback(
    door: Door, sock: socket.socket
) -> None:
    released = threading.Event()
    called: list[Callback] = []

    def block(callback: Callback) -> None:
        called.append(callback)
        released.wait(20)

    receiver = at(sock, on_callback=block)
    async with door(receiver, sock):
        answers = [await ask(receiver, whole(receiver)) for _ in range(5)]
        await until(lambda: len(called) == 5)
    released.set()

    assert all(is_accepted(answer) for answer in answers)
