"""Decisions on their way to the server: in the background, in order, and never lost."""

import asyncio
import json
import re
from typing import Any

import pytest

from suno_cover_async import Decision
from tests.support.browsers import Review, Route, Start, expect, refuse

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHOICES = "**/choice"


def asked(route: Route) -> tuple[int, str, int | None]:
    """Return the number, the decision and the image that a request is about."""
    body: dict[str, Any] = json.loads(route.request.post_data or "")
    return int(route.request.url.split("/")[-2]), body["decision"], body["image"]


async def test_a_decision_advances_before_the_server_answers(start: Start) -> None:
    review = await start(3)
    answer = asyncio.Event()

    async def hold(route: Route) -> None:
        await answer.wait()
        await route.continue_()

    await review.page.route(CHOICES, hold)
    await review.press("ArrowLeft", "ArrowRight")
    await review.shows(3)
    assert await review.choices() == {}
    answer.set()

    assert await review.decisions() == {1: 1, 2: 2}


async def test_decisions_are_saved_in_order_and_one_at_a_time(start: Start) -> None:
    review = await start(4)
    order: list[tuple[int, str, int | None]] = []
    most = open_ = 0

    async def watch(route: Route) -> None:
        nonlocal most, open_
        order.append(asked(route))
        open_ += 1
        most = max(most, open_)
        await asyncio.sleep(0)
        answer = await route.fetch()
        open_ -= 1
        await route.fulfill(response=answer)

    await review.page.route(CHOICES, watch)
    await review.press("ArrowLeft", "ArrowDown", " ")

    assert await review.decisions() == {1: 1, 2: "neither", 3: "later"}
    assert order == [(1, "image", 1), (2, "neither", None), (3, "later", None)]
    assert most == 1


async def test_a_decision_that_changes_while_it_is_sent_is_sent_again(start: Start) -> None:
    review = await start(3)
    answer = asyncio.Event()
    order: list[tuple[int, str, int | None]] = []

    async def hold(route: Route) -> None:
        order.append(asked(route))
        await answer.wait()
        await route.continue_()

    await review.page.route(CHOICES, hold)
    await review.press("ArrowLeft", "Backspace", "ArrowRight")
    await review.shows(2)
    answer.set()

    assert await review.decisions() == {1: 2}
    assert order == [(1, "image", 1), (1, "image", 2)]


async def test_offline_decisions_are_counted_and_saved_later(start: Start) -> None:
    review = await start(5)
    offline = review.page.locator("#offline")
    await review.context.set_offline(offline=True)

    await review.press("ArrowLeft")
    await expect(offline).to_have_text("Offline: 1 decision is not saved yet")
    await review.press("ArrowRight", "ArrowDown")

    await expect(offline).to_have_text("Offline: 3 decisions are not saved yet")
    await expect(review.page.locator("#decided")).to_have_text("3 of 5 decided")
    assert await review.choices() == {}
    await review.context.set_offline(offline=False)
    await expect(offline).to_be_hidden()
    assert await review.decisions() == {1: 1, 2: 2, 3: "neither"}


async def test_a_server_error_is_retried(start: Start) -> None:
    review = await start(3)
    statuses = [500, 503, 502]

    async def fail(route: Route) -> None:
        if statuses:
            await refuse(route, statuses.pop(), "the disk is busy")
        else:
            await route.continue_()

    await review.page.route(CHOICES, fail)
    await review.press("ArrowLeft")

    await expect(review.page.locator("#offline")).to_be_visible()
    assert await review.decisions() == {1: 1}
    await expect(review.page.locator("#offline")).to_be_hidden()


async def test_what_is_not_saved_outlasts_a_reload(start: Start) -> None:
    review = await start(5)
    await review.page.route(CHOICES, lambda route: route.abort())
    await review.press("ArrowLeft", " ", "ArrowDown")
    await expect(review.page.locator("#offline")).to_contain_text("3 decisions")

    await review.page.reload()

    await review.shows(4)
    await expect(review.page.locator("#offline")).to_contain_text("3 decisions")
    assert await review.choices() == {}
    await review.page.unroute(CHOICES)
    assert await review.decisions() == {1: 1, 2: "later", 3: "neither"}
    assert await review.page.evaluate("Object.keys(localStorage)") == []


