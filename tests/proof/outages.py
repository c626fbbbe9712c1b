"""Does a catalog survive an outage: no track failed, few requests, and soon running again?

In the middle of a catalog the host fails for 2 to 600 s, in one of several ways, and recovers.
Client and sandbox are `--scale` times as fast, and every figure here is converted back to real
seconds; the 1 s before a submit whose answer was lost does not scale.

- gone: nothing listens where the API and the images were. Tried is what aiohttp tried to connect.
- gone at first: likewise, before the first request.
- cut off: a server reads a request and closes the connection. Tried is what was read.
- maintenance, pages: every request is answered by a 455, or by a gateway's page, some after they
  were executed.
- images: only the image host answers 500. Tried are images.

Submits, polls and images have a probe each. Exits with 1 if any track failed or was lost, doubled
or torn; if more was tried than two windows of the limit (what was under way and what came in before
five had failed) and the probes due, a quarter more for their jitter; or if work went on later than
the longest wait for a probe, 33 s, and half a second of this machine's own.
"""

import asyncio
import itertools
import math
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs

from suno_cover_async import Failed, Ledger, SunoCoverClient, SunoCoverError, cover_catalog
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import catalogs
from tests.support.catalog_child import USUAL_RETRY, policies, song
from tests.support.waiting import until

CASES = (
    *(("gone", seconds) for seconds in (2.0, 30.0, 120.0, 600.0)),
    *(("gone at first", seconds) for seconds in (120.0, 600.0)),
    *(("cut off", seconds) for seconds in (30.0, 120.0)),
    *(("maintenance", seconds) for seconds in (30.0, 600.0)),
    *(("pages", seconds) for seconds in (30.0, 600.0)),
    *(("images", seconds) for seconds in (120.0, 600.0)),
)
LATEST = USUAL_RETRY.max_probe_delay * 1.1
OWN = 0.5  # real seconds of delay that a shared machine may add
HANGS = 60.0  # real seconds after an outage
UNDER_WAY = 40  # two windows of the limit
PROBING = {"images": 1}  # requests for each probe due; otherwise one of submits and one of polls

Count = Callable[[], int]


@attrs.frozen(kw_only=True)
class Result:
    """The figures of a catalog with an outage; durations in real seconds."""

    kind: str
    lasted: float
    tried: int
    probes_due: int
    back_after: float
    failed: int
    refused: int
    findings: list[catalogs.Finding]

    def is_good(self, scale: float) -> bool:
        """Whether every promise was kept."""
        soon = self.back_after <= LATEST + OWN * scale
        probing = PROBING.get(self.kind, 2)
        few = self.tried <= UNDER_WAY + 1.25 * probing * self.probes_due
        return soon and few and not self.failed and not self.refused and not self.findings


class Connects:
    """Counts the connections that aiohttp tries to make."""

    def __init__(self) -> None:
        """Start at 0."""
        self.count = 0

    async def started(self, *_: object) -> None:
        """Count one."""
        self.count += 1

    def session(self) -> aiohttp.ClientSession:
        """Open a session that counts."""
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_start.append(self.started)
        return aiohttp.ClientSession(trace_configs=[trace], cookie_jar=aiohttp.DummyCookieJar())


@asynccontextmanager
async def gone(sandbox: Sandbox, connects: Connects) -> AsyncGenerator[Count, None]:
    """Stop the sandbox, so that connections are refused."""
    await sandbox.__aexit__(None, None, None)
    before = connects.count
    yield lambda: connects.count - before
    await sandbox.__aenter__()


@asynccontextmanager
async def cut_off(sandbox: Sandbox, _: Connects) -> AsyncGenerator[Count, None]:
    """Replace the sandbox by a server that reads a request line and closes the connection."""
    count = 0

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += b"/api/" in await reader.readline()
        writer.close()

    await sandbox.__aexit__(None, None, None)
    port = int(sandbox.url.rpartition(":")[2])
    async with await asyncio.start_server(accept, "127.0.0.1", port):
        yield lambda: count
    await sandbox.__aenter__()


def answered(**faults: Any) -> Any:
    """Answer all kinds of requests in `faults_on` with these faults."""

    @asynccontextmanager
    async def outage(sandbox: Sandbox, _: Connects) -> AsyncGenerator[Count, None]:
        healthy, before = sandbox.scenario, len(sandbox.journal.arrivals)
        sandbox.scenario = attrs.evolve(healthy, **faults)
        kinds = sandbox.scenario.faults_on
        yield lambda: sum(one.kind in kinds for one in sandbox.journal.arrivals[before:])
        sandbox.scenario = healthy

    return outage


