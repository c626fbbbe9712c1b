"""Ledgers with saved covers whose images are large enough to be seen."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from suno_cover_async import Ledger, Track, TrackState
from suno_cover_async.sandbox.images import draw, title_of
from tests.support.review_pages import a_ledger

ARTISTS = ("The Quiet Harbour Ensemble", "Ann Lee", "Kite & Motel")


def songs(count: int) -> list[Track]:
    """Return songs with made-up titles, artists and columns."""
    return [
        Track(
            f"music-{number:05}",
            title=title_of(f"music-{number:05}"),
            columns={
                "artist": ARTISTS[number % len(ARTISTS)],
                "genre": "dream pop",
                "bpm": 90 + number % 50,
                "isrc": f"QZ-ABC-26-{number:05}",
            },
        )
        for number in range(1, count + 1)
    ]


async def a_review_ledger(
    folder: Path, tracks: Sequence[Track] | int, *, side: int | None = None
) -> Path:
    """Make `covers.db` in a folder, with a saved cover for each track.

    With `side`, the images have so many pixels.
    """
    given = songs(tracks) if isinstance(tracks, int) else tracks
    path = await a_ledger(folder, given)
    if side is not None:
        async for entry in Ledger(path).entries(TrackState.SAVED):
            for place, file in enumerate(entry.files):
                file.write_bytes(draw(entry.music_task_id, 1 + place % 2, side))
    return path


def files_of(path: Path, numbers: Iterable[int]) -> list[Path]:
    """Return where `a_review_ledger` writes the first image of these songs."""
    return [path.parent / "covers" / f"music-{number:05}-0-1.png" for number in numbers]
