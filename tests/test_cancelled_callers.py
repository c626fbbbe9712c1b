"""A paid request survives any cancellation: anyio cancels again and again, asyncio once.

Who is cancelled leaves at once; the POST on the wire is finished and its answer kept, and the next
call for the song makes no second POST. The sandbox counts the POSTs. Time is virtual: an answer
that takes 20 s costs nothing. Web applications are in `test_cancelled_in_web_apps.py`.
"""

import asyncio
import functools
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import attrs
import pytest
import virtual_time
from conftest import billed, connect, until

from suno_cover_async import (
    ClientUsageError,
    Covered,
    CoverStatus,
    CoverTask,
    Ledger,
    Outcome,
    Rate,
    SunoCoverClient,
    SunoCoverError,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Fault, Sandbox, Scenario

LEAVES_AT = 1.0
ANSWERED_AT = 20.0
LONG_AFTER = 60.0
SLOW = Scenario(rate=None, looks=1, image_size=16, slow_seconds=ANSWERED_AT)
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


@pytest.fixture
def nothing_is_left_open() -> Generator[None, None, None]:
    threads = threading.active_count()
    yield
    gc.collect()  # what is not closed warns now, and a warning is an error
    assert threading.active_count() == threads


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
    """Cancel in so many consecutive turns of the loop."""
    caller = asyncio.create_task(act())
    await asyncio.sleep(LEAVES_AT)
    await cancel(caller, times)


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


FRAMEWORKS: list[Leave] = [
    move_on_after,
    cancel_scope,
    anyio_task_group,
    anyio_group_around,
    asyncio_timeout,
    asyncio_task_group,
]
PLAIN: list[Leave] = [partial(cancelled, times) for times in range(1, 6)]
every_way = pytest.mark.parametrize("leave", [*FRAMEWORKS, *PLAIN], ids=names)
every_verb = pytest.mark.parametrize(
    "verb", [SunoCoverClient.submit, SunoCoverClient.generate], ids=names
)


# --- what they leave ---------------------------------------------------------------------------


def host(scenario: Scenario = SLOW, *script: Fault) -> Sandbox:
    """Make a host whose first submit is answered late, or as the script says."""
    sandbox = Sandbox(scenario, clock=asyncio.get_running_loop().time)
    sandbox.script("submit", *(script or [Fault.SLOW]))
    return sandbox


def now() -> float:
    return asyncio.get_running_loop().time()


def submits(sandbox: Sandbox) -> list[str | None]:
    return [submit.music_task_id for submit in sandbox.journal.of("submit")]


def paid(sandbox: Sandbox) -> dict[str, str]:
    return {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}


def by_song(tasks: tuple[CoverTask, ...]) -> dict[str, str]:
    return {task.music_task_id: task.cover_task_id for task in tasks}


def opened(path: Path) -> AbstractAsyncContextManager[Ledger]:
    """Open a ledger for a block that a cancellation may end."""
    return cast("AbstractAsyncContextManager[Ledger]", Ledger(path))


def written(path: Path) -> Rows:
    """Read each song's state and cover task from the file."""
    return {
        entry.music_task_id: (entry.state, entry.task.cover_task_id if entry.task else None)
        for entry in Ledger(path).entries()
    }


def submitted(sandbox: Sandbox) -> Rows:
    return {song: (TrackState.SUBMITTED, task) for song, task in paid(sandbox).items()}


async def covered(
    client: SunoCoverClient, songs: list[str], ledger: Ledger | None, into: Path | None = None
) -> list[Outcome]:
    async with cover_catalog(client, songs, ledger=ledger, into=into) as outcomes:
        return [outcome async for outcome in outcomes]


# --- submit and generate -----------------------------------------------------------------------


@every_way
@every_verb
@in_virtual_time
async def test_who_is_cancelled_leaves_at_once_and_what_was_paid_for_is_kept(
    verb: Verb, leave: Leave
) -> None:
    async with host() as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)

        await leave(call(verb, client, song))

        assert now() == pytest.approx(LEAVES_AT, abs=0.1)
        assert paid(sandbox).keys() == {song}  # it was on the wire
        await asyncio.sleep(LONG_AFTER)
        assert by_song(client.unclaimed) == paid(sandbox)
        assert not client.uncertain
        details = await client.generate(song)
        assert details.status is CoverStatus.SUCCESS
        assert not client.unclaimed
        assert submits(sandbox) == [song]


