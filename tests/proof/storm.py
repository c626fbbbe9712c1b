"""Does a catalog finish correctly over a network that loses or damages 3 answers in 10?

The whole pipeline runs in one process: ledger, submits, polls, downloads. Of all requests, images
included, 27 % are cut off, reset, truncated, or answered by pages and errors, most of them after
they were executed; 3 % more are refused for calling too often. All waits are 100 times as short,
except the 1 s before a submit whose answer was lost, which is a policy: most of the time is spent
there. The next run takes up the tracks that failed in a run.

Exits with 1 unless every song was billed once and saved, and no track failed in the end.
"""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from suno_cover_async import Failed, Ledger, RateLimit, SunoCoverClient, cover_catalog
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support import catalogs
from tests.support.catalog_child import policies, song

SCALE = 100
MOST_RUNS = 10
NO_LIMIT = RateLimit(calls=1_000_000, seconds=0.1)
SCENARIO = Scenario(
    rate_limit=None,
    polls=1,
    image_size=16,
    lost_requests=0.02,
    lost_answers=0.06,
    resets=0.06,
    truncated=0.04,
    html=0.06,
    server_errors=0.03,
    too_often=0.03,
    faults_on=frozenset({"submit", "details", "image"}),
)


async def endure(
    tracks: int, *, concurrency: int, folder: Path
) -> tuple[dict[str, float], list[catalogs.Finding]]:
    """Cover a catalog in a storm; return figures and findings."""
    began, runs, left = time.monotonic(), 0, tracks
    failed = Counter[str]()
    ledger = Ledger(folder / "covers.db")
    options = policies(SCALE) | {"rate_limit": NO_LIMIT, "concurrency": concurrency}
    async with Sandbox(SCENARIO) as sandbox:
        songs = sandbox.add_music(song(number) for number in range(tracks))
        while left and runs < MOST_RUNS:
            client = SunoCoverClient(sandbox.api_key, base_url=sandbox.url, **options)
            async with ledger:
                left = await cover(client, songs, ledger, folder / "covers", failed)
            runs += 1
        journal = sandbox.journal
        findings = catalogs.audit(journal.bills, ledger, ended=True)
        findings += catalogs.torn_files(folder / "covers", set())
        faulty = sum(arrival.fault is not Fault.NONE for arrival in journal.arrivals)
        return {
            "tracks": tracks,
            "runs": runs,
            "requests": len(journal.arrivals),
            "share_with_a_fault": faulty / len(journal.arrivals),
            **{f"left by {error}": count for error, count in failed.items()},
            "recovered": catalogs.adopted(ledger),
            **catalogs.counted(findings),
            "seconds": time.monotonic() - began,
        }, findings


async def cover(
    client: SunoCoverClient, songs: list[str], ledger: Ledger, into: Path, failed: Counter[str]
) -> int:
    """Run once; count what failed by its error, and return how much is left."""
    client.trust_base_url()  # so that a gateway's answer is no sign of a wrong address
    async with client, cover_catalog(client, songs, ledger=ledger, into=into) as outcomes:
        async for outcome in outcomes:
            if isinstance(outcome, Failed):
                failed[type(outcome.error).__name__] += 1
        return outcomes.progress.left


def main(arguments: Sequence[str] | None = None) -> int:
    """Cover a catalog in a storm; print the figures, and return the exit code."""
    options = catalogs.parser(__doc__)
    options.add_argument("--tracks", type=int, default=10_000)
    options.add_argument("--concurrency", type=int, default=100)
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures, findings = asyncio.run(
            endure(given.tracks, concurrency=given.concurrency, folder=Path(folder))
        )
    catalogs.show(figures, findings, as_json=given.json)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
