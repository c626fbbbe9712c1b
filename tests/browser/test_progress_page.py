"""The page of `fastapi_progress.py` in Chromium, by the example's own command, on the sandbox."""

import contextlib
import os
import re
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from pathlib import Path

import attrs
import pytest
from yarl import URL

from suno_cover_async.sandbox import Fault, Sandbox
from tests.browser.test_accessibility import TAGS, axe
from tests.support.browsers import LAPTOP, PHONE, Browser, Page, Route, expect
from tests.support.waiting import until
from tests.support.web_examples import FINISHED, UNSEEN, Example, prepared

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZES = {"phone": PHONE, "laptop": LAPTOP}
DRAWN = attrs.evolve(FINISHED, polls=3, image_size=64)
HELD = attrs.evolve(DRAWN, maintenance=1, faults_on={"details"})
"""No poll succeeds but those that a script lets pass: one that says pending, one generating."""


@attrs.define
class Visit:
    """A page in a browser of its own, and what it did."""

    page: Page
    example: Example
    errors: list[str] = attrs.Factory(list[str])
    hosts: set[str] = attrs.Factory(set[str])

    async def ask(self, song: str) -> None:
        await self.page.get_by_label("Task id of a finished song").fill(song)
        await self.page.get_by_role("button", name="Make its cover").click()

    async def try_again(self) -> None:
        await self.page.get_by_role("button", name="Try again: this may cost again").click()

    async def alerts(self, words: str) -> None:
        await expect(self.page.get_by_role("alert")).to_contain_text(words)

    async def refuse_once(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Answer 503 to the next stream of events, as a proxy does, after something happened."""

        async def refuse(route: Route) -> None:
            await meanwhile()
            await route.fulfill(status=503)

        await self.page.route("**/events", refuse, times=1)

    async def says(self, words: str) -> None:
        await expect(self.page.get_by_role("status")).to_have_text(words)

    async def shows_images(self, side: int) -> None:
        images = self.page.locator("#images img")
        await expect(images).to_have_count(2)
        for image in await images.all():
            await expect(image).to_have_js_property("naturalWidth", side)

    async def findings(self) -> list[str]:
        await self.page.evaluate(axe())
        found = await self.page.evaluate(
            "async (tags) => (await axe.run({runOnly: tags})).violations", TAGS
        )
        return [f"{rule['id']}: {node['target']}" for rule in found for node in rule["nodes"]]

    async def screenshot(self, name: str, folder: Path) -> None:
        """Keep one in `$SCREENSHOTS` or the test's own folder."""
        kept = Path(os.environ.get("SCREENSHOTS") or folder)
        kept.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=kept / f"progress {name}.png", full_page=True)


@contextlib.asynccontextmanager
async def visiting(
    browser: Browser, example: Example, size: str = "laptop", scheme: str = "light"
) -> AsyncGenerator[Visit, None]:
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    visit = Visit(await context.new_page(), example)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.on(
        "console", lambda it: visit.errors.append(it.text) if it.type == "error" else None
    )
    visit.page.on("request", lambda request: visit.hosts.add(URL(request.url).authority))
    await visit.page.goto(example.url)
    yield visit
    await context.close()


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("laptop", "dark")])
async def test_a_person_asks_sees_progress_and_then_two_images_and_no_other_host_is_asked(
    browser: Browser, size: str, scheme: str, tmp_path: Path
) -> None:
    async with Sandbox(HELD) as sandbox:
        example = prepared("fastapi_progress.py", "uvicorn", tmp_path, sandbox)
        (song,) = sandbox.add_music()
        async with example.running(), visiting(browser, example, size, scheme) as visit:
            await visit.screenshot(f"{size} start", tmp_path)
            found = await visit.findings()
            await visit.ask(song)
            await visit.says("The cover was submitted.")
            sandbox.script("details", Fault.NONE, Fault.NONE)
            await visit.says("The cover is being generated.")
            await visit.screenshot(f"{size} generating", tmp_path)
            step = visit.page.locator("#steps [aria-current=step]")
            await expect(step).to_have_text("Generating")
            await expect(visit.page.locator("#seconds")).to_have_text(re.compile(r"^[1-9]\d* s$"))
            found += await visit.findings()
            sandbox.scenario = DRAWN
            await visit.says("The cover is finished.")
            await visit.shows_images(64)
            await visit.screenshot(f"{size} finished", tmp_path)
            found += await visit.findings()
            across = await visit.page.evaluate("document.documentElement.scrollWidth")

        assert found == []
        assert across <= SIZES[size][0]
        assert visit.errors == []
        assert visit.hosts == {f"127.0.0.1:{example.port}"}
        assert len(sandbox.journal.bills) == 1


