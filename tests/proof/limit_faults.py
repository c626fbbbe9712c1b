"""Do processes that share a limit in a database ever exceed it, whatever is killed or stopped?

Four processes make requests without end, under 20 in any `--window` (0.5 s), against a sandbox that
counts strictly. Meanwhile, one after the other and at random moments: a process is killed and
another one started; one is stopped, for up to three leases, and goes on; all connections to the
database are dropped; its server is restarted, or crashes, for up to 4 s. Then all work on.

Judged by the sandbox's journal: no request was refused, no window had more than 20, and at the end
all processes together get permits again. A process that is stopped in the instant between the check
of its permit and the send is a known limit, and would be a finding here.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial

import attrs

from suno_cover_async import RateLimit
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.limit_processes import CALLS, has, start
from tests.support.limiting import fullest_window
from tests.support.permit_tables import make_tables
from tests.support.postgres import Server, own_server
from tests.support.waiting import until

PROCESSES = 4
ENDLESS = 1_000_000  # requests
FAULTS = ("kill", "stop", "drop", "restart", "crash")


@attrs.frozen
class Result:
    """What happened, and what the server saw."""

    faults: Counter[str]
    requests: int
    refused: int
    fullest: int
    share_at_the_end: float

    @property
    def is_good(self) -> bool:
        """Whether the limit was kept."""
        return not self.refused and self.fullest <= CALLS


async def suffer(
    faults: Sequence[str], window: float, dice: random.Random, server: Server, *, down: float = 4
) -> Result:
    """Run the processes through these faults; the server is down for so many seconds at most."""
    limit = RateLimit(calls=CALLS, seconds=window)
    with server.database() as name:
        url = server.url(name)
        make_tables(url)
        async with Sandbox(Scenario(rate_limit=limit, delay=(0.0, window / 10))) as sandbox:
            arrivals = sandbox.journal.arrivals
            begin = partial(start, sandbox, url, window, ENDLESS)
            processes = [await begin() for _ in range(PROCESSES)]
            lease = max(1.0, window / 10) + 2 * window
            for fault in faults:
                enough = len(arrivals) + dice.randrange(3 * CALLS)
                await until(partial(has, arrivals, enough), every=0.001)
                place = dice.randrange(PROCESSES)
                if fault == "kill":
                    processes[place].kill()
                    await processes[place].communicate()
                    processes[place] = await begin()
                elif fault == "stop":
                    os.kill(processes[place].pid, signal.SIGSTOP)
                    await asyncio.sleep(dice.uniform(0, 3 * lease))
                    os.kill(processes[place].pid, signal.SIGCONT)
                elif fault == "drop":
                    await asyncio.to_thread(server.drop_connections, name)
                else:
                    await asyncio.to_thread(server.crash if fault == "crash" else server.stop)
                    await asyncio.sleep(dice.uniform(0, down))
                    await asyncio.to_thread(server.start)
            began = len(arrivals)
            await until(partial(has, arrivals, began + 8 * CALLS), every=0.01)
            for process in processes:
                process.kill()
                await process.communicate()
            times = [arrival.at for arrival in arrivals]
            last = times[-4 * CALLS :]
            return Result(
                Counter(faults),
                len(times),
                sum(not arrival.admitted for arrival in arrivals),
                fullest_window(times, window),
                3 * window / (last[-1] - last[CALLS - 1]),
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the faults, print the figures, and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=100)
    options.add_argument("--window", type=float, default=0.5)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", action="store_true")
    given = options.parse_args(arguments)
    dice = random.Random(given.seed)
    with contextlib.closing(asyncio.new_event_loop()) as loop, own_server() as server:
        faults = dice.choices(FAULTS, k=given.events)
        result = loop.run_until_complete(suffer(faults, given.window, dice, server))
    figures = attrs.asdict(result)
    if given.json:
        sys.stdout.write(json.dumps(figures) + "\n")
    else:
        for name, figure in figures.items():
            sys.stdout.write(f"{name:18} {figure}\n")
    return 0 if result.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
