"""Is anything lost, billed twice or torn when a catalog's run is killed again and again?

The sandbox runs in this process, the catalog in a process of its own, which is killed (SIGKILL)
after it has sent submits: three times in four when a submit arrives, while its answer is on the
way; otherwise up to 0.2 s later. After each kill, ledger and files are compared with the bills. One
more run then finishes the catalog.

`--lanes` such catalogs run side by side. The page cache survives a SIGKILL, so this does not show
what happens in a power cut.

Exits with 1 unless nothing was lost, doubled, unexpected or torn, every kill asked for was done,
and most of them found an open submit: one that arrived and that the ledger calls submitting.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import attrs

from suno_cover_async import Ledger, TrackState
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import catalogs
from tests.support.catalog_child import song
from tests.support.runs import read_now
from tests.support.waiting import until

SCENARIO = Scenario(
    rate_limit=None, seconds=0.05, image_size=16, slow=1, slow_seconds=0.03, faults_on={"submit"}
)
AT_ARRIVAL = 0.75  # share of kills
IN_FLIGHT = 12
TRACKS_PER_KILL = 16  # so that there is work for another life
SCALE = 100


@attrs.define(kw_only=True)
class Progress:
    """The figures of the kills of one lane, or of all."""

    tracks: int = 0
    kills: int = 0
    kills_with_an_open_submit: int = 0
    open_submits: int = 0
    open_submits_billed: int = 0
    parts_left_behind: int = 0
    recovered: int = 0

    def __add__(self, other: "Progress") -> "Progress":
        """Add two lanes."""
        mine, theirs = attrs.asdict(self), attrs.asdict(other)
        return Progress(**{name: mine[name] + theirs[name] for name in mine})


class Lane:
    """One sandbox, one ledger, one folder, and the runs that are killed."""

    def __init__(self, sandbox: Sandbox, folder: Path, tracks: int, dice: Random) -> None:
        """Prepare the catalog."""
        folder.mkdir()
        songs = sandbox.add_music(song(number) for number in range(tracks))
        self.progress = Progress(tracks=tracks)
        self.findings: list[catalogs.Finding] = []
        self._sandbox = sandbox
        self._dice = dice
        self._ledger = Ledger(folder / "covers.db")
        self._into = folder / "covers"
        self._whole: set[Path] = set()
        self._options: dict[str, object] = {
            "catalog": catalogs.write_catalog(folder / "catalog.csv", songs),
            "ledger": folder / "covers.db",
            "into": self._into,
            "scale": SCALE,
            "concurrency": IN_FLIGHT,
        }

    async def run(self, kills: int) -> None:
        """Kill this many runs, let one finish, and audit."""
        while self.progress.kills < kills and await self._live():
            await self._audit(ended=False)
        async with catalogs.child(self._sandbox, **self._options) as child:
            await child.hear()
        await self._audit(ended=True)
        self.progress.recovered = catalogs.adopted(self._ledger)
        self.progress.parts_left_behind = len(list(self._into.glob("*.part")))

    async def _live(self) -> bool:
        """Start a run, and kill it; False if it ended before."""
        journal, dice = self._sandbox.journal, self._dice
        before, wanted = len(journal.arrivals), dice.randint(1, IN_FLIGHT)
        async with catalogs.child(self._sandbox, **self._options) as child:
            dead = asyncio.create_task(child.process.wait())
            await child.hear("opened")
            await until(lambda: dead.done() or len(self._submits(before)) >= wanted, every=0.001)
            if dice.random() >= AT_ARRIVAL:
                await asyncio.wait([dead], timeout=dice.uniform(0, 0.2))
            if dead.done():
                return False
            child.process.kill()
            await dead
        self._count(self._submits(before))
        return True

    def _submits(self, since: int) -> set[str | None]:
        """Name the music tasks whose submits arrived since then."""
        arrivals = self._sandbox.journal.arrivals[since:]
        return {arrival.music_task_id for arrival in arrivals if arrival.kind == "submit"}

    def _count(self, submits: set[str | None]) -> None:
        """Count what the last kill found."""
        entries = read_now(self._ledger, TrackState.SUBMITTING)
        found = {entry.music_task_id for entry in entries} & submits
        self.progress.kills += 1
        self.progress.kills_with_an_open_submit += bool(found)
        self.progress.open_submits += len(found)
        billed = {bill.music_task_id for bill in self._sandbox.journal.bills}
        self.progress.open_submits_billed += len(found & billed)

    async def _audit(self, *, ended: bool) -> None:
        bills = list(self._sandbox.journal.bills)
        found = await asyncio.to_thread(catalogs.audit, bills, self._ledger, ended=ended)
        torn = await asyncio.to_thread(catalogs.torn_files, self._into, self._whole)
        self.findings += [finding for finding in found + torn if finding not in self.findings]


async def kill(
    kills: int, *, lanes: int, seed: int, folder: Path
) -> tuple[Progress, list[catalogs.Finding]]:
    """Share the kills among the lanes."""
    shares = [kills // lanes + (number < kills % lanes) for number in range(lanes)]
    async with AsyncExitStack() as stack:
        busy: list[Lane] = []
        for number, share in enumerate(shares):
            scenario = attrs.evolve(SCENARIO, seed=seed + number)
            sandbox = await stack.enter_async_context(Sandbox(scenario))
            dice, tracks = Random(f"{seed} {number}"), TRACKS_PER_KILL * (share + 1)
            busy.append(Lane(sandbox, folder / f"lane {number}", tracks, dice))
        await asyncio.gather(*map(Lane.run, busy, shares))
    findings = [finding for lane in busy for finding in lane.findings]
    return sum((lane.progress for lane in busy), Progress()), findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill the runs, print the figures, and return the exit code."""
    options = catalogs.parser(__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--lanes", type=int, default=2, help="catalogs side by side (2)")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args(arguments)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        progress, findings = asyncio.run(
            kill(given.kills, lanes=given.lanes, seed=given.seed, folder=Path(folder))
        )
    figures = attrs.asdict(progress) | catalogs.counted(findings)
    figures["seconds"] = time.monotonic() - began
    catalogs.show(figures, findings, as_json=given.json)
    hit = progress.kills_with_an_open_submit * 2 > progress.kills == given.kills
    return 0 if hit and not findings else 1


if __name__ == "__main__":
    sys.exit(main())
