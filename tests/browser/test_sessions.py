"""A session that ends, and decisions that are brought along from another address."""

import json
from urllib.parse import urlencode

import pytest

from suno_cover_async.sandbox.images import title_of
from tests.support.browsers import Review, Start, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDED = "session ended"


async def lose_session(review: Review) -> None:
    """Restart the server while the page has two decisions that are not saved."""
    await review.context.set_offline(offline=True)
    await review.press("ArrowLeft", "ArrowDown")
    await review.restart()
    await review.context.set_offline(offline=False)
    await expect(review.page.get_by_role("dialog", name=ENDED)).to_be_visible()


async def paste(review: Review, text: str) -> None:
    await review.page.get_by_label("URL or token").fill(text)
    await review.page.get_by_role("button", name="Go on").click()


def carried(song: str = "music-00001", ledger: str = "covers.db") -> str:
    """Return a fragment that brings a decision along."""
    save = {"task": song, "title": "x", "decision": "image", "image": 2, "revision": 0}
    return "#" + urlencode({"unsaved": json.dumps({"ledger": ledger, "saves": [[1, save]]})})


async def test_after_a_restart_the_page_takes_the_newest_url_and_loses_nothing(
    start: Start,
) -> None:
    review = await start(4)
    await lose_session(review)
    dialog = review.page.get_by_role("dialog", name=ENDED)
    await expect(dialog).to_contain_text("Paste the newest URL that the terminal shows.")
    await expect(dialog).to_contain_text("2 decisions are kept until then.")

    await paste(review, review.url())

    await expect(dialog).to_be_hidden()
    await review.shows(3)
    assert await review.decisions() == {1: 1, 2: "neither"}


async def test_the_token_alone_will_do(start: Start) -> None:
    review = await start(4)
    await lose_session(review)

    await paste(review, review.url().partition("token=")[2])

    assert await review.decisions() == {1: 1, 2: "neither"}


async def test_a_used_or_wrong_token_is_told_and_the_page_asks_on(start: Start) -> None:
    review = await start(4)
    await lose_session(review)

    await paste(review, "wrong")
    await expect(review.page.get_by_role("alert")).to_contain_text("was used already")
    await review.press("Escape")
    await expect(review.page.get_by_role("dialog", name=ENDED)).to_be_visible()
    await paste(review, review.url())

    assert await review.decisions() == {1: 1, 2: "neither"}


async def test_without_a_session_the_page_asks_for_one(start: Start) -> None:
    review = await start(2)
    await review.context.clear_cookies()

    await review.page.reload()
    await paste(review, review.url())

    await review.shows(1)


async def test_the_url_of_another_address_is_a_link_that_takes_the_decisions_along(
    start: Start,
) -> None:
    review = await start(4)
    await review.context.set_offline(offline=True)
    await review.press("ArrowLeft", "ArrowDown")
    await review.stop()
    await review.serve(0)
    port = review.page.url.partition("127.0.0.1:")[2].partition("/")[0]
    assert review.served
    assert str(review.served.port) != port
    await review.page.route("**/api/**", lambda route: route.fulfill(status=401, json={}))
    await review.context.set_offline(offline=False)

    await paste(review, review.url())
    await expect(review.page.get_by_role("alert")).to_contain_text("at another address")
    await review.page.unroute("**/api/**")
    await review.page.get_by_role("alert").get_by_role("link").click()

    dialog = review.page.get_by_role("dialog", name="Decisions from another address")
    await expect(dialog).to_contain_text(f"{title_of('music-00001')}: left")
    await expect(dialog).to_contain_text(f"{title_of('music-00002')}: neither")
    await dialog.get_by_role("button", name="Save them").click()
    await review.shows(3)
    assert await review.decisions() == {1: 1, 2: "neither"}
    assert "unsaved" not in review.page.url


@pytest.mark.parametrize("answer", ["Discard", "Escape"])
async def test_a_fragment_from_elsewhere_decides_nothing_unless_the_person_says_so(
    start: Start, answer: str
) -> None:
    review = await start(2)

    await review.page.goto(review.page.url + carried())
    await review.page.reload()
    await expect(review.page.get_by_role("dialog")).to_be_visible()
    if answer == "Escape":
        await review.press("Escape")
    else:
        await review.page.get_by_role("button", name=answer).click()

    await review.shows(1)
    assert await review.decisions() == {}


@pytest.mark.parametrize(
    "fragment",
    [carried(song="music-of-another"), carried(ledger="other.db"), "#unsaved=%7B%5B", "#unsaved=1"],
)
async def test_a_fragment_of_another_ledger_or_without_sense_is_dropped(
    start: Start, fragment: str
) -> None:
    review = await start(2)

    await review.page.goto(review.page.url + fragment)
    await review.page.reload()

    await review.shows(1)
    await expect(review.page.get_by_role("dialog")).to_have_count(0)
    assert "unsaved" not in review.page.url
    assert await review.decisions() == {}


async def test_another_persons_url_begins_with_that_persons_page(start: Start) -> None:
    review = await start(4)
    await lose_session(review)

    await paste(review, review.url("Ben"))

    await expect(review.page.locator("#ledger")).to_have_text("covers.db · Ben")
    await review.shows(1)
    assert await review.decisions() == {}
