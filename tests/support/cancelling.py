"""Strikes work at exactly its k-th suspension, in virtual time, and checks what is left then.

Every coroutine of the work, its tasks' too, is driven by one that counts: whenever it hands a
future to the event loop, that is a suspension. The strike falls in that very moment (or, `late`,
when what was awaited is there and the task was not woken yet), so that asyncio delivers it as it
always does, and no moment is left out: the k-th is struck for every k until the work ends first.
"""

import asyncio
import gc
import logging
import re
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, NoReturn

import attrs
from yarl import URL

from suno_cover_async import (
    CallbackReceiver,
    Ledger,
    LedgerEntry,
    RateLimit,
    SunoCoverClient,
    SunoCoverError,
    TrackState,
)
from suno_cover_async.sandbox import Sandbox
from tests.support.clients import kept_port, receiving
from tests.support.runs import read_now
from tests.support.scenes import (
    ATTEMPT,
    CONCURRENCY,
    HEALTHY,
    RATE,
    VERBS,
    WEATHERS,
    Stage,
    Verb,
    Weather,
    catalog,
)
from tests.support.virtual_time import VirtualTimeLoop

_FOR_EVER = 20_000.0
_SETTLED = 0.05
_CLOSELY = 7
_LAST_OF_PNG = b"IEND\xaeB`\x82"
_MEMORY = Path("/dev/shm")  # noqa: S108 - a disk that takes no time, where there is one
_OURS = {
    "SingleFlight",
    "CoverPolling",
    "Waiter",
    "Subscription",
    "Admission",
    "SubmitBody",
    "Counted",
}
_OF_WHO_IS_GONE = {"RateLimiter", "Poller", "Waiter", "Timeout"}


# --- the strike -----------------------------------------------------------------------------


@attrs.define(eq=False)
class Suspensions:
    """Counts the suspensions of one piece of work, and strikes at one of them.

    Attributes:
        at: Which, from 1.
        strike: What to do then.
        late: Do it when what is awaited is there, just before whoever awaits it is woken.
        again: Strike once more at this suspension of the work's own task after that; 0: never.
        count: How many there were.
        struck: Whether the strike fell.
    """

    at: int
    strike: Callable[[], None]
    late: bool = False
    again: int = 0
    count: int = 0
    struck: bool = False

    def suspended(self, awaited: object, *, own: bool) -> None:
        if self.struck:
            self.again -= own
            if own and self.again == 0:
                self.strike()
            return
        self.count += 1
        if self.count != self.at:
            return
        if self.late and isinstance(awaited, asyncio.Future):
            awaited.add_done_callback(lambda _: self._strike())
        else:
            self._strike()

    def _strike(self) -> None:
        self.struck = True
        self.strike()


_counting: ContextVar[Suspensions | None] = ContextVar("_counting", default=None)


class Counted(Coroutine[Any, Any, Any]):
    """A coroutine whose suspensions are counted."""

    def __init__(
        self, work: Coroutine[Any, Any, Any], count: Suspensions, *, own: bool = False
    ) -> None:
        self._work = work
        self._count = count
        self._own = own

    def send(self, value: Any) -> Any:
        return self._noted(self._work.send(value))

    def throw(self, *error: Any) -> Any:
        return self._noted(self._work.throw(*error))

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> NoReturn:
        raise NotImplementedError("an event loop drives it")

    def _noted(self, awaited: Any) -> Any:
        self._count.suspended(awaited, own=self._own)
        return awaited


def _task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> "asyncio.Task[Any]":
    """Make a task; one that is born of counted work is counted."""
    count = _counting.get()
    return asyncio.Task(work if count is None else Counted(work, count), loop=loop, **options)


def _counted(work: Coroutine[Any, Any, Any], count: Suspensions) -> "asyncio.Task[Any]":
    context = copy_context()
    context.run(_counting.set, count)
    return asyncio.Task(Counted(work, count, own=True), context=context)


