"""The `batch` command on a small catalog."""

import csv
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.commands import (
    at,
)
from tests.support.runs import read_now

QUICK = Scenario(seconds=0.02, image_size=16)

HOSTILE = [
    "\x1b[2J\x1b]0;pwned\x07",
    "=cmd|' /C calc'!A0",
    "[red]markup[/red] :smile:",
    "\u202egnp.exe",
    "two\nlines\r\tand a tab",
]


def catalog(folder: Path, ids: Sequence[str], titles: Sequence[str] = ()) -> None:
    """Write catalog.csv."""
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["music_task_id", "title"])
        writer.writerows(zip(ids, titles or [f"Song {one}" for one in ids], strict=True))


def batch(sandbox: Sandbox, *more: str) -> tuple[str, ...]:
    return ("batch", "catalog.csv", *at(sandbox), *more)


def command_of(err: str, word: str) -> list[str]:
    """Find the command to be copied that has this word in it."""
    [line] = [line for line in err.splitlines() if line.startswith("  suno-cover") and word in line]
    return shlex.split(line)[1:]


def states(ledger: Path) -> Counter[str]:
    return Counter(entry.state.value for entry in read_now(ledger))
