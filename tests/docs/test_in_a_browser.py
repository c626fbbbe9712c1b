"""The site in Chromium: it asks no other host, fits a phone, is searched, and all can read it."""

import contextlib
import importlib.util
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.browsers import Browser, expect
from tests.support.browsers import Page as Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[2]
PHONE, WIDE = (390, 844), (1440, 900)
READ = (
    "",
    "tutorial/",
    "how-to/catalog/",
    "how-to/callbacks/",
    "reference/client/",
    "reference/errors/",
    "explanation/unproven/",
    "troubleshooting/",
)
"""A page of each kind."""

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
SERIOUS = {"serious", "critical"}


@attrs.define(slots=False)  # playwright keeps attributes of its own there
class Visit:
    """A tab, and all that went wrong in it, or left this machine."""

    tab: Tab
    address: str
    foreign: list[str] = attrs.field(factory=list[str])
    complaints: list[str] = attrs.field(factory=list[str])

    def __attrs_post_init__(self) -> None:
        self.tab.on("request", lambda request: self._asked(request.url))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("console", self._said)
        self.tab.on("response", self._answered)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.foreign.append(url)

    def _said(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _answered(self, response: Any) -> None:
        if not response.ok and response.status != 304:
            self.complaints.append(f"{response.status} {response.url}")

    async def open(self, page: str) -> None:
        await self.tab.goto(self.address + page, wait_until="load")


@contextlib.asynccontextmanager
async def visiting(
    browser: Browser, address: str, size: tuple[int, int], scheme: Any = "light"
) -> AsyncIterator[Visit]:
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
    )
    try:
        yield Visit(await context.new_page(), address)
    finally:
        await context.close()


def all_pages() -> list[str]:
    """Return the paths of all pages that the navigation names."""
    nav = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    named = re.findall(r"([\w/.-]+)\.md", str(nav))
    return ["" if page == "index" else f"{page}/" for page in named]


@pytest.mark.parametrize("page", all_pages())
async def test_a_page_asks_no_other_host_complains_of_nothing_and_fits_the_screen(
    browser: Browser, address: str, page: str
) -> None:
    for size in (PHONE, WIDE):
        async with visiting(browser, address, size) as visit:
            await visit.open(page)

            assert await visit.tab.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert visit.foreign == []
            assert visit.complaints == []


@pytest.mark.parametrize("size", [PHONE, WIDE], ids=["phone", "wide"])
async def test_the_search_finds_a_public_name_without_another_host(
    browser: Browser, address: str, size: tuple[int, int]
) -> None:
    async with visiting(browser, address, size) as visit:
        await visit.open("")

        found = visit.tab.locator("a[href*='reference/errors/']:has-text('CoverTimeoutError')")
        for _ in range(10):  # the page hears no key before its script has run
            await visit.tab.keyboard.press("Control+k")
            await visit.tab.keyboard.type("CoverTimeoutError")
            with contextlib.suppress(AssertionError):
                await expect(found.first).to_be_visible(timeout=8_000)
                break
            await visit.tab.keyboard.press("Escape")

        await expect(found.first).to_be_visible()
        assert visit.foreign == []
        assert visit.complaints == []


async def test_a_dark_system_has_a_dark_page(browser: Browser, address: str) -> None:
    shades: dict[str, int] = {}
    for scheme in ("light", "dark"):
        async with visiting(browser, address, WIDE, scheme) as visit:
            await visit.open("tutorial/")
            shade = "getComputedStyle(document.body).backgroundColor"
            text = str(await visit.tab.evaluate(shade))
            shades[scheme] = sum(int(part) for part in text.strip("rgba()").split(",")[:3])

    assert shades["light"] > 700
    assert shades["dark"] < 200


def axe() -> str:
    """Return the script of axe-core; skip where the package that ships it is missing."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("axe-core is in axe-playwright-python (group `browser`)")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text()


@pytest.mark.parametrize(
    ("size", "scheme"), [(PHONE, "light"), (WIDE, "dark")], ids=["phone", "wide"]
)
@pytest.mark.parametrize("page", READ)
async def test_axe_finds_nothing_serious(
    browser: Browser, address: str, page: str, size: tuple[int, int], scheme: str
) -> None:
    async with visiting(browser, address, size, scheme) as visit:
        await visit.open(page)
        await visit.tab.evaluate(axe())
        found: list[dict[str, Any]] = await visit.tab.evaluate(
            "async (tags) => (await axe.run({runOnly: tags})).violations", TAGS
        )

    assert [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found
        if rule["impact"] in SERIOUS
        for node in rule["nodes"]
    ] == []
