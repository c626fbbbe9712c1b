"""Does a wait need more memory the longer it lasts?

A million polls in virtual time: waiters start, wait for a while and end, or are cancelled, while
the host answers GENERATING throughout. Then polls through a whole client, over real sockets, at a
sandbox. The figure is what Python has allocated after a tenth of the polls, and after all of them
(blocks by `sys.getallocatedblocks`, bytes by `tracemalloc` where it is asked to trace, which takes
four times as long), with the garbage collected before each count.

Exits with 1 if the second is larger by more than 500 blocks, which is one left in 1,800 polls.
"""

import asyncio
import contextlib
import gc
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import attrs

from suno_cover_async import (
    CoverDetails,
    CoverStatus,
    CoverTimeoutError,
    PollPolicy,
    RateLimit,
    SunoCoverClient,
)
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import catalogs
from tests.support.virtual_time import run

MOST_BLOCKS = 500
WAITERS = 20
POLLS_A_WAIT = 100
NO_LIMIT = RateLimit(calls=1_000_000, seconds=0.1)


@attrs.define(eq=False)
class Gauge:
    """Counts polls, and takes the measure of memory at a tenth of them and at all.

    Attributes:
        wanted: How many polls there are to be.
        polls: How many there were.
        blocks: The blocks of memory, at each measure.
        bytes: The bytes, likewise, while they are traced.
    """

    wanted: int
    polls: int = 0
    blocks: list[int] = attrs.field(factory=list[int])
    bytes: list[int] = attrs.field(factory=list[int])

    @property
    def is_over(self) -> bool:
        """Whether all polls were made."""
        return self.polls >= self.wanted

    @property
    def grown(self) -> int:
        """How many blocks there are more at the end."""
        return self.blocks[-1] - self.blocks[0]

    def poll(self) -> None:
        """Count one."""
        self.polls += 1
        if self.polls in {self.wanted // 10, self.wanted}:
            gc.collect()
            self.blocks.append(sys.getallocatedblocks())
            if tracemalloc.is_tracing():
                self.bytes.append(tracemalloc.get_traced_memory()[0])


async def polls_alone(gauge: Gauge) -> None:
    """Start and end waits at a poller without a host; one wait in three is cancelled."""
    dice = random.Random(2026)

    async def ask(cover_task_id: str) -> CoverDetails:
        gauge.poll()
        return CoverDetails(cover_task_id=cover_task_id, status=CoverStatus.GENERATING)

    async def wait(patience: float) -> None:
        deadline = asyncio.get_running_loop().time() + patience
        async with poller.waiting(f"cover-{dice.randrange(WAITERS)}", deadline) as waiter:
            await waiter.finished()

    async def wait_again_and_again() -> None:
        while not gauge.is_over:
            patience = dice.uniform(1, 2 * POLLS_A_WAIT * schedule.max_interval)
            with contextlib.suppress(CoverTimeoutError, TimeoutError):
                async with asyncio.timeout(dice.uniform(0.7, 1.7) * patience):
                    await wait(patience)

    schedule = PollPolicy()
    poller = Poller(ask, schedule, CoverState(schedule.not_found_grace), lambda: False, Notifier())
    async with asyncio.TaskGroup() as group:
        for _ in range(WAITERS):
            group.create_task(wait_again_and_again())


async def polls_through_a_client(gauge: Gauge) -> None:
    """Wait for one cover repeatedly; the sandbox's journal is cleared in between."""
    clock = asyncio.get_running_loop().time
    patience = POLLS_A_WAIT * PollPolicy().max_interval
    async with (
        Sandbox(Scenario(rate_limit=None, seconds=1e9), clock=clock) as sandbox,
        SunoCoverClient(sandbox.api_key, base_url=sandbox.url, rate_limit=NO_LIMIT) as client,
    ):
        task = await client.submit(*sandbox.add_music(1))
        while not gauge.is_over:
            with contextlib.suppress(CoverTimeoutError):
                await client.wait(task, timeout=patience)
            made = len(sandbox.journal.of("details"))
            sandbox.journal.arrivals.clear()
            for _ in range(made):
                gauge.poll()


def measure(work: Callable[[Gauge], Coroutine[Any, Any, None]], polls: int) -> Gauge:
    """Make this many polls in virtual time."""
    gauge = Gauge(polls)
    run(work(gauge))
    return gauge


def main(arguments: Sequence[str] | None = None) -> int:
    """Poll alone and through a client, print the figures, and return the exit code."""
    options = catalogs.parser(__doc__)
    options.add_argument("--polls", type=int, default=1_000_000)
    options.add_argument("--polls-through-a-client", type=int, default=20_000)
    options.add_argument("--trace", action="store_true", help="count bytes as well")
    given = options.parse_args(arguments)
    if given.trace:
        tracemalloc.start()
    figures, is_flat = dict[str, float](), True
    for name, work, polls in (
        ("alone", polls_alone, given.polls),
        ("through a client", polls_through_a_client, given.polls_through_a_client),
    ):
        began = time.monotonic()
        gauge = measure(work, polls)
        is_flat = is_flat and gauge.grown <= MOST_BLOCKS
        figures |= {
            f"{name}, polls": gauge.polls,
            f"{name}, blocks at a tenth": gauge.blocks[0],
            f"{name}, blocks at the end": gauge.blocks[-1],
            f"{name}, seconds": time.monotonic() - began,
        }
        if gauge.bytes:
            figures[f"{name}, bytes more"] = gauge.bytes[-1] - gauge.bytes[0]
    catalogs.show(figures, as_json=given.json)
    return 0 if is_flat else 1


if __name__ == "__main__":
    sys.exit(main())
