"""A paid request survives any cancellation of those who asked for it, by anyio or by asyncio.

Who is cancelled leaves at once; the POST on the wire is finished and its answer kept, and the next
call for the song makes no second POST. The sandbox counts the POSTs. Time is virtual: an answer
that takes 20 s costs nothing. Blocks are in `test_cancelled_blocks.py`, web applications in
`test_cancelled_in_web_apps.py`.
"""

import asyncio
import itertools
from functools import partial
from pathlib import Path

import attrs
import pytest

from suno_cover_async import (
    CatalogRun,
    Covered,
    CoverStatus,
    Ledger,
    PollPolicy,
    RateLimit,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Fault
from tests.support.clients import connect
from tests.support.leaving import (
    ALWAYS_SLOW,
    ANSWERED_AT,
    FRAMEWORKS,
    LEAVES_AT,
    LONG_AFTER,
    ON_THE_WAY,
    PLAIN,
    SLOW,
    Act,
    Leave,
    Rows,
    Verb,
    by_song,
    call,
    cancelled_at,
    every_count,
    every_verb,
    every_way,
    host,
    in_virtual_time,
    left_early,
    now,
    paid,
    submits,
    submitted,
    written,
)
from tests.support.runs import billed, covered

# --- submit and generate -----------------------------------------------------------------------


@every_way
@every_verb
@in_virtual_time
async def test_a_cancelled_caller_returns_at_once_and_a_paid_cover_is_kept(
    verb: Verb, leave: Leave
) -> None:
    async with host() as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)

        await leave(call(verb, client, song))

        assert now() == pytest.approx(LEAVES_AT, abs=0.1)
        assert paid(sandbox).keys() == {song}  # it was on the wire
        await asyncio.sleep(LONG_AFTER)
        assert by_song(client.unclaimed) == paid(sandbox)
        assert not client.possibly_billed
        details = await client.generate(song)
        assert details.status is CoverStatus.SUCCESS
        assert not client.unclaimed
        assert submits(sandbox) == [song]


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
        assert client.possibly_billed == (song,)
        await client.submit(song)
        assert submits(sandbox) == [song, song]
        assert billed(sandbox) == {song: 1}
        assert not client.possibly_billed


@every_way
@in_virtual_time
async def test_a_further_attempt_is_made_for_who_joined_the_first_one(leave: Leave) -> None:
    async with host(ON_THE_WAY, Fault.LOST_ANSWER) as sandbox, connect(sandbox) as client:
        (song,) = sandbox.add_music(1)

        await leave(partial(client.submit, song))
        task = await client.submit(song)

        assert by_song((task,)) == paid(sandbox)
        assert len(submits(sandbox)) == 2
        assert not client.possibly_billed


@every_way
@every_verb
@in_virtual_time
async def test_a_submit_that_queues_is_taken_back(verb: Verb, leave: Leave) -> None:
    rate_limit = RateLimit(calls=1, seconds=30)
    async with host() as sandbox, connect(sandbox, rate_limit=rate_limit) as client:
        (song,) = sandbox.add_music(1)
        await client.credits()

        await leave(call(verb, client, song))
        await asyncio.sleep(LONG_AFTER)

        assert submits(sandbox) == []
        assert not client.unclaimed
        assert not client.possibly_billed
        await client.submit(song)  # its place in the queue is free again
        assert submits(sandbox) == [song]


@every_count
@every_verb
@in_virtual_time
async def test_a_caller_cancelled_at_any_suspension_leaves_at_once_and_costs_one_post(
    verb: Verb, times: int
) -> None:
    async with host(ALWAYS_SLOW) as sandbox:
        for suspension in itertools.count(1):
            (song,) = sandbox.add_music(1)
            async with connect(sandbox) as client:
                took = await cancelled_at(suspension, times, call(verb, client, song))
                if took is None:
                    break
                assert took < 1.0

                details = await client.generate(song)

                assert details.music_task_id == song
                assert not client.unclaimed
        assert suspension > 5
        assert submits(sandbox) == [*billed(sandbox)]  # each song once


