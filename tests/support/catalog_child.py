"""One process that covers a catalog: what the scripts about catalogs start, watch and kill.

It prints lines of a word and a number: moments by the machine's steady clock, and in the end how
many tracks came out well and how many not, and the most memory it had, in KiB. It must not import
the sandbox, whose weight would be measured.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from suno_cover_async import (
    Covered,
    Ledger,
    PollPolicy,
    RateLimit,
    RetryPolicy,
    SunoCoverClient,
    cover_catalog,
    read_catalog,
)

USUAL_POLL, USUAL_RETRY = PollPolicy(), RetryPolicy()


def song(number: int) -> str:
    """Name the music task of this number."""
    return f"{number:032x}"


def policies(scale: float) -> dict[str, Any]:
    """Return the usual policies of a client, `scale` times as fast.

    What is real stays real: how long an answer may take, and the 1 s before a submit whose answer
    was lost. The first poll comes as late as a client learns to make it for covers of 20 to 60 s.
    """
    return {
        "rate_limit": RateLimit(calls=20, seconds=10 / scale),
        "poll": PollPolicy(
            initial_delay=30 / scale,
            min_interval=USUAL_POLL.min_interval / scale,
            max_interval=USUAL_POLL.max_interval / scale,
        ),
        "retry": RetryPolicy(
            initial_delay=USUAL_RETRY.initial_delay / scale,
            max_delay=USUAL_RETRY.max_delay / scale,
            probe_delay=USUAL_RETRY.probe_delay / scale,
            max_probe_delay=USUAL_RETRY.max_probe_delay / scale,
        ),
    }


def mark(word: str, number: float) -> None:
    """Print a line for the parent process."""
    print(word, number, flush=True)


async def work(given: argparse.Namespace) -> None:
    """Cover the catalog, or so much of it as was asked for."""
    mark("imported", time.monotonic())
    tracks = stream(given.stream) if given.stream else read_catalog(given.catalog)
    ends = {True: 0, False: 0}
    async with Ledger(given.ledger) as ledger:
        mark("opened", time.monotonic())
        async with (
            SunoCoverClient(
                base_url=given.url, concurrency=given.concurrency, **policies(given.scale)
            ) as client,
            cover_catalog(
                client, tracks, ledger=ledger, into=given.into, max_covers=given.max_covers
            ) as outcomes,
        ):
            mark("began", time.monotonic())
            async for outcome in outcomes:
                ends[isinstance(outcome, Covered)] += 1
                if ends[True] == given.stop_after:
                    break
    mark("ended", time.monotonic())
    mark("covered", ends[True])
    mark("failed", ends[False])
    mark("peak", peak())


async def stream(count: int) -> AsyncIterator[str]:
    """Bring a catalog song by song."""
    for number in range(count):
        yield song(number)


def peak() -> int:
    """Read the most memory that this process ever had, in KiB; Linux knows."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the options and do it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--catalog")
    parser.add_argument("--stream", type=int, default=0, help="bring so many songs one by one")
    parser.add_argument("--ledger")
    parser.add_argument("--into")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--max-covers", type=int)
    parser.add_argument("--stop-after", type=int, default=0)
    asyncio.run(work(parser.parse_args(arguments)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