WAYS = (
    "cancel",
    "cancel late",
    "cancel twice",
    "cancel often",
    "cancel on",
    "time out",
    "close",
    "exit",
)
"""How to strike. *Often* is up to five times, in turns of the event loop that follow each other;
*on* is in every turn until the work has ended, as anyio cancels.
"""

_TURNS = 10_000
"""More than any work takes to end that is cancelled in each turn."""


# --- one strike, and what is left -----------------------------------------------------------


@attrs.frozen(kw_only=True)
class Strike:
    """One run: what is done in which weather, and what strikes it when."""

    verb: str
    weather: str
    way: str
    at: int
    again: int = 1


@attrs.define(kw_only=True)
class Struck:
    """What came of a strike.

    Attributes:
        fell: The work did not end before its k-th suspension.
        findings: What must not be.
    """

    fell: bool = False
    findings: list[str] = attrs.field(factory=list[str])


def every_k(
    verb: str, weather: str, way: str, *, again: int = 1, stride: int = 1
) -> Iterator[tuple[Strike, Struck]]:
    """Strike at the first suspension, the next, and so on, until the work ends first.

    With a `stride`, only the first ones are struck each: there, a catalog begins.
    """
    at = 1
    while True:
        strike = Strike(verb=verb, weather=weather, way=way, at=at, again=again)
        struck = run(strike)
        yield strike, struck
        if not struck.fell:
            return
        at += stride if at >= _CLOSELY else 1


def run(strike: Strike) -> Struck:
    """Strike once, and see what is left: in its event loop, and after it."""
    struck = Struck()
    failed: list[dict[str, Any]] = []
    threads, handles = threading.active_count(), _handles()
    with (
        warnings.catch_warnings(record=True) as warned,
        tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder,
    ):
        warnings.simplefilter("always")
        try:
            _play(strike, struck, Path(folder), failed)
        except Exception as error:  # noqa: BLE001 - one strike that ends so is no end of all
            struck.findings.append(f"it raised {error!r}")
        gc.collect()
    struck.findings += [f"warned: {warning.message}" for warning in warned]
    struck.findings += [f"in a callback: {context}" for context in failed]
    if threading.active_count() != threads:
        struck.findings.append(f"threads: {threading.enumerate()}")
    if _handles() != handles:
        struck.findings.append(f"open files and sockets: {_handles() - handles} more")
    return struck


def _play(strike: Strike, struck: Struck, folder: Path, failed: list[dict[str, Any]]) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(kept_port())
        ledger = Ledger(folder / "covers.db")
        if not VERBS[strike.verb].opens_ledger:
            asyncio.run(ledger.__aenter__())  # it outlives the event loops that use it
            stack.callback(lambda: asyncio.run(ledger.aclose()))
        play = _Play(strike=strike, struck=struck, ledger=ledger, folder=folder, port=port)
        for act in (play.first, play.second):
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                loop = play.go_by(runner.get_loop())
                loop.set_task_factory(_task)
                loop.set_exception_handler(lambda _, context: failed.append(context))
                with suppress(SystemExit):
                    runner.run(act())
            if strike.way != "exit" or not struck.fell:
                break


