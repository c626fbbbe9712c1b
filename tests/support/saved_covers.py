"""Ledgers whose covers are saved, without a client and without images."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask, Track

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def a_cover(track: Track, images: int = 2) -> CoverDetails:
    song = track.music_task_id
    return CoverDetails(
        cover_task_id=f"cover-of-{song}",
        music_task_id=song,
        status=CoverStatus.SUCCESS,
        images=tuple(f"https://images.example/{song}-{n + 1}.png" for n in range(images)),
        created_at=NOON,
        completed_at=NOON,
    )


async def save_covers(path: Path, tracks: Iterable[Track], images: int = 2) -> None:
    """Record in a ledger that these tracks have covers, each with files that need not exist."""
    async with Ledger(path) as ledger, ledger.lease("0123456789abcdef"):
        await ledger.take_in(list(tracks))
        async for entry in ledger.entries():
            track = entry.tracks[0]
            details = a_cover(track, images)
            task = CoverTask(cover_task_id=details.cover_task_id, music_task_id=track.music_task_id)
            files = [
                Path(f"covers/{one.title}-{n + 1}.png")
                for one in entry.tracks
                for n in range(images)
            ]
            ledger.submitting(entry)
            ledger.submitted(entry, task)
            ledger.covered(entry, details)
            await ledger.saved(entry, files)
