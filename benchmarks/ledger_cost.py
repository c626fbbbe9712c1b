"""What does a cover cost in the ledger, against plain sqlite3 doing the same four commits?

A cover is noted four times: submitting, submitted, covered, saved; each is on the disk before the
next is begun. The contenders take turns in every round, on files of one folder: the ledger, one
cover at a time and 100 at once; sqlite3 called directly, in the same mode (WAL, full sync) on the
same tables. Reported are medians of the rounds: time and CPU, per cover. Bias: the plain one blocks
its program while the disk works, and has no event loop.

Exits with 1 when one at a time costs over 2 ms of CPU a cover more than plain sqlite3 does; the
time is mostly the disk's, which others use too.
"""

import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from suno_cover_async import CoverDetails, CoverStatus, CoverTask, Ledger, Track, TrackState
from suno_cover_async.ledger.entry import LedgerEntry
from tests.support import catalogs
from tests.support.catalog_child import song

AT_ONCE = 100
CHEAP = 0.002
CHANGES = (
    "state = 'submitting', submits = 1",
    "state = 'submitted', cover_task_id = ?1, adopted = 0",
    "state = 'covered', images = ?1, created_at = 1, completed_at = 2",
    "state = 'saved', files = ?1",
)
NOTES = [f"UPDATE tracks SET {change} WHERE number = ?2" for change in CHANGES]  # noqa: S608 - ours
Cost = tuple[float, float]


class Stopwatch:
    """Time and CPU of this process, per cover."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self.costs: dict[str, list[Cost]] = {}

    @contextmanager
    def timing(self, name: str, covers: int) -> Generator[None, None, None]:
        """Note what the block costs."""
        began, cpu = time.perf_counter(), time.process_time()
        yield
        cost = (time.perf_counter() - began) / covers, (time.process_time() - cpu) / covers
        self.costs.setdefault(name, []).append(cost)

    def medians(self, part: int) -> dict[str, float]:
        """Return the medians of time (0) or CPU (1), in seconds."""
        return {
            name: statistics.median(cost[part] for cost in costs)
            for name, costs in self.costs.items()
        }


async def note(ledger: Ledger, entry: LedgerEntry) -> None:
    """Note a cover as a run does."""
    cover = f"c{entry.music_task_id}"
    details = CoverDetails(
        cover_task_id=cover,
        music_task_id=entry.music_task_id,
        status=CoverStatus.SUCCESS,
        images=(f"https://tempfile.aiquickdraw.com/s/{cover}.png",) * 2,
        created_at=datetime.now(UTC),
    )
    await ledger.submitting(entry)
    await ledger.submitted(entry, CoverTask(cover_task_id=cover, music_task_id=entry.music_task_id))
    await ledger.covered(entry, details)
    await ledger.saved(entry, [Path("covers/one.png"), Path("covers/two.png")])


async def by_ledger(path: Path, covers: int, watch: Stopwatch) -> None:
    """Note half of the covers one at a time, and as many 100 at once."""
    async with Ledger(path) as ledger, ledger.lease("0123456789abcdef"):
        entries = await ledger.claim([TrackState.WAITING], 2 * covers)
        with watch.timing("ledger, one at a time", covers):
            for entry in entries[:covers]:
                await note(ledger, entry)
        rest = iter(entries[covers:])

        async def work() -> None:
            for entry in rest:
                await note(ledger, entry)

        with watch.timing("ledger, 100 at once", covers):
            await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def by_hand(path: Path, covers: int, watch: Stopwatch) -> None:
    """Do the same with sqlite3 alone."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = FULL")
        with watch.timing("sqlite3", covers):
            for number in range(1, covers + 1):
                for statement in NOTES:
                    database.execute(statement, (song(number), number))


async def fill(path: Path, tracks: int) -> Path:
    """Make a ledger of so many tracks."""
    async with Ledger(path) as ledger:
        await ledger.take_in([Track(song(number)) for number in range(tracks)])
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in turns, and judge."""
    options = catalogs.parser(__doc__)
    options.add_argument("--covers", type=int, default=200, help="of each contender and round")
    options.add_argument("--rounds", type=int, default=15)
    given = options.parse_args(arguments)
    watch = Stopwatch()
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            by_hand(asyncio.run(fill(place / "a.db", 2 * given.covers)), given.covers, watch)
            path = asyncio.run(fill(place / "b.db", 2 * given.covers))
            asyncio.run(by_ledger(path, given.covers, watch))
    took, cpu = watch.medians(0), watch.medians(1)
    rows = {f"{name}, ms": 1000 * took[name] for name in took}
    rows |= {f"{name}, CPU ms": 1000 * cpu[name] for name in cpu}
    catalogs.show(rows, as_json=given.json)
    dear = cpu["ledger, one at a time"] > cpu["sqlite3"] + CHEAP
    return 1 if dear else 0


if __name__ == "__main__":
    sys.exit(main())