def call(verb: Verb, client: SunoCoverClient, song: str) -> Act:
    async def act() -> object:
        return await verb(client, song)

    return act


@every_way
@every_verb
@in_virtual_time
async def test_the_next_call_joins_the_post_that_its_callers_left(verb: Verb, leave: Leave) -> None:
    async with host() as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)

        await leave(call(verb, client, song))
        assert now() < ANSWERED_AT
        task = await client.submit(song)

        assert not task.adopted
        assert by_song((task,)) == paid(sandbox)
        assert submits(sandbox) == [song]
        assert not client.unclaimed


@in_virtual_time
async def test_callers_that_leave_in_every_way_at_once_leave_one_post() -> None:
    async with host() as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)
        act = partial(client.generate, song)

        async with asyncio.TaskGroup() as group:
            for leave in [*FRAMEWORKS, *PLAIN]:
                group.create_task(_leaves(leave, act))
        assert now() < ANSWERED_AT
        await asyncio.sleep(LONG_AFTER)

        assert by_song(client.unclaimed) == paid(sandbox)
        assert submits(sandbox) == [song]


async def _leaves(leave: Leave, act: Act) -> None:
    await leave(act)


@every_way
@in_virtual_time
async def test_callers_that_leave_take_nothing_from_the_one_that_stays(leave: Leave) -> None:
    async with host() as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)
        stays = asyncio.create_task(client.submit(song))

        await leave(partial(client.submit, song))
        task = await stays

        assert not task.adopted
        assert submits(sandbox) == [song]
        assert not client.unclaimed


@every_way
@pytest.mark.parametrize(
    "fault",
    [Fault.SERVER_ERROR, Fault.SERVER_ERROR_AFTER, Fault.GATEWAY_AFTER, Fault.LOST_ANSWER],
    ids=lambda fault: fault.value,
)
@in_virtual_time
async def test_no_further_attempt_begins_for_callers_who_all_left(
    fault: Fault, leave: Leave
) -> None:
    async with host(ON_THE_WAY, fault) as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)

        await leave(partial(client.submit, song))
        assert now() < 10.0  # when the answer comes
        await asyncio.sleep(LONG_AFTER)

        assert submits(sandbox) == [song]
        assert client.uncertain == (song,)
        await client.submit(song)
        assert submits(sandbox) == [song, song]
        assert billed(sandbox) == {song: 1}
        assert not client.uncertain


@every_way
@in_virtual_time
async def test_a_further_attempt_is_made_for_who_joined_the_first_one(leave: Leave) -> None:
    async with host(ON_THE_WAY, Fault.LOST_ANSWER) as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)

        await leave(partial(client.submit, song))
        task = await client.submit(song)

        assert by_song((task,)) == paid(sandbox)
        assert len(submits(sandbox)) == 2
        assert not client.uncertain


@every_way
@every_verb
@in_virtual_time
async def test_a_submit_that_queues_is_taken_back(verb: Verb, leave: Leave) -> None:
    rate = Rate(calls=1, seconds=30)
    async with host() as sandbox, connect(sandbox, rate=rate) as client:
        (song,) = sandbox.add_music(1)
        await client.credits()

        await leave(call(verb, client, song))
        await asyncio.sleep(LONG_AFTER)

        assert submits(sandbox) == []
        assert not client.unclaimed
        assert not client.uncertain
        await client.submit(song)  # its place in the queue is free again
        assert submits(sandbox) == [song]


