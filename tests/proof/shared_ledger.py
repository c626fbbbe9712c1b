"""Is anything lost or billed twice when processes that share a ledger in PostgreSQL are broken?

Several processes cover one catalog with one ledger, and one limit in the same database. First, each
moment that has a name in `shared_moments.py` is hit on purpose, in a small catalog. Then, in a
large one, processes are killed at any moment, when a submit arrives, when they begin, and as they
record a submit or its answer or give another one up; they are frozen until others have their
tracks, then let go on; all connections are dropped, and the server crashes and is started again, at
any moment and in a COMMIT. Of the requests, 30 % fail as in `storm.py` besides. A process that
ended is replaced. Beside the moments, one of four processes at the usual speed and settings is
killed. The sandbox's journal is the judge.

Exits with 1 unless each song was billed once, its images were saved, no request was refused, no
outcome was told twice, each process that was frozen for too long ended with the LedgerError, and
others had the tracks of the one that was killed at the usual settings within 60 s.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import attrs

from suno_cover_async import RateLimit
from suno_cover_async.sandbox import Scenario
from tests.proof import shared_faults, shared_moments, storm
from tests.proof.shared_fleet import Figures, Plan, fleet
from tests.support import catalogs

TAKEN_OVER_WITHIN = 60.0  # seconds
_LEFT_ALONE = 0.02  # of the storm's refusals, each of which pauses everybody
_LOG = """
CREATE TABLE writes (track bigint, run bigint, at timestamptz);
CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
    INSERT INTO public.writes VALUES (NEW.number, NEW.holder, clock_timestamp()); RETURN NEW;
END $$;
CREATE TRIGGER log_write AFTER UPDATE ON suno_cover.tracks FOR EACH ROW
    WHEN (NEW.holder IS NOT NULL) EXECUTE FUNCTION log_write()
"""
# Until the last of the dead one's tracks had its first write of another run.
_TAKEN_OVER = """
SELECT max(seconds)::float8, count(*) FROM (
    SELECT extract(epoch FROM min(at) - %s) AS seconds FROM writes
    WHERE run NOT IN (SELECT number FROM suno_cover.runs WHERE process = %s) AND track = ANY(%s)
    GROUP BY track
) AS first
"""


def stormy(percent: float, songs: int) -> Plan:
    """Return a plan in which so many requests in a hundred fail, as in `storm.py`."""
    shares = {
        name: getattr(storm.SCENARIO, name) * percent / 30
        for name in ("lost_requests", "resets", "truncated", "html", "server_errors")
    }
    calm = Plan(songs=songs)
    return attrs.evolve(
        calm,
        limit=RateLimit(calls=100, seconds=0.5),
        scenario=attrs.evolve(
            storm.SCENARIO,
            lost_answers=(storm.SCENARIO.lost_answers + _LEFT_ALONE) * percent / 30,
            too_often=(storm.SCENARIO.too_often - _LEFT_ALONE) * percent / 30,
            **shares,
        ),
        scale=storm.SCALE,
        concurrency=50,
        dead_after=8,  # longer than the server's short crash
    )


async def endure(
    plan: Plan, faults: Sequence[str], *, workers: int, seed: int, folder: Path, every: int = 60
) -> tuple[Figures, list[catalogs.Finding]]:
    """Cover a catalog with so many processes while these faults happen, and judge."""
    began = time.monotonic()
    async with fleet(plan, folder, seed=seed) as processes:
        suffering = asyncio.create_task(shared_faults.suffer(processes, faults, every=every))
        await processes.finish(workers=workers)
        await suffering
        await asyncio.to_thread(processes.judge)
        processes.figures.seconds = time.monotonic() - began
        return processes.figures, processes.findings


async def take_over(folder: Path) -> tuple[Figures, list[catalogs.Finding]]:
    """Kill one of four processes at the usual speed, and measure when others have its tracks."""
    plan = Plan(
        songs=160,
        limit=RateLimit(calls=20, seconds=10),
        scenario=Scenario(seconds=(20, 60), image_size=16, delay=(0.0, 0.05)),
        dead_after=None,
        scale=1,
        concurrency=100,
    )
    async with fleet(plan, folder) as processes:
        processes.execute(_LOG)
        finishing = asyncio.create_task(processes.finish(workers=4))
        await processes.until(lambda: processes.count("submitted") >= 30)
        (victim, *_) = sorted(
            processes.workers, key=lambda one: len(processes.held_by(one)), reverse=True
        )
        processes.kill(victim)
        ((killed_at,),) = processes.execute("SELECT clock_timestamp()")
        left = processes.held_by(victim)
        await finishing
        ((seconds, of),) = processes.execute(_TAKEN_OVER, killed_at, victim.pid, left)
        if of != len(left):
            processes.found("left", [f"{of} of {len(left)}"], "were taken over")
        processes.figures.taken_over_after = seconds
        if seconds is None or seconds > TAKEN_OVER_WITHIN:
            processes.found("late", [f"{seconds} s"], "until all was taken over")
        await asyncio.to_thread(processes.judge)
        return processes.figures, processes.findings


async def _all(
    given: argparse.Namespace, folder: Path
) -> tuple[dict[str, float], list[catalogs.Finding]]:
    """Do all that is wanted, the take-over beside the moments; return figures and findings."""
    dice = Random(f"faults {given.seed}")
    mixed = shared_faults.mixed(dice, given.kills, given.freezes, given.drops, given.crashes)
    plan = stormy(given.faults, given.songs) if given.faults else Plan(songs=given.songs)
    found, shown = list[catalogs.Finding](), dict[str, float]()
    slow = folder / "slow"
    slow.mkdir()
    async with asyncio.TaskGroup() as beside:
        taking_over = beside.create_task(take_over(slow)) if given.take_over else None
        if given.moments:
            found += await shared_moments.hit_all(folder)
            shown["moments"] = len(shared_moments.MOMENTS)
    if taking_over:
        figures, findings = taking_over.result()
        shown["taken_over_after"] = figures.taken_over_after
        found += findings
    figures, findings = await endure(
        plan, mixed, workers=given.workers, seed=given.seed, folder=folder, every=given.every
    )
    return attrs.asdict(figures) | shown, found + findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Break the processes, print the figures, and return the exit code."""
    options = catalogs.parser(__doc__)
    switch = argparse.BooleanOptionalAction
    options.add_argument("--songs", type=int, default=10_000)
    options.add_argument("--workers", type=int, default=4)
    options.add_argument("--faults", type=float, default=30, help="percent of the requests")
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--freezes", type=int, default=3)
    options.add_argument("--drops", type=int, default=6)
    options.add_argument("--crashes", type=int, default=8)
    options.add_argument("--every", type=int, default=400, help="requests between two of them")
    options.add_argument("--moments", action=switch, default=True)
    options.add_argument("--take-over", action=switch, default=True, help="at the usual speed")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures, findings = asyncio.run(_all(given, Path(folder)))
    catalogs.show(figures, findings, as_json=given.json)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
