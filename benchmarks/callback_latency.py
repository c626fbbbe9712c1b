"""How soon does `generate` return after a cover finished, by callback and by looks?

Both ways cover the same number of songs against a sandbox in this process, where a cover takes
0.2 to 0.6 s. The looks follow the default schedule 100 times as fast, so their delays are to be
multiplied by 100; those by callback are real and must not be. Bias: client, receiver and sandbox
share one event loop and one core, so a callback's way through three of them is all in here.
"""

import argparse
import asyncio
import json
import platform
import statistics
import time
from collections.abc import Sequence

import aiohttp

from suno_cover_async import CallbackReceiver, PollSchedule, Rate, SunoCoverClient
from suno_cover_async.sandbox import Sandbox, Scenario

SCALE = 100
SCENARIO = Scenario(rate=None, seconds=(0.2, 0.6), image_size=16)
NO_LIMIT = Rate(calls=1_000_000, seconds=0.1)
USUAL = PollSchedule()
QUICK = PollSchedule(
    first=0.3,  # the 25th percentile here, which a client learns from its first covers
    growth=USUAL.growth,
    shortest=USUAL.shortest / SCALE,
    longest=USUAL.longest / SCALE,
)


async def measure(covers: int, at_once: int, port: int) -> dict[str, dict[str, float]]:
    """Cover by callback, then by looks; return milliseconds and requests per cover."""
    receiver = CallbackReceiver(public_url=f"http://127.0.0.1:{port}", secret="of this run")
    async with receiver.listen("127.0.0.1", port):
        return {
            "callbacks": await one_way(covers, at_once, USUAL, receiver),
            "looks": await one_way(covers, at_once, QUICK, None),
        }


async def one_way(
    covers: int, at_once: int, poll: PollSchedule, receiver: CallbackReceiver | None
) -> dict[str, float]:
    """Cover songs and return how late their ends were noticed."""
    delays: list[float] = []
    async with Sandbox(SCENARIO) as sandbox:
        async with SunoCoverClient(
            sandbox.api_key,
            base_url=sandbox.url,
            rate=NO_LIMIT,
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


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--covers", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=20)
    parser.add_argument("--port", type=int, default=8481)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = asyncio.run(measure(given.covers, given.at_once, given.port))
    if given.json:
        print(json.dumps(found))
        return
    versions = f"Python {platform.python_version()}, aiohttp {aiohttp.__version__}"
    print(f"{versions}, {given.covers} covers, {given.at_once} at once")
    for name, figures in found.items():
        print(f"{name:10}", *(f"{key} {value:.2f}" for key, value in figures.items()), sep="  ")


if __name__ == "__main__":
    main()
