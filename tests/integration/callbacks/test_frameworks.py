"""The doors of the receiver, in real servers over real sockets, with the sandbox as the caller."""

import asyncio
import contextlib
import gzip
import http.client
import importlib.util
import json
import socket
import threading
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from suno_cover_async.callbacks.receiver import CallbackReceiver
from suno_cover_async.models import Callback, CoverTask
from suno_cover_async.protocol import codec, requests
from suno_cover_async.sandbox import Delivery, Sandbox, Scenario, callback_sender
from tests.support.clients import listening
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

SECRET = "the secret of the doors"
KEY = "the key of the host"
MUSIC = "73d6128b3523a0079df10da9471017c8"
COVER = "21aee3c3c2a01fa5e030b3799fa4dd56"
LETTER = codec.encode_callback(200, "success", cover_task_id=COVER, images=None)
LARGEST = 65536
FORGED = "/suno/forged"

Door = Callable[[CallbackReceiver, socket.socket], AbstractAsyncContextManager[None]]


def at(sock: socket.socket, **options: Any) -> CallbackReceiver:
    """Make a receiver that knows its address before any server listens there."""
    port = sock.getsockname()[1]
    public_url = f"http://127.0.0.1:{port}/suno"
    return CallbackReceiver(**({"public_url": public_url, "secret": SECRET} | options))


# --- the doors ---------------------------------------------------------------------------------


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
if importlib.util.find_spec("httptools"):
    DOORS.append(httptools)
every_door = pytest.mark.parametrize("door", DOORS)
every_framework = pytest.mark.parametrize("door", [*DOORS, fastapi, starlette])


@pytest.fixture
def sock() -> Generator[socket.socket, None, None]:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as sock:
        yield sock


# --- callers -----------------------------------------------------------------------------------


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


def is_refused(answer: bytes) -> bool:
    said = answer.lower()
    return (
        said.startswith(b"http/1.1 400 ")
        and said.endswith(b'{"status": "refused"}')
        and b"\r\nconnection: close\r\n" in said
        and b"\r\ncontent-type: application/json" in said
    )


# --- the sandbox calls -------------------------------------------------------------------------


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


# --- attacks -----------------------------------------------------------------------------------


def signed() -> dict[str, str]:
    return callback_sender.signature(KEY, COVER, int(time.time()))


CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n"


def attacks(receiver: CallbackReceiver) -> dict[str, bytes]:
    """Write what is refused; bodies that are announced and not sent must not be waited for."""
    zipped = gzip.compress(LETTER)
    large = LETTER + b" " * LARGEST
    return {
        "forged": whole(receiver, path=FORGED),
        "forged, and the body dawdles": head(receiver, "Content-Length: 100", path=FORGED),
        "forged, and a chunk dawdles": head(receiver, "Transfer-Encoding: chunked", path=FORGED),
        "GET": head(receiver, method="GET"),
        "PUT": whole(receiver, method="PUT"),
        "DELETE, and the body dawdles": head(receiver, "Content-Length: 9", method="DELETE"),
        "a form, and the body dawdles": head(
            receiver, "Content-Type: text/plain", "Content-Length: 9"
        ),
        "announced as too large": head(receiver, f"Content-Length: {LARGEST + 1}"),
        "too large": whole(receiver, body=large),
        "too large, in one chunk": head(receiver, "Transfer-Encoding: chunked")
        + CHUNKED % (len(large), large),
        "too large, without an end": head(receiver, "Transfer-Encoding: chunked")
        + b"4000\r\n%s\r\n" % (b" " * 0x4000) * 5,
        "gzip": whole(receiver, "Content-Encoding: gzip", body=zipped),
        "gzip, and the body dawdles": head(
            receiver, "Content-Encoding: gzip", "Content-Length: 99"
        ),
        "a non-ASCII type": whole(receiver, "Content-Type: application/j\u00e9son"),
        "a non-ASCII encoding": whole(receiver, "Content-Encoding: \u00ff\u00fe"),
        "two signatures": whole(receiver, *["X-Webhook-Signature: x"] * 2),
        "not JSON": whole(receiver, body=b"\xff\x00"),
        "deep": whole(receiver, body=b"[" * LARGEST),
        "no body": head(receiver, "Content-Length: 0"),
        "another cover": whole(receiver, body=LETTER.replace(COVER.encode(), b"another")),
    }