async def test_stored_decisions_of_another_ledger_of_that_name_are_not_sent(start: Start) -> None:
    review = await start(3)
    await review.page.route(CHOICES, lambda route: route.abort())
    await review.press("ArrowLeft")
    await review.page.evaluate(
        """() => {
          for (const [key, value] of Object.entries(localStorage)) {
            localStorage[key] = value.replace("music-00001", "music-of-another");
          }
        }"""
    )

    await review.page.reload()
    await review.shows(1)
    await review.page.unroute(CHOICES)

    assert await review.decisions() == {}
    assert len(await review.page.evaluate("Object.keys(localStorage)")) == 1


async def test_what_one_person_left_is_not_saved_as_anothers(start: Start) -> None:
    review = await start(3)
    await review.page.route(CHOICES, lambda route: route.abort())
    await review.press("ArrowLeft")
    await expect(review.page.locator("#offline")).to_be_visible()

    await review.page.goto(review.url("Ben"))
    await review.shows(1)
    await review.page.unroute(CHOICES)
    await review.press("ArrowDown")
    assert await review.decisions() == {1: "neither"}


async def test_a_lost_answer_is_no_conflict(start: Start) -> None:
    review = await start(3)
    lost: list[str] = []

    async def lose(route: Route) -> None:
        if lost:
            await route.continue_()
        else:
            lost.append(route.request.url)
            await route.fetch()
            await route.abort()

    await review.page.route(CHOICES, lose)
    await review.press("ArrowLeft")

    assert await review.decisions() == {1: 1}
    await expect(review.page.locator("#notice")).to_be_hidden()
    assert (await review.choices())[1].revision == 1


async def test_an_undo_after_a_lost_answer_is_no_conflict(start: Start) -> None:
    review = await start(3)
    held = asyncio.Event()
    seen: list[Any] = []

    async def lose(route: Route) -> None:
        seen.append(asked(route))
        if len(seen) > 1:
            await route.continue_()
            return
        await route.fetch()
        await held.wait()
        await route.abort()

    await review.page.route(CHOICES, lose)
    await review.press("ArrowLeft", "Backspace", "ArrowDown")
    await review.shows(2)
    held.set()

    assert await review.decisions() == {1: "neither"}
    await expect(review.page.locator("#notice")).to_be_hidden()


async def test_another_decision_after_a_lost_answer_and_a_reload_is_no_conflict(
    start: Start,
) -> None:
    review = await start(3)
    seen: list[Any] = []

    async def lose(route: Route) -> None:
        if not seen:
            seen.append(await route.fetch())
        await route.abort()

    await review.page.route(CHOICES, lose)
    await review.press("ArrowLeft")
    await expect(review.page.locator("#offline")).to_be_visible()
    await review.press("Backspace", "ArrowDown")
    await review.page.reload()
    await review.shows(2)
    await review.page.unroute(CHOICES)

    assert await review.decisions() == {1: "neither"}
    await review.shows(2)
    assert not await review.page.locator("#notice").is_visible()


async def test_an_answer_that_was_on_its_way_does_not_undo_a_saved_decision(start: Start) -> None:
    review = await start(1)
    was_read = asyncio.Event()

    async def save_late(route: Route) -> None:
        await was_read.wait()
        await route.continue_()

    async def answer_late(route: Route) -> None:
        answer = await route.fetch()
        was_read.set()
        await review.all_saved()
        await route.fulfill(response=answer)

    await review.page.route(CHOICES, save_late)
    await review.page.route("**/api/pairs?*", answer_late)
    await review.press("ArrowLeft")

    await expect(review.page.get_by_role("heading", name="All covers are decided")).to_be_visible()


