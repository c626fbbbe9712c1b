"""A run that is finished early, left or cancelled: what is paid for is kept."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    AuthenticationError,
    ClientUsageError,
    Covered,
    Ledger,
    PollPolicy,
    RetryPolicy,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from suno_cover_async.sandbox.scenario import Fault, Reply
from tests.support import virtual_time
from tests.support.catalog_clients import QUICK, _all, client_of
from tests.support.runs import billed, covered, ended, states
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_finishing_submits_nothing_more_and_collects_what_is_paid_for(
    tmp_path: Path,
) -> None:
    scenario = Scenario(rate_limit=None, polls=3, image_size=16)
    async with Sandbox(scenario) as sandbox, client_of(sandbox, concurrency=4) as client:
        songs = sandbox.add_music(40)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                seen = [await anext(outcomes)]
                outcomes.finish()
                submits = len(sandbox.journal.of("submit"))
                seen += [outcome async for outcome in outcomes]

            assert len(sandbox.journal.of("submit")) <= submits + 4
            assert len(seen) == len(sandbox.journal.bills) < 40
            found = states(ledger)
            assert found == {
                TrackState.SAVED: len(seen),
                TrackState.WAITING: 40 - len(seen),
            }
            assert outcomes.progress.left == 40 - len(seen)


async def test_a_feed_that_goes_on_for_ever_holds_up_no_ending(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(4)

        async def feed() -> AsyncIterator[str]:
            for song in songs:
                yield song
            await asyncio.Event().wait()

        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, feed(), ledger=ledger) as outcomes:
                seen = [await anext(outcomes) for _ in range(3)]
                outcomes.finish()
                seen += await _all(outcomes)
            assert len(seen) == len(sandbox.journal.bills)

            songs += sandbox.add_music(1)
            sandbox.script("submit", *[Reply(body=b'{"code":401,"msg":"no"}')] * 9)
            with pytest.raises(AuthenticationError):
                await covered(client, feed(), ledger)


@pytest.mark.parametrize(
    "trouble",
    [
        Scenario(rate_limit=None, polls=2, image_size=16, maintenance=1.0),
        Scenario(rate_limit=None, polls=2, image_size=16, html=1.0),
        Scenario(rate_limit=None, polls=2, image_size=16, lost_requests=1.0),
        Scenario(rate_limit=None, polls=2, image_size=16, server_errors=1.0),
    ],
    ids=["maintenance", "gateway", "no answers", "500"],
)
async def test_an_outage_fails_no_track(tmp_path: Path, trouble: Scenario) -> None:
    healthy = Scenario(rate_limit=None, polls=2, image_size=16)
    async with Sandbox(healthy) as sandbox, client_of(sandbox, concurrency=10) as client:
        songs = sandbox.add_music(40)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                seen = [await anext(outcomes)]
                sandbox.scenario = trouble
                breakers = client.breakers
                await until(lambda: breakers.api.is_open or breakers.submit.is_open)
                began = len(sandbox.journal.arrivals)
                await until(lambda: len(sandbox.journal.arrivals) >= began + 3)
                sandbox.scenario = healthy
                seen += [outcome async for outcome in outcomes]

            assert [type(outcome) for outcome in seen] == [Covered] * 40
            assert states(ledger) == {TrackState.SAVED: 40}
        assert billed(sandbox) == Counter(songs)
        assert not client.breakers.api.is_open


async def test_a_client_closed_meanwhile_ends_the_run_and_leaves_the_rest(tmp_path: Path) -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=50, image_size=16)) as sandbox:
        songs = sandbox.add_music(10)
        client = client_of(sandbox)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger) as outcomes:
                await until(lambda: len(sandbox.journal.bills) == len(songs))
                await until(lambda: len(sandbox.journal.of("details")) > 10)
                await client.aclose()
                _, reason = await ended(outcomes)
            assert isinstance(reason, ClientUsageError)
            assert states(ledger) == {TrackState.SUBMITTED: 10}


def test_a_client_closed_while_it_saves_and_waits_for_slots_awaits_the_answers_to_submits(
    tmp_path: Path,
) -> None:
    slow = Scenario(rate_limit=None, seconds=47, image_size=16, slow_seconds=25)
    usual: dict[str, Any] = {"poll": PollPolicy(), "retry": RetryPolicy(), "concurrency": 2}

    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        async with Sandbox(slow, clock=clock) as sandbox, client_of(sandbox, **usual) as client:
            saved, *others = sandbox.add_music(3)

            async def feed() -> AsyncIterator[str]:
                yield saved
                await asyncio.sleep(50)
                for other in others:
                    yield other

            sandbox.script("image", Fault.SLOW, Fault.SLOW)
            sandbox.script("submit", Fault.NONE, Fault.SLOW)
            async with Ledger(tmp_path / "covers.db") as ledger:
                async with cover_catalog(client, feed(), ledger=ledger, into=tmp_path) as outcomes:
                    await asyncio.sleep(48)
                    async with client.slot():
                        await asyncio.sleep(12)
                        assert len(sandbox.journal.of("image")) == 2
                        assert len(sandbox.journal.of("submit")) == 2
                        await client.aclose()
                        await ended(outcomes)

                assert client.possibly_billed == ()
                assert states(ledger) == {
                    TrackState.COVERED: 1,
                    TrackState.SUBMITTED: 1,
                    TrackState.WAITING: 1,
                }

    virtual_time.run(scenario())
