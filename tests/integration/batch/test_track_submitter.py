"""Submits of a catalog: what is on record before and after, finishing, cancellation."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    AuthenticationError,
    Covered,
    Failed,
    Ledger,
    RateLimit,
    RetryPolicy,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from suno_cover_async.sandbox.scenario import DuplicateId, Fault, Reply
from tests.support import virtual_time
from tests.support.catalog_clients import HURRIED, QUICK, _all, client_of, entries
from tests.support.clients import NO_LIMIT, receiving
from tests.support.runs import billed, covered, ended, read_now, states
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

PROCESSED = Reply(body=b'{"code":422,"msg":"The record is being processed"}')


async def _die_possibly_billed(sandbox: Sandbox, ledger: Ledger, song: str) -> None:
    await ledger.take_in([Track(song)])
    (entry,) = await ledger.next_open(TrackState.WAITING, 0, 1)
    await ledger.submitting(entry)
    async with client_of(sandbox) as client:
        await client.submit(song)


async def test_a_submit_is_on_record_before_it_goes_out_and_its_task_before_anything_else(
    tmp_path: Path,
) -> None:
    scenario = Scenario(rate_limit=None, polls=2, image_size=16, delay=(0.002, 0.01))
    async with Sandbox(scenario) as sandbox, client_of(sandbox, concurrency=7) as client:
        sandbox.add_music(40)
        ledger = Ledger(tmp_path / "covers.db")
        songs = sandbox.add_music(40)
        seen = 0
        async with ledger, cover_catalog(client, songs, ledger=ledger) as outcomes:
            work = asyncio.ensure_future(_all(outcomes))
            while not work.done():
                arrivals = sandbox.journal.arrivals[seen:]
                seen += len(arrivals)
                if arrivals:
                    found = entries(ledger)
                for arrival in arrivals:
                    if arrival.kind == "submit" and arrival.music_task_id:
                        assert found[arrival.music_task_id].state is not TrackState.WAITING
                    if arrival.kind == "details":
                        known = {
                            entry.task and entry.task.cover_task_id for entry in found.values()
                        }
                        assert arrival.cover_task_id in known
                await asyncio.sleep(0)
            assert len(await work) == 40
        assert billed(sandbox) == Counter(songs)


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


async def test_what_an_earlier_run_left_possibly_billed_stays_so_until_a_submit_was_answered(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song) for song in songs])
            doubted, _ = await ledger.next_open(TrackState.WAITING, 0, 2)
            await ledger.submitting(doubted)
            sandbox.script("submit", *[Reply(body=b'{"code":401,"msg":"no"}')] * 2)

            with pytest.raises(AuthenticationError):
                await covered(client, songs, ledger)

            assert states(ledger) == {TrackState.SUBMITTING: 1, TrackState.WAITING: 1}


@pytest.mark.parametrize("earlier", ["call", "run"])
def test_a_refusal_of_what_is_possibly_billed_needs_attention_and_no_catalog_forgets_it(
    tmp_path: Path, earlier: str
) -> None:
    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        async with Sandbox(QUICK, clock=clock) as sandbox:
            (song,) = sandbox.add_music(1)
            async with Ledger(tmp_path / "covers.db") as ledger:
                if earlier == "run":
                    await _die_possibly_billed(sandbox, ledger, song)
                else:
                    sandbox.script("submit", Fault.LOST_ANSWER)
                sandbox.script("submit", PROCESSED)
                async with (
                    client_of(sandbox, retry=HURRIED) as client,
                    cover_catalog(client, [song], ledger=ledger) as outcomes,
                ):
                    (outcome,) = [one async for one in outcomes]
                (entry,) = read_now(ledger)

                assert isinstance(outcome, Failed)
                assert outcome.error.possibly_billed
                assert entry.state is TrackState.ATTENTION
                assert (entry.error, entry.reason) == ("InvalidRequestError", outcome.error.message)
                assert (outcomes.progress.failed, outcomes.progress.left) == (1, 0)

                async with client_of(sandbox) as client:
                    async with cover_catalog(client, [], ledger=ledger, retry_failed=True) as begun:
                        begun.finish()
                    assert states(ledger) == {TrackState.SUBMITTING: 1}
                    (found,) = await covered(client, [], ledger)

                assert isinstance(found, Covered)
                assert billed(sandbox) == {song: 1}

    virtual_time.run(scenario())


async def test_a_submit_that_an_earlier_process_left_open_is_completed_from_its_callback(
    tmp_path: Path,
) -> None:
    scenario = Scenario(
        rate_limit=None, seconds=0.3, image_size=16, duplicate_id=DuplicateId.ABSENT
    )
    async with receiving() as receiver, Sandbox(scenario) as sandbox:
        (song,) = sandbox.add_music(1)
        async with client_of(sandbox, callback_url=receiver.url(song)) as earlier:
            await earlier.submit(song)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song)])
            (entry,) = await ledger.next_open(TrackState.WAITING, 0, 1)
            await ledger.submitting(entry)
            async with client_of(sandbox, receiver=receiver) as client:
                (outcome,) = await covered(client, [song], ledger)

        assert isinstance(outcome, Covered)
        assert len(sandbox.journal.bills) == 1


class StoodStill(Ledger):
    """A ledger whose run finds out, at the moment of its first submits, that it stood still."""

    asked = 0

    def has_its_tracks(self) -> bool:
        self.asked += 1
        return self.asked > 2


async def test_a_run_that_stood_still_sends_no_submit_until_the_ledger_heard_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with Sandbox(Scenario(seconds=0, image_size=16)) as sandbox:
        (song,) = sandbox.add_music(1)
        ledger = StoodStill(None)
        async with (
            client_of(sandbox, retry=HURRIED) as client,
            ledger,
            cover_catalog(client, [song], ledger=ledger) as outcomes,
        ):
            (outcome,) = await _all(outcomes)

        assert isinstance(outcome, Covered)
        assert ledger.asked == 3
        assert (
            caplog.text.count("the ledger has not answered lately, so nothing was submitted") == 2
        )
        assert len(sandbox.journal.of("submit")) == 1
        assert billed(sandbox) == {song: 1}


class AwayFor(Ledger):
    """A ledger that was heard of last long ago, until a moment of the loop's clock."""

    until = 0.0

    def has_its_tracks(self) -> bool:
        return asyncio.get_running_loop().time() > self.until


def test_what_a_ledger_holds_back_for_long_fails_no_track_and_is_no_trouble_of_the_api(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        async with Sandbox(QUICK, clock=clock) as sandbox:
            songs = sandbox.add_music(20)
            async with AwayFor(None) as ledger, client_of(sandbox, retry=RetryPolicy()) as client:
                ledger.until = clock() + 1000
                async with cover_catalog(client, songs, ledger=ledger) as outcomes:
                    found = await _all(outcomes)

            assert [type(one) for one in found] == [Covered] * 20
            assert billed(sandbox) == dict.fromkeys(songs, 1)

    virtual_time.run(scenario())

    assert caplog.messages == []