@pytest.mark.parametrize("status", [400, 403, 404, 413])
async def test_a_refused_save_returns_the_pair_with_the_reason(start: Start, status: int) -> None:
    review = await start(4)
    await review.page.route(CHOICES, lambda route: refuse(route, status, "the image is gone"))

    await review.press("ArrowLeft")
    await review.shows(2)
    await expect(review.status).to_contain_text("the image is gone")
    await review.page.unroute(CHOICES)
    await review.press("ArrowRight")

    await review.shows(1)
    await expect(review.page.locator("#reason")).to_have_text("Not saved: the image is gone")
    await expect(review.page.locator("#who-was-first")).to_be_hidden()  # nobody was
    await review.press("ArrowDown")
    await review.shows(3)
    assert await review.decisions() == {1: "neither", 2: 2}


async def test_a_refused_save_of_the_last_pair_shows_it_again(start: Start) -> None:
    review = await start(1)
    await review.page.route(CHOICES, lambda route: refuse(route, 400, "the image is gone"))

    await review.press("ArrowLeft")

    await review.shows(1)
    await expect(review.page.locator("#notice")).to_contain_text("the image is gone")


async def conflict(review: Review) -> None:
    """Decide about the first pair after Ben did, and come to the pair that is returned."""
    await review.choose(1, Decision.IMAGE, 2)
    await review.press("ArrowLeft")
    await review.shows(2)
    await expect(review.status).to_contain_text("Ben chose image 2")
    await review.press("ArrowDown")
    await review.shows(1)


async def test_a_conflict_says_who_was_first_and_what_they_chose(start: Start) -> None:
    review = await start(4)

    await conflict(review)

    said = re.compile(r"^Ben was first at .*\d\d:\d\d.*: right\. You: left\.$")
    await expect(review.page.locator("#reason")).to_have_text(said)
    await expect(review.page.locator("figure.chosen figcaption")).to_contain_text("Right")


async def test_keep_theirs_goes_on_with_their_choice(start: Start) -> None:
    review = await start(4)
    await conflict(review)

    await review.page.get_by_role("button", name="Keep theirs").click()

    await review.shows(3)
    assert await review.decisions() == {1: 2, 2: "neither"}
    assert (await review.choices())[1].decided_by == "Ben"


async def test_take_mine_replaces_their_choice(start: Start) -> None:
    review = await start(4)
    await conflict(review)

    await review.page.get_by_role("button", name="Take mine").click()

    await review.shows(3)
    assert await review.decisions() == {1: 1, 2: "neither"}
    assert (await review.choices())[1].decided_by == "Ann"
    await review.press("Backspace")
    await review.shows(1)
    assert await review.decisions() == {1: 2, 2: "neither"}


async def test_two_browsers_on_one_pair_agree_in_the_end(start: Start) -> None:
    review = await start(3)
    other = await review.enter("Ben")
    await other.keyboard.press("ArrowRight")
    while 1 not in await review.choices():
        await other.evaluate("() => new Promise(requestAnimationFrame)")

    await review.press("ArrowLeft")
    await expect(review.status).to_contain_text("Ben chose image 2")
    await review.press("ArrowDown")
    await review.shows(1)
    await review.page.get_by_role("button", name="Keep theirs").click()

    assert await review.decisions() == {1: 2, 2: "neither"}


async def test_a_conflict_that_comes_in_the_grid_is_shown_after_it(start: Start) -> None:
    review = await start(4)
    answer = asyncio.Event()

    async def hold(route: Route) -> None:
        await answer.wait()
        await route.continue_()

    await review.choose(1, Decision.NEITHER)
    await review.page.route(CHOICES, hold)
    await review.press("ArrowLeft", "g")
    answer.set()
    await expect(review.status).to_contain_text("Ben chose neither")
    await review.press("g")

    await review.shows(1)
    await expect(review.page.locator("#reason")).to_contain_text("Ben was first")


async def test_undo_leaves_what_somebody_decided_since(start: Start) -> None:
    review = await start(4, fragment="#show=all")
    await review.press("ArrowLeft")
    await review.all_saved()
    await review.choose(1, Decision.IMAGE, 2)
    await review.press("g")
    await expect(review.page.locator("#cells .chosen")).to_have_count(1)
    await review.press("g", "Backspace")

    await review.shows(1)
    await expect(review.status).to_contain_text("Somebody else decided since")
    assert await review.decisions() == {1: 2}
