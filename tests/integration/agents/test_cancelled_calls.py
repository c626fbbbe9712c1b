"""Calls that are cancelled at each of their first suspensions, while another run begins."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import InsufficientCreditsError, Ledger, Track, TrackState
from suno_cover_async.agents.news import Asked
from suno_cover_async.agents.run import AgentRun
from suno_cover_async.sandbox import Sandbox
from tests.support.cancelling import Suspensions, counted, counts_tasks
from tests.support.catalog_clients import QUICK, client_of
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

NEVER = attrs.evolve(QUICK, polls=None, seconds=3_600, credits=1.0, price=1.0)
PATIENCE = 60.0
_FIRST = 30  # suspensions, of which the last ones are the new run's own

Call = Callable[[AgentRun, str, str], Coroutine[Any, Any, Asked]]


async def heard(_: float, __: str) -> None: ...


async def cover(run: AgentRun, song: str, *, patience: float = PATIENCE) -> Asked:
    return await run.cover(Track(song), patience=patience, heard=heard)


async def cancelled_at(number: int, folder: Path, call: Call) -> bool:
    """Cancel a call that begins another run; return whether it had so many suspensions."""
    folder.mkdir()
    ledger = Ledger(folder / "covers.db")
    async with Sandbox(NEVER) as sandbox, ledger, client_of(sandbox) as client:
        paid, asked = sandbox.add_music(2)
        async with AgentRun(client, ledger, into=folder / "covers", max_covers=2) as run:
            await cover(run, paid, patience=0)
            await until(lambda: sandbox.journal.bills)
            assert isinstance((await cover(run, asked)).error, InsufficientCreditsError)
            sandbox.scenario = QUICK
            with counts_tasks():

                def cancel() -> None:
                    task.cancel()

                count = Suspensions(number, cancel)
                task = counted(call(run, paid, asked), count)
                await asyncio.wait([task])
            entry = (await cover(run, asked)).entry

            assert entry is not None
            assert entry.state is TrackState.SAVED
        assert [bill.music_task_id for bill in sandbox.journal.bills] == [paid, asked]
    return count.interrupted


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda run, _, asked: cover(run, asked, patience=0), id="cover"),
        pytest.param(lambda run, paid, _: run.status(paid), id="status"),
    ],
)
async def test_a_call_that_is_cancelled_as_it_begins_a_run_stops_no_later_call(
    call: Call, tmp_path: Path
) -> None:
    for number in range(1, _FIRST):
        assert await cancelled_at(number, tmp_path / str(number), call)
