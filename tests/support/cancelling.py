"""Interrupts work at its k-th suspension, in virtual time, and checks what is left afterwards.

Each coroutine of the work, and of the tasks that it starts, is wrapped in one that counts: a
suspension is counted whenever it passes a future to the event loop. The interruption comes at that
point or, if `late`, when the future is done and before the task is resumed. asyncio delivers it as
usual. Run for every k until the work ends before its k-th suspension, this leaves out no moment.
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
    CONDITIONS,
    HEALTHY,
    RATE,
    VERBS,
    Condition,
    Stage,
    Verb,
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


# --- the interruption -----------------------------------------------------------------------


@attrs.define(eq=False)
class Suspensions:
    """Counts the suspensions of one piece of work, and interrupts it at one of them.

    Attributes:
        at: The number of that suspension, from 1.
        interrupt: The function to call then.
        late: Call it when the awaited future is done, just before its task is resumed.
        again: Call it again this many suspensions of the work's own task later; 0: never.
        count: The number of suspensions so far.
        interrupted: Whether it was called.
    """

    at: int
    interrupt: Callable[[], None]
    late: bool = False
    again: int = 0
    count: int = 0
    interrupted: bool = False

    def suspended(self, awaited: object, *, own: bool) -> None:
        if self.interrupted:
            self.again -= own
            if own and self.again == 0:
                self.interrupt()
            return
        self.count += 1
        if self.count != self.at:
            return
        if self.late and isinstance(awaited, asyncio.Future):
            awaited.add_done_callback(lambda _: self._interrupt())
        else:
            self._interrupt()

    def _interrupt(self) -> None:
        self.interrupted = True
        self.interrupt()


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


@contextmanager
def counts_tasks() -> Iterator[None]:
    """Count the tasks that counted work starts too, in the running event loop."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(_task)
    try:
        yield
    finally:
        loop.set_task_factory(None)


def counted(work: Coroutine[Any, Any, Any], count: Suspensions) -> "asyncio.Task[Any]":
    """Start some work as a task whose suspensions are counted."""
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
"""How to interrupt. *Often* is up to five times, in consecutive iterations of the event loop; *on*
is in every iteration until the work has ended, as anyio cancels.
"""

_TURNS = 10_000
"""More iterations than any work needs to end that is cancelled in each of them."""


# --- one interruption, and what is left -----------------------------------------------------


@attrs.frozen(kw_only=True)
class Interruption:
    """One run: the work, its condition, the way of interrupting it, and the suspension."""

    verb: str
    condition: str
    way: str
    at: int
    again: int = 1


@attrs.define(kw_only=True)
class Outcome:
    """The outcome of an interruption.

    Attributes:
        happened: The work did not end before its k-th suspension.
        findings: Each violation that was found.
    """

    happened: bool = False
    findings: list[str] = attrs.field(factory=list[str])


def every_k(
    verb: str, condition: str, way: str, *, again: int = 1, stride: int = 1
) -> Iterator[tuple[Interruption, Outcome]]:
    """Interrupt at the first suspension, the next, and so on, until the work ends first.

    With a `stride` over 1, each of the first suspensions is still taken: there, a catalog begins.
    """
    at = 1
    while True:
        interruption = Interruption(verb=verb, condition=condition, way=way, at=at, again=again)
        outcome = run(interruption)
        yield interruption, outcome
        if not outcome.happened:
            return
        at += stride if at >= _CLOSELY else 1


def run(interruption: Interruption) -> Outcome:
    """Interrupt once, and check what is left: in its event loop, and after it."""
    outcome = Outcome()
    failed: list[dict[str, Any]] = []
    threads, handles = threading.active_count(), _handles()
    with (
        warnings.catch_warnings(record=True) as warned,
        tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder,
    ):
        warnings.simplefilter("always")
        try:
            _play(interruption, outcome, Path(folder), failed)
        except Exception as error:  # noqa: BLE001 - a finding; the other runs go on
            outcome.findings.append(f"it raised {error!r}")
        gc.collect()
    outcome.findings += [f"warned: {warning.message}" for warning in warned]
    outcome.findings += [f"in a callback: {context}" for context in failed]
    if threading.active_count() != threads:
        outcome.findings.append(f"threads: {threading.enumerate()}")
    if _handles() != handles:
        outcome.findings.append(f"open files and sockets: {_handles() - handles} more")
    return outcome


