"""A run that is finished early, left or cancelled: what is paid for is kept."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    AuthenticationError,
    ClientUsageError,
    Covered,
    Ledger,
    PollPolicy,
    RateLimit,
    RetryPolicy,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from suno_cover_async.sandbox.scenario import Fault, Reply
from tests.support import virtual_time
from tests.support.catalog_clients import QUICK, _all, client_of
from tests.support.clients import NO_LIMIT
from tests.support.runs import billed, covered, ended, read_now, states
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


async def test_finishing_takes_back_the_submits_that_wait_for_their_turn(tmp_path: Path) -> None:
    scenario = Scenario(rate_limit=None, polls=1, image_size=16)
    limits = {"rate_limit": RateLimit(calls=5, seconds=3_600), "poll_rate_limit": NO_LIMIT}
    async with Sandbox(scenario) as sandbox, client_of(sandbox, **limits) as client:
        songs = sandbox.add_music(40)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                await until(lambda: len(sandbox.journal.of("submit")) == 5)
                outcomes.finish()
                seen, reason = await ended(outcomes)

            assert len(sandbox.journal.of("submit")) == len(seen) == 5
            assert reason is None
            assert states(ledger) == {TrackState.SAVED: 5, TrackState.WAITING: 35}


async def test_finishing_again_and_again_awaits_what_is_on_the_wire_all_the_same(
    tmp_path: Path,
) -> None:
    slow = Scenario(
        rate_limit=None, polls=1, image_size=16, slow=1.0, slow_seconds=0.1, faults_on={"submit"}
    )
    async with Sandbox(slow) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(5)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                await until(lambda: len(sandbox.journal.bills) == 5)
                for _ in range(3):
                    outcomes.finish()
                    await asyncio.sleep(0)
                assert len(await _all(outcomes)) == 5
            assert states(ledger) == {TrackState.SAVED: 5}


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


async def test_what_a_feed_brought_and_nobody_submitted_is_remembered(tmp_path: Path) -> None:
    async def nothing() -> AsyncIterator[str]:
        for song in list[str]():
            yield song

    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(5)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song) for song in songs])

            assert len(await covered(client, nothing(), ledger)) == 5


async def test_retrying_what_failed_forgets_no_cover_when_the_catalog_is_bad(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2, fails=True)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, songs, ledger)
            before = read_now(ledger)
            with pytest.raises(ValueError, match="empty"):
                await covered(client, [*songs, ""], ledger, retry_failed=True)

            assert read_now(ledger) == before
            assert states(ledger) == {TrackState.FAILED: 2}


async def test_a_second_cancellation_leaves_no_work_behind(tmp_path: Path) -> None:
    scenario = Scenario(rate_limit=None, polls=1, image_size=16, slow=1.0, slow_seconds=0.2)
    async with Sandbox(scenario) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            work = asyncio.ensure_future(covered(client, songs, ledger))
            await until(lambda: len(sandbox.journal.bills) == 3)
            for _ in range(3):
                work.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await work
            assert not states(ledger)[TrackState.WAITING]  # they are paid for, for all we know
            sandbox.scenario = QUICK
            assert len(await covered(client, songs, ledger)) == 3
        assert billed(sandbox) == Counter(songs)


def test_a_second_cancellation_waits_for_no_answer(tmp_path: Path) -> None:
    async def scenario() -> tuple[float, Counter[TrackState]]:
        clock = asyncio.get_running_loop().time
        slow = Scenario(slow=1.0, slow_seconds=25)
        async with (
            Sandbox(slow, clock=clock) as sandbox,
            client_of(sandbox) as client,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            work = asyncio.ensure_future(covered(client, sandbox.add_music(3), ledger))
            await asyncio.sleep(1)
            for _ in range(2):
                work.cancel()
                await asyncio.sleep(0.1)
            with pytest.raises(asyncio.CancelledError):
                await work
            return clock(), states(ledger)

    ended, left = virtual_time.run(scenario())

    assert ended < 2
    assert left == {TrackState.SUBMITTING: 3}


@pytest.mark.parametrize("catalog_first", [True, False])
def test_a_run_left_while_another_caller_awaits_its_submit_has_it_on_record(
    tmp_path: Path, catalog_first: bool
) -> None:
    async def scenario() -> tuple[int, Counter[TrackState]]:
        clock = asyncio.get_running_loop().time
        slow = Scenario(slow=1.0, slow_seconds=5)
        async with Sandbox(slow, clock=clock) as sandbox, client_of(sandbox) as client:
            (song,) = sandbox.add_music(1)

            async def left() -> None:
                async with cover_catalog(client, [song], ledger=ledger):
                    await asyncio.sleep(2)

            async with Ledger(tmp_path / "covers.db") as ledger:
                callers: list[Coroutine[Any, Any, object]] = [left(), client.submit(song)]
                begun: list[asyncio.Task[object]] = []
                for caller in callers if catalog_first else reversed(callers):
                    begun.append(asyncio.create_task(caller))
                    await asyncio.sleep(1)
                await asyncio.sleep(1.5)
                at_once = states(ledger)
                await asyncio.gather(*begun)
                return len(sandbox.journal.bills), at_once + states(ledger)

    bills, on_record = virtual_time.run(scenario())

    assert bills == 1
    assert on_record == {TrackState.SUBMITTING: 2}


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
