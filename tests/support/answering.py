"""A sandbox with scripted answers, and the client that sends requests to it.

Waits are long in these scenes, so most run in virtual time.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from suno_cover_async import CoverTask, RateLimit, RetryPolicy, SunoCoverClient, SunoCoverError
from suno_cover_async.sandbox import Kind, Reply, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.clients import FAST_POLL, connect

QUICK = Scenario(rate_limit=None, polls=1, image_size=16)
ONCE = RetryPolicy(max_attempts=1)
PLENTY = RateLimit(calls=1_000_000, seconds=10)  # a pause lasts for one window of it


@attrs.frozen(kw_only=True)
class Stage:
    """A sandbox in virtual time, its client, and a song whose cover task is known."""

    sandbox: Sandbox
    client: SunoCoverClient
    song: str
    covered: CoverTask
    earlier: int = 0  # requests before the scene

    async def ask(self, kind: Kind) -> object:
        """Make a request of one kind; a submit is of the song that has no cover yet."""
        match kind:
            case "submit":
                return await self.client.submit(self.song)
            case "details":
                return await self.client.details(self.covered.cover_task_id)
            case "music":
                return await self.client.music_details(self.song)
            case _:
                return await self.client.credits()

    async def error(self, kind: Kind) -> SunoCoverError:
        with pytest.raises(SunoCoverError) as caught:
            await self.ask(kind)
        return caught.value

    def moments(self, kind: Kind) -> list[float]:
        """When requests of one kind arrived, those before the scene left out."""
        arrivals = self.sandbox.journal.arrivals[self.earlier :]
        return [arrival.at for arrival in arrivals if arrival.kind == kind]


@asynccontextmanager
async def stage(*, proven: bool = True, **options: Any) -> AsyncIterator[Stage]:
    """Set a stage; `proven`: the API has answered its client before."""
    clock = asyncio.get_running_loop().time
    async with Sandbox(QUICK, clock=clock) as sandbox:
        song, other = sandbox.add_music(["the-song", "another-song"])
        async with connect(sandbox) as other_client:
            covered = await other_client.submit(other)
        defaults = {"rate_limit": PLENTY, "poll": FAST_POLL, "retry": RetryPolicy()}
        async with connect(sandbox, **(defaults | options)) as client:
            if proven:
                await client.credits()
            earlier = len(sandbox.journal.arrivals)
            yield Stage(sandbox=sandbox, client=client, song=song, covered=covered, earlier=earlier)


def play(scene: Callable[[Stage], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def whole() -> None:
        async with stage(**options) as here:
            await scene(here)

    virtual_time.run(whole())


def reply(
    status: int, body: object = b"", media: str = "application/json", **headers: str
) -> Reply:
    """Word an answer; one to a submit is executed behind the gateway, if it is sent on."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        status=status, body=content, headers={"Content-Type": media} | named, executes=True
    )


def page(status: int, text: str, **headers: str) -> Reply:
    return reply(status, text.encode(), "text/html", **headers)


def text(status: int, words: str, **headers: str) -> Reply:
    return reply(status, words.encode(), "text/plain", **headers)
