"""What the scripts about catalogs share: a catalog's file, a child at work on it, and the audit."""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
from PIL import Image

from suno_cover_async import Ledger, LedgerEntry, TrackState, __version__
from suno_cover_async.sandbox import Bill, Sandbox
from tests.support.runs import read_now

CHILD = Path(__file__).with_name("catalog_child.py")
SHOWN = 20  # findings printed in full
PAID = (TrackState.SUBMITTED, TrackState.COVERED, TrackState.SAVED)
IMAGES = 2  # of a cover
PNG_END = b"IEND\xaeB\x60\x82"


def write_catalog(path: Path, songs: Iterable[str]) -> Path:
    """Write a catalog as people have it: with titles, which need not differ."""
    with path.open("w") as file:
        file.write("music_task_id,title\n")
        file.writelines(f"{song},Song {number % 1000}\n" for number, song in enumerate(songs))
    return path


class Child:
    """A process that covers a catalog, and what it told so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Use `child` to start one."""
        self.process = process
        self.told: dict[str, float] = {}

    async def hear(self, word: str = "") -> None:
        """Read on until it says this word, or has ended."""
        assert self.process.stdout is not None
        while word not in self.told:
            said, _, number = (await self.process.stdout.readline()).decode().partition(" ")
            if not said:
                await self.process.wait()
                return
            self.told[said] = float(number)


@asynccontextmanager
async def child(sandbox: Sandbox, **options: object) -> AsyncGenerator[Child, None]:
    """Have a child at work; whatever happens, it is gone in the end."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), f"--url={sandbox.url}", *words),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"SUNO_API_KEY": sandbox.api_key},
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@attrs.frozen
class Finding:
    """What must not be: lost, doubled, unexpected or torn."""

    kind: str
    music_task_id: str
    what: str


KINDS = ("lost", "doubled", "unexpected", "torn")


def audit(bills: Iterable[Bill], ledger: Ledger, *, ended: bool) -> list[Finding]:
    """Compare the server's bills with a ledger, its files and states, while or after it is used.

    - lost: billed, and the ledger does not lead to it; saved, and a file is not there; in the end,
      billed and not saved.
    - doubled: billed more than once.
    - unexpected: paid for by the ledger's word only, failed, or begun without a word in the ledger;
      in the end, neither billed nor saved.

    Whether files are whole is for `torn_files` to say.
    """
    billed: dict[str, list[str]] = defaultdict(list)
    for bill in bills:
        billed[bill.music_task_id].append(bill.cover_task_id)
    twice = [song for song, covers in billed.items() if len(covers) > 1]
    found = [Finding("doubled", song, f"billed {len(billed[song])} times") for song in twice]
    for entry in read_now(ledger):
        covers = billed.pop(entry.music_task_id, [])
        kind, what = _wrong(entry, covers) or (ended and _unfinished(entry, covers)) or ("", "")
        if kind:
            found.append(Finding(kind, entry.music_task_id, what))
    return found + [Finding("lost", song, "billed, not in the ledger") for song in billed]


def _wrong(entry: LedgerEntry, covers: list[str]) -> tuple[str, str] | None:
    """Say what is wrong at any moment."""
    if entry.state in {TrackState.FAILED, TrackState.ATTENTION}:
        return "unexpected", f"{entry.state.value}: {entry.error}: {entry.reason}"
    if entry.state in PAID and (entry.task is None or entry.task.cover_task_id not in covers):
        return "unexpected", f"{entry.state.value} by a cover task that was never billed"
    if entry.state is TrackState.WAITING and covers:
        return "unexpected", "billed, and the ledger knows of no submit"
    if entry.state is TrackState.SAVED:
        there = [file for file in entry.files if file.exists()]
        if len(there) != IMAGES * len(entry.tracks):
            return "lost", f"saved, and of {entry.files} only {there} are there"
    return None


def _unfinished(entry: LedgerEntry, covers: list[str]) -> tuple[str, str] | None:
    """Say what is wrong in the end."""
    if entry.state is TrackState.SAVED:
        return None
    return "lost" if covers else "unexpected", f"{entry.state.value} in the end"


def whole(path: Path) -> bool:
    """Tell whether a file is a whole image of the sandbox."""
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, SyntaxError):
        return False
    return path.read_bytes().endswith(PNG_END)


def torn_files(into: Path, known: set[Path]) -> list[Finding]:
    """Check the files of final names that were not checked yet."""
    new = set(into.glob("*.png")) - known
    known |= new
    return [
        Finding("torn", path.stem, f"{path.name} has {path.stat().st_size} bytes")
        for path in sorted(new)
        if not whole(path)
    ]


def adopted(ledger: Ledger) -> int:
    """Count the cover tasks that a later submit brought back."""
    return sum(entry.task is not None and entry.task.adopted for entry in read_now(ledger))


def counted(findings: Iterable[Finding]) -> dict[str, int]:
    """Count findings by kind, in `KINDS`' order."""
    kinds = Counter(finding.kind for finding in findings)
    return {kind: kinds[kind] for kind in KINDS}


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Begin a script's options: its question, and --json."""
    options = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    options.add_argument("--json", action="store_true", help="print JSON")
    return options


def show(
    figures: Mapping[str, Any],
    findings: "Iterable[attrs.AttrsInstance]" = (),
    *,
    as_json: bool,
) -> None:
    """Print versions, figures and findings."""
    versions = {
        "python": platform.python_version(),
        "aiohttp": aiohttp.__version__,
        "sqlite": sqlite3.sqlite_version,
        "suno-cover-async": __version__,
    }
    shown = [attrs.asdict(finding) for finding in findings][:SHOWN]
    if as_json:
        print(json.dumps({**versions, **figures, "findings": shown}, indent=1))
        return
    print(" · ".join(f"{name} {version}" for name, version in versions.items()))
    for name, value in figures.items():
        print(f"{name:32}", f"{value:,.3f}" if isinstance(value, float) else value)
    for finding in shown:
        print("FINDING", *finding.values())
