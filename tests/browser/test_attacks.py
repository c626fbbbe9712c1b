"""Pages of other origins, in the browser of a person who has a session, get and change nothing."""

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from aiohttp import web

from tests.support.browsers import Page, Review, Start, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = '{"decision": "image", "image": 1, "revision": 0}'
CHOICE = "api/pairs/1/choice"

# Another port of this machine is another origin of the same site, to which cookies are sent.
HOSTS = ["127.0.0.1", "evil.example"]

KINDS = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]

REQUESTS = {
    "a choice by fetch": ("PUT", CHOICE, "application/json"),
    "a choice by a method without preflight": ("POST", CHOICE, "text/plain"),
    "a session by fetch": ("POST", "api/session", "application/json"),
    "a session without preflight": ("POST", "api/session", "text/plain"),
    "covers": ("GET", "api/pairs", None),
    "the summary": ("GET", "api/summary", None),
    "an image": ("GET", "images/1/1", None),
}
# Returns what the attacker learns: null for nothing.
FETCH = """async ([url, method, type, body, mode]) => {
  const headers = type ? {"content-type": type} : {};
  const options = {method, headers, mode, credentials: "include"};
  try {
    const answer = await fetch(url, method === "GET" ? options : {...options, body});
    return answer.type === "opaque" ? null : await answer.text();
  } catch {
    return null;
  }
}"""
FORM = """([url, kind, text]) => new Promise((resolve) => {
  const frame = Object.assign(document.createElement("iframe"), {name: "target"});
  const form = document.createElement("form");
  Object.assign(form, {action: url, method: "POST", enctype: kind, target: "target"});
  form.append(Object.assign(document.createElement("input"), {name: text, value: ""}));
  document.body.append(frame, form);
  frame.onload = () => resolve(frame.remove());
  form.submit();
})"""
ELEMENT = """([name, url]) => new Promise((resolve) => {
  const element = document.createElement(name);
  element.onload = () => resolve("loaded");
  element.onerror = () => resolve("refused");
  element[name === "link" ? "href" : "src"] = url;
  if (name === "link") element.rel = "stylesheet";
  document.body.append(element);
})"""


@contextlib.asynccontextmanager
async def attacker(review: Review, host: str) -> AsyncGenerator[tuple[Page, list[int]], None]:
    """Open a page of another origin beside Ann's; yield it and what the server answers to it."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="<p>hello", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    page = await review.context.new_page()
    await page.goto(f"http://{host}:{runner.addresses[0][1]}/")
    statuses: list[int] = []
    page.on("response", lambda answer: statuses.append(answer.status))
    yield page, statuses
    await page.close()
    await runner.cleanup()


def token_of(review: Review, person: str) -> str:
    """Return the body with which a person's page begins a session."""
    return json.dumps({"token": review.url(person).partition("token=")[2]})


async def nothing_changed(review: Review) -> None:
    """Check that nothing was decided and no token used, and that the person's page goes on."""
    assert review.served
    assert len(review.served.renewed) == 1  # Ann's own entry
    assert await review.choices() == {}
    await review.press("ArrowRight")
    assert await review.decisions() == {1: 2}


@pytest.mark.parametrize("host", HOSTS)
async def test_scripts_of_other_origins_read_and_change_nothing(start: Start, host: str) -> None:
    review = await start(3)
    base = review.page.url

    async with attacker(review, host) as (page, statuses):
        for mode in ("cors", "no-cors"):
            for what, (method, path, kind) in REQUESTS.items():
                body = token_of(review, "Ben") if path == "api/session" else BODY
                learned: Any = await page.evaluate(FETCH, [base + path, method, kind, body, mode])
                assert learned is None, what

    assert all(status >= 400 for status in statuses), statuses
    await nothing_changed(review)


@pytest.mark.parametrize("host", HOSTS)
async def test_forms_of_other_origins_change_nothing(start: Start, host: str) -> None:
    review = await start(3)
    base = review.page.url

    async with attacker(review, host) as (page, statuses):
        for path, text in ((CHOICE, BODY), ("api/session", token_of(review, "Ben"))):
            for kind in KINDS:
                await page.evaluate(FORM, [base + path, kind, text])

    assert len(statuses) == 2 * len(KINDS)
    assert all(status in {401, 403, 405, 415} for status in statuses), statuses
    await nothing_changed(review)


@pytest.mark.parametrize("host", HOSTS)
async def test_elements_of_other_origins_load_no_image_and_no_data(start: Start, host: str) -> None:
    review = await start(3)
    base = review.page.url

    async with attacker(review, host) as (page, _):
        for name, path in (
            ("img", "images/1/1"),
            ("img", "images/1/1?size=64"),
            ("script", "api/pairs"),
            ("script", "review.js"),
            ("link", "style.css"),
        ):
            assert await page.evaluate(ELEMENT, [name, base + path]) == "refused", path

    await nothing_changed(review)


@pytest.mark.parametrize("host", HOSTS)
async def test_no_other_page_can_frame_the_page(start: Start, host: str) -> None:
    review = await start(3)

    async with attacker(review, host) as (page, _):
        await page.evaluate(ELEMENT, ["iframe", review.page.url])
        [frame] = page.main_frame.child_frames
        assert await frame.locator("#page").count() == 0

    await nothing_changed(review)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_page_that_opens_the_page_has_no_hold_of_it(start: Start, host: str) -> None:
    review = await start(3)

    async with attacker(review, host) as (page, _):
        async with page.expect_popup() as opened:
            await page.evaluate("(url) => { window.popup = open(url); }", review.page.url)
        popup = await opened.value
        await expect(popup.locator("#page")).to_be_attached()
        assert await page.evaluate("popup.closed")  # to the opener it is gone
        await popup.close()

    await nothing_changed(review)


async def test_a_name_that_was_rebound_to_this_machine_gets_nothing(start: Start) -> None:
    review = await start(3)
    assert review.served
    port = review.served.port
    page = await review.context.new_page()

    shown = await page.goto(f"http://evil.example:{port}/?token=x")
    assert shown
    assert shown.status == 421
    for method, path, kind in REQUESTS.values():
        learned: Any = await page.evaluate(FETCH, [f"/{path}", method, kind, BODY, "same-origin"])
        assert learned == '{"error": "this is not the host of the page"}'
    assert [cookie["domain"] for cookie in await review.context.cookies()] == ["127.0.0.1"]
    await page.close()

    await nothing_changed(review)