async def test_a_double_click_is_one_bill_and_an_error_is_an_alert_that_is_text(
    browser: Browser, tmp_path: Path
) -> None:
    async with Sandbox(attrs.evolve(FINISHED, image_size=64)) as sandbox:
        example = prepared("fastapi_progress.py", "uvicorn", tmp_path, sandbox)
        (song,) = sandbox.add_music()
        async with example.running(), visiting(browser, example, "phone") as visit:
            await visit.page.get_by_label("Task id of a finished song").fill(f"  {song} ")
            await visit.page.get_by_role("button", name="Make its cover").dblclick()
            await visit.shows_images(64)
            bills = len(sandbox.journal.bills)
            await visit.ask("<img/src=x/onerror=alert(1)>")
            alert = visit.page.get_by_role("alert")
            await expect(alert).to_contain_text("<img/src=x/onerror=alert(1)>")
            await visit.screenshot("phone error", tmp_path)
            found = await visit.findings()
            pictures = await visit.page.locator("img").count()
            across = await visit.page.evaluate("document.documentElement.scrollWidth")
            fine = list(visit.errors)
            await visit.ask("two words")
            await expect(alert).to_contain_text("without spaces")

        assert (bills, pictures) == (1, 0)
        assert found == []
        assert across <= PHONE[0]
        assert fine == []


async def test_a_page_whose_server_is_killed_and_started_again_shows_the_cover_by_itself(
    browser: Browser, tmp_path: Path
) -> None:
    async with Sandbox(UNSEEN) as sandbox:
        example = prepared("fastapi_progress.py", "uvicorn", tmp_path, sandbox)
        (song,) = sandbox.add_music()
        async with contextlib.AsyncExitStack() as stack:
            async with example.running():
                visit = await stack.enter_async_context(visiting(browser, example))
                await visit.ask(song)
                await until(lambda: sandbox.journal.of("details"), every=0.01)
            await visit.says("The connection was lost. Trying again.")
            sandbox.scenario = FINISHED

            async with example.running():
                await visit.says("The cover is finished.")
                await visit.shows_images(16)

        assert len(sandbox.journal.bills) == 1


async def a_failure(sandbox: Sandbox, example: Example) -> None:
    """Wait until the server knows that the only cover failed."""
    await until(lambda: sandbox.journal.of("details") and not example.unfinished, every=0.02)


async def test_a_page_that_is_refused_once_submits_no_failed_cover_until_a_person_chooses(
    browser: Browser, tmp_path: Path
) -> None:
    async with Sandbox(FINISHED) as sandbox:
        example = prepared("fastapi_progress.py", "uvicorn", tmp_path, sandbox)
        (song,) = sandbox.add_music(fails=True)

        async with example.running(), visiting(browser, example, "phone") as visit:
            await visit.refuse_once(partial(a_failure, sandbox, example))
            await visit.ask(song)
            await visit.alerts("failed")
            assert len(sandbox.journal.of("submit")) == 1
            found = await visit.findings()
            await visit.screenshot("phone failed", tmp_path)
            await visit.try_again()
            await until(lambda: len(sandbox.journal.of("submit")) == 2, every=0.02)
            await visit.alerts("failed")

        assert found == []


async def test_a_page_whose_server_forgot_the_cover_asks_for_nothing_until_a_person_does(
    browser: Browser, tmp_path: Path
) -> None:
    async with Sandbox(FINISHED) as sandbox:
        example = prepared("fastapi_progress.py", "uvicorn", tmp_path, sandbox)
        (song,) = sandbox.add_music(fails=True)

        async def restarted() -> None:
            await a_failure(sandbox, example)
            await example.stop(signal.SIGKILL)
            await stack.enter_async_context(example.running())

        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(example.running())
            visit = await stack.enter_async_context(visiting(browser, example))
            await visit.refuse_once(restarted)
            await visit.ask(song)
            await visit.alerts("The server does not know this cover any more.")
            polls = len(sandbox.journal.of("details"))
            await visit.ask(song)
            await visit.alerts("failed")

        assert len(sandbox.journal.of("submit")) == 1
        assert len(sandbox.journal.of("details")) == polls + 1
