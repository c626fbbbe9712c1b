"""Runs over the songs that an agent asks for: the limit, restarts, and who is told what."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    CoverTimeoutError,
    InsufficientCreditsError,
    InvalidRequestError,
    Ledger,
    LedgerError,
    SunoCoverClient,
    Track,
    TrackState,
)
from suno_cover_async.agents.news import Asked, LimitReachedError, ServerEndingError
from suno_cover_async.agents.run import AgentRun
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.catalog_clients import QUICK, SLOW_POLL, client_of
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

NEVER = attrs.evolve(QUICK, polls=None, seconds=3_600)
PATIENCE = 100.0


@asynccontextmanager
async def agent_run(
    sandbox: Sandbox, folder: Path, *, max_covers: int = 9, **options: Any
) -> AsyncGenerator[AgentRun, None]:
    ledger = Ledger(folder / "covers.db")
    async with ledger, client_of(sandbox, **options) as client:
        run = AgentRun(client, ledger, into=folder / "covers", max_covers=max_covers)
        async with run:
            yield run


async def cover(run: AgentRun, song: str, *, patience: float = PATIENCE) -> Asked:
    async def heard(_: float, __: str) -> None: ...

    return await run.cover(Track(song), patience=patience, heard=heard)


def state_of(asked: Asked) -> TrackState | None:
    return None if asked.entry is None else asked.entry.state


async def limited(run: AgentRun, song: str) -> bool:
    try:
        await cover(run, song)
    except LimitReachedError:
        return True
    return False


async def test_of_many_songs_at_once_exactly_as_many_are_submitted_as_the_limit_allows(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, agent_run(sandbox, tmp_path, max_covers=5) as run:
        songs = sandbox.add_music(12)
        refused = await asyncio.gather(*(limited(run, song) for song in songs for _ in range(2)))

        assert refused.count(True) == 2 * 7
        assert len(sandbox.journal.bills) == len(sandbox.journal.of("submit")) == 5
        assert (await run.budget()).left == 0
    waiting = [entry async for entry in Ledger(tmp_path / "covers.db").entries(TrackState.WAITING)]
    assert waiting == []


async def test_a_song_that_the_api_refused_is_submitted_again_and_counts_once(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, agent_run(sandbox, tmp_path, max_covers=1) as run:
        first = await cover(run, "not-yet-there")
        sandbox.add_music(["not-yet-there"])
        second = await cover(run, "not-yet-there")

        assert isinstance(first.error, InvalidRequestError)
        assert state_of(second) is TrackState.SAVED
        assert len(sandbox.journal.bills) == 1
        assert (await run.budget()).begun == 1


async def test_a_failed_cover_is_never_made_again_by_an_agent(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, agent_run(sandbox, tmp_path) as run:
        (song,) = sandbox.add_music(1, fails=True)
        for _ in range(3):
            assert state_of(await cover(run, song)) is TrackState.FAILED

        assert len(sandbox.journal.bills) == len(sandbox.journal.of("submit")) == 1


async def test_a_song_that_a_run_left_is_finished_by_the_next_call(tmp_path: Path) -> None:
    async with Sandbox(NEVER) as sandbox, agent_run(sandbox, tmp_path, poll=SLOW_POLL) as run:
        (song,) = sandbox.add_music(1)
        first = await cover(run, song)
        again = await cover(run, song)
        status = await run.status(song)

        assert isinstance(first.error, CoverTimeoutError)
        assert isinstance(again.error, CoverTimeoutError)
        assert state_of(first) is state_of(again) is state_of(status) is TrackState.SUBMITTED
        assert len(sandbox.journal.bills) == len(sandbox.journal.of("submit")) == 1


async def test_without_credits_a_song_is_told_at_once_while_a_paid_one_goes_on(
    tmp_path: Path,
) -> None:
    poor = attrs.evolve(NEVER, credits=1.0, price=1.0)
    async with Sandbox(poor) as sandbox, agent_run(sandbox, tmp_path, max_covers=2) as run:
        first, second = sandbox.add_music(2)
        await cover(run, first, patience=0)
        await until(lambda: sandbox.journal.bills)
        refused = await cover(run, second)
        budget = await run.budget()
        sandbox.scenario = attrs.evolve(poor, credits=2.0)
        accepted = await cover(run, second, patience=0)
        await until(lambda: len(sandbox.journal.bills) == 2)

        assert isinstance(refused.error, InsufficientCreditsError)
        assert budget.left == 1
        assert accepted.error is None
        assert [bill.music_task_id for bill in sandbox.journal.bills] == [first, second]
        with pytest.raises(LimitReachedError):
            await cover(run, sandbox.add_music(1)[0])


async def test_songs_that_were_asked_for_survive_a_new_run(tmp_path: Path) -> None:
    """One song is refused for want of credits, and another one's call begins the next run."""
    poor = attrs.evolve(QUICK, credits=0.0, price=1.0)
    async with Sandbox(poor) as sandbox, agent_run(sandbox, tmp_path) as run:
        songs = sandbox.add_music(3)
        assert isinstance((await cover(run, songs[0])).error, InsufficientCreditsError)
        sandbox.scenario = QUICK
        asked = await asyncio.gather(*(cover(run, song) for song in songs))

        assert [state_of(one) for one in asked] == [TrackState.SAVED] * 3
        assert len(sandbox.journal.bills) == 3


