"""A sandbox called by raw HTTP, and a mailbox for its callbacks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from suno_cover_async.sandbox import Sandbox, Scenario

SUBMIT = "/api/v1/suno/cover/generate"

DETAILS = "/api/v1/suno/cover/record-info"

CREDITS = "/api/v1/generate/credit"

PLACEHOLDER = "https://example.com/callback"

CURL = "curl/8.5.0"

_RECORDS = json.loads((Path(__file__).parents[1] / "samples" / "api_samples.json").read_text())

SAMPLES: dict[str, Any] = {record["case"]: record["body"] for record in _RECORDS}


class Api:
    """A bare HTTP caller."""

    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.http = http

    async def get(self, path: str, **query: str) -> tuple[int, Any]:
        url = path if path.startswith("http") else self.sandbox.url + path
        async with self.http.get(url, params=query) as response:
            body = await response.read()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(body) if is_json else body

    async def submit(
        self, music_task_id: object, callback_url: object = PLACEHOLDER
    ) -> tuple[int, Any]:
        return await self.send({"taskId": music_task_id, "callBackUrl": callback_url})

    async def send(self, body: object) -> tuple[int, Any]:
        async with self.http.post(self.sandbox.url + SUBMIT, json=body) as response:
            return response.status, json.loads(await response.read())

    async def order(self, callback_url: str, **music: Any) -> tuple[int, Any]:
        (music_task_id,) = self.sandbox.add_music(1, **music)
        return await self.submit(music_task_id, callback_url)

    async def cover(self, **music: Any) -> str:
        _, body = await self.order(PLACEHOLDER, **music)
        cover_task_id: str = body["data"]["taskId"]
        return cover_task_id

    async def details(self, cover_task_id: str) -> Any:
        status, body = await self.get(DETAILS, taskId=cover_task_id)
        assert status == 200
        return body


@asynccontextmanager
async def calling(sandbox: Sandbox, **headers: str) -> AsyncIterator[Api]:
    headers = {"User-Agent": CURL, "Authorization": f"Bearer {sandbox.api_key}"} | headers
    async with aiohttp.ClientSession(headers=headers) as http:
        yield Api(sandbox, http)


@asynccontextmanager
async def an_api(**fields: Any) -> AsyncIterator[Api]:
    fields = {"seconds": 0, "rate_limit": None, "image_size": 64} | fields
    async with Sandbox(Scenario(**fields)) as sandbox, calling(sandbox) as api:
        yield api


async def connect(sandbox: Sandbox) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(sandbox.url.rsplit(":")[-1]))


async def raw(sandbox: Sandbox, target: str, *, headers: str = "", body: bytes = b"") -> bytes:
    """Send one request over a bare socket, and read until the connection ends."""
    reader, writer = await connect(sandbox)
    method = "POST" if body else "GET"
    writer.write(
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {sandbox.api_key}\r\nContent-Length: {len(body)}\r\n"
        f"{headers}\r\n".encode()
        + body
    )
    try:
        return await reader.read()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def shape(value: Any) -> Any:
    """Reduce a body to its keys and types."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else type(value).__name__


def said(body: Any) -> tuple[int, str]:
    return body["code"], body["msg"]


class Mailbox:
    """A callback URL that keeps what it gets, and answers as told."""

    def __init__(self) -> None:
        self.url = ""
        self.letters: asyncio.Queue[tuple[dict[str, str], Any]] = asyncio.Queue()
        self.paths: list[str] = []
        self.statuses: list[int] = []
        self.answer = asyncio.Event()
        self.answer.set()

    async def keep(self, request: web.BaseRequest) -> web.Response:
        self.paths.append(request.path)
        self.letters.put_nowait((dict(request.headers), json.loads(await request.read())))
        await self.answer.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        return web.Response(status=status, headers={"Location": "http://192.0.2.1/"})

    async def take(self) -> tuple[dict[str, str], Any]:
        return await asyncio.wait_for(self.letters.get(), 5)


@asynccontextmanager
async def a_mailbox() -> AsyncIterator[Mailbox]:
    """Have a mailbox that the sandbox can reach."""
    box = Mailbox()
    runner = web.ServerRunner(web.Server(box.keep, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    box.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    yield box
    await runner.cleanup()
    await asyncio.sleep(0)  # its sockets close now
