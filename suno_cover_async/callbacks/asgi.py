"""Provide the ASGI application, which reads a request and sends the answer.

This module implements the ASGI protocol without a library; `receiver.py` decides the answer.
"""

import contextlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    MutableMapping,
)
from typing import Any

from suno_cover_async.callbacks.verification import REFUSED, CallbackAnswer
from suno_cover_async.errors import CallbackRefusedError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


def application(
    answer: Callable[[Scope, AsyncIterable[bytes]], Awaitable[CallbackAnswer]],
) -> Application:
    """Return an application that answers requests by `answer`, called with scope and body.

    The application is a function, because uvicorn treats a bound method as ASGI 2.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                async with contextlib.aclosing(_chunks(receive)) as chunks:
                    given = await answer(scope, chunks)
                await _send(given, scope, send)
            case "lifespan":
                await _live(receive, send)
            case "websocket":
                await send({"type": "websocket.close"})
            case _:
                pass

    return serve


async def _send(answer: CallbackAnswer, scope: Scope, send: Send) -> None:
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    if answer is REFUSED and scope.get("http_version", "1.1").startswith("1"):
        headers.append((b"connection", b"close"))
    start = {"type": "http.response.start", "status": answer.status, "headers": headers}
    with contextlib.suppress(OSError):  # the caller left
        await send(start)
        await send({"type": "http.response.body", "body": answer.body})


async def _chunks(receive: Receive) -> AsyncGenerator[bytes, None]:
    """Yield the body of an ASGI request, chunk by chunk."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise CallbackRefusedError("the caller left")
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _live(receive: Receive, send: Send) -> None:
    """Acknowledge the startup and shutdown of the ASGI server; neither needs any work."""
    ended = False
    while not ended:
        message = await receive()
        ended = message["type"] == "lifespan.shutdown"
        await send({"type": f"{message['type']}.complete"})
