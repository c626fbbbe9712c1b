"""What a poll and a wait cost, counted and not timed: the same on every machine, however busy.

`benchmarks/call_cost.py` and `waiting.py` tell the time and the memory that come of it.
"""

import asyncio
import gc
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import FrameType
from typing import Any

from suno_cover_async import CoverDetails, CoverStatus, PollPolicy
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState
from suno_cover_async.sandbox import Fault, Sandbox
from tests.support.clients import FREE, connect
from tests.support.runs import covered
from tests.support.virtual_time import run

WAITS = 5_000


def test_a_poll_with_all_its_layers_runs_little_more_instructions_than_plain_aiohttp() -> None:
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, str(Path(__file__).parents[1] / "support/instructions.py")]
    ended = subprocess.run(command, env=quiet, stdout=subprocess.PIPE, check=True)  # noqa: S603

    counted = json.loads(ended.stdout)

    assert counted["aiohttp"] > 1_000
    assert counted["ours"] <= 1.3 * counted["aiohttp"]  # 1.25 with aiohttp 3.14.5


async def test_without_a_hook_no_event_is_made(tmp_path: Path) -> None:
    called: set[str] = set()

    def note(frame: FrameType, what: str, _: object) -> None:
        if what == "call":
            called.add(f"{frame.f_code.co_filename} {frame.f_code.co_name}")

    async def play(**options: Any) -> set[str]:
        called.clear()
        async with Sandbox(FREE) as sandbox, connect(sandbox, **options) as client:
            sandbox.script("submit", Fault.TOO_OFTEN, Fault.LOST_ANSWER)
            sys.setprofile(note)
            await covered(client, sandbox.add_music(1), into=tmp_path)
            await client.credits()
            sys.setprofile(None)
        ours = ("suno_cover_async.events.", "suno_cover_async/emitter.py ")
        return {one.split()[-1] for one in called if any(place in one for place in ours)}

    assert await play(on_event=lambda _: None) >= {"__init__", "emit", "request_sent"}
    assert await play() == {"operation"}


def test_a_wait_costs_no_task_of_ours_and_little_memory() -> None:
    async def ask(_: str) -> CoverDetails:
        await asyncio.sleep(1)
        return CoverDetails(cover_task_id="c", status=CoverStatus.GENERATING)

    async def wait(poller: Poller, cover_task_id: str) -> None:
        async with poller.waiting(cover_task_id, 900) as waiter:
            await waiter.finished()

    async def scenario() -> tuple[float, int]:
        poller = Poller(ask, PollPolicy(), CoverState(grace=60), lambda: True, Notifier())
        ids = [f"{number:032x}" for number in range(WAITS)]
        gc.collect()
        tracemalloc.start()
        tasks = [asyncio.create_task(wait(poller, one)) for one in ids]
        await asyncio.sleep(10)
        gc.collect()
        traced, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        all_tasks = len(asyncio.all_tasks())
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert len(asyncio.all_tasks()) == 1
        return traced / WAITS, all_tasks

    size, tasks = run(scenario())

    assert tasks <= WAITS + 1 + 20  # the polls that are under way
    assert size <= 3_000  # 3 KB a wait, while coverage counts along
