"""How soon does `generate` return after a cover finished, by callback and by polls?

All ways cover the same number of songs against a sandbox in this process, where a cover takes
0.2 to 0.6 s. The polls follow the default schedule 100 times as fast, so their delays are to be
multiplied by 100; those by callback are real and must not be. In the third way a third of the
callbacks is lost, doubled, early, late or forged, and the fallback polls are 100 times as fast.
Bias: client, receiver and sandbox share one event loop and one core, so a callback's way through
three of them is all in here.

Exits with 1 when callbacks take over 100 ms in the median, or over 2.2 requests for each cover.
"""

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence

import aiohttp
import attrs

from suno_cover_async import CallbackReceiver, PollPolicy, RateLimit, SunoCoverClient
from suno_cover_async.sandbox import Sandbox, Scenario

SCALE = 100
SCENARIO = Scenario(rate_limit=None, seconds=(0.2, 0.6), image_size=16)
CALLED = ("callbacks", "a third in trouble")
NO_LIMIT = RateLimit(calls=1_000_000, seconds=0.1)
USUAL = PollPolicy()
TROUBLE = 1 / 15  # for each of five mishaps
TROUBLED = attrs.evolve(
    SCENARIO,
    seed=1,  # other songs: the receiver remembers the callbacks of those before
    lost_callbacks=TROUBLE,
    doubled_callbacks=TROUBLE,
    early_callbacks=TROUBLE,
    late_callbacks=TROUBLE,
    forged_callbacks=TROUBLE,
    late_seconds=3,
)
QUICK = PollPolicy(
    initial_delay=0.3,  # the 25th percentile here, which a client learns from its first covers
    growth=USUAL.growth,
    min_interval=USUAL.min_interval / SCALE,
    max_interval=USUAL.max_interval / SCALE,
    fallback_delay=60 / SCALE,
    fallback_interval=USUAL.fallback_interval / SCALE,
)


async def measure(covers: int, at_once: int, port: int) -> dict[str, dict[str, float]]:
    """Cover by callback, then by polls; return milliseconds and requests per cover."""
    receiver = CallbackReceiver(public_url=f"http://127.0.0.1:{port}", secret="of this run")
    async with receiver.listen("127.0.0.1", port):
        return {
            "callbacks": await one_way(covers, at_once, USUAL, receiver, SCENARIO),
            "polls": await one_way(covers, at_once, QUICK, None, SCENARIO),
            "a third in trouble": await one_way(covers, at_once, QUICK, receiver, TROUBLED),
        }


async def one_way(
    covers: int,
    at_once: int,
    poll: PollPolicy,
    receiver: CallbackReceiver | None,
    scenario: Scenario,
) -> dict[str, float]:
    """Cover songs and return how late their ends were noticed."""
    delays: list[float] = []
    async with Sandbox(scenario) as sandbox:
        async with SunoCoverClient(
            sandbox.api_key,
            base_url=sandbox.url,
            rate_limit=NO_LIMIT,
            poll=poll,
            receiver=receiver,
            concurrency=at_once,
        ) as client:

            async def cover(song: str) -> None:
                details = await client.generate(song)
                if details.completed_at is not None:
                    delays.append(1000 * (time.time() - details.completed_at.timestamp()))

            await asyncio.gather(*map(cover, sandbox.add_music(covers)))
        requests = len(sandbox.journal.arrivals) / covers
    return {
        "median_ms": statistics.median(delays),
        "p99_ms": statistics.quantiles(delays, n=100)[98],
        "requests_per_cover": requests,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table or JSON, and judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--covers", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--port", type=int, default=8481)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = asyncio.run(measure(given.covers, given.at_once, given.port))
    if given.json:
        print(json.dumps(found))
    else:
        versions = f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}"
        print(f"{versions}, {given.covers} covers, {given.at_once} at once")
        for name, figures in found.items():
            print(f"{name:18}", *(f"{key} {value:.2f}" for key, value in figures.items()), sep="  ")
    good = found["callbacks"]["median_ms"] <= 100
    return 0 if good and all(found[way]["requests_per_cover"] <= 2.2 for way in CALLED) else 1


if __name__ == "__main__":
    sys.exit(main())