KINDS: dict[str, Any] = {
    "gone": gone,
    "gone at first": gone,
    "cut off": cut_off,
    "maintenance": answered(maintenance=1.0),
    "pages": answered(html=1.0),
    "images": answered(server_errors=1.0, faults_on=frozenset({"image"})),
}


async def suffer(kind: str, seconds: float, *, tracks: int, scale: float, folder: Path) -> Result:
    """Cover a catalog with an outage of the host in the middle of it."""
    scenario = Scenario(scale=scale, seconds=(20, 60), image_size=16)
    ledger, connects = Ledger(folder / "covers.db"), Connects()
    async with Sandbox(scenario) as sandbox, connects.session() as session:
        songs = sandbox.add_music(song(number) for number in range(tracks))
        journal = sandbox.journal
        options = policies(scale)
        retry = attrs.evolve(options["retry"], total_timeout=60 / scale)  # as by default
        options |= {"retry": retry, "session": session}
        client = SunoCoverClient(sandbox.api_key, base_url=sandbox.url, **options)
        work = asyncio.create_task(cover(client, songs, ledger, folder / "covers"))
        await until(lambda: in_the_middle(kind, sandbox, tracks), every=0.001)
        async with KINDS[kind](sandbox, connects) as tried:
            await asyncio.sleep(seconds / scale)
            tries = tried()
        end, kinds = time.monotonic(), {"image"} if kind == "images" else {"submit", "details"}
        failed = await patiently(work)
        back = [one.at for one in journal.arrivals if one.at >= end and one.kind in kinds]
        findings = catalogs.audit(journal.bills, ledger, ended=True)
        return Result(
            kind=kind,
            lasted=seconds,
            tried=tries,
            probes_due=probes_due(seconds),
            back_after=scale * (min(back, default=math.inf) - end),
            failed=failed,
            refused=sum(not arrival.admitted for arrival in journal.arrivals),
            findings=findings + catalogs.torn_files(folder / "covers", set()),
        )


async def cover(client: SunoCoverClient, songs: list[str], ledger: Ledger, into: Path) -> int:
    """Cover the catalog; count failures, and errors that ended the run early."""
    failed = 0
    async with (
        ledger,
        client,
        cover_catalog(client, songs, ledger=ledger, into=into) as outcomes,
    ):
        try:
            async for outcome in outcomes:
                failed += isinstance(outcome, Failed)
        except SunoCoverError:
            failed += 1
    return failed


async def patiently(work: "asyncio.Task[int]") -> int:
    """Wait for the catalog's end; one that hangs has failed."""
    try:
        return await asyncio.wait_for(work, HANGS)
    except TimeoutError:
        return 1


def in_the_middle(kind: str, sandbox: Sandbox, tracks: int) -> bool:
    """Whether it is time for the outage."""
    if kind == "images":
        return bool(sandbox.journal.of("image"))
    return kind == "gone at first" or len(sandbox.journal.bills) > tracks / 3


def probes_due(seconds: float) -> int:
    """Count the probes of an outage: 1 s, then twice as long each, up to 30 s."""
    doubling = (USUAL_RETRY.probe_delay * 2.0**number for number in itertools.count())
    waits = (min(wait, USUAL_RETRY.max_probe_delay) for wait in doubling)
    moments = itertools.accumulate(waits)
    return sum(1 for _ in itertools.takewhile(lambda moment: moment <= seconds, moments))


async def suffer_all(
    cases: Sequence[tuple[str, float]], *, tracks: int, scale: float
) -> list[Result]:
    """Run one outage after the other."""
    results: list[Result] = []
    for kind, seconds in cases:
        with tempfile.TemporaryDirectory() as folder:
            results.append(
                await suffer(kind, seconds, tracks=tracks, scale=scale, folder=Path(folder))
            )
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the outages, print the figures, and return the exit code."""
    options = catalogs.parser(__doc__)
    options.add_argument("--tracks", type=int, default=300)
    options.add_argument("--scale", type=float, default=100)
    options.add_argument("--kind", choices=KINDS, help="only outages of this kind")
    given = options.parse_args(arguments)
    cases = [case for case in CASES if given.kind in {None, case[0]}]
    results = asyncio.run(suffer_all(cases, tracks=given.tracks, scale=given.scale))
    rows = {
        f"{one.kind}, {one.lasted:g} s": (
            f"{one.tried} tried ({one.probes_due} probes due), back after {one.back_after:.1f} s, "
            f"{one.failed} failed, {one.refused} refused"
        )
        for one in results
    }
    findings = [finding for one in results for finding in one.findings]
    figures = rows if not given.json else {"outages": [attrs.asdict(one) for one in results]}
    catalogs.show(figures, findings, as_json=given.json)
    return 0 if all(one.is_good(given.scale) for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
