"""Browsers that leave and servers that stop, while a submit is on the wire: one POST a song.

Starlette and FastAPI under uvicorn, over real sockets. The host holds its answers to submits back
until a test lets them go; the sandbox behind it counts the POSTs. Cancellations without a web
application are in `test_cancelled_callers.py`.
"""

import asyncio
import contextlib
import functools
import gc
import importlib.util
import itertools
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import attrs
import pytest
import uvicorn
from aiohttp import web
from aiohttp.test_utils import TestServer
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from suno_cover_async import Ledger, SunoCoverClient, TrackState, cover_catalog
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.clients import connect
from tests.support.leaving import by_song, paid, submits
from tests.support.runs import read_now
from tests.support.waiting import until

QUICK = Scenario(rate_limit=None, polls=1, image_size=16)
WORKING = b"working\n"
LATER = "later"

Endpoint = Callable[[Request], Awaitable[Response]]
Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


# --- the host ----------------------------------------------------------------------------------


@asynccontextmanager
async def holding_back(sandbox: Sandbox, answers: asyncio.Event) -> AsyncGenerator[str]:
    """Forward everything to the sandbox at once, and hold answers to submits back."""

    async def forward(request: web.Request) -> web.Response:
        body = await request.read()
        async with session.request(
            request.method, sandbox.url + request.raw_path, data=body, headers=request.headers
        ) as answer:
            brought = await answer.read()
        if request.method == "POST":
            await answers.wait()
        return web.Response(status=answer.status, body=brought)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", forward)
    async with aiohttp.ClientSession() as session, TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")
        answers.set()  # a handler goes on when its client is gone


# --- the applications --------------------------------------------------------------------------


def starlette(endpoint: Endpoint, lifespan: Lifespan) -> Starlette:
    return Starlette(routes=[Route("/cover", endpoint)], lifespan=lifespan)


def fastapi(endpoint: Endpoint, lifespan: Lifespan) -> Starlette:
    app = FastAPI(lifespan=lifespan)
    app.add_api_route("/cover", endpoint, response_model=None)
    return app


