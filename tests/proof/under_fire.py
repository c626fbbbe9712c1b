"""Does a catalog finish correctly over a connection that breaks in 3 exchanges of 10?

As `storm.py`, but the faults are below HTTP, between client and host, and occur in the later
exchanges of kept-alive connections too: connections refused; reset before, in and after the
request and in the answer; cut in either; stalled in either; passed on byte by byte; answered with
random bytes in place of the answer, before it or in it; and answered twice. Client, proxy and host
share a process.

Stalls end after `--stall` seconds, which is longer than an attempt at the API may take and shorter
than an image may keep silent. All other waits are 100 times as short, except the 1 s before a
submit whose answer was lost, which is a policy. The next run takes up the tracks that failed.

Exits with 1 unless every song was billed once and has its own two images, whole; no track failed in
the end; and no task and no socket is left.
"""

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from suno_cover_async import Ledger, SunoCoverClient
from suno_cover_async.sandbox import FaultProxy, Sandbox, Scenario, Wire, WireFault, images
from suno_cover_async.sandbox.world import STYLES
from tests.proof import storm
from tests.support import catalogs
from tests.support.catalog_child import policies, song

SIZE = 16
WIRE = Wire(
    refused=0.01,
    resets=0.08,
    cuts=0.06,
    stalls=0.02,
    trickles=0.03,
    garbage=0.06,
    echoes=0.04,
)


async def endure(
    tracks: int, *, concurrency: int, attempt: float, stall: float, seed: int, folder: Path
) -> tuple[dict[str, float], list[catalogs.Finding]]:
    """Cover a catalog under fire; return figures and findings."""
    began, runs, left, failed = time.monotonic(), 0, tracks, Counter[str]()
    before = left_behind()
    ledger = Ledger(folder / "covers.db")
    options = policies(storm.SCALE) | {"rate_limit": storm.NO_LIMIT, "concurrency": concurrency}
    options["retry"] = attrs.evolve(options["retry"], attempt_timeout=attempt)
    wire = attrs.evolve(WIRE, stall=stall, seed=seed)
    scenario = Scenario(rate_limit=None, polls=1, image_size=SIZE)
    async with Sandbox(scenario) as sandbox, FaultProxy(sandbox.url, wire) as proxy:
        songs = sandbox.add_music(song(number) for number in range(tracks))
        while left and runs < storm.MOST_RUNS:
            client = SunoCoverClient(sandbox.api_key, base_url=proxy.url, **options)
            async with ledger:
                left = await storm.cover(client, songs, ledger, folder / "covers", failed)
            runs += 1
        seconds = time.monotonic() - began
        journal = sandbox.journal
    findings = catalogs.audit(journal.bills, ledger, ended=True)
    findings += catalogs.torn_files(folder / "covers", set())
    findings += foreign_files(folder / "covers", songs)
    findings += [catalogs.Finding("left", what, "") for what in left_behind() - before]
    exchanges = len(proxy.exchanges)
    return {
        "tracks": tracks,
        "runs": runs,
        "exchanges": exchanges,
        "share_with_a_fault": 1 - proxy.progress[WireFault.NONE] / exchanges,
        "connections": max(one.connection for one in proxy.exchanges),
        **{
            fault.value: proxy.progress[fault] for fault in WireFault if fault is not WireFault.NONE
        },
        "requests of the host": len(journal.arrivals),
        "submits of the host": len(journal.of("submit")),
        **{f"left by {error}": count for error, count in failed.items()},
        "recovered": catalogs.adopted(ledger),
        **catalogs.counted(findings),
        **Counter(one.kind for one in findings),
        "seconds": seconds,
    }, findings


def foreign_files(into: Path, songs: Iterable[str]) -> list[catalogs.Finding]:
    """Find files that are not the images of the songs in their names."""
    wanted = {
        into / f"{one}-{number}.png": images.draw(one, style, SIZE)
        for one in songs
        for number, style in enumerate(STYLES, start=1)
    }
    return [
        catalogs.Finding("foreign", path.stem, f"{path.name} is another picture")
        for path, picture in wanted.items()
        if path.exists() and path.read_bytes() != picture
    ]


def left_behind() -> set[str]:
    """Name all tasks and sockets, except this task."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    opened = (os.path.realpath(one) for one in Path("/proc/self/fd").glob("*"))
    return {str(task) for task in tasks} | {one for one in opened if "socket:" in one}


def main(arguments: Sequence[str] | None = None) -> int:
    """Cover a catalog under fire; print the figures, and return the exit code."""
    options = catalogs.parser(__doc__)
    options.add_argument("--tracks", type=int, default=10_000)
    options.add_argument("--concurrency", type=int, default=100)
    options.add_argument("--attempt", type=float, default=2.0, help="seconds of one at the API")
    options.add_argument("--stall", type=float, default=3.0, help="seconds")
    options.add_argument("--seed", type=int, default=0, help="of the wire's dice")
    given = options.parse_args(arguments)
    logging.getLogger("suno_cover_async").setLevel(logging.ERROR)  # of outages: there are many
    with tempfile.TemporaryDirectory() as folder:
        figures, findings = asyncio.run(
            endure(
                given.tracks,
                concurrency=given.concurrency,
                attempt=given.attempt,
                stall=given.stall,
                seed=given.seed,
                folder=Path(folder),
            )
        )
    catalogs.show(figures, findings, as_json=given.json)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
