"""The steps of a track, as a table."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from platform import node
from typing import Any

from suno_cover_async.errors import CoverFailedError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask, Track

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


Step = Callable[[Ledger, LedgerEntry], "asyncio.Future[Any]"]

SUBMITTED: list[Step] = [lambda ledger, entry: ledger.submitted(entry, TASK)]

COVERED: list[Step] = [*SUBMITTED, lambda ledger, entry: ledger.covered(entry, details())]

DOWNLOADING: list[Step] = [*COVERED, lambda ledger, _: ledger.claim_unsaved(1_000)]

SAVED: list[Step] = [*DOWNLOADING, lambda ledger, entry: ledger.saved(entry, FILES)]

FAILED = CoverFailedError(CoverDetails(cover_task_id="c1", status=CoverStatus.FAILED))


async def entry_of(ledger: Ledger, track: Track | str = "m1") -> LedgerEntry:
    """Take a track in, unless it is there, claim it, and return its entry."""
    track = Track(track) if isinstance(track, str) else track
    await ledger.take_in([track])
    await ledger.claim([TrackState.WAITING], 1_000)
    return next(
        entry for entry in await entries(ledger) if entry.music_task_id == track.music_task_id
    )


FINISHED = {
    "task": TASK,
    "images": details().images,
    "created_at": details().created_at,
    "completed_at": NOON,
}


STEPS: dict[str, tuple[list[Step], dict[str, Any]]] = {
    "taken in": ([], {"state": TrackState.WAITING}),
    "submitting": (
        [lambda ledger, entry: ledger.submitting(entry)],
        {"state": TrackState.SUBMITTING, "submits": 1},
    ),
    "not sent after all": (
        [
            lambda ledger, entry: ledger.submitting(entry),
            lambda ledger, entry: ledger.unsent(entry),
        ],
        {"state": TrackState.WAITING},
    ),
    "submitted": (SUBMITTED, {"state": TrackState.SUBMITTED, "task": TASK}),
    "adopted": (
        [
            lambda ledger, entry: ledger.submitted(
                entry, CoverTask(cover_task_id="c9", music_task_id="m1", adopted=True)
            )
        ],
        {
            "state": TrackState.SUBMITTED,
            "task": CoverTask(cover_task_id="c9", music_task_id="m1", adopted=True),
        },
    ),
    "covered": (COVERED, {"state": TrackState.COVERED} | FINISHED),
    "put off": (
        [*COVERED, lambda ledger, entry: ledger.put_off(entry)],
        {"state": TrackState.COVERED} | FINISHED,
    ),
    "saved": (SAVED, {"state": TrackState.SAVED, "files": FILES, "saved_on": node()} | FINISHED),
    "failed": (
        [
            *SUBMITTED,
            lambda ledger, entry: ledger.ended(entry, TrackState.FAILED, FAILED),
        ],
        {
            "state": TrackState.FAILED,
            "task": TASK,
            "error": "CoverFailedError",
            "reason": FAILED.message,
        },
    ),
    "another's task": (
        [
            *SUBMITTED,
            lambda ledger, entry: ledger.ended(
                entry, TrackState.ATTENTION, ValueError("whose?\n\ud83d"), task_known=False
            ),
        ],
        {"state": TrackState.ATTENTION, "error": "ValueError", "reason": "whose?\n?"},
    ),
}
