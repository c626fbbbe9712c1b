"""Runs over catalogs: covered to their end, and a ledger's entries read while it is open."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from suno_cover_async import (
    CatalogRun,
    Ledger,
    LedgerEntry,
    Outcome,
    SunoCoverClient,
    SunoCoverError,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox


def billed(sandbox: Sandbox) -> Counter[str]:
    """Count the bills of each song."""
    return Counter(bill.music_task_id for bill in sandbox.journal.bills)


def read_now(ledger: Ledger | Path, *states: TrackState) -> list[LedgerEntry]:
    """Read the entries of a ledger's file at this moment; the running event loop stands still."""
    entries = (ledger if isinstance(ledger, Ledger) else Ledger(ledger)).entries(*states)

    async def read() -> list[LedgerEntry]:
        return [entry async for entry in entries]

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, read()).result()


def states(ledger: Ledger) -> Counter[TrackState]:
    """Count the tracks of a ledger in each state."""
    return Counter(entry.state for entry in read_now(ledger))


async def covered(
    client: SunoCoverClient,
    tracks: Any,
    ledger: Ledger | None = None,
    into: Any = None,
    **options: Any,
) -> list[Outcome]:
    """Cover a catalog; what ends it early is raised."""
    async with cover_catalog(client, tracks, ledger=ledger, into=into, **options) as outcomes:
        return [outcome async for outcome in outcomes]


async def covered_to_its_end(
    client: SunoCoverClient, tracks: Any, ledger: Ledger
) -> tuple[list[Outcome], SunoCoverError | None]:
    """Cover a catalog; return its outcomes, and what ended it early."""
    async with cover_catalog(client, tracks, ledger=ledger) as outcomes:
        return await ended(outcomes)


async def ended(outcomes: CatalogRun) -> tuple[list[Outcome], SunoCoverError | None]:
    """Read all outcomes, and what ended them."""
    seen: list[Outcome] = []
    try:
        async for outcome in outcomes:
            seen += [outcome]
    except SunoCoverError as error:
        return seen, error
    return seen, None
