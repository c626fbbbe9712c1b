"""A server on loopback in place of a chat platform: what it received, and what it answers."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import attrs
from aiohttp import web

STARTED = 300.0  # seconds in which a bot has started, also on a busy machine: aiogram takes long
LARGEST = 64 * 1024 * 1024  # bytes of a request


@attrs.frozen(kw_only=True)
class Call:
    """One request of a bot, as the platform received it.

    Attributes:
        at: When it arrived, by `time.monotonic`, which is the sandbox's clock too.
        method: The HTTP method.
        path: The path, without the query.
        token: The `Authorization` header.
        fields: What it says, from JSON, a form or the query.
        files: The bytes that it sends, by the name of their file.
    """

    at: float
    method: str
    path: str
    token: str = attrs.field(default="", repr=False)
    fields: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    files: Mapping[str, bytes] = attrs.field(factory=dict[str, bytes])


@attrs.frozen(kw_only=True)
class Refusal:
    """An answer that a platform gives in place of its own; `status` 0 closes the connection."""

    status: int
    body: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])


class StandIn:
    """A web server that records each request before it is answered.

    Attributes:
        calls: All requests, in order of arrival.
        failures: What the platform itself did wrong; the test fails at the end of the block.
    """

    def __init__(
        self, answer: Callable[[Call, web.Request], Awaitable[web.StreamResponse]]
    ) -> None:
        """Answer by a function; no server runs before the block is entered."""
        self.calls: list[Call] = []
        self.failures: list[str] = []
        self._answer = answer
        self._refusals: dict[str, deque[Refusal]] = {}
        self._held: dict[str, asyncio.Event] = {}
        app = web.Application(client_max_size=LARGEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
        assert self.failures == []

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return "http://127.0.0.1:{1}".format(*self._runner.addresses[0])

    def refuse(self, path: str, *refusals: Refusal) -> None:
        """Answer so the next requests whose path has this text in it."""
        self._refusals.setdefault(path, deque()).extend(refusals)

    def refuse_no_more(self) -> None:
        """Answer all requests from now on."""
        self._refusals.clear()

    def hold(self, path: str) -> asyncio.Event:
        """Answer the next request whose path has this text in it only once the event is set."""
        return self._held.setdefault(path, asyncio.Event())

    def of(self, path: str, method: str | None = None) -> list[Call]:
        """Return the requests whose path has this text in it."""
        return [one for one in self.calls if path in one.path and method in {None, one.method}]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        at = time.monotonic()
        fields, files = await content(request)
        token = request.headers.get("Authorization", "")
        call = Call(
            at=at, method=request.method, path=request.path, token=token, fields=fields, files=files
        )
        self.calls.append(call)
        for path in [path for path in self._held if path in call.path]:
            await self._held.pop(path).wait()
        for path, refusals in self._refusals.items():
            if path in call.path and refusals:
                return refused(request, refusals.popleft())
        try:
            return await self._answer(call, request)
        except Exception as error:
            self.failures.append(f"{call}: {error!r}")
            raise


def refused(request: web.Request, refusal: Refusal) -> web.Response:
    """Answer with a refusal, or close the connection."""
    if not refusal.status and request.transport is not None:
        request.transport.close()
    return in_json(dict(refusal.body), refusal.status or 500, refusal.headers)


def in_json(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with JSON, without a charset: discord.py would read the rest as text."""
    return web.Response(
        body=json.dumps(body).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
    )


async def content(request: web.Request) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what a request says, and the files that it sends."""
    if request.content_type == "application/json":
        return {"json": await request.json()} | fields_of(await request.json()), {}
    if request.content_type == "application/octet-stream":
        return dict(request.query), {"raw": await request.read()}
    fields: dict[str, Any] = dict(request.query)
    files: dict[str, bytes] = {}
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            files[value.filename] = value.file.read()
        elif name == "payload_json":
            fields |= json.loads(str(value))
        else:
            fields[name] = value
    return fields, files


def fields_of(body: object) -> dict[str, Any]:
    """Return an object's fields; other JSON has none."""
    return body if isinstance(body, dict) else {}
