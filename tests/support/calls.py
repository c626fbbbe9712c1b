"""The transport of a client, called directly, and what it reported of its submits."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from suno_cover_async import CoverTask, RetryPolicy, SunoCoverClient, SunoCoverError
from suno_cover_async.client import covers_of
from suno_cover_async.http.account import Account
from suno_cover_async.http.transport import Transport
from suno_cover_async.protocol import requests
from suno_cover_async.protocol.requests import Call
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.breakers import now
from tests.support.clients import FREE, connect


@attrs.define
class Calls:
    """A transport, and what it reported of its submits."""

    sandbox: Sandbox
    client: SunoCoverClient
    account: Account
    transport: Transport
    kept: list[CoverTask] = attrs.field(factory=list[CoverTask])
    billed: list[str | None] = attrs.field(factory=list["str | None"])

    def credits(self, **options: Any) -> Any:
        return self.transport.get(requests.credit(self.account.host), **options)

    async def submit(self, song: str, policy: RetryPolicy | None = None) -> CoverTask:
        def possibly_billed(call: Call[CoverTask]) -> None:
            self.billed.append(call.music_task_id)

        return await self.transport.submit(
            requests.submit(song, "https://us.example"),
            keep=self.kept.append,
            on_possibly_billed=possibly_billed,
            policy=policy,
        )

    async def error(self, song: str, policy: RetryPolicy | None = None) -> SunoCoverError:
        with pytest.raises(SunoCoverError) as caught:
            await self.submit(song, policy)
        return caught.value


@asynccontextmanager
async def calling(scenario: Scenario = FREE, **options: Any) -> AsyncGenerator[Calls]:
    async with Sandbox(scenario, clock=now) as sandbox, connect(sandbox, **options) as client:
        covers = covers_of(client)
        transport = (await covers.enter()).transport
        yield Calls(sandbox, client, covers.account, transport)
