"""Receivers behind real web frameworks and servers, and their callers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from suno_cover_async.callbacks.receiver import CallbackReceiver
from suno_cover_async.protocol import codec
from tests.support.waiting import until

SECRET = "the secret of the doors"

KEY = "the key of the host"

MUSIC = "73d6128b3523a0079df10da9471017c8"

COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"

LETTER = codec.encode_callback(200, "success", cover_task_id=COVER, images=None)

Door = Callable[[CallbackReceiver, socket.socket], AbstractAsyncContextManager[None]]


def at(sock: socket.socket, **options: Any) -> CallbackReceiver:
    """Make a receiver that knows its address before any server listens there."""
    port = sock.getsockname()[1]
    defaults: dict[str, Any] = {"public_url": f"http://127.0.0.1:{port}/suno", "secret": SECRET}
    return CallbackReceiver(**(defaults | options))


class Uvicorn(uvicorn.Server):
    """Uvicorn in a loop that is not its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def serving(app: Any, sock: socket.socket, **options: Any) -> AsyncGenerator[None, None]:
    options = {"ws": "none", "log_config": None, "lifespan": "on", "http": "h11"} | options
    server = Uvicorn(uvicorn.Config(app, **options))
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await until(lambda: server.started or task.done())
        yield
    finally:
        server.should_exit = True
        await task


def bare(receiver: CallbackReceiver, sock: socket.socket) -> AbstractAsyncContextManager[None]:
    return serving(receiver.asgi, sock)


def httptools(receiver: CallbackReceiver, sock: socket.socket) -> AbstractAsyncContextManager[None]:
    return serving(receiver.asgi, sock, http="httptools")


def fastapi(receiver: CallbackReceiver, sock: socket.socket) -> AbstractAsyncContextManager[None]:
    app = FastAPI()
    app.mount("/suno", receiver.asgi)
    return serving(app, sock)


def starlette(receiver: CallbackReceiver, sock: socket.socket) -> AbstractAsyncContextManager[None]:
    app = Starlette(routes=[Mount("/suno", app=receiver.asgi)])
    return serving(app, sock, lifespan="off")


@asynccontextmanager
async def application(
    receiver: CallbackReceiver, sock: socket.socket
) -> AsyncGenerator[None, None]:
    app = web.Application()
    app.router.add_route("*", "/suno/{tail:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.SockSite(runner, sock).start()
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def listen(receiver: CallbackReceiver, sock: socket.socket) -> AsyncGenerator[None, None]:
    host, port = sock.getsockname()
    sock.close()
    async with receiver.listen(host, port) as listening:
        assert listening == port
        yield


DOORS = [bare, application, listen]

every_door = pytest.mark.parametrize("door", DOORS)

every_framework = pytest.mark.parametrize("door", [*DOORS, fastapi, starlette])


def head(receiver: CallbackReceiver, *fields: str, method: str = "POST", path: str = "") -> bytes:
    """Write the head of a request that is believed so far."""
    path = path or urlsplit(receiver.url(MUSIC)).path
    lines = (f"{method} {path} HTTP/1.1", "Host: x", *fields, "", "")
    return "\r\n".join(lines).encode("latin-1")


def whole(receiver: CallbackReceiver, *fields: str, body: bytes = LETTER, **line: str) -> bytes:
    fields = fields or ("Content-Type: application/json",)
    return head(receiver, *fields, f"Content-Length: {len(body)}", **line) + body


class Caller:
    """One connection, without any library."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> bytes:
        """Read one whole answer; but its date."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")]
        (length,) = (int(line[15:]) for line in lines if line.lower().startswith(b"content-length"))
        return b"\r\n".join(lines) + await self.reader.readexactly(length)

    async def ask(self, request: bytes) -> bytes:
        self.writer.write(request)
        return await self.answer()


@asynccontextmanager
async def calling(receiver: CallbackReceiver) -> AsyncGenerator[Caller, None]:
    url = urlsplit(receiver.url(MUSIC))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(receiver: CallbackReceiver, request: bytes) -> bytes:
    async with calling(receiver) as caller:
        return await caller.ask(request)


def is_accepted(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b'{"status": "received"}')
