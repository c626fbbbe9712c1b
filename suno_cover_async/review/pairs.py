"""Write an entry of a ledger and its choice as JSON, for the page: text and numbers alone.

It knows entries, and reads image files. It must not know HTTP.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.models import Choice, Decision, Track
from suno_cover_async.review.image_facts import ImageFiles

Destinations = Callable[[LedgerEntry], Sequence[str]]
"""Returns what will be written for an entry, and where, a line each. It is called in a thread."""

_LONGEST = 1_000
_MOST_COLUMNS = 100


def pair_of(
    entry: LedgerEntry, files: ImageFiles, destinations: Destinations | None
) -> dict[str, Any]:
    """Return what the page shows of an entry; it asks the disk for the images, so it blocks.

    A text has at most 1,000 characters, and at most 100 columns are shown.
    """
    track = entry.tracks[0]
    artist = next((name for name in track.columns if name.strip().casefold() == "artist"), None)
    columns = [name for name in track.columns if name != artist][:_MOST_COLUMNS]
    return {
        "number": entry.number,
        "music_task_id": entry.music_task_id,
        "title": _shortened(track.title),
        "titles": [_shortened(one.title) for one in entry.tracks],
        "artist": None if artist is None else _text(track.columns[artist]) or None,
        "columns": {_shortened(name): _text(track.columns[name]) for name in columns},
        "images": _images(entry, track, files),
        "choice": choice_of(entry.choice),
        "destinations": [_shortened(line) for line in destinations(entry)] if destinations else [],
    }


def choice_of(choice: Choice) -> dict[str, Any]:
    """Return a choice by the names of its fields."""
    return choice.to_dict()


def counts_of(counts: dict[Decision, int]) -> dict[str, int]:
    """Return the number of covers with each decision, and of all."""
    return {"all": sum(counts.values()), **{one.value: counts.get(one, 0) for one in Decision}}


def _images(entry: LedgerEntry, track: Track, files: ImageFiles) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number in range(1, len(entry.images) + 1):
        facts = files.facts_of(entry, track, number)
        found.append(
            {
                "image": number,
                "url": f"images/{entry.number}/{number}?v={facts.version}",
                "width": facts.width,
                "height": facts.height,
                "problem": facts.problem,
            }
        )
    return found


def _text(value: object) -> str:
    """Return a column's value as text: what is not text as JSON, nothing for null."""
    if value is None:
        return ""
    return _shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