@pytest.mark.parametrize("times", range(1, 6))
@every_verb
@in_virtual_time
async def test_a_caller_cancelled_at_any_turn_costs_one_post_at_most(
    verb: Verb, times: int
) -> None:
    async with host(ALWAYS_SLOW, Fault.SLOW) as sandbox:
        for turns, song in enumerate(sandbox.add_music(40)):
            async with connect(sandbox) as client:
                caller = asyncio.create_task(call(verb, client, song)())
                for _ in range(turns):
                    await asyncio.sleep(0)
                began = now()
                await cancel(caller, times)
                assert now() - began < 1.0

                details = await client.generate(song)

                assert details.music_task_id == song
                assert not client.unclaimed
        assert submits(sandbox) == [*billed(sandbox)]  # each song once


@every_way
@in_virtual_time
async def test_a_cover_that_was_polled_for_is_polled_for_again(leave: Leave) -> None:
    drawn = attrs.evolve(SLOW, seconds=40.0, looks=None)
    async with host(drawn, Fault.NONE) as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)

        await leave(partial(client.generate, song, timeout=100))

        assert sandbox.journal.of("details")
        assert by_song(client.unclaimed) == paid(sandbox)
        await client.generate(song, timeout=100)
        assert submits(sandbox) == [song]


# --- catalogs ----------------------------------------------------------------------------------


