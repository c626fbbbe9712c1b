"""How soon does a run of a ledger with 1,000,000 tracks submit its first?

A ledger is built (and kept, where `--folder` says) in which the first 6 of 10 tracks are saved,
with the catalog that goes with it. A new process then opens a copy and goes on; the clock runs from
its exec to the first submit arriving at the sandbox. The files are in the system's cache; from a
cold disk, the whole ledger has to be read, since it is checked on opening.

Exits with 1 when the median is over 2 s.
"""

import asyncio
import json
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from suno_cover_async import Ledger, TrackState, read_catalog
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import catalogs
from tests.support.catalog_child import song
from tests.support.waiting import until

REACH = 2.0
SAVED = 0.6
AT_ONCE = 10_000
DUE = (TrackState.SUBMITTED, TrackState.SUBMITTING, TrackState.WAITING)
STEPS = ("imported", "opened", "began", "submitted")


async def build(folder: Path, tracks: int) -> None:
    """Make a catalog, and a ledger of it as an interrupted run leaves it."""
    catalog = catalogs.write_catalog(folder / "catalog.csv", map(song, range(tracks)))
    unfinished = folder / "unfinished.db"
    unfinished.unlink(missing_ok=True)
    async with Ledger(unfinished) as ledger:
        rest = iter(read_catalog(catalog))
        while some := [track for track, _ in zip(rest, range(AT_ONCE), strict=False)]:
            await ledger.take_in(some)
        await ledger.took_in(read_catalog(catalog).fingerprint())
    save(unfinished, int(tracks * SAVED))
    unfinished.rename(folder / "covers.db")


def save(ledger: Path, tracks: int) -> None:
    """Write into the file that the first tracks are covered and saved."""
    given = "cover_task_id = ?, images = ?, created_at = ?, completed_at = ?, files = ?"
    with closing(sqlite3.connect(ledger)) as database, database:
        database.executemany(
            f"UPDATE tracks SET state = 'saved', {given} WHERE number = ?",  # noqa: S608 - columns of ours
            map(_saved, range(1, tracks + 1)),
        )


def _saved(number: int) -> tuple[object, ...]:
    cover = song(2**64 + number)
    images = [f"https://tempfile.aiquickdraw.com/s/{cover}_{style}.png" for style in (1, 2)]
    files = [f"covers/Song {number} {song(number - 1)}-{style}.png" for style in (1, 2)]
    done = 1_760_000_000.0 + number
    return cover, json.dumps(images), done - 40, done, json.dumps(files), number


async def first_submit(folder: Path, tracks: int) -> dict[str, float]:
    """Start a process on a copy of the ledger; tell when it got how far, in seconds from exec."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        ledger = shutil.copy(folder / "covers.db", place)
        async with Sandbox(Scenario()) as sandbox:
            first = int(tracks * SAVED)
            sandbox.add_music(map(song, range(first, first + 1000)))
            journal, began = sandbox.journal, time.monotonic()
            catalog, into = folder / "catalog.csv", Path(place) / "covers"
            async with catalogs.child(sandbox, catalog=catalog, ledger=ledger, into=into) as child:
                await child.hear("began")
                await until(lambda: journal.of("submit"), every=0.001)
            moments = child.told | {"submitted": journal.of("submit")[0].at}
            return {step: moments[step] - began for step in STEPS}


async def queries(folder: Path) -> dict[str, float]:
    """Time what a run asks its ledger before it submits."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        copy = shutil.copy(folder / "covers.db", place)
        async with Ledger(copy) as ledger, ledger.lease("0123456789abcdef"):
            began = time.perf_counter()
            await ledger.count()
            found["of this: count the states"] = time.perf_counter() - began
            began = time.perf_counter()
            await ledger.claim(DUE, 20)
            found["of this: first due tracks"] = time.perf_counter() - began
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, resume, and judge."""
    options = catalogs.parser(__doc__)
    options.add_argument("--tracks", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--folder", type=Path, help="where to keep the ledger for the next time")
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)) / f"{given.tracks} tracks"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "covers.db").exists():
            asyncio.run(build(folder, given.tracks))
        runs = [asyncio.run(first_submit(folder, given.tracks)) for _ in range(given.runs)]
        asked = asyncio.run(queries(folder))
        size = (folder / "covers.db").stat().st_size
    medians = {step: statistics.median(run[step] for run in runs) for step in STEPS}
    figures = {
        "tracks": given.tracks,
        "ledger_mb": size / 1e6,
        "interpreter and import": medians["imported"],
        "opening and checking the ledger": medians["opened"] - medians["imported"],
        "finding the catalog unchanged": medians["began"] - medians["opened"],
        "from there to the first submit": medians["submitted"] - medians["began"],
        **asked,
        "first submit, median": medians["submitted"],
        "first submit, slowest": max(run["submitted"] for run in runs),
    }
    catalogs.show(figures, as_json=given.json)
    return 0 if medians["submitted"] <= REACH else 1


if __name__ == "__main__":
    sys.exit(main())