@attrs.define(eq=False, kw_only=True)
class _Play:
    """One strike on one stage, in one event loop, or in two when the first was left by an exit."""

    strike: Strike
    struck: Struck
    ledger: Ledger
    folder: Path
    port: int
    stage: Stage = attrs.field(init=False)
    _loop: VirtualTimeLoop | None = None
    _sockets: int = 0
    _caller: "asyncio.Task[None] | None" = None
    _time_out: asyncio.Timeout | None = None
    _closing: "asyncio.Task[None] | None" = None
    _was_done: bool = False
    _falls: int = 0
    _fell_at: float = 0.0

    @property
    def weather(self) -> Weather:
        return WEATHERS[self.strike.weather]

    @property
    def verb(self) -> Verb:
        return VERBS[self.strike.verb]

    @property
    def is_closed(self) -> bool:
        return self.verb.closes or (self.strike.way == "close" and self.struck.fell)

    def go_by(self, loop: asyncio.AbstractEventLoop) -> VirtualTimeLoop:
        """Have time go on where it ended in the event loop before."""
        assert isinstance(loop, VirtualTimeLoop)
        loop._jumping.now = self.now()
        self._loop = loop
        return loop

    def now(self) -> float:
        return self._loop.time() if self._loop else 0.0

    def find(self, what: str) -> None:
        self.struck.findings.append(what)

    async def first(self) -> None:
        weather = self.weather
        scenario = attrs.evolve(weather.scenario, slow=0.0)
        sandbox = Sandbox(scenario, port=self.port, clock=self.now)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(sandbox)
            if self.strike.way == "exit":  # asyncio forgets what the host was just accepting
                place = re.escape(f"laddr=('127.0.0.1', {URL(sandbox.url).port})")
                warnings.filterwarnings("ignore", f"unclosed <socket.*{place}", ResourceWarning)
            receiver = await stack.enter_async_context(receiving()) if weather.receives else None
            self._sockets = _sockets()
            client = _client(sandbox, rate_limit=weather.rate_limit, receiver=receiver)
            self.stage = Stage(
                client=client,
                sandbox=sandbox,
                ledger=self.ledger,
                folder=self.folder,
                songs=sandbox.add_music(self.verb.songs),
            )
            if weather.has_outages:
                for breaker in (
                    client.breakers.api,
                    client.breakers.submit,
                    client.breakers.images,
                ):
                    stack.enter_context(breaker.armed())
            await self.verb.before(self.stage)
            await weather.comes(self.stage)
            sandbox.scenario = weather.scenario
            await self.be_struck()
            await self.check_all()
        self.check_after()

    async def second(self) -> None:
        """Go on in another event loop, with the same client."""
        self._caller = self._closing = None
        while self.stage.others:
            _hear_of(self.stage.others.pop())
        gc.collect()  # what an exit leaves to it
        async with self.stage.sandbox:
            self._sockets = _sockets()
            await self.check_all()
        self.check_after()

    # What strikes, and how the work ends

    async def be_struck(self) -> None:
        way = self.strike.way
        count = Suspensions(
            self.strike.at,
            self._strike,
            late=way == "cancel late",
            again=self.strike.again if way == "cancel twice" else 0,
        )
        self._caller = _counted(self._work(), count)
        await asyncio.wait([self._caller], timeout=self.weather.lasts)
        self._clear_up()  # a catalog waits for the end of an outage, however long it lasts
        await asyncio.wait([self._caller], timeout=_FOR_EVER)
        self.struck.fell = self.struck.fell or count.count >= count.at
        self._judge_end(self._caller)
        self._caller = self._time_out = None  # they remember frames
        if self._closing is not None:
            await self._closing
            self._closing = None
        for other in self.stage.others:
            await asyncio.wait([other], timeout=_FOR_EVER)
            if not other.done() or other.cancelled() or (other.exception() and not self.is_closed):
                self.find(f"another caller was harmed: {other}")
        self.stage.others.clear()

    async def _work(self) -> None:
        if self.strike.way == "time out":
            async with asyncio.timeout(None) as self._time_out:
                await self.verb.act(self.stage)
        else:
            await self.verb.act(self.stage)

    def _strike(self) -> None:
        loop = asyncio.get_running_loop()
        self.struck.fell = True
        self._fell_at = loop.time()
        match self.strike.way:
            case "close":
                self._closing = loop.create_task(self.stage.client.aclose())
            case "exit":
                loop.call_soon(_exit)
            case "time out":
                assert self._time_out is not None
                if self._caller is not None and not self._caller.done():
                    self._time_out.reschedule(self._fell_at)
            case "cancel often" | "cancel on":
                self._cancel(self.strike.again if self.strike.way == "cancel often" else _TURNS)
            case _:
                self._cancel(1)

    def _cancel(self, turns: int) -> None:
        """Cancel the caller, and again in the turns that follow, until it has ended."""
        if self._caller is None or not self._caller.cancel():
            return
        self._falls += 1
        if turns > 1:
            asyncio.get_running_loop().call_soon(self._cancel, turns - 1)

    def _judge_end(self, caller: "asyncio.Task[None]") -> None:
        error = None if not caller.done() or caller.cancelled() else caller.exception()
        self._was_done = caller.done() and not caller.cancelled() and error is None
        took = asyncio.get_running_loop().time() - self._fell_at
        awaits_an_answer = self.weather.scenario.slow and self.strike.way != "cancel on"
        within = self.verb.within if awaits_an_answer else 0.0
        if not caller.done():
            self.find("it never ended")
        elif self._falls:
            if not caller.cancelled():
                self.find(f"the cancellation was swallowed: {caller}")
            elif took > within + _SETTLED:
                self.find(f"it ended {took:.2f} s after it was cancelled, not within {within} s")
        elif self._time_out is not None and self._time_out.expired():
            if not isinstance(error, TimeoutError):
                self.find(f"the time-out was swallowed: {caller}")
        elif caller.cancelled() or (
            error and not (isinstance(error, SunoCoverError) and self._may_fail)
        ):
            self.find(f"it ended otherwise: {caller}")

    @property
    def _may_fail(self) -> bool:
        return self.weather.may_fail or self.is_closed

    @property
    def _leaves_nothing_possibly_billed(self) -> bool:
        """Whether every submit that went out was answered, and its answer awaited."""
        return self.weather.is_sure and self.strike.way != "exit"

    def _clear_up(self) -> None:
        sandbox = self.stage.sandbox
        sandbox.scenario = attrs.evolve(HEALTHY, rate_limit=self.weather.scenario.rate_limit)
        sandbox._scripts.clear()  # what was not struck by it

    # What is left

    async def check_all(self) -> None:
        stage, weather = self.stage, self.weather
        await asyncio.sleep(_SETTLED)
        if weather.scenario.slow:  # whoever was cancelled has left, and an answer is to come
            await asyncio.sleep(ATTEMPT)
        self._search_records()
        self._search_for(_OURS)
        self._search_timers(_OF_WHO_IS_GONE)
        self._clear_up()
        if self.is_closed:
            stage.client = _client(stage.sandbox, rate_limit=weather.rate_limit)
        await self._go_on(stage.client)
        await stage.client.aclose()
        await asyncio.sleep(_SETTLED)
        if not weather.receives and _sockets() != self._sockets:
            self.find(f"connections: {_sockets() - self._sockets} more")

    def check_after(self) -> None:
        loop = asyncio.get_running_loop()
        timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if timers:
            self.find(f"timers: {timers}")
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            self.find(f"tasks: {tasks}")
        self._search_for(_OURS | {"_Outage"})
        for file in self.folder.glob("covers/*"):
            if file.suffix != ".png" or not file.read_bytes().endswith(_LAST_OF_PNG):
                self.find(f"half a file: {file}")
        arrivals = self.stage.sandbox.journal.arrivals
        if not (self.is_closed or all(arrival.admitted for arrival in arrivals)):
            self.find("refused for calling too often")

    def _search_for(self, kinds: set[str]) -> None:
        gc.collect()
        names = [type(one).__name__ for one in gc.get_objects()]
        left = Counter(name for name in names if name in kinds)
        if left:
            self.find(f"left in memory: {dict(left)}")

    def _search_timers(self, owners: set[str]) -> None:
        for timer in asyncio.get_running_loop()._scheduled:  # type: ignore[attr-defined]
            owner = type(getattr(timer._callback, "__self__", None)).__name__
            if not timer.cancelled() and owner in owners:
                self.find(f"left a timer: {timer}")

    def _search_records(self) -> None:
        """See that no song was billed without anybody knowing of it."""
        client = self.stage.client
        known = {task.music_task_id for task in client.unclaimed} | {*client.possibly_billed}
        known |= {cover.music_task_id for cover in self.stage.covers if cover.music_task_id}
        known |= {task.music_task_id for task in self.stage.tasks}
        if self.strike.verb.startswith("catalog"):
            known = {entry.music_task_id for entry in read_now(self.ledger) if _is_on_record(entry)}
        elif self._was_done:
            known |= {*self.stage.songs}
        for bill in self.stage.sandbox.journal.bills:
            if bill.music_task_id not in known:
                self.find(f"a bill without a record: {bill}")
        possibly_billed = read_now(self.ledger, TrackState.SUBMITTING)
        if self._leaves_nothing_possibly_billed and (client.possibly_billed or possibly_billed):
            self.find(
                f"possibly billed without a reason: {client.possibly_billed or possibly_billed}"
            )

    async def _go_on(self, client: SunoCoverClient) -> None:
        """Have all that was begun, with nothing paid for twice, no slot lost and no queue left."""
        stage, songs = self.stage, self.stage.songs
        loop = asyncio.get_running_loop()
        if self.strike.verb.startswith("catalog"):
            async with AsyncExitStack() as stack:
                if self.verb.opens_ledger:
                    stage.ledger = Ledger(self.folder / "covers.db")  # refused if it is still held
                    await stack.enter_async_context(stage.ledger)
                await catalog(stage)
            states = {entry.state for entry in read_now(self.ledger)}
            arrived = stage.sandbox.journal.of("submit")
            submits = sum(submit.admitted for submit in arrived)  # a new client may be refused
            if states - {TrackState.SAVED}:
                self.find(f"the next run leaves {states}")
            if self._leaves_nothing_possibly_billed and submits > len(songs):
                self.find(f"{submits} submits of {len(songs)} songs")
        await asyncio.gather(*(client.generate(song) for song in songs))
        bills = Counter(bill.music_task_id for bill in stage.sandbox.journal.bills)
        if any(bills[song] != 1 for song in songs):
            self.find(f"bills: {bills}")
        if {task.music_task_id for task in client.unclaimed} & {*songs}:
            self.find(f"still unclaimed: {client.unclaimed}")
        if {*client.possibly_billed} & {*songs}:
            self.find(f"still possibly billed: {client.possibly_billed}")
        await asyncio.sleep(2.1 * RATE.seconds)
        async with AsyncExitStack() as slots:
            began = loop.time()
            for _ in range(CONCURRENCY):
                await slots.enter_async_context(client.slot())
            await asyncio.gather(*(client.credits() for _ in range(self.weather.rate_limit.calls)))
            if loop.time() - began > 1:
                self.find(f"slots were lost: {loop.time() - began:.2f} s for a window of calls")


