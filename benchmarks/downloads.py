"""How fast do 2 MB images get to the disk, against raw aiohttp streaming?

Each contender downloads covers of two images each from nginx on loopback, 1 and 8 covers at once,
into a folder of its own. The contenders, in processes of their own:

* raw aiohttp: `iter_chunked(64 * 1024)` and `write`, as people write it.
* raw aiohttp, synced: the same into another name, `fsync` and a rename: the price of durability.
* suno-cover-async: `client.download`, which syncs and renames, checks type, size and addresses.
* httpx: `aiter_bytes(64 * 1024)` and `write`.

All do so twice: on `--disk`, and on `--memory`, a file system that has nothing to sync.

Bias: on the disk, raw aiohttp and httpx leave the bytes in the page cache, where a power cut loses
them; ours and the synced one wait for the disk. Loopback is faster than any real network, where all
would wait for the network. nginx and the kernel's writing share the machine, so MB/s are theirs
too; CPU is the contender's own.

Exits with 1 when ours has less than 0.9 of raw aiohttp's MB/s in memory, or of the synced one's on
the disk, at 1 or at 8 covers at once.
"""

import argparse
import asyncio
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import contest
import nginx
from contest import Contender, Figures

from suno_cover_async import CoverDetails, CoverStatus, SunoCoverClient

LEVELS = (1, 8)
SHARE = 0.9
IMAGES = 2  # of a cover
IMAGE = "image.png"
MEGABYTE = 1_000_000
SIZE = 2 * MEGABYTE
CHUNK = 64 * 1024
MAGIC = b"\x89PNG\r\n\x1a\n"

Save = Callable[[Path, str], Awaitable[object]]
"""Saves the images of one cover in a folder, under names that begin so."""
Opened = Callable[[str], AbstractAsyncContextManager[Save]]


def both(fetch: Callable[[Path], Awaitable[None]]) -> Save:
    """Fetch the images of a cover at once, as ours does."""

    async def save(folder: Path, name: str) -> None:
        await asyncio.gather(*(fetch(folder / f"{name}-{n}.png") for n in range(1, IMAGES + 1)))

    return save


@asynccontextmanager
async def raw_aiohttp(url: str) -> AsyncGenerator[Save, None]:
    """Stream to a file, as people write it."""
    async with aiohttp.ClientSession() as session:

        async def fetch(path: Path) -> None:
            async with session.get(url) as response:
                with open(path, "wb") as file:  # noqa: ASYNC230, PTH123 - as people write it
                    async for chunk in response.content.iter_chunked(CHUNK):
                        file.write(chunk)

        yield both(fetch)


@asynccontextmanager
async def synced_aiohttp(url: str) -> AsyncGenerator[Save, None]:
    """Stream to a file of another name, which is synced and renamed."""
    async with aiohttp.ClientSession() as session:

        async def fetch(path: Path) -> None:
            part = path.with_suffix(".part")
            async with session.get(url) as response:
                with open(part, "wb") as file:  # noqa: ASYNC230, PTH123 - as people write it
                    async for chunk in response.content.iter_chunked(CHUNK):
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)

        yield both(fetch)


@asynccontextmanager
async def ours(url: str) -> AsyncGenerator[Save, None]:
    """Download covers."""
    base = url.removesuffix(f"/{IMAGE}")
    async with SunoCoverClient("key-of-a-test", base_url=base) as client:
        details = CoverDetails(
            cover_task_id="c", status=CoverStatus.SUCCESS, images=(url,) * IMAGES
        )
        yield lambda folder, name: client.download(details, into=folder, name=name)


@asynccontextmanager
async def httpx(url: str) -> AsyncGenerator[Save, None]:
    """Stream to a file, as people write it."""
    async with importlib.import_module("httpx").AsyncClient() as client:

        async def fetch(path: Path) -> None:
            async with client.stream("GET", url) as response:
                with open(path, "wb") as file:  # noqa: ASYNC230, PTH123 - as people write it
                    async for chunk in response.aiter_bytes(CHUNK):
                        file.write(chunk)

        yield both(fetch)


