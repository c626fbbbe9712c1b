"""The review page in a browser: Debian's Chromium, driven by Playwright."""

import contextlib
import json
import os
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("playwright", reason="the browser tests need playwright (group `browser`)")

from playwright.async_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Route,
    async_playwright,
    expect,
)

from suno_cover_async import Choice, Decision, Ledger, Track
from tests.support.commands import PATIENCE
from tests.support.review_ledgers import a_review_ledger
from tests.support.review_pages import Page as Served
from tests.support.review_pages import serving

__all__ = [
    "DESKTOP",
    "LAPTOP",
    "NEXT_STEP",
    "PHONE",
    "Browser",
    "Page",
    "Review",
    "Route",
    "Start",
    "chromium",
    "expect",
    "refuse",
    "reviewing",
]

MILLISECONDS = PATIENCE * 1_000

LAPTOP, DESKTOP, PHONE = (1280, 800), (1920, 1080), (390, 844)
NEXT_STEP = "suno-cover apply covers.db --into artwork"

expect.set_options(timeout=MILLISECONDS)


@contextlib.asynccontextmanager
async def chromium() -> AsyncGenerator[Browser, None]:
    """Run Chromium; the test is skipped where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("the browser tests need chromium (on Debian: apt install chromium)")
    is_root = hasattr(os, "getuid") and os.getuid() == 0
    options = [
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP *.example 127.0.0.1",  # names of attackers
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path, args=[*options, *(["--no-sandbox"] if is_root else [])]
        )
        yield browser
        await browser.close()


def destinations(entry: Any) -> Sequence[str]:
    return [f"artwork/{entry.tracks[0].title}.jpg (3000 x 3000 JPEG)"]


@attrs.define
class Review:
    """A ledger, the server of its page, and a browser that opened it.

    Attributes:
        path: The ledger.
        browser: The browser.
        page: Ann's page.
        errors: What the page did wrong: errors of scripts, and what the CSP refused.
        served: The server; None while it is stopped.
    """

    path: Path
    browser: Browser
    stack: contextlib.AsyncExitStack
    page: Page = attrs.field(init=False)
    errors: list[str] = attrs.Factory(list[str])
    served: Served | None = None
    server: contextlib.AsyncExitStack = attrs.Factory(contextlib.AsyncExitStack)

    async def serve(self, port: int = 0) -> Served:
        """Start the server."""
        self.server = contextlib.AsyncExitStack()
        self.stack.push_async_callback(self.stop)
        self.served = await self.server.enter_async_context(
            serving(self.path, port=port, next_step=NEXT_STEP, destinations=destinations)
        )
        return self.served

    async def stop(self) -> None:
        """Stop the server; its sessions are lost."""
        await self.server.aclose()

    async def restart(self) -> Served:
        """Start the server anew on the same port."""
        assert self.served
        port = self.served.port
        await self.stop()
        return await self.serve(port)

    def url(self, person: str = "Ann") -> str:
        """Return a person's newest URL."""
        assert self.served
        known = self.served.urls | dict(self.served.renewed)
        return known[person]

    async def enter(self, person: str = "Ann", fragment: str = "", **options: Any) -> Page:
        """Open the page in a browser of its own."""
        width, height = options.pop("size", LAPTOP)
        options["viewport"] = {"width": width, "height": height}
        context = await self.browser.new_context(**options)
        self.stack.push_async_callback(context.close)
        context.set_default_timeout(MILLISECONDS)
        # A page whose requests are intercepted only later may send one more past the interception.
        await context.route("**/intercepted-from-the-start", Route.abort)
        page = await context.new_page()
        self.watch(page)
        await page.goto(self.url(person) + fragment)
        await expect(page.locator("#page")).to_have_attribute("aria-busy", "false")
        return page

    def watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda said: (
                self.errors.append(said.text) if "Content Security Policy" in said.text else None
            ),
        )

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    @property
    def title(self) -> Locator:
        return self.page.locator("#title")

    @property
    def status(self) -> Locator:
        return self.page.locator("#status")

    @property
    def focused(self) -> Locator:
        return self.page.locator(":focus")

    async def shows(self, number: int) -> None:
        """Wait until the page shows the cover of this number."""
        await expect(self.page.locator("#position")).to_have_text(f"No. {number}")

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.page.keyboard.press(key)

    async def all_saved(self) -> None:
        """Wait until the page has nothing that is not saved."""
        while await self.unsaved():
            await self.page.evaluate("() => new Promise(requestAnimationFrame)")

    async def unsaved(self) -> int:
        """Return how many decisions the page has that are not saved."""
        return int(await self.page.evaluate("import('./server.js').then((it) => it.saves.size)"))

    async def choices(self) -> dict[int, Choice]:
        """Read the choices in the ledger, those of undecided covers left out."""
        async with Ledger(self.path).choices() as choices:
            found = await choices.page(limit=10_000)
        return {
            entry.number: entry.choice
            for entry in found
            if entry.choice.decision is not Decision.UNDECIDED
        }

    async def decisions(self) -> dict[int, int | str]:
        """Read the image or the decision of each decided cover, once the page saved them."""
        await self.all_saved()
        return {
            number: choice.image or choice.decision.value
            for number, choice in (await self.choices()).items()
        }

    async def choose(self, number: int, decision: Decision, image: int | None = None) -> None:
        """Decide as Ben, in the ledger itself."""
        async with Ledger(self.path).choices() as choices:
            revision = (await choices.entry(number)).choice.revision
            await choices.choose(number, decision, image, revision=revision, by="Ben")


Start = Callable[..., Awaitable[Review]]
"""Opens the page of a new ledger with covers of these tracks, or of so many."""


@contextlib.asynccontextmanager
async def reviewing(
    browser: Browser,
    folder: Path,
    tracks: Sequence[Track] | int,
    *,
    fragment: str = "",
    side: int | None = None,
    **options: Any,
) -> AsyncGenerator[Review, None]:
    """Serve a new ledger, with Ann's page open; nothing may have gone wrong in it."""
    async with contextlib.AsyncExitStack() as stack:
        path = await a_review_ledger(folder, tracks, side=side)
        review = Review(path, browser, stack)
        await review.serve()
        review.page = await review.enter(fragment=fragment, **options)
        yield review
        assert review.errors == []


async def refuse(route: Route, status: int, error: str) -> None:
    """Answer a request as the server would that refuses it."""
    body = json.dumps({"error": error})
    await route.fulfill(status=status, body=body, content_type="application/json")