@every_way
@in_virtual_time
async def test_a_cover_that_was_polled_for_is_polled_for_again(leave: Leave) -> None:
    drawn = attrs.evolve(SLOW, seconds=40.0, polls=None)
    poll = PollPolicy(initial_delay=0.5, min_interval=0.5, max_interval=5.0, timeout=100)
    async with host(drawn, Fault.NONE) as sandbox, connect(sandbox, poll=poll) as client:
        (song,) = sandbox.add_music(1)

        await leave(partial(client.generate, song))

        assert sandbox.journal.of("details")
        assert by_song(client.unclaimed) == paid(sandbox)
        await client.generate(song)
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
        async with Ledger(path) as ledger:
            run = partial(covered, client, songs, ledger, tmp_path)
            await leave(run)

            assert left_early(leave)
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
        async with Ledger(tmp_path / "covers.db") as ledger:
            run = partial(covered, client, songs, ledger, tmp_path)
            await leave(run)
            assert left_early(leave)

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
        assert left_early(leave)
        await asyncio.sleep(LONG_AFTER)

        assert by_song(client.unclaimed) == paid(sandbox)
        await client.generate(*songs)
        assert submits(sandbox) == songs


@every_count
@in_virtual_time
async def test_a_catalog_without_a_ledger_left_at_any_suspension_costs_one_post_a_song(
    times: int,
) -> None:
    never = attrs.evolve(SLOW, seconds=10_000.0, polls=None)
    poll = PollPolicy(initial_delay=5.0, min_interval=5.0, max_interval=10.0, timeout=12.0)
    async with host(never) as sandbox, connect(sandbox, concurrency=3, poll=poll) as client:
        for suspension in itertools.count(1):
            songs = sandbox.add_music(1)
            took = await cancelled_at(suspension, times, partial(covered, client, songs, None))
            if took is None:
                break
            await asyncio.sleep(LONG_AFTER)

            assert by_song(client.unclaimed).keys() == billed(sandbox).keys()
            assert not client.possibly_billed
        assert suspension > 5
        assert submits(sandbox) == [*billed(sandbox)]  # each song once


@in_virtual_time
async def test_whoever_reads_a_catalog_that_is_left_at_any_suspension_hears_its_end() -> None:
    async with host() as sandbox, connect(sandbox, concurrency=3) as client:
        for suspension in itertools.count(1):
            songs = sandbox.add_music(1)
            readers = list[asyncio.Task[None]]()

            async def read(outcomes: CatalogRun) -> None:
                async for _ in outcomes:
                    pass

            async def act(songs: list[str], readers: list[asyncio.Task[None]]) -> None:
                async with cover_catalog(client, songs) as outcomes:
                    readers.append(asyncio.create_task(read(outcomes)))
                    await asyncio.wait(readers)

            took = await cancelled_at(suspension, 1, partial(act, songs, readers))
            for reader in readers:
                await asyncio.wait([reader], timeout=LONG_AFTER)
                assert reader.done()
            if took is None:
                break
        assert suspension > 5


@every_way
@in_virtual_time
async def test_a_catalog_that_is_left_submits_nothing_more_and_forgets_none_on_the_wire(
    leave: Leave, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    slow = [Fault.SLOW] * 5
    async with host(SLOW, *slow) as sandbox, connect(sandbox, concurrency=5) as client:
        songs = sandbox.add_music(12)
        async with Ledger(path) as ledger:
            await leave(partial(covered, client, songs, ledger))
            assert left_early(leave)
            await asyncio.sleep(LONG_AFTER)

            assert len(submits(sandbox)) == 5
            waiting: Rows = dict.fromkeys(songs, (TrackState.WAITING, None))
            assert written(path) == waiting | submitted(sandbox)
            assert len(await covered(client, songs, ledger)) == 12
        assert sorted(map(str, submits(sandbox))) == sorted(songs)
