"""The world of the model in `model_rules.py`: the host, and the process that uses it.

The host is a sandbox in virtual time, which outlives all processes. A `Life` is one process: a
client, its receiver, its callers, and possibly a catalog's run. It ends in order, or as by SIGKILL:
then the next process finds only its ledger, as it was on the disk.
"""

import asyncio
import contextlib
import contextvars
import math
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

import attrs
from aiohttp import web

from suno_cover_async import (
    CallbackReceiver,
    CoverDetails,
    CoverTask,
    Ledger,
    LedgerEntry,
    SunoCoverClient,
    cover_catalog,
)
from suno_cover_async.batch.catalog_run import CatalogRun
from suno_cover_async.batch.outcomes import Outcome
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.proof.model_ledgers import Disk, File, Tables
from tests.support.clients import kept_port

T = TypeVar("T")

SONGS = ("song-0", "song-1", "song-2", "song-3")
FAILING = "song-3"  # the host fails to cover it
CALM = Scenario(seconds=47, image_size=16)
RESTART = 10.1  # seconds after which a new process's limiter knows as much as the host's
AT_ONCE = 4  # covers in flight
MOST_CANCELLATIONS = 10_000


@attrs.define(eq=False, kw_only=True)
class Call:
    """One who called a verb for a song.

    `asked` is what it waits for, `seen` what it was shown on the way.
    """

    verb: str
    song: str
    began: float
    asked: CoverTask | str | None = None
    seen: list[CoverDetails] = attrs.field(factory=list[CoverDetails])
    task: "asyncio.Task[object]" = attrs.field(init=False)
    cancelled: int = 0
    ends: float = math.inf
    judged: bool = False

    @property
    def submits(self) -> bool:
        return self.verb in {"submit", "generate"}

    @property
    def goes_on(self) -> bool:
        return not self.task.done()

    @property
    def error(self) -> BaseException | None:
        return None if self.goes_on or self.task.cancelled() else self.task.exception()

    @property
    def result(self) -> object:
        return None if self.goes_on or self.task.cancelled() or self.error else self.task.result()


@attrs.define(eq=False, kw_only=True)
class Run:
    """One run of the catalog over a ledger."""

    ledger: Ledger
    began: float
    anew: bool
    open_before: frozenset[str]
    told: list[Outcome] = attrs.field(factory=list[Outcome])
    outcomes: CatalogRun | None = None
    task: "asyncio.Task[None]" = attrs.field(init=False)
    stopped: bool = False
    ends: float = math.inf
    judged: bool = False

    @property
    def goes_on(self) -> bool:
        return not self.task.done()


_life: "contextvars.ContextVar[Life | None]" = contextvars.ContextVar("_life", default=None)


class Life:
    """One process."""

    def __init__(self, world: "World") -> None:
        self.born = asyncio.get_running_loop().time()
        self.calls: list[Call] = []
        self.runs: list[Run] = []
        self.tasks = WeakSet["asyncio.Task[Any]"]()  # all that this process runs
        self.receiver = None
        if world.public_url is not None:
            self.receiver = CallbackReceiver(public_url=world.public_url, secret="s" * 32)
        self.client = SunoCoverClient(
            world.sandbox.api_key,
            base_url=world.sandbox.url,
            receiver=self.receiver,
            concurrency=AT_ONCE,
        )
        self._into = world.folder / "covers"
        self._disk = world.disk

    def call(self, verb: str, song: str, asked: CoverTask | str | None, patience: float) -> Call:
        loop = asyncio.get_running_loop()
        call = Call(verb=verb, song=song, began=loop.time(), asked=asked)
        call.task = self._begin(self._act(call, patience))
        self.calls.append(call)
        return call

    def _begin(self, work: "Coroutine[Any, Any, T]") -> "asyncio.Task[T]":
        """Make a task of this process; those that it makes are so too."""
        context = contextvars.copy_context()
        context.run(_life.set, self)
        task = asyncio.get_running_loop().create_task(work, context=context)
        self.tasks.add(task)
        return task

    async def _act(self, call: Call, patience: float) -> object:
        try:
            match call.verb, call.asked:
                case "submit", _:
                    return await self.client.submit(call.song)
                case "generate", _:
                    return await self.client.generate(call.song, timeout=patience)
                case "wait", CoverTask() | str() as task:
                    return await self.client.wait(task, timeout=patience)
                case "details", CoverTask() | str() as task:
                    return await self.client.details(task)
                case "watch", CoverTask() | str() as task:
                    async with contextlib.aclosing(self.client.watch(task, timeout=patience)) as it:
                        async for details in it:
                            call.seen.append(details)
                    return call.seen[-1]
                case _:
                    raise NotImplementedError(call.verb)
        finally:
            call.ends = asyncio.get_running_loop().time()

    def cover(self, songs: Sequence[str], open_before: set[str], *, anew: bool) -> Run:
        loop, last = asyncio.get_running_loop(), self.run
        run = Run(
            ledger=Ledger(self._disk.place),
            began=loop.time(),
            anew=anew,
            open_before=frozenset(open_before),
        )
        run.task = self._begin(self._cover(run, songs, last))
        self.runs.append(run)
        return run

    @property
    def run(self) -> Run | None:
        """The last run."""
        return self.runs[-1] if self.runs else None

    async def _cover(self, run: Run, songs: Sequence[str], last: Run | None) -> None:
        try:
            if last is not None:  # if it was left at once, it holds the file for a while
                await last.ledger.aclose()
            async with (
                run.ledger,
                cover_catalog(
                    self.client, songs, ledger=run.ledger, into=self._into, retry_failed=run.anew
                ) as outcomes,
            ):
                run.outcomes = outcomes
                async for outcome in outcomes:
                    run.told.append(outcome)
        finally:
            run.ends = asyncio.get_running_loop().time()
            if run.ledger._run:
                self._disk.left(run.ledger._run)

    async def close(self) -> None:
        """End in order: leave all blocks, as a program does."""
        if self.run is not None:
            await self.leave(self.run)
        await self.client.aclose()
        await asyncio.gather(*(call.task for call in self.calls), return_exceptions=True)
        if self.run is not None:
            await self.run.ledger.aclose()

    async def leave(self, run: Run, *, at_once: bool = False) -> None:
        """Cancel a run once, or in each turn of the event loop until it has left its blocks."""
        run.stopped = True
        await self._end({run.task}, again=0 if at_once else None)

    async def die(self) -> None:
        """End as by SIGKILL: cancel all tasks of this process, repeatedly."""
        await self._end({*self.tasks}, again=0.001)
        await self.client.aclose()  # what holds its sockets; nothing is left on them

    async def _end(self, left: "set[asyncio.Task[Any]]", *, again: float | None) -> None:
        tasks, left = left, {task for task in left if not task.done()}
        for _ in range(MOST_CANCELLATIONS):
            for task in left:
                task.cancel()
            if left:
                _, left = await asyncio.wait(left, timeout=again)
        assert not left, left
        await asyncio.gather(*tasks, return_exceptions=True)


