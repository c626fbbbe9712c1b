"""Hosts of agents: the SDK's own client, and one that speaks the protocol line by line."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
from mcp import Client, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, TextContent

from suno_cover_async.sandbox import Sandbox
from tests.support.commands import MODULE, PATIENCE, at, environment, finish, start

Answer = dict[str, Any]


def serving(sandbox: Sandbox, folder: Path, *, max_covers: int = 9) -> tuple[str, ...]:
    """Return the command line of a server whose ledger and images are in a folder."""
    files = ("--ledger", str(folder / "covers.db"), "--out", str(folder / "covers"))
    return ("mcp", *files, "--max-covers", str(max_covers), *at(sandbox))


@asynccontextmanager
async def agent_of(
    sandbox: Sandbox, folder: Path, *, max_covers: int = 9, mode: str = "legacy", **more: str
) -> AsyncGenerator[Client, None]:
    """Connect the SDK's client to a server of its own; errors.txt gets what that logs."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=[*MODULE[1:], *serving(sandbox, folder, max_covers=max_covers)],
        env=environment(**more),
    )
    with (folder / "errors.txt").open("a") as errors:
        async with Client(stdio_client(parameters, errlog=errors), mode=mode) as client:
            yield client


async def call(client: Client, tool: str, **arguments: object) -> Answer:
    """Call a tool that succeeds, and return its data."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    assert json.loads(text_of(result)) == result.structured_content
    return dict(result.structured_content)


async def refused(client: Client, tool: str, **arguments: object) -> str:
    """Call a tool that fails, and return what it says."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result
    return text_of(result)


async def saved(client: Client, song: str) -> Answer:
    """Return the status of a song once its images are saved."""
    async with asyncio.timeout(PATIENCE):
        while not (answer := await call(client, "status", music_task_id=song))["finished"]:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return answer


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@attrs.define(eq=False)
class Host:
    """A host that speaks the protocol itself, line by line."""

    process: asyncio.subprocess.Process
    traffic: list[bytes] = attrs.field(factory=list[bytes])
    _asked: int = 0

    async def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.traffic.append(line)
        self.process.stdin.write(line + b"\n")
        await self.process.stdin.drain()

    async def tell(self, method: str, **params: object) -> None:
        await self._send(method, params)

    async def request(self, method: str, **params: object) -> int:
        """Send a request, and return its number."""
        self._asked += 1
        await self._send(method, params, id=self._asked)
        return self._asked

    async def answer(self, number: int) -> Answer:
        """Return the answer to a request; every line before it must be of the protocol too."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := await self.process.stdout.readline():
                self.traffic.append(line)
                answer: Answer = json.loads(line)
                assert answer["jsonrpc"] == "2.0"
                if answer.get("id") == number:
                    return answer
        raise AssertionError(f"request {number} was never answered")

    async def ask(self, method: str, **params: object) -> Answer:
        return await self.answer(await self.request(method, **params))

    async def call(self, tool: str, **arguments: object) -> Answer:
        return await self.ask("tools/call", name=tool, arguments=arguments)

    async def begin(self) -> None:
        await self.ask(
            "initialize",
            protocolVersion="2025-06-18",
            capabilities={},
            clientInfo={"name": "a host of tests", "version": "1"},
        )
        await self.tell("notifications/initialized")

    async def _send(self, method: str, params: Mapping[str, object], **more: int) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params, **more}
        await self.send(json.dumps(message).encode())


@asynccontextmanager
async def host_of(
    *arguments: str, program: tuple[str, ...] = MODULE, env: dict[str, str] | None = None
) -> AsyncGenerator[Host, None]:
    """Start a server, and connect to it; it is killed if it has not ended by the end."""
    host = Host(await start(*arguments, program=program, env=env))
    try:
        await host.begin()
        yield host
    finally:
        if host.process.returncode is None:
            host.process.kill()
            await finish(host.process)
