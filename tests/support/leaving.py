"""Ways of cancelling a caller while its submit is on the wire, and what is left afterwards.

anyio cancels repeatedly until a task ends, asyncio's own time-outs and groups cancel once, and
plain `cancel` once per call. All cancel after 1 s of virtual time.
"""

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from suno_cover_async import (
    CoverTask,
    Ledger,
    SunoCoverClient,
    TrackState,
)
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.cancelling import Counted, Suspensions
from tests.support.runs import read_now

LEAVES_AT = 1.0
ANSWERED_AT = 20.0
LONG_AFTER = 60.0
AGAIN_AND_AGAIN = 0
SLOW = Scenario(rate_limit=None, polls=1, image_size=16, slow_seconds=ANSWERED_AT)
ALWAYS_SLOW = attrs.evolve(SLOW, slow=1.0, faults_on={"submit"})
ON_THE_WAY = attrs.evolve(SLOW, delay=(5.0, 5.0))

Act = Callable[[], Coroutine[Any, Any, object]]
Leave = Callable[[Act], Awaitable[None]]
Rows = dict[str, tuple[TrackState, str | None]]
Verb = Callable[[SunoCoverClient, str], Awaitable[object]]


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in virtual time, to its last task."""

    async def to_the_last_task(work: Coroutine[Any, Any, None]) -> None:
        await work
        for _ in range(10):  # the server's own tasks take some turns to notice that a peer is gone
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @functools.wraps(test)
    def run(**given: Any) -> None:
        virtual_time.run(to_the_last_task(test(**given)))

    return run


# --- how callers are cancelled -----------------------------------------------------------------


class SiblingFailedError(Exception):
    pass


async def fails() -> None:
    await asyncio.sleep(LEAVES_AT)
    raise SiblingFailedError


async def move_on_after(act: Act) -> None:
    with anyio.move_on_after(LEAVES_AT) as scope:
        await act()
    assert scope.cancelled_caught


async def cancel_scope(act: Act) -> None:
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_later(LEAVES_AT, scope.cancel)
        await act()
    assert scope.cancelled_caught


async def anyio_task_group(act: Act) -> None:
    with pytest.RaisesGroup(SiblingFailedError):
        async with anyio.create_task_group() as group:
            group.start_soon(act)
            group.start_soon(fails)


async def anyio_group_around(act: Act) -> None:
    """The act is in the body of the group, not a child of it."""
    with pytest.RaisesGroup(SiblingFailedError):
        async with anyio.create_task_group() as group:
            group.start_soon(fails)
            await act()


async def asyncio_timeout(act: Act) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(LEAVES_AT):
            await act()


async def asyncio_task_group(act: Act) -> None:
    with pytest.RaisesGroup(SiblingFailedError):
        async with asyncio.TaskGroup() as group:
            group.create_task(act())
            group.create_task(fails())


async def cancelled(times: int, act: Act) -> None:
    """Cancel in this many consecutive iterations of the loop."""
    caller = asyncio.create_task(act())
    await asyncio.sleep(LEAVES_AT)
    await cancel(caller, times)


async def cancelled_at(suspension: int, times: int, act: Act) -> float | None:
    """Cancel at the n-th suspension of all tasks: `times` times, or repeatedly, as anyio does.

    Returns:
        The seconds until the caller had ended; None: the act ended before.
    """
    loop, scope = asyncio.get_running_loop(), anyio.CancelScope()
    cancelled_at_time: float | None = None

    async def in_the_scope() -> None:
        with scope:
            await act()

    def interrupt(left: int) -> None:
        nonlocal cancelled_at_time
        if caller.done():
            return
        cancelled_at_time = loop.time() if cancelled_at_time is None else cancelled_at_time
        if times == AGAIN_AND_AGAIN:
            scope.cancel()
        else:
            caller.cancel()
        if left > 1:
            loop.call_soon(interrupt, left - 1)

    count = Suspensions(at=suspension, interrupt=partial(interrupt, times))
    loop.set_task_factory(
        lambda loop, work, **options: asyncio.Task(Counted(work, count), loop=loop, **options)
    )
    caller = asyncio.create_task(in_the_scope() if times == AGAIN_AND_AGAIN else act())
    await asyncio.wait([caller])
    loop.set_task_factory(None)
    took = None if cancelled_at_time is None else loop.time() - cancelled_at_time
    if took is not None and times != AGAIN_AND_AGAIN:
        assert caller.cancelled()
    else:
        caller.result()
    return took


async def cancel(caller: "asyncio.Task[Any]", times: int) -> None:
    for _ in range(times):
        caller.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([caller])
    assert caller.cancelled()


def names(value: object) -> str:
    if isinstance(value, partial):
        return f"{value.func.__name__}-{value.args[0]}"
    return getattr(value, "__name__", str(value))


ANYIO: list[Leave] = [move_on_after, cancel_scope, anyio_task_group, anyio_group_around]
FRAMEWORKS: list[Leave] = [*ANYIO, asyncio_timeout, asyncio_task_group]
PLAIN: list[Leave] = [partial(cancelled, times) for times in range(1, 6)]
every_way = pytest.mark.parametrize("leave", [*FRAMEWORKS, *PLAIN], ids=names)
every_count = pytest.mark.parametrize("times", [*range(1, 6), AGAIN_AND_AGAIN])
every_verb = pytest.mark.parametrize(
    "verb", [SunoCoverClient.submit, SunoCoverClient.generate], ids=names
)


def call(verb: Verb, client: SunoCoverClient, song: str) -> Act:
    async def act() -> object:
        return await verb(client, song)

    return act


# --- what is left ------------------------------------------------------------------------------


def host(scenario: Scenario = SLOW, *script: Fault) -> Sandbox:
    """Make a host whose first submit is answered late, or as the script says."""
    sandbox = Sandbox(scenario, clock=asyncio.get_running_loop().time)
    sandbox.script("submit", *(script or [Fault.SLOW]))
    return sandbox


def now() -> float:
    return asyncio.get_running_loop().time()


def left_early(leave: Leave) -> bool:
    """Whether a catalog was left at once; if cancelled only once, it awaits the answer."""
    return now() < ANSWERED_AT or leave in [asyncio_timeout, asyncio_task_group, PLAIN[0]]


def awaited(times: int, blocks: int) -> float:
    """Return how long a caller cancelled this often in nested blocks may wait for the answer.

    Each block awaits the answer before it closes, until a cancellation of its own.
    """
    return 0.0 if times == AGAIN_AND_AGAIN or times > blocks else ANSWERED_AT


def submits(sandbox: Sandbox) -> list[str | None]:
    return [submit.music_task_id for submit in sandbox.journal.of("submit")]


def paid(sandbox: Sandbox) -> dict[str, str]:
    return {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}


def by_song(tasks: tuple[CoverTask, ...]) -> dict[str, str]:
    return {task.music_task_id: task.cover_task_id for task in tasks}


def written(path: Path) -> Rows:
    """Read each song's state and cover task from the file."""
    return {
        entry.music_task_id: (entry.state, entry.task.cover_task_id if entry.task else None)
        for entry in read_now(Ledger(path))
    }


def submitted(sandbox: Sandbox) -> Rows:
    return {song: (TrackState.SUBMITTED, task) for song, task in paid(sandbox).items()}


@contextmanager
def host_in_a_thread(scenario: Scenario, *steps: Fault) -> Iterator[Sandbox]:
    """Run a host that outlives the event loops of its callers; the steps are for submits."""
    sandbox = Sandbox(scenario)
    sandbox.script("submit", *steps)
    listening, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with sandbox:
            listening.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert listening.wait(10)
        yield sandbox
    finally:
        over.set()
        thread.join()
