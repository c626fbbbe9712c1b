"""The steps of a track, as a table."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)

TASK = CoverTask(cover_task_id="c1", music_task_id="m1")

FILES = (Path("covers/Song.png"), Path("covers/Söng 🎵 (2).png"))


def details(cover_task_id: str = "c1", completed_at: datetime | None = NOON) -> CoverDetails:
    return CoverDetails(
        cover_task_id=cover_task_id,
        status=CoverStatus.SUCCESS,
        images=("https://images.example/1.png", "https://images.example/2.png"),
        created_at=NOON - timedelta(seconds=41.25),
        completed_at=completed_at,
    )


async def entries(ledger: Ledger) -> list[LedgerEntry]:
    """Read all entries of an open ledger, which may have no file."""
    found = [await ledger.next_open(state, 0, 10_000) for state in TrackState]
    return sorted((entry for some in found for entry in some), key=lambda entry: entry.number)


Step = Callable[[Ledger, LedgerEntry], "asyncio.Future[None]"]

SUBMITTED: list[Step] = [lambda ledger, entry: ledger.submitted(entry, TASK)]

COVERED: list[Step] = [*SUBMITTED, lambda ledger, entry: ledger.covered(entry, details())]

SAVED: list[Step] = [*COVERED, lambda ledger, entry: ledger.saved(entry, FILES)]
