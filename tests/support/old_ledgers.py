"""Ledgers of older versions, and what they hold."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.models import CoverTask, Track

SAMPLES = Path(__file__).parents[1] / "samples"

SQL = (SAMPLES / "ledger-v1.sql").read_text()

OLD_LEDGERS = {
    "version 1": SQL,
    "version 2": (SAMPLES / "ledger-v2.sql").read_text(),
}


def old_ledger(path: Path, sql: str = SQL) -> Path:
    """Make a ledger of an older version, in WAL mode as all are."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(sql)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def entry_of(known: dict[str, Any]) -> LedgerEntry:
    """Say what this version is to read where version 1 read that."""
    song, task = known["music_task_id"], known["task"]
    created_at, completed_at = (
        known[name] and datetime.fromisoformat(known[name])
        for name in ("created_at", "completed_at")
    )
    return LedgerEntry(
        number=known["number"],
        tracks=tuple(Track(song, title=name, columns=c) for name, c in known["tracks"].items()),
        state=TrackState[known["state"]],
        task=task and CoverTask(cover_task_id=task[0], music_task_id=song, adopted=task[1]),
        images=tuple(known["images"]),
        files=tuple(map(Path, known["files"])),
        error=known["error"],
        reason=known["reason"],
        submits=int(known["state"] != "WAITING"),  # it counted none: one at least
        created_at=created_at,
        completed_at=completed_at,
    )


EXPECTED = [entry_of(known) for known in json.loads((SAMPLES / "ledger-v1.json").read_text())]


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        (number,) = database.execute("PRAGMA user_version").fetchone()
    return int(number)