def attacks_on_signatures(receiver: CallbackReceiver) -> dict[str, bytes]:
    timestamp, signature = (f"{name}: {value}" for name, value in signed().items())
    return {
        "unsigned, and the body dawdles": head(receiver, "Content-Length: 100"),
        "a non-ASCII signature": whole(
            receiver, timestamp, "X-Webhook-Signature: " + "\u00e9" * 44
        ),
        "two signatures": whole(receiver, timestamp, signature, signature),
        "swapped body": whole(
            receiver, timestamp, signature, body=LETTER.replace(COVER.encode(), b"another")
        ),
    }


@every_framework
async def test_every_refusal_is_the_same_to_the_byte_and_comes_at_once(
    door: Door, sock: socket.socket
) -> None:
    called: list[Callback] = []
    receiver = at(sock, on_callback=called.append)
    known = CoverTask(cover_task_id=COVER, music_task_id=MUSIC)
    answers: dict[str, bytes] = {}
    with listening(receiver.notifier, known) as subscription:
        async with door(receiver, sock):
            for name, request in attacks(receiver).items():
                async with asyncio.timeout(2):
                    answers[name] = await ask(receiver, request)
        notified = await subscription.wait(asyncio.get_running_loop().time())

    assert is_refused(answers["forged"])
    assert {name for name, one in answers.items() if one != answers["forged"]} == set()
    assert not notified
    assert not called
    assert receiver.notifier.named(MUSIC) == ()


@every_door
async def test_every_refusal_of_a_signature_is_the_same_too(
    door: Door, sock: socket.socket
) -> None:
    receiver = at(sock, hmac_key=KEY)
    async with door(receiver, sock), asyncio.timeout(2):
        forged = await ask(receiver, whole(receiver, path=FORGED))
        answers = {
            name: await ask(receiver, request)
            for name, request in attacks_on_signatures(receiver).items()
        }
        fields = (f"{name}: {value}" for name, value in signed().items())
        accepted = await ask(receiver, whole(receiver, *fields))

    assert is_refused(forged)
    assert {name for name, one in answers.items() if one != forged} == set()
    assert is_accepted(accepted)


@every_door
async def test_a_refused_connection_is_closed_at_once(door: Door, sock: socket.socket) -> None:
    receiver = at(sock)
    rest: list[bytes] = []
    async with door(receiver, sock), asyncio.timeout(2):
        for announced in ("Content-Length: 0", "Content-Length: 100", "Transfer-Encoding: chunked"):
            async with calling(receiver) as caller:
                await caller.ask(head(receiver, announced, path=FORGED))
                rest.append(await caller.reader.read())

    assert rest == [b"", b"", b""]


@every_door
async def test_a_caller_who_leaves_in_the_middle_leaves_nothing_behind(
    door: Door, sock: socket.socket
) -> None:
    called: list[Callback] = []
    receiver = at(sock, on_callback=called.append)
    request = whole(receiver)
    async with door(receiver, sock):
        for cut in (len(request) - 1, len(request) - len(LETTER), 60):
            async with calling(receiver) as caller:
                caller.writer.write(request[:cut])
        async with calling(receiver) as caller:
            caller.writer.write(request[:-1])
            caller.writer.transport.abort()
        async with calling(receiver) as caller:
            caller.writer.write(head(receiver, "Transfer-Encoding: chunked"))
            caller.writer.write(b"%x\r\n%s\r\n" % (len(LETTER), LETTER))
        await ask(receiver, whole(receiver, path=FORGED))  # those who left are behind it
        claims = receiver.notifier.named(MUSIC)
        answer = await ask(receiver, request)

    assert claims == ()
    assert is_accepted(answer)
    await until(lambda: called)
    assert len(called) == 1