def fastapi_with_middleware(endpoint: Endpoint, lifespan: Lifespan) -> Starlette:
    app = FastAPI(lifespan=lifespan)
    app.add_api_route("/cover", endpoint, response_model=None)

    @app.middleware("http")
    async def pass_on(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        return await call_next(request)

    return app


@attrs.frozen
class Kind:
    """One kind of server."""

    framework: Callable[[Endpoint, Lifespan], Starlette]
    parser: str
    loop: str

    def __str__(self) -> str:
        return f"{self.framework.__name__}-{self.parser}-{self.loop}"

    def new_loop(self) -> asyncio.AbstractEventLoop:
        if self.loop == "asyncio":
            return asyncio.new_event_loop()
        import uvloop  # noqa: PLC0415 - it is not on every system

        return uvloop.new_event_loop()


def installed(name: str, otherwise: str) -> str:
    return name if importlib.util.find_spec(name) else otherwise


ENGINES = {
    ("h11", "asyncio"),
    (installed("httptools", "h11"), installed("uvloop", "asyncio")),
}
KINDS = [
    Kind(framework, *engine)
    for framework, engine in itertools.product(
        [starlette, fastapi, fastapi_with_middleware], sorted(ENGINES)
    )
]


class Uvicorn(uvicorn.Server):
    """Uvicorn in a loop that is not its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


# --- a stage: a host, a client, a server and its browsers --------------------------------------


@attrs.define(kw_only=True)
class Stage:
    """What a test sees.

    Attributes:
        answers: Set, to let the answers to submits go.
        left: A request's work has ended, however it did.
        scopes: Cancel scopes of requests under way.
        closing: The server stops: its lifespan closes the client now.
    """

    kind: Kind
    sandbox: Sandbox
    client: SunoCoverClient
    song: str
    answers: asyncio.Event
    browser: aiohttp.ClientSession
    ledger: Ledger | None = None
    left: list[str] = attrs.Factory(list)
    scopes: list[anyio.CancelScope] = attrs.Factory(list)
    closing: bool = False
    port: int = 0

    async def on_the_wire(self) -> None:
        await until(lambda: self.sandbox.journal.bills)

    async def answered(self) -> None:
        """Let the answers go, and wait until the client has them."""
        self.answers.set()
        await until(lambda: self.client.unclaimed or self.client.possibly_billed)

    def asks(self) -> "asyncio.Task[tuple[int, str]]":
        """Have a browser ask for the cover, to the end of the answer."""

        async def ask() -> tuple[int, str]:
            async with self.browser.get(self.url) as answer:
                return answer.status, await answer.text()

        return asyncio.create_task(ask())

    async def begins_to_read(self) -> aiohttp.ClientResponse:
        """Have a browser ask for the cover, and read the first piece of the answer."""
        answer = await self.browser.get(self.url)
        assert await answer.content.readexactly(len(WORKING)) == WORKING
        return answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/cover"

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncGenerator[None]:
        async with self.client:
            yield
            self.closing = True

    @asynccontextmanager
    async def serving(self, endpoint: Endpoint) -> AsyncGenerator[Uvicorn]:
        """Serve the application; in the end, the server stops and leaves nobody time."""
        config = uvicorn.Config(
            self.kind.framework(endpoint, self.lifespan),
            port=0,
            http=self.kind.parser,
            ws="none",
            log_config=None,
            lifespan="on",
            timeout_graceful_shutdown=0,
        )
        server = Uvicorn(config)
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started or serving.done())
        self.port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def staged(kind: Kind, *, ledger: Ledger | None = None) -> AsyncGenerator[Stage]:
    answers = asyncio.Event()
    async with (
        Sandbox(QUICK) as sandbox,
        holding_back(sandbox, answers) as url,
        aiohttp.ClientSession() as browser,
    ):
        (song,) = sandbox.add_music(1)
        yield Stage(
            kind=kind,
            sandbox=sandbox,
            client=connect(sandbox, base_url=url, concurrency=3),
            song=song,
            answers=answers,
            browser=browser,
            ledger=ledger,
        )


def on_every_kind(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in the event loop of each kind of server, to its last task."""

    async def to_the_last_task(work: Coroutine[Any, Any, None]) -> None:
        await work
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    @functools.wraps(test)
    def run(*, kind: Kind, **given: Any) -> None:
        with asyncio.Runner(loop_factory=kind.new_loop) as runner:
            runner.run(to_the_last_task(test(kind=kind, **given)))
        gc.collect()  # what is not closed warns now, and a warning is an error

    marked: Callable[..., None] = pytest.mark.parametrize("kind", KINDS, ids=str)(run)
    return marked


# --- endpoints ---------------------------------------------------------------------------------


def streams(stage: Stage) -> Endpoint:
    async def pieces() -> AsyncGenerator[bytes]:
        try:
            yield WORKING
            details = await stage.client.generate(stage.song)
            yield details.images[0].encode()
        finally:
            stage.left.append(stage.song)

    async def cover(_: Request) -> Response:
        return StreamingResponse(pieces())

    return cover


def streams_a_catalog(stage: Stage) -> Endpoint:
    async def pieces() -> AsyncGenerator[bytes]:
        try:
            yield WORKING
            songs, ledger = [stage.song], stage.ledger
            async with cover_catalog(stage.client, songs, ledger=ledger) as outcomes:
                async for outcome in outcomes:
                    yield type(outcome).__name__.encode()
        finally:
            stage.left.append(stage.song)

    async def cover(_: Request) -> Response:
        return StreamingResponse(pieces())

    return cover


def answers_in_one_piece(stage: Stage) -> Endpoint:
    async def cover(_: Request) -> Response:
        try:
            details = await stage.client.generate(stage.song)
        finally:
            stage.left.append(stage.song)
        return PlainTextResponse(details.images[0])

    return cover


def moves_on(stage: Stage) -> Endpoint:
    async def cover(_: Request) -> Response:
        with anyio.move_on_after(3_600) as scope:
            stage.scopes.append(scope)
            details = await stage.client.generate(stage.song)
            return PlainTextResponse(details.images[0])
        return PlainTextResponse(LATER, status_code=503)

    return cover


# --- a browser leaves --------------------------------------------------------------------------


@on_every_kind
async def test_a_browser_that_leaves_a_stream_leaves_one_post_which_is_kept(kind: Kind) -> None:
    async with staged(kind) as stage, stage.serving(streams(stage)):
        page = await stage.begins_to_read()
        await stage.on_the_wire()

        page.close()
        await until(lambda: stage.left)  # at once: the answer is held back
        assert not stage.client.unclaimed
        await stage.answered()

        assert by_song(stage.client.unclaimed) == paid(stage.sandbox)
        _, body = await stage.asks()
        assert body.startswith(WORKING.decode() + "http")
        assert submits(stage.sandbox) == [stage.song]
        assert not stage.client.unclaimed


@on_every_kind
async def test_a_browser_that_comes_back_joins_the_post_that_it_left(kind: Kind) -> None:
    async with staged(kind) as stage, stage.serving(streams(stage)):
        pages = [await stage.begins_to_read() for _ in range(3)]
        await stage.on_the_wire()

        for page in pages:
            page.close()
        await until(lambda: len(stage.left) == 3)
        back = await stage.begins_to_read()
        stage.answers.set()

        assert (await back.text()).startswith("http")
        assert submits(stage.sandbox) == [stage.song]
        assert not stage.client.unclaimed


@on_every_kind
async def test_a_browser_that_leaves_a_stream_of_a_catalog_leaves_one_post_which_is_written(
    kind: Kind, tmp_path: Path
) -> None:
    async with (
        Ledger(tmp_path / "covers.db") as ledger,
        staged(kind, ledger=ledger) as stage,
        stage.serving(streams_a_catalog(stage)),
    ):
        page = await stage.begins_to_read()
        await stage.on_the_wire()

        page.close()
        await until(lambda: stage.left)
        stage.answers.set()
        await until(lambda: read_now(ledger, TrackState.SUBMITTED))

        (entry,) = read_now(ledger)
        assert entry.task is not None
        assert {entry.music_task_id: entry.task.cover_task_id} == paid(stage.sandbox)
        _, body = await stage.asks()
        assert body == WORKING.decode() + "Covered"
        assert submits(stage.sandbox) == [stage.song]


# --- a request has no more time ----------------------------------------------------------------


@on_every_kind
async def test_an_endpoint_that_moves_on_leaves_one_post_which_is_kept(kind: Kind) -> None:
    async with staged(kind) as stage, stage.serving(moves_on(stage)):
        asked = stage.asks()
        await stage.on_the_wire()

        stage.scopes[0].deadline = -math.inf  # its time is up
        assert await asked == (503, LATER)  # at once: the answer is held back
        assert not stage.client.unclaimed
        await stage.answered()

        assert by_song(stage.client.unclaimed) == paid(stage.sandbox)
        status, body = await stage.asks()
        assert (status, body[:4]) == (200, "http")
        assert submits(stage.sandbox) == [stage.song]


@on_every_kind
async def test_the_next_request_joins_the_post_of_one_that_moved_on(kind: Kind) -> None:
    async with staged(kind) as stage, stage.serving(moves_on(stage)):
        asked = stage.asks()
        await stage.on_the_wire()
        stage.scopes[0].deadline = -math.inf
        assert await asked == (503, LATER)

        again = stage.asks()
        await until(lambda: len(stage.scopes) == 2)
        stage.answers.set()

        status, body = await again
        assert (status, body[:4]) == (200, "http")
        assert submits(stage.sandbox) == [stage.song]


# --- the server stops --------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", [streams, answers_in_one_piece, moves_on])
@on_every_kind
async def test_a_server_that_stops_finishes_the_post_on_the_wire_and_keeps_it(
    kind: Kind, endpoint: Callable[[Stage], Endpoint]
) -> None:
    async with staged(kind) as stage:
        async with stage.serving(endpoint(stage)) as server:
            asked = stage.asks()
            await stage.on_the_wire()

            server.should_exit = True
            await until(lambda: stage.closing)  # uvicorn has cancelled the request before
            stage.answers.set()
        await asyncio.wait([asked])

        asked.exception()  # whatever the browser was told
        assert by_song(stage.client.unclaimed) == paid(stage.sandbox)
        assert submits(stage.sandbox) == [stage.song]


@on_every_kind
async def test_a_server_that_stops_after_its_browser_left_keeps_the_post_on_the_wire(
    kind: Kind,
) -> None:
    async with staged(kind) as stage:
        async with stage.serving(streams(stage)) as server:
            page = await stage.begins_to_read()
            await stage.on_the_wire()
            page.close()
            await until(lambda: stage.left)

            server.should_exit = True
            await until(lambda: stage.closing)
            stage.answers.set()

        assert by_song(stage.client.unclaimed) == paid(stage.sandbox)
        assert submits(stage.sandbox) == [stage.song]


@on_every_kind
async def test_a_catalog_whose_server_stops_is_taken_up_by_the_next_without_a_second_post(
    kind: Kind, tmp_path: Path
) -> None:
    async with Ledger(tmp_path / "covers.db") as ledger, staged(kind, ledger=ledger) as stage:
        async with stage.serving(streams_a_catalog(stage)) as server:
            page = await stage.begins_to_read()
            await stage.on_the_wire()

            server.should_exit = True
            await until(lambda: stage.closing)
            stage.answers.set()
        page.close()
        assert read_now(ledger, TrackState.SUBMITTED)  # the client's closing waited for it

        stage.client = connect(stage.sandbox, concurrency=3)
        async with stage.serving(streams_a_catalog(stage)):
            _, body = await stage.asks()
        assert body == WORKING.decode() + "Covered"
        assert submits(stage.sandbox) == [stage.song]
