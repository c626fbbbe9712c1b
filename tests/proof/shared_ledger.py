"""Is anything lost or billed twice when processes that share a ledger in PostgreSQL are broken?

Several processes cover one catalog with one ledger, and one limit. They are killed at random
moments, when they begin, and when a submit arrives; frozen until others have their tracks, then
let go on; all connections are dropped; and the server crashes and is started again. A process that
ended is replaced. The sandbox's journal is the judge.

Exits with 1 unless each song was billed once, its images were saved, no request was refused, no
outcome was told twice, and each process that was frozen for too long ended with the LedgerError.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import attrs

from suno_cover_async import Ledger, LedgerError, RateLimit
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import catalogs
from tests.support.catalog_child import song
from tests.support.postgres import Server, own_server
from tests.support.waiting import until

LIMIT = RateLimit(calls=100, seconds=2)
SCENARIO = Scenario(rate_limit=LIMIT, seconds=0.3, image_size=16, delay=(0.0, 0.05))
SCALE = 30
DEAD_AFTER = 3  # seconds
WORKER = Path(__file__).parents[1] / "support" / "catalog_worker.py"
LONGEST = 600.0  # seconds for a catalog, after which it hangs


@attrs.define(kw_only=True)
class Figures:
    """What was done, and what came of it."""

    songs: int = 0
    bills: int = 0
    kills: int = 0
    freezes: int = 0
    drops: int = 0
    crashes: int = 0
    workers: int = 0
    given_up: int = 0
    told: int = 0
    adopted: int = 0
    refused: int = 0


@attrs.define(eq=False)
class Worker:
    """A process at work, and what it said."""

    process: asyncio.subprocess.Process
    said: list[tuple[str, str]] = attrs.Factory(list[tuple[str, str]])
    spared: bool = False  # it is frozen
    must_be_given_up: bool = False

    async def hear(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            word, _, text = line.decode().strip().partition(" ")
            self.said.append((word, text))
        await self.process.wait()

    def has_said(self, *words: str) -> bool:
        return any(word in words for word, _ in self.said)

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


class Fleet:
    """The processes that share a ledger, and who breaks them."""

    def __init__(
        self, sandbox: Sandbox, server: Server, database: str, folder: Path, *, dice: Random
    ) -> None:
        """Prepare the options of all workers."""
        self.figures = Figures()
        self.findings: list[catalogs.Finding] = []
        self.ledger = Ledger(server.url(database))
        self._sandbox, self._server, self._database = sandbox, server, database
        self._folder, self._dice = folder, dice
        self._workers: list[Worker] = []
        self._ended: list[Worker] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_up = asyncio.Event()
        self._is_up.set()

    async def cover(self, songs: int, faults: Sequence[str], *, workers: int) -> None:
        """Cover a catalog with so many workers, while these faults happen, and judge."""
        self.figures.songs = songs
        await self.ledger.init()
        self._server.execute(
            "UPDATE suno_cover.ledger SET dead_after = %s", DEAD_AFTER, database=self._database
        )
        added = self._sandbox.add_music(song(number) for number in range(songs))
        catalogs.write_catalog(self._folder / "catalog.csv", added)
        async with asyncio.timeout(LONGEST):
            keeping = [asyncio.create_task(self._keep()) for _ in range(workers)]
            try:
                for fault in faults:
                    await self._pause()
                    await getattr(self, f"_{fault}")()
                await asyncio.gather(*keeping)
            finally:
                for task in keeping:
                    task.cancel()
                await asyncio.gather(*keeping, return_exceptions=True)
        await asyncio.to_thread(self._judge)

    async def _keep(self) -> None:
        """Have one worker at work until the catalog is finished."""
        while True:
            await self._is_up.wait()
            worker = await self._start()
            try:
                await worker.hear()
            finally:
                worker.send(signal.SIGKILL)
                await worker.process.wait()
                self._workers.remove(worker)
                self._ended.append(worker)
            if worker.has_said("ended"):
                return

    async def _start(self) -> Worker:
        given = {
            "url": self._sandbox.url,
            "catalog": self._folder / "catalog.csv",
            "ledger": self._server.url(self._database),
            "into": self._folder / "covers",
            "limit": self._folder / "limit.db",
            "calls": LIMIT.calls,
            "seconds": LIMIT.seconds,
            "scale": SCALE,
            "concurrency": 20,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(WORKER)),
            *(f"--{name}={value}" for name, value in given.items()),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ
            | {"SUNO_API_KEY": self._sandbox.api_key, "PYTHONPATH": str(WORKER.parents[2])},
        )
        worker = Worker(process)
        self._workers.append(worker)
        self.figures.workers += 1
        return worker

    async def _pause(self) -> None:
        """Let some requests arrive."""
        arrivals = self._sandbox.journal.arrivals
        wanted = len(arrivals) + self._dice.randint(10, 60)
        await until(lambda: len(arrivals) >= wanted or self._is_done(), every=0.01, within=LONGEST)

    def _is_done(self) -> bool:
        return any(worker.has_said("ended") for worker in self._ended)

    async def _any(self) -> Worker | None:
        """Return a worker at work, once there is one; None if the catalog was finished before."""
        while not self._is_done():
            able = [one for one in self._workers if not one.spared and one.has_said("began")]
            if able:
                return self._dice.choice(able)
            await asyncio.sleep(0.01)
        return None

    async def _kill(self) -> None:
        """Kill a worker at any moment."""
        await asyncio.sleep(self._dice.uniform(0, 0.3))
        self._kill_one(await self._any())

    async def _kill_at_submit(self) -> None:
        """Kill a worker when a submit arrives."""
        arrivals = self._sandbox.journal.arrivals
        seen = len(arrivals)
        while not self._is_done():
            if any(arrival.kind == "submit" for arrival in arrivals[seen:]):
                break
            await asyncio.sleep(0)
        self._kill_one(await self._any())

    async def _kill_beginner(self) -> None:
        """Kill a worker that has opened the ledger just now."""
        self._kill_one(await self._any())
        while not self._is_done():
            for worker in self._workers:
                if worker.has_said("opened") and not worker.has_said("began"):
                    self._kill_one(worker)
                    return
            await asyncio.sleep(0)

    def _kill_one(self, worker: Worker | None) -> None:
        if worker is not None:
            self.figures.kills += 1
            worker.send(signal.SIGKILL)

    async def _freeze(self) -> None:
        """Freeze a worker until it was given up, then let it go on."""
        worker = await self._any()
        if worker is None:
            return
        worker.spared = True
        worker.send(signal.SIGSTOP)
        try:
            while not self._is_done():
                with contextlib.suppress(LedgerError):
                    holders = await self.ledger.holders()
                    if worker.process.pid not in {holder.process for holder in holders}:
                        worker.must_be_given_up = True
                        self.figures.freezes += 1
                        break
                await asyncio.sleep(0.1)
        finally:
            worker.send(signal.SIGCONT)

    async def _drop(self) -> None:
        """Drop all connections."""
        await asyncio.to_thread(self._server.drop_connections, self._database)
        self.figures.drops += 1

    async def _crash(self) -> None:
        """Crash the server for a moment, or for longer than a worker may be silent."""
        self._is_up.clear()
        await asyncio.to_thread(self._server.crash)
        await asyncio.sleep(self._dice.choice([0, DEAD_AFTER * 1.5]))
        await asyncio.to_thread(self._server.start)
        self._is_up.set()
        self.figures.crashes += 1

    def _judge(self) -> None:
        journal, figures = self._sandbox.journal, self.figures
        self.findings += catalogs.audit(journal.bills, self.ledger, ended=True)
        self.findings += catalogs.torn_files(self._folder / "covers", set())
        told = Counter(
            text for one in self._ended for word, text in one.said if word in {"covered", "failed"}
        )
        self._found("told", [name for name, many in told.items() if many > 1], "told twice")
        figures.bills, figures.told = len(journal.bills), len(told)
        figures.refused = sum(not arrival.admitted for arrival in journal.arrivals)
        figures.adopted = catalogs.adopted(self.ledger)
        figures.given_up = sum(one.has_said("given-up") for one in self._ended)
        if figures.refused:
            self._found("refused", [str(figures.refused)], "requests were refused")
        ((submits,),) = self._server.execute(
            "SELECT submits FROM suno_cover.ledger", database=self._database
        )
        if submits != figures.songs:
            self._found("counted", [str(submits)], "submits were counted")
        for worker in self._ended:
            if worker.must_be_given_up and not worker.has_said("given-up"):
                self._found("frozen", [str(worker.said[-1:])], "went on after it was given up")
            wrong = [text for word, text in worker.said if word == "ledger"]
            self._found("ledger", [text for text in wrong if "cannot be used" not in text], "error")

    def _found(self, kind: str, names: Sequence[str], what: str) -> None:
        self.findings += [catalogs.Finding(kind, name, what) for name in names]


def faults(dice: Random, kills: int, freezes: int, drops: int, crashes: int) -> list[str]:
    """Mix so many faults."""
    mixed = [dice.choice(["kill", "kill_at_submit", "kill_beginner"]) for _ in range(kills)]
    mixed += ["freeze"] * freezes + ["drop"] * drops + ["crash"] * crashes
    dice.shuffle(mixed)
    return mixed


async def endure(
    songs: int, mixed: Sequence[str], *, workers: int, seed: int, folder: Path
) -> tuple[Figures, list[catalogs.Finding]]:
    """Cover a catalog on a server of its own while these faults happen."""
    with own_server() as server, server.database() as name:
        async with Sandbox(attrs.evolve(SCENARIO, seed=seed)) as sandbox:
            fleet = Fleet(sandbox, server, name, folder, dice=Random(seed))
            await fleet.cover(songs, mixed, workers=workers)
            return fleet.figures, fleet.findings


def main(arguments: Sequence[str] | None = None) -> int:
    """Break the processes, print the figures, and return the exit code."""
    options = catalogs.parser(__doc__)
    options.add_argument("--songs", type=int, default=1_200)
    options.add_argument("--workers", type=int, default=4)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--freezes", type=int, default=3)
    options.add_argument("--drops", type=int, default=6)
    options.add_argument("--crashes", type=int, default=3)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args(arguments)
    began = time.monotonic()
    dice = Random(f"faults {given.seed}")
    mixed = faults(dice, given.kills, given.freezes, given.drops, given.crashes)
    with tempfile.TemporaryDirectory() as folder:
        figures, findings = asyncio.run(
            endure(given.songs, mixed, workers=given.workers, seed=given.seed, folder=Path(folder))
        )
    shown = attrs.asdict(figures) | {"seconds": time.monotonic() - began}
    catalogs.show(shown, findings, as_json=given.json)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
