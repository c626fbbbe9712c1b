"""Processes that share one account's limit, against a sandbox that keeps a strict window."""

import asyncio
import os
import sys
from collections.abc import Sequence, Sized
from functools import partial
from pathlib import Path

import attrs

from suno_cover_async import RateLimit
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.waiting import until

CALLS = 20
CHILD = Path(__file__).with_name("limit_child.py")


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
    path: Path,
    loads: Sequence[int],
    *,
    seconds: float,
    delay: tuple[float, float] = (0.0, 0.02),
    in_turn: bool = False,
    kill_after: int | None = None,
) -> Seen:
    """Run a process for each load, a number of requests, and return what the server saw.

    Args:
        path: The file that they share.
        loads: How many requests each process makes.
        seconds: The length of the window for 20 requests.
        delay: How long the server takes to answer.
        in_turn: One process after the other, instead of all at once.
        kill_after: Kill the first process once the server has seen so many requests.
    """
    limit = RateLimit(calls=CALLS, seconds=seconds)
    async with Sandbox(Scenario(rate_limit=limit, delay=delay)) as sandbox:
        arrivals = sandbox.journal.arrivals

        async def start(load: int) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, str(CHILD), sandbox.url, str(path), str(seconds), str(load)),
                env={**os.environ, "SUNO_API_KEY": sandbox.api_key},
                stderr=asyncio.subprocess.PIPE,
            )

        if in_turn:
            for load in loads:
                await _end(await start(load))
        else:
            first, *others = [await start(load) for load in loads]
            if kill_after is not None:
                await until(partial(_has, arrivals, kill_after), every=0.001)
                first.kill()
                await first.communicate()
            else:
                others.append(first)
            await asyncio.gather(*map(_end, others))
        return Seen(
            [arrival.at for arrival in arrivals],
            sum(not arrival.admitted for arrival in arrivals),
            seconds,
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait until it has made all of its requests, without a warning."""
    _, written = await process.communicate()
    assert (process.returncode, written) == (0, b"")


def _has(found: Sized, number: int) -> bool:
    return len(found) >= number
