"""What goes on after its caller has gone, and what must not wait for it.

Catalogs that are left while covers are waited for, closings asked for by the work that they would
wait for, and event loops that are closed with work in them. The sandbox counts the submits.
"""

import asyncio
import gc
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from suno_cover_async import (
    ClientUsageError,
    Ledger,
    SunoCoverClient,
    TrackState,
    cover_catalog,
)
from suno_cover_async.client import covers_of
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.clients import connect
from tests.support.leaving import host_in_a_thread, submits
from tests.support.runs import billed, read_now
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

NEVER_READY = Scenario(rate_limit=None, polls=1_000_000, image_size=16)
SLOW = Scenario(rate_limit=None, polls=1, image_size=16, slow_seconds=0.2)


@pytest.mark.parametrize("has_ledger", [False, True])
async def test_a_catalog_left_while_it_waits_for_a_cover_resumes_without_another_submit(
    has_ledger: bool, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "covers.db" if has_ledger else None)
    async with (
        Sandbox(NEVER_READY) as sandbox,
        ledger,
        connect(sandbox, concurrency=3) as client,
    ):
        (song,) = sandbox.add_music(1)
        with anyio.CancelScope() as scope:
            async with cover_catalog(client, [song], ledger=ledger if has_ledger else None):
                await until(lambda: sandbox.journal.of("details"))
                scope.cancel()
                await anyio.sleep_forever()

        (task,) = client.unclaimed
        assert await client.submit(song) == task
        assert submits(sandbox) == [song]


async def test_whoever_iterates_a_catalog_that_is_left_hears_its_end() -> None:
    async with Sandbox(SLOW) as sandbox, connect(sandbox) as client, Ledger(None) as ledger:
        songs = sandbox.add_music(1)
        async with cover_catalog(client, songs, ledger=ledger) as outcomes:
            first = await anext(outcomes)
            await asyncio.sleep(0)  # the work counts for the last time
        rest = [outcome async for outcome in outcomes]

        assert first.track.music_task_id == songs[0]
        assert rest == []


@pytest.mark.parametrize("closes", ["client", "ledger"])
async def test_a_track_iterator_may_close_what_its_catalog_uses(
    closes: str, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    async with Sandbox(SLOW) as sandbox:
        sandbox.script("submit", Fault.SLOW)
        (song,) = sandbox.add_music(1)
        client, ledger = connect(sandbox, concurrency=3), Ledger(path)

        async def feed() -> AsyncIterator[str]:
            try:
                yield song
                await anyio.sleep_forever()
            finally:
                await (client if closes == "client" else ledger).aclose()

        async with ledger, client, cover_catalog(client, feed(), ledger=ledger):
            await until(lambda: sandbox.journal.bills)

        assert submits(sandbox) == [song]
        assert [entry.state for entry in read_now(Ledger(path))] == [TrackState.SUBMITTED]
        async with Ledger(path):  # it is not in use any more
            pass


async def test_a_ledger_that_is_opened_again_is_closed_again(tmp_path: Path) -> None:
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    ledger = Ledger(tmp_path / "covers.db")
    for _ in range(2):
        async with ledger:
            pass

    async with Ledger(tmp_path / "covers.db"):
        pass


async def test_a_cancelled_closing_does_not_close_a_ledger_that_was_opened_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    async with Sandbox(SLOW) as sandbox, connect(sandbox, concurrency=3) as client:
        sandbox.script("submit", Fault.SLOW)
        songs = sandbox.add_music(1)
        ledger = Ledger(path)
        with anyio.CancelScope() as scope:
            async with ledger, cover_catalog(client, songs, ledger=ledger):
                await until(lambda: sandbox.journal.bills)
                scope.cancel()
                await anyio.sleep_forever()
        await ledger.aclose()

        async with ledger:
            await client.settled(songs[0])
            await asyncio.sleep(0)
            assert (await ledger.count())[TrackState.SUBMITTED] == 1


async def test_the_time_out_of_a_block_is_not_replaced_by_what_closing_refuses(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ready, over = asyncio.Event(), asyncio.Event()
    async with Sandbox(NEVER_READY) as sandbox, connect(sandbox) as client:
        ledger = Ledger(tmp_path / "covers.db")

        async def cover() -> None:
            async with cover_catalog(client, sandbox.add_music(1), ledger=ledger):
                ready.set()
                await over.wait()

        async def in_a_block() -> None:
            async with asyncio.timeout(None) as time_out, ledger:
                others.append(asyncio.create_task(cover()))
                await ready.wait()
                time_out.reschedule(0)
                await anyio.sleep_forever()

        others = list[asyncio.Task[None]]()
        with pytest.raises(TimeoutError):
            await in_a_block()

        assert "a catalog is at work with this ledger" in caplog.text
        with pytest.raises(ClientUsageError):
            await ledger.aclose()
        over.set()
        await others[0]
        await ledger.aclose()


def drop(loop: asyncio.AbstractEventLoop) -> None:
    """Close an event loop with all that is in it, which asyncio complains of."""
    loop.set_exception_handler(lambda *_: None)
    loop.close()
    gc.collect()


def test_what_a_closed_loop_had_on_the_wire_is_possibly_billed_in_the_next() -> None:
    with host_in_a_thread(SLOW, Fault.SLOW) as sandbox:
        (song,) = sandbox.add_music(1)
        client = connect(sandbox)
        loop = asyncio.new_event_loop()

        async def leave() -> None:
            call = loop.create_task(client.submit(song))
            await until(lambda: sandbox.journal.bills)
            assert not call.done()

        async def go_on() -> tuple[str, ...]:
            async with client:
                found = client.possibly_billed
                await client.submit(song)
                return found

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # asyncio's, of what it was left with
            loop.run_until_complete(leave())
            drop(loop)
            found = asyncio.run(go_on())
            gc.collect()

        assert found == (song,)
        assert client.possibly_billed == ()
        assert billed(sandbox) == {song: 1}
        first, second = sandbox.journal.of("submit")
        assert second.at - first.at >= 1.0


def test_closing_waits_for_no_work_of_an_event_loop_that_is_closed() -> None:
    client = SunoCoverClient("key-of-a-test", base_url="http://127.0.0.1:1")
    loop = asyncio.new_event_loop()

    async def leave() -> None:
        work = loop.create_task(asyncio.sleep(3_600, None))
        covers_of(client).used_by(work)
        await asyncio.sleep(0)
        work.cancel()

    async def close() -> None:
        async with client:
            pass

    loop.run_until_complete(leave())
    drop(loop)

    asyncio.run(close())