def registered(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
    """Make a task, which belongs to the process that makes it."""
    task = asyncio.Task[Any](work, loop=loop, **options)
    if (life := _life.get()) is not None:
        life.tasks.add(task)
    return task


class World:
    """The host, and one life after another."""

    def __init__(self, folder: Path, seed: int, database: str) -> None:
        self.folder = folder
        self.disk: Disk = Tables(database) if database else File(folder)
        self.public_url: str | None = None
        self._clock = asyncio.get_running_loop().time
        self._place = contextlib.ExitStack()
        scenario = attrs.evolve(CALM, seed=seed)
        port = self._place.enter_context(kept_port())
        self.sandbox = Sandbox(scenario, port=port, clock=self._clock)
        self.life: Life | None = None
        self.births: list[float] = []
        self.is_up = True
        self.outages: list[float] = []
        self.told_before: set[str] = set()  # songs whose cover a caller got in an earlier life
        # What the ledger called submitting at the last crash.
        self.possibly_billed: set[str] = set()
        self.forgotten: set[str] = set()  # billed to a life that died, and had no ledger for it
        self._front: web.AppRunner | None = None

    async def begin(self, *, called_back: bool) -> None:
        await self.sandbox.__aenter__()
        self.sandbox.add_music(SONGS[:-1], fails=False)
        self.sandbox.add_music(FAILING, fails=True)
        if called_back:
            await self._open_front()
        self.be_born()

    def be_born(self) -> None:
        self.life = Life(self)
        self.births.append(self.life.born)

    def crash(self) -> Life:
        """Keep only what is on the disk; return the process that ended, for cleaning up."""
        dead, self.life = self.living, None
        self.disk.crash()
        return dead

    @property
    def now(self) -> float:
        return self._clock()

    @property
    def living(self) -> Life:
        assert self.life is not None
        return self.life

    def entries(self) -> dict[str, LedgerEntry]:
        """What the ledger says on the disk."""
        return {entry.music_task_id: entry for entry in self.disk.entries()}

    def bills(self) -> dict[str, str]:
        return {bill.music_task_id: bill.cover_task_id for bill in self.sandbox.journal.bills}

    async def turn_off(self, *, on: bool) -> None:
        """Stop the host, or start it again."""
        if on is not self.is_up:
            self.is_up = on
            if not on:
                self.outages.append(self.now)
            await (self.sandbox.__aenter__() if on else self.sandbox.__aexit__(None, None, None))

    async def end(self) -> None:
        await self.turn_off(on=False)
        self._place.close()
        if self._front is not None:
            await self._front.cleanup()
        self.disk.end()

    async def _open_front(self) -> None:
        """Listen where the host sends callbacks, for the current process."""
        app = web.Application()
        app.router.add_route("*", "/suno/{tail:.*}", self._let_in)
        self._front = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.01, keepalive_timeout=10
        )
        await self._front.setup()
        await web.TCPSite(self._front, "127.0.0.1", 0).start()
        self.public_url = f"http://127.0.0.1:{self._front.addresses[0][1]}/suno"

    async def _let_in(self, request: web.Request) -> web.StreamResponse:
        if self.life is None or self.life.receiver is None:
            return web.Response(status=502)
        return await self.life.receiver.handle(request)
