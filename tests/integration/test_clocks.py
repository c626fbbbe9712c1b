"""No wait follows the wall clock; and what becomes of waits when the steady one leaps.

`wall_clock.py` runs a day in a process whose wall clock is moved (a C compiler is needed;
without one that is skipped visibly).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import pytest

from suno_cover_async import (
    CoverTimeoutError,
    Ledger,
    SunoCoverClient,
    SunoCoverError,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import wall_clock
from tests.support.canary import API_KEY, Search
from tests.support.runs import read_now
from tests.support.virtual_time import VirtualTimeLoop, run

HOURS = 5 * 3600.0
SCENARIO = Scenario(seconds=47, image_size=16)


def test_a_wall_clock_that_jumps_14_days_either_way_changes_no_wait_and_shows_no_key() -> None:
    back_and_forth = [(3.1 * step, (14, 0, -14)[step % 3]) for step in range(170)]
    courses = [
        [],
        [(0.5, 14)],
        [(30.0, 14), (130.0, 0), (330.0, -14), (400.0, 14), (450.0, -14)],
        back_and_forth,
    ]
    search = Search(API_KEY)

    lived = wall_clock.days(courses)

    calm, *others = lived.days
    assert [day.seen for day in others] == [[off for _, off in course] for course in courses[1:]]
    assert len(calm.trace) > 100
    for day in others:
        assert day.trace == calm.trace
    search.text("what was said", lived.said)
    assert lived.said.count(":suno_cover_async:") > 20
    assert search.hits == {}


def leap(seconds: float = HOURS) -> None:
    """Have the steady clock leap, as it may where it counts the time that a laptop slept."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop._jumping.now += seconds


async def leaping(work: Awaitable[object], at: float) -> object:
    """Do something while the clock leaps; returns its error, too."""
    asyncio.get_running_loop().call_at(at, leap)
    try:
        return await work
    except SunoCoverError as error:
        return error


@pytest.mark.parametrize("at", [0.001, 5.0, 19.9, 30.0, 46.9])
def test_a_wait_that_sleeps_through_its_deadline_is_a_time_out_and_loses_nothing(at: float) -> None:
    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        made = Sandbox(SCENARIO, clock=clock)
        async with (
            made as sandbox,
            SunoCoverClient(sandbox.api_key, base_url=sandbox.url) as client,
        ):
            (song,) = sandbox.add_music(1)

            outcome = await leaping(client.generate(song), at)

            assert isinstance(outcome, CoverTimeoutError)
            assert outcome.retryable
            assert [task.music_task_id for task in client.unclaimed] == [song]
            slept = clock()
            assert (await client.generate(song)).images
            assert clock() - slept < 1  # it is polled at once
            assert len(sandbox.journal.of("submit")) == len(sandbox.journal.bills) == 1

    run(scenario())


def test_a_submit_that_sleeps_on_the_wire_is_repeated_and_pays_once() -> None:
    async def scenario() -> None:
        slow = Scenario(seconds=47, slow=1.0, slow_seconds=10)
        made = Sandbox(slow, clock=asyncio.get_running_loop().time)
        async with (
            made as sandbox,
            SunoCoverClient(sandbox.api_key, base_url=sandbox.url) as client,
        ):
            (song,) = sandbox.add_music(1)

            outcome = await leaping(client.submit(song), 3.0)

            sandbox.scenario = SCENARIO
            assert isinstance(outcome, SunoCoverError)
            assert outcome.retryable
            assert outcome.possibly_billed
            assert client.possibly_billed == (song,)
            assert (await client.generate(song)).images
            assert len(sandbox.journal.bills) == 1

    run(scenario())


@pytest.mark.parametrize("at", [0.001, 25.0, 47.01, 60.0])
def test_a_catalog_that_sleeps_goes_on_when_it_is_run_again(at: float, tmp_path: Path) -> None:
    async def scenario() -> None:
        made = Sandbox(SCENARIO, clock=asyncio.get_running_loop().time)
        async with (
            made as sandbox,
            SunoCoverClient(sandbox.api_key, base_url=sandbox.url) as client,
        ):
            songs = sandbox.add_music(25)

            async def covered() -> int:
                tracks = map(Track, songs)
                async with cover_catalog(client, tracks, ledger=ledger, into=tmp_path) as outcomes:
                    return len([outcome async for outcome in outcomes])

            async with Ledger(tmp_path / "covers.db") as ledger:
                asyncio.get_running_loop().call_at(at, leap)
                await covered()
                await covered()

                assert Counter(entry.state for entry in read_now(ledger)) == {
                    TrackState.SAVED: len(songs)
                }
            assert Counter(bill.music_task_id for bill in sandbox.journal.bills) == Counter(songs)

    run(scenario())
