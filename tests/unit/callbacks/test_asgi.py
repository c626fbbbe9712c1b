"""The ASGI application, message by message."""

import asyncio
from collections.abc import AsyncIterable
from typing import Any

import pytest

from suno_cover_async.callbacks import asgi
from suno_cover_async.callbacks.verification import CallbackAnswer
from suno_cover_async.errors import CallbackRefusedError
from tests.support.asgi_server import Server
from tests.support.callback_requests import (
    ACCEPTED,
    COVER,
    MUSIC,
    REFUSED,
    letter,
    make,
    path_of,
)
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

HTTP: dict[str, Any] = {"type": "http", "method": "POST", "path": "/suno", "headers": []}


def callback(**changes: Any) -> dict[str, Any]:
    return HTTP | {"path": path_of(make())} | changes


class Reader:
    """Reads whole bodies, and gives one answer to each."""

    def __init__(self, given: CallbackAnswer) -> None:
        self.given = given
        self.read: list[bytes] = []
        self.seen: list[Any] = []

    async def __call__(self, scope: asgi.Scope, chunks: AsyncIterable[bytes]) -> CallbackAnswer:
        self.seen.append(scope)
        async for chunk in chunks:
            self.read.append(chunk)
        return self.given


async def test_the_scope_and_the_chunks_of_the_body_are_handed_on() -> None:
    reader = Reader(ACCEPTED)
    server = Server(
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "body": b"b"},
        {"type": "http.request", "body": b"of another request"},
    )

    await server.run(asgi.application(reader), **HTTP)

    assert reader.seen == [HTTP]
    assert reader.read == [b"a", b"b"]
    assert len(server.messages) == 1


async def test_the_answer_is_sent_with_its_type_and_length() -> None:
    given = CallbackAnswer(status=418, body=b"tea", content_type="text/tea")

    sent = await Server({"type": "http.request"}).run(asgi.application(Reader(given)), **HTTP)

    assert sent == [
        {
            "type": "http.response.start",
            "status": 418,
            "headers": [(b"content-type", b"text/tea"), (b"content-length", b"3")],
        },
        {"type": "http.response.body", "body": b"tea"},
    ]


async def test_an_asgi_server_may_leave_out_what_is_optional() -> None:
    server = Server(
        {"type": "http.request", "more_body": True}, {"type": "http.request", "body": letter()}
    )

    start, body = await server.run(make().asgi, **callback())

    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert dict(start["headers"])[b"content-length"] == b"22"
    assert body == {"type": "http.response.body", "body": b'{"status": "received"}'}


@pytest.mark.parametrize(
    ("version", "closes"), [("1.0", True), ("1.1", True), (None, True), ("2", False), ("3", False)]
)
async def test_a_refusal_closes_the_connection_where_that_is_a_header(
    version: str | None, *, closes: bool
) -> None:
    server = Server()  # nothing is read
    named = {} if version is None else {"http_version": version}

    start, _ = await server.run(make().asgi, **callback(path="/forged", **named))

    assert start["status"] == 400
    assert ((b"connection", b"close") in start["headers"]) is closes


async def test_an_accepted_callback_keeps_the_connection() -> None:
    start, _ = await Server({"type": "http.request", "body": letter()}).run(
        make().asgi, **callback(http_version="1.1")
    )

    assert b"connection" not in dict(start["headers"])


@pytest.mark.parametrize("deaf", [True, False])
async def test_an_asgi_caller_may_leave_at_any_moment(deaf: bool) -> None:
    receiver = make()
    unended = {"type": "http.request", "body": letter(), "more_body": True}

    await Server(unended, {"type": "http.disconnect"}, deaf=deaf).run(receiver.asgi, **callback())
    assert receiver.notifier.named(MUSIC) == ()

    await Server({"type": "http.request", "body": letter()}, deaf=deaf).run(
        receiver.asgi, **callback()
    )
    assert receiver.notifier.named(MUSIC) == (COVER,)


async def test_a_caller_who_left_is_an_error_of_the_body() -> None:
    app = asgi.application(Reader(ACCEPTED))

    with pytest.raises(CallbackRefusedError, match="the caller left"):
        await Server({"type": "http.disconnect"}).run(app, **HTTP)


async def test_a_body_that_is_not_read_to_its_end_is_closed() -> None:
    left: list[AsyncIterable[bytes]] = []

    async def answer(_: asgi.Scope, chunks: AsyncIterable[bytes]) -> CallbackAnswer:
        async for _chunk in chunks:
            break
        left.append(chunks)
        return REFUSED

    unended = {"type": "http.request", "body": b"x", "more_body": True}

    await Server(unended, hangs=True).run(asgi.application(answer), **HTTP)

    assert [chunk async for chunk in left[0]] == []


async def test_a_cancellation_passes_while_the_body_comes() -> None:
    server = Server({"type": "http.request", "more_body": True}, hangs=True)
    serving = asyncio.create_task(server.run(asgi.application(Reader(ACCEPTED)), **HTTP))
    await until(lambda: not server.messages)

    serving.cancel()

    with pytest.raises(asyncio.CancelledError):
        await serving
    assert server.sent == []


async def test_other_asgi_scopes_are_answered_as_the_protocol_asks() -> None:
    app = make().asgi
    life = Server({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})

    assert await life.run(app, type="lifespan") == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]
    assert await Server().run(app, type="websocket") == [{"type": "websocket.close"}]
    assert await Server().run(app, type="of tomorrow") == []
