"""How long does applying choices take, against a bare Pillow loop with the same syncs?

A ledger has covers whose images are PNGs of 1024 × 1024 pixels; eight are drawn, the others are
links to them. Three contenders take turns in every round, each writing the images into a folder of
its own as the preset does (`store`: JPEG, quality 95, 4:4:4; not enlarged, so of 1024 × 1024, or
with `--upscale` of 3000 × 3000):

* ours: `apply_choices`, which reads the ledger, hashes both files, embeds a profile, records each.
* processes: a loop over Pillow alone, in as many processes as there are CPUs.
* threads: the same in as many threads.

The loops write into another name, `fsync`, rename, and `fsync` the folder, as ours does. Reported
are medians of the rounds, and of the rounds' ratios. Bias: the loops know their files, and their
processes are started before the clock.

Exits with 1 when ours takes over 1.2 times what the processes take.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops, ImageOps

sys.path.append(str(Path(__file__).parents[1]))

from suno_cover_async import Ledger, Track
from suno_cover_async.artwork import Applied, apply_choices
from tests.support.saved_covers import save_covers

SHARE = 1.2
DRAWN = 8
SIDE = 1024
FULL_SIDE = 3000
CPUS = os.cpu_count() or 1


def main() -> int:
    """Let all take turns; print medians and ratios."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--covers", type=int, default=1000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--upscale", action="store_true", help="write 3000 × 3000 pixels")
    options.add_argument("--json", action="store_true", help="print JSON")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ledger = asyncio.run(saved(folder, given.covers))
        with ProcessPoolExecutor(CPUS) as processes, ThreadPoolExecutor(CPUS) as threads:
            act = partial(bare, folder / "covers", given.covers, upscale=given.upscale)
            contenders: dict[str, Callable[[Path], None]] = {
                "processes": partial(act, processes),
                "ours": lambda into: asyncio.run(ours(ledger, into, upscale=given.upscale)),
                "threads": partial(act, threads),
            }
            list(processes.map(abs, range(CPUS * 8)))  # they are there, with what they import
            seconds = held(contenders, folder, given.rounds)
    ratios = {
        one: statistics.median(a / b for a, b in zip(took, seconds["processes"], strict=True))
        for one, took in seconds.items()
    }
    found = {
        one: {"seconds": statistics.median(took), "of processes": ratios[one]}
        for one, took in seconds.items()
    }
    if given.json:
        print(json.dumps(found))
    else:
        print(f"{given.covers} covers, {given.rounds} rounds, {CPUS} CPUs")
        for one, row in found.items():
            print(f"{one:12}{row['seconds']:8.2f} s{row['of processes']:8.2f} of the processes'")
    return int(ratios["ours"] > SHARE)


async def saved(folder: Path, covers: int) -> Ledger:
    """Make a ledger with images."""
    (folder / "covers").mkdir()
    for number in range(DRAWN):
        draw(folder / f"{number}.png", number)
    await save_covers(folder / "covers.db", [Track(f"s{n}", title=f"T{n}") for n in range(covers)])
    for number in range(covers):
        for image in (1, 2):
            os.link(folder / f"{number % DRAWN}.png", folder / f"covers/T{number}-{image}.png")
    return Ledger(folder / "covers.db")


def draw(path: Path, number: int) -> None:
    """Draw an image with gradients and a little noise, of some 1.5 MB."""
    size = (SIDE, SIDE)
    noise = Image.effect_noise(size, 12)
    gradients = [Image.linear_gradient("L"), Image.radial_gradient("L")]
    bands = [
        ImageChops.add(
            gradients[(number + n) % 2]
            .rotate(90 * n)
            .transform(size, Image.Transform.EXTENT, (0, 0, 256, 256)),
            noise,
            2,
        )
        for n in range(3)
    ]
    Image.merge("RGB", bands).save(path)


def held(
    contenders: dict[str, Callable[[Path], None]], folder: Path, rounds: int
) -> dict[str, list[float]]:
    """Let all take turns, the first to go being another in each round; return their seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            into = folder / "out"
            into.mkdir()
            os.sync()  # what the one before left to be written is not the next one's
            began = time.perf_counter()
            contenders[name](into)
            seconds[name].append(time.perf_counter() - began)
            shutil.rmtree(into)
    return seconds


async def ours(ledger: Ledger, into: Path, *, upscale: bool) -> None:
    """Apply the choices."""
    outcomes = apply_choices(ledger, into=into, preset="store", default="first", upscale=upscale)
    async for outcome in outcomes:
        if not isinstance(outcome, Applied) or not outcome.is_new:
            raise TypeError(f"not written: {outcome}")


def bare(covers: Path, many: int, pool: Executor, into: Path, *, upscale: bool) -> None:
    """Convert all images in a pool."""
    sources = [covers / f"T{number}-1.png" for number in range(many)]
    for _ in pool.map(partial(convert, into=into, upscale=upscale), sources):
        pass


def convert(source: Path, *, into: Path, upscale: bool) -> None:
    """Convert an image as people write it, and sync it."""
    part, final = into / f"{source.stem}.part", into / f"{source.stem}.jpg"
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    if upscale:
        image = ImageOps.fit(image, (FULL_SIDE, FULL_SIDE), Image.Resampling.LANCZOS)
    with part.open("wb") as file:
        image.save(file, "JPEG", quality=95, subsampling=0)
        file.flush()
        os.fsync(file.fileno())
    part.replace(final)
    handle = os.open(into, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


if __name__ == "__main__":
    sys.exit(main())
