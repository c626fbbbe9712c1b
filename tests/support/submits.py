"""Clients of a sandbox with one song, in memory: submits, and what leaves them possibly billed."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    CallbackReceiver,
    CoverTask,
    PollPolicy,
    SunoCoverClient,
    TransportError,
)
from suno_cover_async.sandbox import DuplicateId, Fault, Sandbox, Scenario
from tests.support.breakers import now
from tests.support.clients import FREE, connect
from tests.support.memory_network import eventually

HOURS = 50_000.0
PATIENT = PollPolicy(fallback_delay=HOURS, fallback_interval=HOURS, timeout=10 * HOURS)
SLOW = attrs.evolve(FREE, delay=(0.05, 0.05))
NAMELESS = attrs.evolve(FREE, duplicate_id=DuplicateId.ABSENT)


def a_receiver() -> CallbackReceiver:
    """Make a receiver that hears only of what a test notifies it."""
    return CallbackReceiver(public_url="https://us.example/suno", secret="s" * 32)


@asynccontextmanager
async def submitting(
    scenario: Scenario = FREE, **options: Any
) -> AsyncGenerator[tuple[Sandbox, SunoCoverClient, str]]:
    """Have a client of a sandbox with one song."""
    async with Sandbox(scenario, clock=now) as sandbox, connect(sandbox, **options) as client:
        (song,) = sandbox.add_music(1)
        yield sandbox, client, song


async def cancelled_on_the_wire(
    sandbox: Sandbox, client: SunoCoverClient, music_task_id: str
) -> asyncio.Task[CoverTask]:
    """Begin a submit, and cancel it once; its answer is still to come."""
    before = len(sandbox.journal.arrivals)
    caller = asyncio.create_task(client.submit(music_task_id))
    await eventually(lambda: len(sandbox.journal.arrivals) > before)
    caller.cancel()
    await asyncio.sleep(0)
    return caller


def paid_for(sandbox: Sandbox) -> list[str]:
    return [bill.cover_task_id for bill in sandbox.journal.bills]


def unclaimed(client: SunoCoverClient) -> list[str]:
    return [task.cover_task_id for task in client.unclaimed]


Ask = Callable[[Sandbox, SunoCoverClient, str], Awaitable[None]]


async def after_its_patience(sandbox: Sandbox, client: SunoCoverClient, music: str) -> None:
    sandbox.script("submit", *[Fault.LOST_ANSWER] * 4)
    with pytest.raises(TransportError):
        await client.submit(music)


async def cancelled_before_its_answer_was_lost(
    sandbox: Sandbox, client: SunoCoverClient, music: str
) -> None:
    sandbox.script("submit", Fault.LOST_ANSWER)
    await cancelled_on_the_wire(sandbox, client, music)
    await client.settled(music)


async def by_another_process(sandbox: Sandbox, client: SunoCoverClient, music: str) -> None:
    async with connect(sandbox) as other:
        await cancelled_before_its_answer_was_lost(sandbox, other, music)
    client.mark_possibly_billed(music)


WAYS_TO_LOSE: list[Ask] = [
    after_its_patience,
    cancelled_before_its_answer_was_lost,
    by_another_process,
]
