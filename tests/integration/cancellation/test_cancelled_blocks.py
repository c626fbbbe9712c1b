"""Blocks of clients, ledgers and catalogs that are left by a cancellation, and loops that end.

Whoever is cancelled leaves at once. Closing goes on as a task of its own: the POST on the wire is
finished, its answer is kept, and then what was open is closed. The sandbox counts the POSTs.
"""

import asyncio
import gc
import itertools
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import attrs
import pytest

from suno_cover_async import (
    ClientUsageError,
    Covered,
    Ledger,
    Outcome,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
    TrackState,
)
from suno_cover_async.sandbox import Fault, Sandbox
from tests.support.clients import connect
from tests.support.leaving import (
    ALWAYS_SLOW,
    LONG_AFTER,
    SLOW,
    Act,
    Leave,
    Verb,
    awaited,
    by_song,
    call,
    cancelled_at,
    every_count,
    every_verb,
    every_way,
    host,
    host_in_a_thread,
    in_virtual_time,
    names,
    paid,
    submits,
    submitted,
    written,
)
from tests.support.runs import billed, covered
from tests.support.waiting import until


@pytest.fixture
def nothing_is_left_open() -> Generator[None, None, None]:
    threads = threading.active_count()
    yield
    gc.collect()  # what is not closed warns now, and a warning is an error
    assert threading.active_count() == threads


# --- blocks: client, ledger, catalog -----------------------------------------------------------


def patient(sandbox: Sandbox, **options: Any) -> SunoCoverClient:
    """Make a client whose attempts may take an hour."""
    return connect(sandbox, concurrency=3, retry=RetryPolicy(attempt_timeout=3_600), **options)


Blocks = Callable[[Path, Sandbox, AsyncExitStack], Awaitable[tuple[Ledger, SunoCoverClient]]]


async def plain_blocks(
    path: Path, sandbox: Sandbox, stack: AsyncExitStack
) -> tuple[Ledger, SunoCoverClient]:
    ledger = await stack.enter_async_context(Ledger(path))
    return ledger, await stack.enter_async_context(patient(sandbox))


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
        assert not client.possibly_billed
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
async def test_closing_completes_even_if_its_caller_is_cancelled(leave: Leave) -> None:
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
            async with Ledger(path) as ledger, patient(sandbox) as client:
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
            async with Ledger(path) as ledger:
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
        ledger = Ledger(path)

        async def run() -> None:
            async with ledger, connect(sandbox, concurrency=3) as client:
                await covered(client, songs, ledger)

        await leave(run)
        await ledger.aclose()

        assert written(path) == submitted(sandbox)
        async with Ledger(path):
            pass  # nobody holds it any more
        assert submits(sandbox) == songs


@every_count
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_blocks_that_are_left_at_any_suspension_cost_one_post_a_song(
    times: int, tmp_path: Path
) -> None:
    async with host(ALWAYS_SLOW) as sandbox:
        for suspension in itertools.count(1):
            songs, path = sandbox.add_music(1), tmp_path / f"{suspension}.db"

            async def run(songs: list[str] = songs, path: Path = path) -> list[Outcome]:
                async with Ledger(path) as ledger, connect(sandbox, concurrency=3) as client:
                    return await covered(client, songs, ledger)

            took = await cancelled_at(suspension, times, run)
            if took is None:
                break
            assert took < awaited(times, blocks=3) + 1.0
            await asyncio.sleep(LONG_AFTER)
            await run()

            assert {state for state, _ in written(path).values()} == {TrackState.COVERED}
        assert suspension > 20
        assert submits(sandbox) == [*billed(sandbox)]  # each song once


@every_count
@every_verb
@pytest.mark.usefixtures("nothing_is_left_open")
@in_virtual_time
async def test_a_client_whose_block_is_left_at_any_suspension_keeps_what_was_paid_for(
    verb: Verb, times: int
) -> None:
    async with host(ALWAYS_SLOW) as sandbox:
        for suspension in itertools.count(1):
            (song,) = sandbox.add_music(1)
            client, brought = connect(sandbox), list[object]()

            async def block(
                song: str = song,
                client: SunoCoverClient = client,
                brought: list[object] = brought,
            ) -> None:
                async with client:
                    brought.append(await verb(client, song))

            took = await cancelled_at(suspension, times, block)
            if took is None:
                break
            assert took < awaited(times, blocks=1) + 1.0
            await asyncio.sleep(LONG_AFTER)

            assert len(client.unclaimed) + len(brought) == billed(sandbox)[song]
            assert not client.possibly_billed
        assert suspension > 5
        assert submits(sandbox) == [*billed(sandbox)]  # each song once


# --- an event loop that ends first -------------------------------------------------------------


NEVER = attrs.evolve(SLOW, slow_seconds=3_600.0)
"""An answer that never comes: whoever awaits it all the same is ended by the test's time-out."""


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


async def blocks_around_a_request_that_lingers(
    path: Path, sandbox: Sandbox, stack: AsyncExitStack
) -> tuple[Ledger, SunoCoverClient]:
    """Borrow a session whose middleware takes a while to end when it is cancelled."""

    async def linger(
        request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        try:
            return await handler(request)
        except asyncio.CancelledError:
            for _ in range(20):
                await asyncio.sleep(0)
            raise

    ledger = await stack.enter_async_context(Ledger(path))
    session = await stack.enter_async_context(aiohttp.ClientSession(middlewares=(linger,)))
    return ledger, await stack.enter_async_context(patient(sandbox, session=session))


@pytest.mark.usefixtures("nothing_is_left_open")
@pytest.mark.parametrize("blocks", [plain_blocks, blocks_around_a_request_that_lingers], ids=names)
def test_a_loop_that_ends_first_leaves_a_row_that_the_next_run_resolves(
    blocks: Blocks, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    with host_in_a_thread(NEVER, Fault.SLOW) as sandbox:
        songs = sandbox.add_music(1)

        async def run() -> list[Outcome]:
            async with AsyncExitStack() as stack:
                ledger, client = await blocks(path, sandbox, stack)
                return await covered(client, songs, ledger, tmp_path)

        asyncio.run(left_on_the_wire(sandbox, run))
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
    with host_in_a_thread(NEVER, Fault.SLOW) as sandbox:
        (song,) = sandbox.add_music(1)
        client = patient(sandbox)

        async def next_one() -> None:
            async with client:
                await client.generate(song)

        asyncio.run(left_on_the_wire(sandbox, call(verb, client, song)))
        assert client.possibly_billed == (song,)
        assert submits(sandbox) == [song]

        asyncio.run(next_one())
        assert billed(sandbox) == {song: 1}
        assert not client.possibly_billed
