"""How soon does the review page show a pair: the first of 10,000 covers, and the next after a key?

A ledger has covers whose images are PNGs of 1024 × 1024 pixels; eight are drawn, the others are
links to them. `suno-cover review` serves it, and Debian's Chromium opens it by Playwright, all on
this machine. Each round has a new process and a new browser profile, so that nothing is cached:

* first: from the request of the printed URL until the first pair is painted, both images decoded
  and their six small copies loaded.
* at once: from a key until the next pair is painted likewise, where each key comes as soon as the
  pair before it is there, which is faster than any person.
* by a person: the same, with a pause before each key.

The page's own clock takes the times, from the key's event to the frame after the last image. Bias:
the page, its server and the browser share the CPUs, and Chromium draws without a GPU.

Exits with 1 when a first pair takes over 1 s or a next one over 150 ms, in the median.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from apply import saved
from playwright.async_api import Browser, Page, ViewportSize, async_playwright

MOST = {"first": 1_000, "at once": 150, "by a person": 150}  # ms
SIZE: ViewportSize = {"width": 1280, "height": 800}
KEYS = ("ArrowLeft", "ArrowRight", "ArrowDown")

# `painted` is resolved once a pair with another number than `before` was drawn, with its time.
SCRIPT = """
let pressed = 0;
addEventListener("keydown", (event) => (pressed = event.timeStamp), true);
const frame = () => new Promise(requestAnimationFrame);
window.painted = async (before) => {
  const position = () => document.getElementById("position")?.textContent;
  const images = () => [...document.querySelectorAll("#stage img")];
  const isThere = () => position() && position() !== before
    && images().length === 8 && images().every((one) => one.complete && one.naturalWidth);
  while (!isThere()) await frame();
  await Promise.all(images().map((one) => one.decode()));
  await frame();
  const after = new MessageChannel();
  const isDrawn = new Promise((resolve) => (after.port1.onmessage = resolve));
  await frame();
  after.port2.postMessage(null);
  await isDrawn;
  return [position(), performance.now() - pressed];
};
"""


def main() -> int:
    """Open the page and press keys; print medians."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--covers", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--keys", type=int, default=100, help="of each kind, in each round")
    options.add_argument("--pause", type=float, default=0.5, help="of a person, in seconds")
    options.add_argument("--json", action="store_true", help="print JSON")
    given = options.parse_args()
    if given.covers <= 2 * given.keys:
        options.error("--covers must be more than twice --keys")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(saved(folder, given.covers))
        times = asyncio.run(measured(folder, given.rounds, given.keys, given.pause))
    medians = {kind: statistics.median(values) for kind, values in times.items()}
    slow = {kind: sorted(values)[len(values) * 19 // 20] for kind, values in times.items()}
    if given.json:
        rows = {kind: {"median ms": medians[kind], "95 % ms": slow[kind]} for kind in times}
        print(json.dumps(rows))
    else:
        print(f"{given.covers} covers, {given.rounds} rounds, {os.cpu_count()} CPUs")
        for kind in times:
            print(f"{kind:14}{medians[kind]:6.0f} ms, 95 % within {slow[kind]:.0f} ms")
    return int(any(medians[kind] > most for kind, most in MOST.items()))


async def measured(folder: Path, rounds: int, keys: int, pause: float) -> dict[str, list[float]]:
    """Return the milliseconds of each kind."""
    times: dict[str, list[float]] = {kind: [] for kind in MOST}
    is_root = hasattr(os, "getuid") and os.getuid() == 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"),
            args=["--no-sandbox"] if is_root else [],
        )
        for _ in range(rounds):
            async with served(folder) as url, opened(browser) as page:
                await page.goto(url, wait_until="commit")
                number, took = await page.evaluate("painted(null)")
                times["first"].append(took)
                for kind, wait in (("at once", 0.0), ("by a person", pause)):
                    for count in range(keys):
                        await asyncio.sleep(wait)
                        await page.keyboard.press(KEYS[count % len(KEYS)])
                        number, took = await page.evaluate("(before) => painted(before)", number)
                        times[kind].append(took)
        await browser.close()
    return times


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncGenerator[str, None]:
    """Run `suno-cover review` on a copy of the ledger, and yield the URL."""
    with tempfile.TemporaryDirectory() as name:
        ledger = shutil.copy(folder / "covers.db", name)
        command = ("suno_cover_async", "review", ledger, "--port", "0", "--as", "Ann")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *command),
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            if process.stdout is None:
                raise TypeError("no standard output")
            yield (await process.stdout.readline()).decode().partition(": ")[2].strip()
        finally:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def opened(browser: Browser) -> AsyncGenerator[Page, None]:
    """Yield a page of a new profile."""
    context = await browser.new_context(viewport=SIZE)
    page = await context.new_page()
    await page.add_init_script(SCRIPT)
    yield page
    await context.close()


if __name__ == "__main__":
    sys.exit(main())