def _play(
    interruption: Interruption, outcome: Outcome, folder: Path, failed: list[dict[str, Any]]
) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(kept_port())
        ledger = Ledger(folder / "covers.db")
        if not VERBS[interruption.verb].opens_ledger:
            asyncio.run(ledger.__aenter__())  # it outlives the event loops that use it
            stack.callback(lambda: asyncio.run(ledger.aclose()))
        play = _Play(
            interruption=interruption, outcome=outcome, ledger=ledger, folder=folder, port=port
        )
        for act in (play.first, play.second):
            with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
                loop = play.go_by(runner.get_loop())
                loop.set_task_factory(_task)
                loop.set_exception_handler(lambda _, context: failed.append(context))
                with suppress(SystemExit):
                    runner.run(act())
            if interruption.way != "exit" or not outcome.happened:
                break


@attrs.define(eq=False, kw_only=True)
class _Play:
    """One interruption on one stage, in one event loop, or in two if an exit ended the first."""

    interruption: Interruption
    outcome: Outcome
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
    _cancellations: int = 0
    _interrupted_at: float = 0.0

    @property
    def condition(self) -> Condition:
        return CONDITIONS[self.interruption.condition]

    @property
    def verb(self) -> Verb:
        return VERBS[self.interruption.verb]

    @property
    def is_closed(self) -> bool:
        return self.verb.closes or (self.interruption.way == "close" and self.outcome.happened)

    def go_by(self, loop: asyncio.AbstractEventLoop) -> VirtualTimeLoop:
        """Continue the time where it ended in the previous event loop."""
        assert isinstance(loop, VirtualTimeLoop)
        loop._jumping.now = self.now()
        self._loop = loop
        return loop

    def now(self) -> float:
        return self._loop.time() if self._loop else 0.0

    def find(self, what: str) -> None:
        self.outcome.findings.append(what)

    async def first(self) -> None:
        condition = self.condition
        scenario = attrs.evolve(condition.scenario, slow=0.0)
        sandbox = Sandbox(scenario, port=self.port, clock=self.now)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(sandbox)
            if self.interruption.way == "exit":  # asyncio forgets what the host was just accepting
                place = re.escape(f"laddr=('127.0.0.1', {URL(sandbox.url).port})")
                warnings.filterwarnings("ignore", f"unclosed <socket.*{place}", ResourceWarning)
            receiver = await stack.enter_async_context(receiving()) if condition.receives else None
            self._sockets = _sockets()
            client = _client(sandbox, rate_limit=condition.rate_limit, receiver=receiver)
            self.stage = Stage(
                client=client,
                sandbox=sandbox,
                ledger=self.ledger,
                folder=self.folder,
                songs=sandbox.add_music(self.verb.songs),
            )
            if condition.has_outages:
                for breaker in (
                    client.breakers.api,
                    client.breakers.submit,
                    client.breakers.images,
                ):
                    stack.enter_context(breaker.armed())
            await self.verb.before(self.stage)
            await condition.begins(self.stage)
            sandbox.scenario = condition.scenario
            await self.interrupt_work()
            await self.check_all()
        self.check_after()

    async def second(self) -> None:
        """Continue in another event loop, with the same client."""
        self._caller = self._closing = None
        while self.stage.others:
            _retrieve(self.stage.others.pop())
        gc.collect()  # what an exit leaves to it
        async with self.stage.sandbox:
            self._sockets = _sockets()
            await self.check_all()
        self.check_after()

    # The interruption, and how the work ends

    async def interrupt_work(self) -> None:
        way = self.interruption.way
        count = Suspensions(
            self.interruption.at,
            self._interrupt,
            late=way == "cancel late",
            again=self.interruption.again if way == "cancel twice" else 0,
        )
        self._caller = counted(self._work(), count)
        await asyncio.wait([self._caller], timeout=self.condition.lasts)
        self._clear_up()  # a catalog waits for the end of an outage, however long it lasts
        await asyncio.wait([self._caller], timeout=_FOR_EVER)
        self.outcome.happened = self.outcome.happened or count.count >= count.at
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
        if self.interruption.way == "time out":
            async with asyncio.timeout(None) as self._time_out:
                await self.verb.act(self.stage)
        else:
            await self.verb.act(self.stage)

    def _interrupt(self) -> None:
        loop = asyncio.get_running_loop()
        self.outcome.happened = True
        self._interrupted_at = loop.time()
        match self.interruption.way:
            case "close":
                self._closing = loop.create_task(self.stage.client.aclose())
            case "exit":
                loop.call_soon(_exit)
            case "time out":
                assert self._time_out is not None
                if self._caller is not None and not self._caller.done():
                    self._time_out.reschedule(self._interrupted_at)
            case "cancel often" | "cancel on":
                self._cancel(
                    self.interruption.again if self.interruption.way == "cancel often" else _TURNS
                )
            case _:
                self._cancel(1)

    def _cancel(self, turns: int) -> None:
        """Cancel the caller, and again in the iterations that follow, until it has ended."""
        if self._caller is None or not self._caller.cancel():
            return
        self._cancellations += 1
        if turns > 1:
            asyncio.get_running_loop().call_soon(self._cancel, turns - 1)

    def _judge_end(self, caller: "asyncio.Task[None]") -> None:
        error = None if not caller.done() or caller.cancelled() else caller.exception()
        self._was_done = caller.done() and not caller.cancelled() and error is None
        took = asyncio.get_running_loop().time() - self._interrupted_at
        awaits_an_answer = self.condition.scenario.slow and self.interruption.way != "cancel on"
        within = self.verb.within if awaits_an_answer else 0.0
        if not caller.done():
            self.find("it never ended")
        elif self._cancellations:
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
        return self.condition.may_fail or self.is_closed

    @property
    def _leaves_nothing_possibly_billed(self) -> bool:
        """Whether every submit that went out was answered, and its answer awaited."""
        return self.condition.is_sure and self.interruption.way != "exit"

    def _clear_up(self) -> None:
        sandbox = self.stage.sandbox
        sandbox.scenario = attrs.evolve(HEALTHY, rate_limit=self.condition.scenario.rate_limit)
        sandbox._scripts.clear()  # faults that no request met

    # What is left

    async def check_all(self) -> None:
        stage, condition = self.stage, self.condition
        await asyncio.sleep(_SETTLED)
        if condition.scenario.slow:  # the caller was cancelled, and an answer is still to come
            await asyncio.sleep(ATTEMPT)
        self._search_records()
        self._search_for(_OURS)
        self._search_timers(_OF_WHO_IS_GONE)
        self._clear_up()
        if self.is_closed:
            stage.client = _client(stage.sandbox, rate_limit=condition.rate_limit)
        await self._go_on(stage.client)
        await stage.client.aclose()
        await asyncio.sleep(_SETTLED)
        if not condition.receives and _sockets() != self._sockets:
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
        """Check that each bill is known to a caller, the client or the ledger."""
        client = self.stage.client
        known = {task.music_task_id for task in client.unclaimed} | {*client.possibly_billed}
        known |= {cover.music_task_id for cover in self.stage.covers if cover.music_task_id}
        known |= {task.music_task_id for task in self.stage.tasks}
        if self.interruption.verb.startswith("catalog"):
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
        """Finish what was begun: nothing is paid for twice, no slot is lost, no queue is left."""
        stage, songs = self.stage, self.stage.songs
        loop = asyncio.get_running_loop()
        if self.interruption.verb.startswith("catalog"):
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
            await asyncio.gather(
                *(client.credits() for _ in range(self.condition.rate_limit.calls))
            )
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


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """Retrieve a task's exception, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()


def _exit() -> NoReturn:
    raise SystemExit


def _handles(kind: str = "") -> int:
    """Count this process's open files, sockets and pipes, where /proc lists them."""
    kinds = list[str]()
    for handle in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):  # it is the one that lists them
            kinds.append(str(handle.readlink()))
    return sum(one.startswith(kind) for one in kinds)


def _sockets() -> int:
    return _handles("socket:")


@contextmanager
def from_here() -> Iterator[None]:
    """Freeze all existing objects, since the garbage collector runs after each interruption.

    Logging is disabled meanwhile: a handler that keeps records keeps errors and their frames.
    """
    logging.disable()
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        logging.disable(logging.NOTSET)
