"""The page in a browser while a batch saves covers in the same ledger, all in their processes."""

import re
from pathlib import Path

import pytest

from suno_cover_async import Ledger
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Scenario
from tests.support.batch_commands import batch, catalog, states
from tests.support.browsers import Browser, expect
from tests.support.commands import finish, needs_posix, sandbox_with, start
from tests.support.review_commands import reviewing
from tests.support.review_pages import a_ledger
from tests.support.runs import billed

pytestmark = pytest.mark.asyncio(loop_scope="session")

SONGS = 7
"""As many as the limit lets pass without a wait."""


@needs_posix
async def test_covers_are_chosen_by_keys_while_a_batch_saves_them(
    browser: Browser, tmp_path: Path
) -> None:
    path = await a_ledger(tmp_path, [])
    page = await (await browser.new_context()).new_page()
    ready = page.locator("#page[aria-busy=false] [data-key=ArrowRight]:enabled")
    async with sandbox_with(Scenario(seconds=0.2, image_size=64)) as sandbox:
        catalog(tmp_path, sandbox.add_music(SONGS))
        async with reviewing(tmp_path) as review:
            await page.goto(review.page.urls["Ann"])
            await expect(page.get_by_role("heading", name="No covers yet")).to_be_visible()
            running = await start(*batch(sandbox, "--concurrency", "1"), cwd=tmp_path)
            for count in range(1, SONGS + 1):
                await expect(ready).to_be_visible()
                await page.keyboard.press("ArrowRight")
                await expect(page.locator("#decided")).to_have_text(re.compile(f"^{count} of "))
            ended = await finish(running)
            await expect(page.get_by_role("heading", name="All covers are decided")).to_be_visible()
            while await page.evaluate("import('./server.js').then((it) => it.saves.size)"):
                await page.evaluate("() => new Promise(requestAnimationFrame)")
            await review.end()
    await page.context.close()

    assert ended.code == ExitCode.DONE, ended.err
    assert states(path) == {"saved": SONGS}
    assert sum(billed(sandbox).values()) == len(billed(sandbox)) == SONGS
    async with Ledger(path).choices() as choices:
        found = await choices.page(limit=SONGS)
    assert [(one.choice.image, one.choice.revision) for one in found] == [(2, 1)] * SONGS