@every_way
@in_virtual_time
async def test_a_catalog_left_on_the_wire_writes_what_was_paid_for(
    leave: Leave, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    async with host() as sandbox, connect(sandbox, concurrency=3) as client:
        songs = sandbox.add_music(1)
        with Ledger(path) as ledger:
            run = partial(covered, client, songs, ledger, tmp_path)
            await leave(run)

            assert now() < ANSWERED_AT
            await asyncio.sleep(LONG_AFTER)
            assert written(path) == submitted(sandbox)
            assert [type(outcome) for outcome in await run()] == [Covered]
        assert submits(sandbox) == songs


@every_way
@in_virtual_time
async def test_the_next_run_joins_the_post_that_the_first_one_left(
    leave: Leave, tmp_path: Path
) -> None:
    async with host() as sandbox, connect(sandbox, concurrency=3) as client:
        songs = sandbox.add_music(1)
        with Ledger(tmp_path / "covers.db") as ledger:
            run = partial(covered, client, songs, ledger, tmp_path)
            await leave(run)
            assert now() < ANSWERED_AT

            outcomes = await run()

        assert [type(outcome) for outcome in outcomes] == [Covered]
        assert submits(sandbox) == songs


@every_way
@in_virtual_time
async def test_a_catalog_without_a_ledger_leaves_what_was_paid_for_to_the_client(
    leave: Leave,
) -> None:
    async with host() as sandbox, connect(sandbox, concurrency=3) as client:
        songs = sandbox.add_music(1)

        await leave(partial(covered, client, songs, None))
        assert now() < ANSWERED_AT
        await asyncio.sleep(LONG_AFTER)

        assert by_song(client.unclaimed) == paid(sandbox)
        await client.generate(*songs)
        assert submits(sandbox) == songs


@every_way
@in_virtual_time
async def test_a_catalog_that_is_left_submits_nothing_more_and_forgets_none_on_the_wire(
    leave: Leave, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    slow = [Fault.SLOW] * 5
    async with host(SLOW, *slow) as sandbox, connect(sandbox, concurrency=5) as client:
        songs = sandbox.add_music(12)
        with Ledger(path) as ledger:
            await leave(partial(covered, client, songs, ledger))
            assert now() < ANSWERED_AT
            await asyncio.sleep(LONG_AFTER)

            assert len(submits(sandbox)) == 5
            waiting: Rows = dict.fromkeys(songs, (TrackState.WAITING, None))
            assert written(path) == waiting | submitted(sandbox)
            assert len(await covered(client, songs, ledger)) == 12
        assert sorted(map(str, submits(sandbox))) == sorted(songs)


# --- blocks: client, ledger, catalog -----------------------------------------------------------


@every_way
@every_verb
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_a_client_whose_block_is_left_finishes_the_post_and_then_closes(
    verb: Verb, leave: Leave
) -> None:
    async with host() as sandbox:
        (song,) = sandbox.add_music(1)
        client = connect(sandbox)

        async def block() -> None:
            async with client:
                await verb(client, song)

        await leave(block)
        assert paid(sandbox).keys() == {song}
        await asyncio.sleep(LONG_AFTER)

        assert by_song(client.unclaimed) == paid(sandbox)
        assert not client.uncertain
        with pytest.raises(ClientUsageError):
            await client.submit(song)
        assert submits(sandbox) == [song]


@every_way
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_closing_again_awaits_the_post_that_a_cancelled_closing_left(leave: Leave) -> None:
    async with host() as sandbox:
        (song,) = sandbox.add_music(1)
        client = connect(sandbox)

        async def block() -> None:
            async with client:
                await client.submit(song)

        await leave(block)
        await client.aclose()

        assert by_song(client.unclaimed) == paid(sandbox)
        assert submits(sandbox) == [song]


@every_way
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_a_closing_that_is_cancelled_goes_on_without_who_asked_for_it(leave: Leave) -> None:
    async with host() as sandbox:
        (song,) = sandbox.add_music(1)
        client = connect(sandbox)
        caller = asyncio.create_task(client.submit(song))
        await until(lambda: sandbox.journal.bills)

        await leave(client.aclose)
        await asyncio.sleep(LONG_AFTER)

        with pytest.raises(SunoCoverError, match="closed"):
            await caller
        assert by_song(client.unclaimed) == paid(sandbox)
        assert submits(sandbox) == [song]


@every_way
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_blocks_that_are_left_together_write_what_was_paid_for_and_then_close(
    leave: Leave, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    async with host() as sandbox:
        songs = sandbox.add_music(1)

        async def run() -> list[Outcome]:
            async with opened(path) as ledger, connect(sandbox, concurrency=3) as client:
                return await covered(client, songs, ledger, tmp_path)

        await leave(run)
        assert paid(sandbox).keys() == {*songs}
        await asyncio.sleep(LONG_AFTER)

        assert written(path) == submitted(sandbox)
        assert [type(outcome) for outcome in await run()] == [Covered]
        assert submits(sandbox) == songs


@every_way
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_a_plain_ledger_block_is_left_as_well_as_an_async_one(
    leave: Leave, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    async with host() as sandbox:
        songs = sandbox.add_music(1)

        async def run() -> list[Outcome]:
            with Ledger(path) as ledger:
                async with connect(sandbox, concurrency=3) as client:
                    return await covered(client, songs, ledger, tmp_path)

        await leave(run)
        assert paid(sandbox).keys() == {*songs}
        await asyncio.sleep(LONG_AFTER)

        assert written(path) == submitted(sandbox)
        assert [type(outcome) for outcome in await run()] == [Covered]
        assert submits(sandbox) == songs


@every_way
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_a_ledger_outlives_its_block_until_its_last_answer_is_written(
    leave: Leave, tmp_path: Path
) -> None:
    """The client stays open; only the ledger's block and the catalog's are left."""
    path = tmp_path / "covers.db"
    async with host() as sandbox, connect(sandbox, concurrency=3) as client:
        songs = sandbox.add_music(1)

        async def run() -> list[Outcome]:
            async with opened(path) as ledger:
                return await covered(client, songs, ledger, tmp_path)

        await leave(run)
        await asyncio.sleep(LONG_AFTER)

        assert written(path) == submitted(sandbox)
        assert [type(outcome) for outcome in await run()] == [Covered]
        assert submits(sandbox) == songs


@every_way
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_closing_a_ledger_again_awaits_what_a_cancelled_closing_left(
    leave: Leave, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    async with host() as sandbox:
        songs = sandbox.add_music(1)
        ledger: Any = Ledger(path)

        async def run() -> None:
            async with ledger, connect(sandbox, concurrency=3) as client:
                await covered(client, songs, ledger)

        await leave(run)
        await ledger.aclose()

        assert written(path) == submitted(sandbox)
        with Ledger(path):
            pass  # nobody holds it any more
        assert submits(sandbox) == songs


# --- an event loop that ends first -------------------------------------------------------------


@contextmanager
def host_in_a_thread() -> Iterator[Sandbox]:
    """Have a host that outlives the event loops of its callers; its first answer never comes."""
    sandbox = Sandbox(attrs.evolve(SLOW, slow_seconds=3_600.0))
    sandbox.script("submit", Fault.SLOW)
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


async def left_on_the_wire(sandbox: Sandbox, act: Act) -> None:
    """Cancel a call once its POST is on the wire, again and again, until it ends."""
    with anyio.CancelScope() as scope:

        async def strike() -> None:
            await until(lambda: sandbox.journal.bills)
            scope.cancel()

        striking = asyncio.create_task(strike())
        await act()
    await striking
    assert scope.cancelled_caught


Blocks = Callable[[Path, Sandbox, AsyncExitStack], Awaitable[tuple[Ledger, SunoCoverClient]]]


async def async_blocks(
    path: Path, sandbox: Sandbox, stack: AsyncExitStack
) -> tuple[Ledger, SunoCoverClient]:
    ledger = await stack.enter_async_context(opened(path))
    return ledger, await stack.enter_async_context(connect(sandbox, concurrency=3))


async def plain_blocks(
    path: Path, sandbox: Sandbox, stack: AsyncExitStack
) -> tuple[Ledger, SunoCoverClient]:
    ledger = stack.enter_context(Ledger(path))
    return ledger, await stack.enter_async_context(connect(sandbox, concurrency=3))


@pytest.mark.usefixtures("nothing_is_left_open")
@pytest.mark.parametrize("blocks", [async_blocks, plain_blocks], ids=names)
def test_a_loop_that_ends_first_leaves_a_row_that_the_next_run_resolves(
    blocks: Blocks, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    with host_in_a_thread() as sandbox:
        songs = sandbox.add_music(1)

        async def run() -> list[Outcome]:
            async with AsyncExitStack() as stack:
                ledger, client = await blocks(path, sandbox, stack)
                return await covered(client, songs, ledger, tmp_path)

        began = time.monotonic()
        asyncio.run(left_on_the_wire(sandbox, run))
        assert time.monotonic() - began < 25  # an attempt may take 30 s: it was not awaited
        assert written(path) == {songs[0]: (TrackState.SUBMITTING, None)}
        assert submits(sandbox) == songs

        assert [type(outcome) for outcome in asyncio.run(run())] == [Covered]
        assert billed(sandbox) == {songs[0]: 1}
        assert {state for state, _ in written(path).values()} == {TrackState.SAVED}


@pytest.mark.usefixtures("nothing_is_left_open")
@every_verb
def test_a_client_whose_loop_ends_first_says_what_may_be_billed_and_goes_on_in_the_next(
    verb: Verb,
) -> None:
    with host_in_a_thread() as sandbox:
        (song,) = sandbox.add_music(1)
        client = connect(sandbox)

        async def next_one() -> None:
            async with client:
                await client.generate(song)

        began = time.monotonic()
        asyncio.run(left_on_the_wire(sandbox, call(verb, client, song)))
        assert time.monotonic() - began < 25
        assert client.uncertain == (song,)
        assert submits(sandbox) == [song]

        asyncio.run(next_one())
        assert billed(sandbox) == {song: 1}
        assert not client.uncertain
