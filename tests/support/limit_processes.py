"""Processes that share one account's limit, against a sandbox that keeps a strict window."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence, Sized
from functools import partial
from pathlib import Path

import attrs

from suno_cover_async import RateLimit
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.waiting import until

CALLS = 20
CHILD = Path(__file__).with_name("limit_child.py")

Meanwhile = Callable[[Sized], Awaitable[None]]
"""Does something while the processes work; it is given what has arrived at the server so far."""


@attrs.frozen
class Seen:
    """What the server saw: when each request came, in order, and how many it refused."""

    arrived: Sequence[float]
    refused: int
    seconds: float

    @property
    def share(self) -> float:
        """The share of the limit that was used, the burst at the beginning left out."""
        lasted = self.arrived[-1] - self.arrived[0]
        return (len(self.arrived) / CALLS - 1) * self.seconds / lasted


async def run(
    where: Path | str,
    loads: Sequence[int],
    *,
    seconds: float,
    delay: tuple[float, float] = (0.0, 0.02),
    in_turn: bool = False,
    kill_after: int | None = None,
    meanwhile: Meanwhile | None = None,
) -> Seen:
    """Run a process for each load, a number of requests, and return what the server saw.

    Args:
        where: The path or the URL that they share; without one, each has a limit of its own.
        loads: How many requests each process makes.
        seconds: The length of the window for 20 requests.
        delay: How long the server takes to answer.
        in_turn: One process after the other, instead of all at once.
        kill_after: Kill the first process once the server has seen so many requests.
        meanwhile: Goes on beside them; then they may write warnings.
    """
    limit = RateLimit(calls=CALLS, seconds=seconds)
    async with Sandbox(Scenario(rate_limit=limit, delay=delay)) as sandbox:
        arrivals = sandbox.journal.arrivals
        start_one = partial(start, sandbox, where, seconds)
        if in_turn:
            for load in loads:
                await end(await start_one(load))
        else:
            first, *others = [await start_one(load) for load in loads]
            if kill_after is not None:
                await until(partial(has, arrivals, kill_after), every=0.001)
                first.kill()
                await first.communicate()
            else:
                others.append(first)
            if meanwhile is not None:
                await meanwhile(arrivals)
            await asyncio.gather(*(end(one, quiet=meanwhile is None) for one in others))
        return Seen(
            [arrival.at for arrival in arrivals],
            sum(not arrival.admitted for arrival in arrivals),
            seconds,
        )


async def start(
    sandbox: Sandbox, where: Path | str, seconds: float, load: int
) -> asyncio.subprocess.Process:
    """Start a process that makes `load` requests; without any it stops itself with a permit."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), sandbox.url, str(where), str(seconds), str(load)),
        env={**os.environ, "SUNO_API_KEY": sandbox.api_key},
        stderr=asyncio.subprocess.PIPE,
    )


async def end(process: asyncio.subprocess.Process, *, quiet: bool = True) -> None:
    """Wait until it has made all of its requests, without a warning if it is to be quiet."""
    _, written = await process.communicate()
    assert process.returncode == 0, written.decode()
    assert not quiet or written == b""


def has(found: Sized, number: int) -> bool:
    """Return whether there are so many."""
    return len(found) >= number
