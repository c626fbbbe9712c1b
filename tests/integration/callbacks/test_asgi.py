"""The receiver as an ASGI application, message by message."""

import importlib.util
from typing import Any
from urllib.parse import urlsplit

import pytest

from suno_cover_async.callbacks.receiver import CallbackReceiver
from tests.support.web_frameworks import COVER, DOORS, LETTER, MUSIC, SECRET, Server, httptools

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


if importlib.util.find_spec("httptools"):
    DOORS.append(httptools)


def http_scope(receiver: CallbackReceiver, **changes: Any) -> dict[str, Any]:
    path = urlsplit(receiver.url(MUSIC)).path
    return {"type": "http", "method": "POST", "path": path, "headers": []} | changes


def asgi_receiver() -> CallbackReceiver:
    return CallbackReceiver(public_url="http://me.example", secret=SECRET)


async def test_an_asgi_server_may_leave_out_what_is_optional() -> None:
    receiver = asgi_receiver()
    server = Server(
        {"type": "http.request", "more_body": True}, {"type": "http.request", "body": LETTER}
    )

    start, body = await server.run(receiver, **http_scope(receiver))

    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert dict(start["headers"])[b"content-length"] == b"22"
    assert body == {"type": "http.response.body", "body": b'{"status": "received"}'}


@pytest.mark.parametrize(
    ("version", "closes"), [("1.0", True), ("1.1", True), ("2", False), ("3", False)]
)
async def test_a_refusal_closes_the_connection_where_that_is_a_header(
    version: str, closes: bool
) -> None:
    receiver = asgi_receiver()
    server = Server()  # nothing is read

    start, _ = await server.run(
        receiver, **http_scope(receiver, path="/forged", http_version=version)
    )

    assert start["status"] == 400
    assert ((b"connection", b"close") in start["headers"]) is closes


@pytest.mark.parametrize("deaf", [True, False])
async def test_an_asgi_caller_may_leave_at_any_moment(deaf: bool) -> None:
    receiver = asgi_receiver()
    unended = {"type": "http.request", "body": LETTER, "more_body": True}

    await Server(unended, {"type": "http.disconnect"}, deaf=deaf).run(
        receiver, **http_scope(receiver)
    )
    assert receiver.notifier.named(MUSIC) == ()

    await Server({"type": "http.request", "body": LETTER}, deaf=deaf).run(
        receiver, **http_scope(receiver)
    )
    assert receiver.notifier.named(MUSIC) == (COVER,)


async def test_other_asgi_scopes_are_answered_as_the_protocol_asks() -> None:
    receiver = asgi_receiver()
    life = Server({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})

    assert await life.run(receiver, type="lifespan") == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
    assert await Server().run(receiver, type="websocket") == [{"type": "websocket.close"}]
    assert await Server().run(receiver, type="of tomorrow") == []