async def test_an_unreadable_answer_to_a_submit_is_one_bill_over_all_runs(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, agent_run(sandbox, tmp_path, max_covers=1) as run:
        (song,) = sandbox.add_music(1)
        sandbox.script("submit", Reply(body=b'{"code": 200, "data": 5}', executes=True))
        first = await cover(run, song)
        second = await cover(run, song)

        assert state_of(first) is state_of(second) is TrackState.SAVED
        assert len(sandbox.journal.bills) == 1


async def test_a_caller_that_is_cancelled_at_any_turn_leaves_one_cover(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, agent_run(sandbox, tmp_path) as run:
        (song,) = sandbox.add_music(1)
        for turns in range(12):
            call = asyncio.create_task(cover(run, song))
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])

        assert state_of(await cover(run, song)) is TrackState.SAVED
        assert len(sandbox.journal.bills) == len(sandbox.journal.of("submit")) == 1


async def test_drained_it_submits_nothing_more_and_says_so(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, agent_run(sandbox, tmp_path) as run:
        first, second = sandbox.add_music(2)
        sandbox.script("submit", Fault.SLOW)
        call = asyncio.create_task(cover(run, first))
        await until(lambda: sandbox.journal.of("submit"))

        assert await run.drain()
        with pytest.raises(ServerEndingError):
            await cover(run, second)
        assert (await call).entry is not None
        assert [one.music_task_id for one in sandbox.journal.of("submit")] == [first]


async def test_a_ledger_of_another_account_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox:
        (song,) = sandbox.add_music(1)
        async with agent_run(sandbox, tmp_path) as run:
            await cover(run, song)
        arrivals = len(sandbox.journal.arrivals)
        other = SunoCoverClient("sk-another-account", base_url=sandbox.url)
        async with Ledger(tmp_path / "covers.db") as ledger, other:
            run = AgentRun(other, ledger, into=tmp_path, max_covers=9)
            with pytest.raises(LedgerError, match="another account"):
                await run.__aenter__()

        assert len(sandbox.journal.arrivals) == arrivals


async def test_a_full_outage_is_waited_out_and_the_caller_is_told_that_nothing_is_lost(
    tmp_path: Path,
) -> None:
    down = Scenario(server_errors=1.0, rate_limit=None, image_size=16, polls=1)
    async with Sandbox(down) as sandbox, agent_run(sandbox, tmp_path) as run:
        (song,) = sandbox.add_music(1)
        first = await cover(run, song, patience=0.2)
        sandbox.scenario = QUICK
        second = await cover(run, song)

        assert first.error is None
        assert state_of(first) in {TrackState.SUBMITTING, TrackState.WAITING}
        assert state_of(second) is TrackState.SAVED
        assert len(sandbox.journal.bills) == 1
