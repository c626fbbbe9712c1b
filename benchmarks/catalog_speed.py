"""How fast is a whole catalog, against what the limit allows?

A process of its own covers 10,000 tracks of a sandbox that is `--scale` (100) times as fast as the
API: 20 requests in 0.1 s, covers of 0.2 to 0.6 s; the client's rate and polls alike. The least is
the time that its requests need at that rate, held against the time from the first to the last.
Bias: answers and the disk are real. An answer in 5 ms is, at this scale, one in 0.5 s, which alone
costs 5 % of the rate; `--scale 20` is nearer to the truth, and takes five times as long.

Exits with 1 if anything was refused, not covered or billed twice, if it took over 1.25 times the
least, or over 4 requests for each cover.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from suno_cover_async import Ledger, RateLimit
from suno_cover_async.sandbox import Sandbox, Scenario
from suno_cover_async.sandbox.scenario import API_KINDS
from tests.support import catalogs
from tests.support.catalog_child import song

USUAL = RateLimit(calls=20, seconds=10)
SLOWEST = 1.25
MOST_REQUESTS = 4.0


async def measure(tracks: int, *, scale: float, folder: Path) -> dict[str, float]:
    """Cover a catalog; return the figures."""
    scenario = Scenario(scale=scale, seconds=(20, 60), image_size=16)
    async with Sandbox(scenario) as sandbox:
        songs = sandbox.add_music(map(song, range(tracks)))
        catalog = catalogs.write_catalog(folder / "catalog.csv", songs)
        ledger, into = folder / "covers.db", folder / "covers"
        async with catalogs.child(
            sandbox, catalog=catalog, ledger=ledger, into=into, scale=scale
        ) as child:
            await child.hear()
        arrivals = [one for one in sandbox.journal.arrivals if one.kind in API_KINDS]
        findings = catalogs.audit(sandbox.journal.bills, Ledger(ledger), ended=True)
    took = child.told["ended"] - child.told["began"]
    asked = arrivals[-1].at - arrivals[0].at
    least = len(arrivals) / USUAL.calls * USUAL.seconds / scale
    return {
        "tracks": tracks,
        "seconds": took,
        "seconds, first to last request": asked,
        "least, seconds": least,
        "times the least": asked / least,
        "requests for each cover": len(arrivals) / tracks,
        "covers an hour, unscaled": 3600 * tracks / (took * scale),
        "refused": sum(not arrival.admitted for arrival in arrivals),
        "peak memory, MB": child.told["peak"] * 1024 / 1e6,
        **catalogs.counted(findings),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and judge."""
    options = catalogs.parser(__doc__)
    options.add_argument("--tracks", type=int, default=10_000)
    options.add_argument("--scale", type=float, default=100)
    given = options.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(given.tracks, scale=given.scale, folder=Path(folder)))
    catalogs.show(found, as_json=given.json)
    exact = not found["refused"] and not any(found[kind] for kind in catalogs.KINDS)
    fast = found["times the least"] <= SLOWEST and found["requests for each cover"] <= MOST_REQUESTS
    return 0 if exact and fast else 1


if __name__ == "__main__":
    sys.exit(main())
