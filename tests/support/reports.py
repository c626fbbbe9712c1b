"""What a run tells of: entries of its ledger, its report, and failures."""

from pathlib import Path
from typing import Any

from suno_cover_async import Failed, LedgerEntry, Progress, SunoCoverError, Track, TrackState
from suno_cover_async.cli.output.report import Report


def an_entry(music_task_id: str = "song", title: str = "", **fields: Any) -> LedgerEntry:
    tracks = (Track(music_task_id, title=title),)
    defaults: dict[str, Any] = {"number": 1, "tracks": tracks, "state": TrackState.SUBMITTED}
    return LedgerEntry(**(defaults | fields))


def a_report(numbers: Progress | None = None, **fields: Any) -> Report:
    defaults: dict[str, Any] = {
        "into": Path("covers"),
        "numbers": numbers or Progress(),
        "was_idle": False,
        "bad_lines": 0,
        "credits_used": None,
        "reason": None,
        "unwritten": (),
        "unfinished": (),
    }
    return Report(**(defaults | fields))


def failure(error: SunoCoverError, music_task_id: str = "song", title: str = "") -> Failed:
    return Failed(track=Track(music_task_id, title=title), error=error)
