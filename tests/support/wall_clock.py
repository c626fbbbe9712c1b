"""Runs one day of calls and faults in virtual time, in a process whose wall clock jumps meanwhile.

Run as a program, it reads from standard input when the clock is to jump, and prints what happened
when, by the event loop's clock. All logs, and errors with the locals of their frames, go to
standard error. The clock is moved by `wall_clock.c`, which is preloaded.
"""

import asyncio
import ctypes
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    Ledger,
    RateLimit,
    RateLimiter,
    SunoCoverClient,
    SunoCoverError,
    Track,
    cover_catalog,
)
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.canary import API_KEY
from tests.support.clients import receiving
from tests.support.virtual_time import run

DAY = 86_400
RATE = RateLimit(calls=4, seconds=10)
CALM = Scenario(seconds=47, image_size=16, rate_limit=RATE, retry_after="7")

Jumps = Sequence[tuple[float, int]]
"""When the wall clock jumps, and how many days it is off from then on."""

Trace = list[list[object]]
"""What happened, and when: requests that arrived, and awaited calls that ended."""


@attrs.frozen
class Day:
    """One day: what happened, and the offsets of the wall clock in days, as measured."""

    trace: Trace
    seen: list[int]


@attrs.frozen
class Days:
    """One day for each course of the wall clock, and all that was said meanwhile."""

    days: list[Day]
    said: str


def made_in(folder: Path) -> Path:
    """Make the library in a folder; skip where the wall clock cannot be moved."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler, or no Linux: the wall clock cannot be moved here")
    library = folder / "wall_clock.so"
    source = Path(__file__).with_name("wall_clock.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)  # noqa: S603 - a fixed program
    return library


def moved(library: Path, seconds: int) -> dict[str, str]:
    """Return the environment of a process whose wall clock is off by so many seconds."""
    return {"LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET": str(seconds)}


def days(courses: Sequence[Jumps]) -> Days:
    """Live through one day for each course of the wall clock; skip where it cannot be moved."""
    with tempfile.TemporaryDirectory() as folder:
        library = str(made_in(Path(folder)))
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "tests.support.wall_clock"],
            cwd=Path(__file__).parents[2],
            input=json.dumps(courses),
            env=os.environ | {"LD_PRELOAD": library},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3_000:]
    return Days([Day(**day) for day in json.loads(done.stdout)], said=done.stderr)


def live(jumps: Jumps) -> Day:
    """Live through the day; always alike, but for the wall clock."""
    random.seed(2026)
    offset = ctypes.c_long.in_dll(ctypes.CDLL(None), "wall_clock_offset")
    offset.value = 0
    true, seen = datetime.now(UTC), list[int]()

    def jump(days: int) -> None:
        offset.value = days * DAY
        seen.append(round((datetime.now(UTC) - true) / timedelta(days=1)))

    with tempfile.TemporaryDirectory() as folder:

        async def day() -> Trace:
            loop = asyncio.get_running_loop()
            async with Ledger(f"{folder}/covers.db") as ledger:
                for moment, off in jumps:
                    loop.call_at(moment, jump, off)
                return await _day(ledger, Path(folder))

        return Day(run(day()), seen)


async def _day(ledger: Ledger, folder: Path) -> Trace:
    clock = asyncio.get_running_loop().time
    trace: Trace = []

    async def note(what: str, work: Awaitable[object]) -> Any:
        outcome: object = None
        try:
            outcome = await work
        except SunoCoverError as error:
            outcome = error
            told = traceback.TracebackException.from_exception(error, capture_locals=True)
            sys.stderr.writelines(told.format())
        trace.append([round(clock(), 6), "end", what, type(outcome).__name__])
        return outcome

    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(CALM, api_key=API_KEY, clock=clock))
        receiver = await stack.enter_async_context(receiving())
        place: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        place["rate_limit"] = RateLimiter(RATE)
        client = await stack.enter_async_context(SunoCoverClient(**place))
        called = await stack.enter_async_context(SunoCoverClient(**place, receiver=receiver))
        await _waits(sandbox, client, note)
        sandbox.script("submit", Fault.LOST_ANSWER)
        await note("called back", called.generate(*sandbox.add_music(1)))
        await asyncio.sleep(30)
        await note("catalog", _catalog(sandbox, client, ledger, folder))
    trace += [
        [round(one.at, 6), "request", one.kind, one.fault.name]
        for one in sorted(sandbox.journal.arrivals, key=lambda one: (one.at, one.kind))
    ]
    assert all(one.admitted for one in sandbox.journal.arrivals), "refused for calling too often"
    return trace


async def _waits(sandbox: Sandbox, client: SunoCoverClient, note: Any) -> None:
    """Make each kind of wait once: polls, deadlines, retries, pauses, the limiter's and others."""
    first, second, third, music = sandbox.add_music(4)
    sandbox.script("submit", Fault.LOST_ANSWER, Fault.TOO_OFTEN)
    sandbox.script("details", Fault.SERVER_ERROR, _too_often_until(seconds=21))
    details = await note("generate", client.generate(first))
    sandbox.script("image", Fault.TRUNCATED, Fault.SERVER_ERROR)
    with tempfile.TemporaryDirectory() as into:
        await note("download", client.download(details, into))
    task = await note("submit", client.submit(second))
    await note("wait that ends", client.wait(task, timeout=33))
    sandbox.scenario = Scenario(slow=1.0, slow_seconds=45, rate_limit=RATE)
    await note("no answer in time", client.details(task))
    await note("no answer to a submit", client.submit(third))
    sandbox.scenario = CALM
    sandbox.set_music(music, "PENDING")
    asyncio.get_running_loop().call_later(100, sandbox.set_music, music, "SUCCESS")
    await note("music", client.wait_for_music(music))
    await asyncio.gather(*(note("queue", client.credits()) for _ in range(3 * RATE.calls)))


def _too_often_until(*, seconds: int) -> Reply:
    """Refuse with an HTTP date, as the host's own clock has it."""
    now = time.time()
    dates = {"Date": formatdate(now, usegmt=True), "Retry-After": formatdate(now + seconds)}
    body = b'{"code": 429, "msg": "Your call frequency is too high."}'
    return Reply(body=body, headers=dates | {"Content-Type": "application/json"}, code=429)


async def _catalog(
    sandbox: Sandbox, client: SunoCoverClient, ledger: Ledger, folder: Path
) -> object:
    """Cover a catalog through an outage of all kinds of requests."""
    songs = [Track(song) for song in sandbox.add_music(6)]
    for kind in ("submit", "details", "image"):
        sandbox.script(kind, *[Fault.MAINTENANCE if kind != "image" else Fault.GATEWAY] * 9)
    into = folder / "covers"
    async with cover_catalog(client, songs, ledger=ledger, into=into) as catalog:
        outcomes = [type(outcome).__name__ async for outcome in catalog]
    assert outcomes == ["Covered"] * len(songs)
    return outcomes


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG)
    print(json.dumps([attrs.asdict(live(jumps)) for jumps in json.load(sys.stdin)]))  # noqa: T201 - to its parent
