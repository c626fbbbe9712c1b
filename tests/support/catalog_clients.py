"""Clients for catalogs that are patient, hurried or slow."""

from collections.abc import AsyncIterator
from typing import Any

from suno_cover_async import (
    Ledger,
    LedgerEntry,
    Outcome,
    PollPolicy,
    RetryPolicy,
    SunoCoverClient,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.clients import connect
from tests.support.runs import read_now

QUICK = Scenario(rate_limit=None, polls=1, image_size=16)

PATIENT = RetryPolicy(initial_delay=0.001, max_delay=0.01, probe_delay=0.005, max_probe_delay=0.02)

HURRIED = RetryPolicy(initial_delay=0.001, max_delay=0.01, max_attempts=1)

SLOW_POLL = PollPolicy(initial_delay=0.01, min_interval=0.01, max_interval=0.02, timeout=0.2)


def client_of(sandbox: Sandbox, **options: Any) -> SunoCoverClient:
    return connect(sandbox, **({"retry": PATIENT} | options))


def entries(ledger: Ledger) -> dict[str, LedgerEntry]:
    return {entry.music_task_id: entry for entry in read_now(ledger)}


async def _all(outcomes: AsyncIterator[Outcome]) -> list[Outcome]:
    return [outcome async for outcome in outcomes]