@asynccontextmanager
async def besieged(receiver: CallbackReceiver, count: int) -> AsyncGenerator[list[Caller], None]:
    """Keep connections that sent a good head and the first byte of the body."""
    async with contextlib.AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(calling(receiver)) for _ in range(count)]
        for caller in callers:
            caller.writer.write(whole(receiver)[: 1 - len(LETTER)])
        yield callers


@every_door
async def test_a_true_callback_is_answered_in_under_a_second_among_200_that_dawdle(
    door: Door, sock: socket.socket
) -> None:
    receiver = at(sock)
    async with door(receiver, sock), besieged(receiver, 200):
        began = time.monotonic()
        answer = await ask(receiver, whole(receiver))
        took = time.monotonic() - began

    assert is_accepted(answer)
    assert took < 1


async def dawdle(caller: Caller) -> tuple[bytes, float]:
    """Send one byte a second until there is an answer; how long that took."""
    began = time.monotonic()
    answer = asyncio.create_task(caller.answer())
    for byte in LETTER[1:]:
        await asyncio.wait([answer], timeout=1)
        if answer.done():
            break
        caller.writer.write(bytes([byte]))
    return await answer, time.monotonic() - began


async def slow_bodies(door: Door) -> list[tuple[bytes, float]]:
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as sock:
        receiver = at(sock)
        async with door(receiver, sock), besieged(receiver, 200) as callers:
            return await asyncio.gather(*map(dawdle, callers))


async def slow_head(receiver: CallbackReceiver) -> float:
    async with calling(receiver) as caller:
        caller.writer.write(whole(receiver)[:60])
        began = time.monotonic()
        assert await caller.reader.read() == b""
        return time.monotonic() - began


async def test_whoever_dawdles_is_turned_away_after_5_seconds(sock: socket.socket) -> None:
    receiver = at(sock)
    async with listen(receiver, sock), asyncio.timeout(20):
        took, *doors = await asyncio.gather(
            slow_head(receiver), slow_bodies(bare), slow_bodies(application)
        )

    assert 4.5 < took < 8
    for outcomes in doors:
        assert len(outcomes) == 200
        assert all(is_refused(answer) and 4.5 < took < 8 for answer, took in outcomes)


@every_door
async def test_a_bomb_holds_up_nobody(door: Door, sock: socket.socket) -> None:
    packer = zlib.compressobj()
    start = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = start + block * 58  # of at most 64 KiB, which would be 59 MiB
    receiver = at(sock)
    async with door(receiver, sock), asyncio.timeout(2), calling(receiver) as caller:
        refused = await caller.ask(
            head(receiver, "Content-Encoding: deflate", f"Content-Length: {len(bomb)}") + bomb
        )
        accepted = await ask(receiver, whole(receiver))

    assert len(bomb) <= LARGEST
    assert is_refused(refused)
    assert is_accepted(accepted)


# --- the user's function -----------------------------------------------------------------------


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
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=20)
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
async def test_a_hook_that_blocks_its_thread_holds_up_nobody(
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


# --- ASGI, word for word -----------------------------------------------------------------------


class Server:
    """An ASGI server, as far as one conversation goes."""

    def __init__(self, *messages: dict[str, Any], deaf: bool = False) -> None:
        self.messages, self.deaf = list(messages), deaf
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        if self.deaf:
            raise OSError("the caller left")
        self.sent.append(message)

    async def run(self, receiver: CallbackReceiver, **scope: Any) -> list[Any]:
        await receiver.asgi(scope, self.receive, self.send)
        return self.sent


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