def _is_on_record(entry: LedgerEntry) -> bool:
    return entry.task is not None or entry.state is TrackState.SUBMITTING


def _client(
    sandbox: Sandbox, *, rate_limit: RateLimit, receiver: CallbackReceiver | None = None
) -> SunoCoverClient:
    return SunoCoverClient(
        sandbox.api_key,
        base_url=sandbox.url,
        rate_limit=rate_limit,
        receiver=receiver,
        concurrency=CONCURRENCY,
    )


def _hear_of(task: "asyncio.Task[Any]") -> None:
    """Check what a task came to, as asyncio wants it."""
    if not task.cancelled():
        task.exception()


def _exit() -> NoReturn:
    raise SystemExit


def _handles(kind: str = "") -> int:
    """Count what this process has open, where the system tells: files, sockets, pipes."""
    kinds = list[str]()
    for handle in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):  # it is the one that lists them
            kinds.append(str(handle.readlink()))
    return sum(one.startswith(kind) for one in kinds)


def _sockets() -> int:
    return _handles("socket:")


@contextmanager
def from_here() -> Iterator[None]:
    """Have the garbage collector visit nothing that was there before: it is asked so often.

    Nothing is logged meanwhile, since whoever keeps logs keeps errors and their frames.
    """
    logging.disable()
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        logging.disable(logging.NOTSET)
