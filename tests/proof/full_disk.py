"""Does a catalog survive that the disk of its ledger's database is full?

The database's tables are on a small disk of their own, which is filled while runs work. Space is
made soon, so that the runs go on, and then only after they have stopped and said why.

Exits with 1 unless each song was billed once, and its images were saved.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import attrs

from suno_cover_async import Ledger, LedgerError, RateLimit, SunoCoverClient, Track
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import catalogs
from tests.support.bad_disk import disk_of_its_own
from tests.support.catalog_child import policies
from tests.support.postgres import Server, own_server
from tests.support.runs import covered
from tests.support.waiting import until

SCENARIO = Scenario(rate_limit=RateLimit(calls=100, seconds=1), seconds=0.2, image_size=16)
TITLE = "a title so long that few rows are in a page, and most changes need another page " * 10
FULL = "No space left on device"
WITHIN = 300.0
MODULE = "tests.proof.full_disk"


@attrs.frozen(kw_only=True)
class Result:
    """What came of it; `stopped` are the errors of the runs, `unrecorded` and `left` are findings.

    A submit whose record found no space must not be sent: its bill would be `unrecorded`.
    """

    songs: int
    billed_before: int
    billed_while_full: int
    unrecorded: int
    bills: int
    stopped: list[str]
    left: list[str]


async def survive(disk: Path, songs: int, *, stops: bool) -> Result:
    """Cover a catalog while the disk is filled, and space is made again."""
    with own_server() as server, _database_on(disk, server) as name:
        url = server.url(name)
        await Ledger(url).init()
        async with Sandbox(SCENARIO) as sandbox:
            tracks = [Track(song, title=TITLE) for song in sandbox.add_music(songs)]
            bills, into = sandbox.journal.bills, server.folder / "covers"
            runs = [asyncio.create_task(_run(sandbox, url, tracks, into)) for _ in range(2)]
            await until(lambda: len(bills) >= songs // 4, within=WITHIN)
            before = len(bills)
            filler = disk / "filler"
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()
            await until(lambda: FULL in server.log, every=0.05, within=WITHIN)
            if stops:
                await asyncio.wait(runs)
            full = len(bills)
            unrecorded = catalogs.audit(bills, Ledger(url), ended=False)
            filler.unlink()
            stopped = [await run for run in runs]
            stopped += [await _run(sandbox, url, tracks, into)]
        found = catalogs.audit(bills, Ledger(url), ended=True)
        return Result(
            songs=songs,
            billed_before=before,
            billed_while_full=full - before,
            unrecorded=len(unrecorded),
            bills=len(bills),
            stopped=[one for one in stopped if one],
            left=[f"{one.kind} {one.music_task_id}: {one.what}" for one in found],
        )


async def _run(sandbox: Sandbox, url: str, tracks: Sequence[Track], into: Path) -> str:
    """Run a catalog to its end; return the error that ended it earlier."""
    options: dict[str, Any] = policies(30) | {"rate_limit": RateLimit(calls=15, seconds=1)}
    try:
        async with (
            Ledger(url) as ledger,
            SunoCoverClient(
                sandbox.api_key, base_url=sandbox.url, concurrency=8, **options
            ) as client,
        ):
            await covered(client, tracks, ledger, into)
    except LedgerError as error:
        return str(error)
    return ""


@contextlib.contextmanager
def _database_on(disk: Path, server: Server) -> Generator[str]:
    """Make a database whose tables are on a disk."""
    place = disk / "tables"
    place.mkdir()
    if not os.geteuid():
        shutil.chown(place, server.folder.owner(), server.folder.group())
    server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
    server.execute("CREATE DATABASE songs OWNER cover TABLESPACE small")
    yield "songs"


def inside(songs: int, *, stops: bool) -> Result:
    """Do it in a process that has the disk, or skip the test where none may be mounted."""
    # In /tmp, since the server's user gets to it.
    with tempfile.TemporaryDirectory(prefix="suno-cover-disk-", dir="/tmp") as folder:
        disk = Path(folder)
        disk.chmod(0o755)
        prefix = disk_of_its_own("48m", disk)
        if os.geteuid():  # the server refuses to run as the superuser that mounts
            back = [f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
            prefix += ["unshare", "-U", *back]
        done = subprocess.run(  # noqa: S603
            [*prefix, sys.executable, "-m", MODULE, "inside", disk, str(songs), str(stops)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            check=True,
        )
    return Result(**json.loads(done.stdout))


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the disk twice, print the figures, and return the exit code."""
    options = catalogs.parser(__doc__)
    options.add_argument("--songs", type=int, default=200)
    given = options.parse_args(arguments)
    results = {
        "space made soon": inside(given.songs, stops=False),
        "space made late": inside(given.songs, stops=True),
    }
    figures = {when: attrs.asdict(result) for when, result in results.items()}
    catalogs.show(figures, as_json=given.json)
    for one in results.values():
        if one.bills != one.songs or one.unrecorded or one.left:
            return 1
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        place, many, waits = sys.argv[2:]
        happened = asyncio.run(survive(Path(place), int(many), stops=waits == "True"))
        sys.stdout.write(json.dumps(attrs.asdict(happened)))
    else:
        sys.exit(main())
