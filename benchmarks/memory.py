"""Does a catalog of 1,000,000 tracks need more memory than one of 1,000?

A process of its own takes in each catalog and covers its first 300 tracks; then it stops, since
covering a million would take a week at the API's rate, and hours at the sandbox's. One catalog more
is brought song by song and covered whole. The figure is the most memory the process ever had
(VmHWM: Linux alone tells); its Python and imports are in it. Covers come as fast as the sandbox
gives them, so that memory is at its busiest.

Exits with 1 if the largest catalog needs more than 1.5 times what the smallest does, and 64 MB.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import catalogs
from tests.support.catalog_child import song

SIZES = (1_000, 100_000, 1_000_000)
SCALE = 1000
COVERED = 300
KNOWN = 50_000  # to the sandbox: more than are submitted while the first images are saved
SCENARIO = Scenario(rate_limit=None, scale=SCALE, seconds=(20, 60), image_size=16)


async def measure(tracks: int, folder: Path) -> float:
    """Take a catalog in and cover the first of it; return megabytes."""
    catalog = catalogs.write_catalog(folder / "catalog.csv", map(song, range(tracks)))
    return await peak(min(tracks, KNOWN), folder, catalog=catalog, stop_after=COVERED)


async def stream(tracks: int, folder: Path) -> float:
    """Bring a catalog song by song and cover it whole; return megabytes."""
    return await peak(tracks, folder, stream=tracks)


async def peak(known: int, folder: Path, **options: object) -> float:
    """Have a child at work to its end."""
    async with Sandbox(SCENARIO) as sandbox:
        sandbox.add_music(map(song, range(known)))
        ledger, into = folder / "covers.db", folder / "covers"
        async with catalogs.child(
            sandbox, ledger=ledger, into=into, scale=SCALE, **options
        ) as child:
            await child.hear()
    if child.told["failed"] or child.told["covered"] < COVERED:
        raise RuntimeError(f"the child did not do its work: {child.told}")
    return child.told["peak"] * 1024 / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each size, and judge."""
    options = catalogs.parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options.add_argument("--streamed", type=int, default=10_000, help="0: none")
    given = options.parse_args(arguments)
    found: dict[str, float] = {}
    for tracks in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            found[f"{tracks:,} tracks, MB"] = asyncio.run(measure(tracks, Path(folder)))
    smallest, *_, largest = found.values()
    if given.streamed:
        with tempfile.TemporaryDirectory() as folder:
            megabytes = asyncio.run(stream(given.streamed, Path(folder)))
        found[f"{given.streamed:,} streamed, covered, MB"] = megabytes
    catalogs.show(found, as_json=given.json)
    return 0 if largest <= 1.5 * smallest + 64 else 1


if __name__ == "__main__":
    sys.exit(main())
