"""A whole session by keys alone, whose server is killed in the middle."""

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from suno_cover_async import Decision, Ledger
from tests.support.browsers import Browser, Page, expect
from tests.support.commands import MODULE, PIPE
from tests.support.review_ledgers import a_review_ledger

pytestmark = pytest.mark.asyncio(loop_scope="session")

COVERS = 200
KEYS = ("ArrowLeft", "ArrowRight", "ArrowDown", "ArrowRight")
EXPECTED = ("1", "2", "neither", "2")


@contextlib.asynccontextmanager
async def served(folder: Path, port: int) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """Run `suno-cover review`, and yield the process and Ann's URL."""
    command = [*MODULE, "review", "covers.db", "--port", str(port), "--as", "Ann", "--no-open"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout
    try:
        yield process, (await process.stdout.readline()).decode().partition(": ")[2].strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def decide(page: Page, first: int, last: int) -> None:
    for number in range(first, last + 1):
        await expect(page.locator("#position")).to_have_text(f"No. {number}")
        await page.keyboard.press(KEYS[number % len(KEYS)])


async def until(page: Page, holds: str) -> None:
    """Wait until this holds for the page's module `server.js`, which is `it`."""
    while not await page.evaluate(f"import('./server.js').then((it) => {holds})"):
        await page.evaluate("() => new Promise(requestAnimationFrame)")


@pytest.mark.timeout(400)  # it takes a minute where nothing else runs
async def test_two_hundred_covers_by_keys_alone_with_the_server_killed_at_one_hundred(
    browser: Browser, tmp_path: Path
) -> None:
    path = await a_review_ledger(tmp_path, COVERS)
    page = await (await browser.new_context()).new_page()
    async with served(tmp_path, 0) as (process, url):
        port = int(re.findall(r":(\d+)/", url)[0])
        await page.goto(url)
        await decide(page, 1, COVERS // 2)
        await until(page, f"it.pairs.has({COVERS // 2 + 5})")  # what is decided without a server
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await decide(page, COVERS // 2 + 1, COVERS // 2 + 4)
    await expect(page.locator("#offline")).to_contain_text("not saved yet")

    async with served(tmp_path, port) as (_, url):
        await page.get_by_label("URL or token").fill(url)
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await decide(page, COVERS // 2 + 5, COVERS)
        await expect(page.get_by_role("heading", name="All covers are decided")).to_be_visible()
        await until(page, "it.saves.size === 0")
    await page.context.close()

    async with Ledger(path).choices() as choices:
        found = await choices.page(limit=COVERS)
        assert (await choices.counts())[Decision.UNDECIDED] == 0
    made = [str(entry.choice.image or entry.choice.decision.value) for entry in found]
    assert made == [EXPECTED[number % len(KEYS)] for number in range(1, COVERS + 1)]
