"""Processes that cover one catalog with one ledger in PostgreSQL, and the judge of what they did.

`shared_faults.py` breaks them at any moment, `shared_moments.py` at chosen ones.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import attrs

from suno_cover_async import Ledger, LedgerError, RateLimit
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import catalogs
from tests.support.barriers import Barriers
from tests.support.catalog_child import song
from tests.support.postgres import Server, own_server

WORKER = Path(__file__).parents[1] / "support" / "catalog_worker.py"
LIMIT = RateLimit(calls=100, seconds=2)
SCENARIO = Scenario(seconds=0.3, image_size=16, delay=(0.0, 0.05))
MOST_RUNS = 10  # of each process, since a run leaves tracks to the next one in a storm
WAYS_TO_END = {0, 3, -signal.SIGKILL}  # the exit codes of `catalog_worker.py`, or killed
LONGEST = 3_000.0  # seconds for a catalog, after which it hangs


@attrs.frozen(kw_only=True)
class Plan:
    """What a fleet does, and how fast.

    Attributes:
        songs: How many there are.
        limit: The account's limit, which all processes share in the database.
        scenario: How the API behaves; it keeps the same limit.
        dead_after: The seconds after which a silent process is dead; None is the usual time.
        scale: How many times as fast as usual the policies of the clients are.
        concurrency: How many covers a process waits for at once.
    """

    songs: int
    limit: RateLimit = LIMIT
    scenario: Scenario = SCENARIO
    dead_after: float | None = 3
    scale: float = 30
    concurrency: int = 20


@attrs.define(kw_only=True)
class Figures:
    """What was done, and what came of it."""

    songs: int = 0
    bills: int = 0
    requests: int = 0
    share_with_a_fault: float = 0.0
    kills: int = 0
    freezes: int = 0
    drops: int = 0
    crashes: int = 0
    workers: int = 0
    given_up: int = 0
    told: int = 0
    left: int = 0  # outcomes of tracks that a run left to the next one
    adopted: int = 0
    refused: int = 0
    taken_over_after: float = 0.0  # seconds from a kill to the last track's next holder
    seconds: float = 0.0


@attrs.define(eq=False)
class Worker:
    """A process at work, and what it said."""

    process: asyncio.subprocess.Process
    said: list[tuple[str, str]] = attrs.Factory(list[tuple[str, str]])
    spared: bool = False  # it is frozen, or stands at a chosen moment
    must_be_given_up: bool = False
    must_not_be_given_up: bool = False

    @property
    def pid(self) -> int:
        return self.process.pid

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


@attrs.define(eq=False)
class Fleet:
    """The processes that share a ledger.

    Attributes:
        plan: What they do.
        sandbox: The API.
        server: The server of the ledger.
        database: The name of the ledger's database.
        folder: Where the images are.
        dice: Random numbers for faults.
        barriers: The barriers in the ledger's tables.
        workers: The processes at work.
        ended: Those that have ended.
        is_up: Set unless the server is down; no process begins meanwhile.
    """

    plan: Plan
    sandbox: Sandbox
    server: Server
    database: str
    folder: Path
    dice: Random
    figures: Figures = attrs.Factory(Figures)
    findings: list[catalogs.Finding] = attrs.Factory(list[catalogs.Finding])
    workers: list[Worker] = attrs.Factory(list[Worker])
    ended: list[Worker] = attrs.Factory(list[Worker])
    is_up: asyncio.Event = attrs.Factory(asyncio.Event)
    _hearing: set[asyncio.Task[None]] = attrs.Factory(set[asyncio.Task[None]])

    @property
    def barriers(self) -> Barriers:
        return Barriers(self.server, self.database)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.server.url(self.database))

    @property
    def is_done(self) -> bool:
        """Whether a process has found the catalog finished."""
        return any(one.has_said("ended") for one in (*self.ended, *self.workers))

    def execute(self, statement: str, *values: object) -> list[Any]:
        return self.server.execute(statement, *values, database=self.database)

    def count(self, state: str) -> int:
        """Count the tracks in a state."""
        query = "SELECT count(*)::integer FROM suno_cover.tracks WHERE state = %s"
        ((many,),) = self.execute(query, state)
        return int(many)

    def held_by(self, *workers: Worker) -> list[int]:
        """Return the numbers of the tracks that processes hold."""
        query = """
            SELECT tracks.number FROM suno_cover.tracks
            JOIN suno_cover.runs ON holder = runs.number WHERE process = ANY(%s) ORDER BY 1
        """
        return [number for (number,) in self.execute(query, [one.pid for one in workers])]

    async def prepare(self) -> None:
        """Make the ledger and the catalog."""
        self.is_up.set()
        await self.ledger.init()
        if self.plan.dead_after is not None:
            self.execute("UPDATE suno_cover.ledger SET dead_after = %s", self.plan.dead_after)
        self.barriers.make()
        added = self.sandbox.add_music(song(number) for number in range(self.plan.songs))
        catalogs.write_catalog(self.folder / "catalog.csv", added)

    async def start(self, *, url: str | None = None, port: int | None = None) -> Worker:
        """Start a process; it reaches API and ledger at these places, such as proxies."""
        plan = self.plan
        given = {
            "url": url or self.sandbox.url,
            "catalog": self.folder / "catalog.csv",
            "ledger": self.server.url(self.database, port=port),
            "into": self.folder / "covers",
            "limit": self.server.url(self.database),
            "calls": plan.limit.calls,
            "seconds": plan.limit.seconds,
            "scale": plan.scale,
            "concurrency": plan.concurrency,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(WORKER)),
            *(f"--{name}={value}" for name, value in given.items()),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ
            | {"SUNO_API_KEY": self.sandbox.api_key, "PYTHONPATH": str(WORKER.parents[2])},
        )
        worker = Worker(process)
        self.workers.append(worker)
        self.figures.workers += 1
        hearing = asyncio.create_task(self._hear(worker))
        self._hearing.add(hearing)
        hearing.add_done_callback(self._hearing.discard)
        return worker

    async def _hear(self, worker: Worker) -> None:
        try:
            await worker.hear()
        finally:
            worker.send(signal.SIGKILL)
            self.workers.remove(worker)
            self.ended.append(worker)

    async def keep(self) -> None:
        """Have one process at work until the catalog is finished."""
        while True:
            await self.is_up.wait()
            worker = await self.start()
            await self.has_ended(worker)
            if worker.has_said("ended"):
                return

    async def finish(self, *, workers: int) -> None:
        """Have so many processes at work until all covers are saved."""
        for _ in range(MOST_RUNS):
            if self.count("saved") == self.plan.songs:
                break
            await asyncio.gather(*(self.keep() for _ in range(workers)))

    async def has_ended(self, worker: Worker) -> None:
        await self.until(lambda: worker in self.ended)

    async def until(self, condition: Callable[[], object], *, every: float = 0.05) -> None:
        """Wait for what other processes do."""
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(every)

    def kill(self, worker: Worker) -> None:
        self.figures.kills += 1
        worker.send(signal.SIGKILL)

    async def holds_nothing(self, worker: Worker) -> None:
        """Wait until a process was given up."""
        while True:
            with contextlib.suppress(LedgerError):
                if worker.pid not in {holder.process for holder in await self.ledger.holders()}:
                    return
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        """End all processes."""
        for worker in self.workers:
            worker.send(signal.SIGKILL)
        while self._hearing:
            await asyncio.wait(self._hearing)

    def judge(self) -> None:
        """Compare what the API saw with the ledger, the images, and what the processes said."""
        journal, figures = self.sandbox.journal, self.figures
        self.findings += catalogs.audit(journal.bills, self.ledger, ended=True)
        self.findings += catalogs.torn_files(self.folder / "covers", set())
        told = Counter(text for one in self.ended for word, text in one.said if word == "covered")
        self.found("told", [name for name, many in told.items() if many > 1], "told twice")
        figures.left = sum(word == "failed" for one in self.ended for word, _ in one.said)
        figures.songs, figures.bills, figures.told = self.plan.songs, len(journal.bills), len(told)
        figures.requests = len(journal.arrivals)
        faulty = sum(arrival.fault.value != "none" for arrival in journal.arrivals)
        figures.share_with_a_fault = faulty / max(1, figures.requests)
        figures.refused = sum(not arrival.admitted for arrival in journal.arrivals)
        figures.adopted = catalogs.adopted(self.ledger)
        figures.given_up = sum(one.has_said("given-up") for one in self.ended)
        if figures.refused:
            self.found("refused", [str(figures.refused)], "requests were refused")
        ((submits,),) = self.execute("SELECT submits FROM suno_cover.ledger")
        if submits != self.plan.songs:
            self.found("counted", [str(submits)], "submits were counted")
        for worker in self.ended:
            if worker.must_be_given_up and not worker.has_said("given-up"):
                self.found("frozen", [str(worker.said[-1:])], "went on after it was given up")
            if worker.must_not_be_given_up and worker.has_said("given-up"):
                self.found("alive", [str(worker.said[-1:])], "was given up, and was not dead")
            if worker.process.returncode not in WAYS_TO_END:
                self.found("broken", [str(worker.said[-1:])], "ended by an error that is not ours")
            wrong = [text for word, text in worker.said if word == "ledger"]
            self.found("ledger", [text for text in wrong if "cannot be used" not in text], "error")

    def found(self, kind: str, names: Sequence[str], what: str) -> None:
        self.findings += [catalogs.Finding(kind, name, what) for name in names]


@contextlib.asynccontextmanager
async def fleet(
    plan: Plan, folder: Path, *, seed: int = 0, shared: Server | None = None
) -> AsyncGenerator[Fleet]:
    """Return a fleet with a sandbox of its own, prepared; nobody is at work yet.

    It has a database of its own on a shared server, which it must not crash, or on its own server.
    """
    scenario = attrs.evolve(plan.scenario, rate_limit=plan.limit, seed=seed)
    own = contextlib.nullcontext(shared) if shared else own_server()
    with own as server, server.database() as name:
        async with Sandbox(scenario) as sandbox, asyncio.timeout(LONGEST):
            one = Fleet(plan, sandbox, server, name, folder, Random(seed))
            try:
                await one.prepare()
                yield one
            finally:
                await one.close()
                if not one.is_up.is_set():
                    server.start()