RAW = Contender("raw aiohttp", "aiohttp")
SYNCED = Contender("raw aiohttp, synced", "aiohttp")
OURS = Contender("suno-cover-async", "suno-cover-async")
CONTENDERS: Mapping[Contender, Opened] = {
    RAW: raw_aiohttp,
    SYNCED: synced_aiohttp,
    OURS: ours,
    Contender("httpx", "httpx"): httpx,
}


async def contend(name: str, url: str, covers: int, folder: Path) -> Figures:
    """Measure one contender, in this process."""
    opened = next(opened for one, opened in CONTENDERS.items() if one.name == name)
    figures: dict[str, float] = {}
    async with opened(url) as save:
        for at_once in LEVELS:
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                await all_of(save, at_once, at_once, Path(fresh))  # connections, first files
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                figures |= await measured(save, covers, at_once, Path(fresh))
    return figures


async def measured(save: Save, covers: int, at_once: int, folder: Path) -> Figures:
    """Save so many covers, and make sure that they are there."""
    began, cpu = time.perf_counter(), time.process_time()
    await all_of(save, covers, at_once, folder)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    images = covers * IMAGES
    files = list(folder.iterdir())  # noqa: ASYNC240 - the clock has stopped
    if [path.stat().st_size for path in files] != [SIZE] * images:
        raise RuntimeError("not all images are there")
    return {
        speed_at(at_once): images * SIZE / MEGABYTE / took,
        cpu_at(at_once): 1000 * cpu / images,
    }


async def all_of(save: Save, covers: int, at_once: int, folder: Path) -> None:
    """Save so many covers, so many at once."""
    names = map(str, range(covers))

    async def work() -> None:
        for name in names:
            await save(folder, name)

    await asyncio.gather(*(work() for _ in range(at_once)))


def speed_at(at_once: int) -> str:
    """Name the speed."""
    return f"MB/s at {at_once}"


def cpu_at(at_once: int) -> str:
    """Name the CPU per image."""
    return f"CPU ms at {at_once}"


COLUMNS = [figure(at_once) for at_once in LEVELS for figure in (speed_at, cpu_at)]


def hold(url: str, rounds: int, covers: int, folder: Path) -> dict[str, list[Figures]]:
    """Let all take turns in one folder."""
    options = f"--url={url}/{IMAGE}", f"--covers={covers}", f"--folder={folder}"
    return contest.held(__file__, list(CONTENDERS), rounds, *options)


@contextmanager
def served() -> Generator[str, None, None]:
    """Serve an image; yields the URL."""
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / IMAGE).write_bytes(MAGIC + os.urandom(SIZE - len(MAGIC)))
        Path(root).chmod(0o755)  # nginx's worker is another user
        with nginx.serving(f'location / {{ root "{root}"; sendfile on; tcp_nopush on; }}') as url:
            yield url


def shares(found: Mapping[str, Sequence[Figures]], other: Contender) -> list[float]:
    """Hold ours against another's speed, at each level."""
    return [contest.ratio(found, speed_at(n), OURS.name, other.name) for n in LEVELS]


def main(arguments: Sequence[str] | None = None) -> int:
    """Let all take turns, and judge."""
    options = contest.parser(__doc__, rounds=9)
    options.add_argument("--covers", type=int, default=48, help="of each level")
    options.add_argument("--disk", type=Path, default=tempfile.gettempdir())
    options.add_argument("--memory", type=Path, default="/dev/shm")  # noqa: S108 - as it is called
    options.add_argument("--url", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args(arguments)
    if given.contender:
        figures = asyncio.run(contend(given.contender, given.url, given.covers, given.folder))
        return contest.tell(figures)
    with served() as url:
        disk = hold(url, given.rounds, given.covers, given.disk)
        memory = hold(url, given.rounds, given.covers, given.memory)
    if given.json:
        print(json.dumps({"disk": contest.medians(disk), "memory": contest.medians(memory)}))
    else:
        print(contest.versions(list(CONTENDERS)))
        for place, found in (("on the disk", disk), ("in memory", memory)):
            table = contest.table(found, COLUMNS, RAW.name, digits=2)
            print("", place, *table, sep="\n")
        synced = " and ".join(f"{share:.2f}" for share in shares(disk, SYNCED))
        print(f"\nours on the disk, of raw aiohttp that syncs: {synced}")
    return 0 if min(shares(disk, SYNCED) + shares(memory, RAW)) >= SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
