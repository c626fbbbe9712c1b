"""Which covers the page shows: prefetched ones, filters, the search, the grid and the end."""

import asyncio
import re
from pathlib import Path

import pytest
from aiohttp import web

from suno_cover_async import Decision, Ledger, Track
from suno_cover_async.review import review_app
from tests.support.browsers import NEXT_STEP, Browser, Review, Route, Start, expect
from tests.support.review_ledgers import a_review_ledger, files_of, songs
from tests.support.review_pages import add_saved

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def images_are_complete(review: Review) -> bool:
    """Whether all images of the pair that is shown were decoded at this moment."""
    return bool(
        await review.page.evaluate(
            """() => [...document.querySelectorAll("#stage img")].every(
              (image) => image.complete && image.naturalWidth > 0)"""
        )
    )


async def test_the_next_four_pairs_are_there_before_they_are_shown(start: Start) -> None:
    review = await start(8)
    await review.page.wait_for_function(
        """() => [2, 3, 4, 5].every((number) => performance.getEntriesByType("resource").filter(
          ({ name }) => name.includes(`/images/${number}/`)).length === 8)"""  # two in four sizes
    )
    await review.context.set_offline(offline=True)

    for number in range(2, 6):
        await review.press("ArrowLeft")
        await review.shows(number)
        assert await images_are_complete(review)

    await review.press("ArrowLeft")
    await expect(review.page.locator("#stage .problem").first).to_be_visible()
    await review.context.set_offline(offline=False)
    await expect(review.page.locator("#stage .problem").first).to_be_hidden()
    await review.page.wait_for_function(
        "() => [...document.querySelectorAll('#stage img')].every((image) => image.naturalWidth)"
    )


async def test_the_page_starts_with_what_is_undecided(start: Start) -> None:
    review = await start(4)
    await review.press("ArrowLeft", " ")
    await review.all_saved()

    await review.page.reload()

    await review.shows(3)
    filters = ["Undecided 2", "Decided 1", "Neither 0", "Later 1", "All 4"]
    await expect(review.page.locator("#filters a")).to_have_text(filters)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("Undecided", [5, 6]),
        ("Decided", [1, 2, 3]),
        ("Neither", [3]),
        ("Later", [4]),
        ("All", [1, 2, 3, 4, 5, 6]),
    ],
)
async def test_each_filter_shows_its_covers_and_is_in_the_url(
    start: Start, name: str, numbers: list[int]
) -> None:
    review = await start(6)
    await review.press("ArrowLeft", "ArrowRight", "ArrowDown", " ")
    await review.all_saved()

    await review.page.get_by_role("link", name=re.compile(f"^{name} ")).click()
    await review.shows(numbers[0])
    await review.page.reload()
    await review.shows(numbers[0])
    await review.press("g")

    await expect(review.page.locator("#cells li")).to_have_count(len(numbers))
    found = review.page.locator("#cells .number")
    await expect(found).to_have_text([str(number) for number in numbers])
    current = review.page.locator("#filters [aria-current=true]")
    await expect(current).to_have_text(f"{name} {len(numbers)}")


async def test_after_a_click_on_a_filter_keys_work(start: Start) -> None:
    review = await start(3)
    await review.page.get_by_role("link", name="All 3").click()
    await expect(review.title).to_be_focused()
    await expect(review.page.locator("#page")).to_have_attribute("aria-busy", "false")

    await review.press("ArrowLeft")

    await review.shows(2)


async def test_a_search_finds_titles_and_is_in_the_url(start: Start) -> None:
    tracks = [Track("a", title="Red Sun"), Track("b", title="Blue"), Track("c", title="Redder")]
    review = await start(tracks)

    await review.press("/")
    await review.page.keyboard.type("red")

    await expect(review.page.locator("#filters a").first).to_have_text("Undecided 2")
    await review.press("Enter", "ArrowLeft")
    await review.shows(3)
    await review.page.reload()
    await review.shows(3)
    await expect(review.page.get_by_role("searchbox")).to_have_value("red")


async def test_a_search_without_result_says_so_and_offers_to_clear_it(start: Start) -> None:
    review = await start(3)
    await review.press("ArrowLeft", "/")
    await review.page.keyboard.type("nothing like it")
    await expect(review.page.locator("#empty-title")).to_have_text(
        "No title with “nothing like it”"
    )

    await review.page.get_by_role("button", name="Clear the search").click()

    await review.shows(2)
    await expect(review.page.get_by_role("searchbox")).to_have_value("")


async def test_an_empty_filter_says_so_and_offers_the_way_out(start: Start) -> None:
    review = await start(3, fragment="#show=later")
    await expect(review.page.get_by_role("heading", name="Nothing under Later")).to_be_visible()

    await review.page.get_by_role("button", name="Decide 3 undecided").click()

    await review.shows(1)


async def test_when_all_is_decided_the_next_step_can_be_copied(start: Start) -> None:
    review = await start(3, permissions=["clipboard-read", "clipboard-write"])
    await review.press("ArrowLeft", "ArrowDown", " ")

    heading = review.page.get_by_role("heading", name="All covers are decided")
    await expect(heading).to_be_visible()
    await expect(review.page.locator("#empty-text")).to_have_text("1 chosen, 1 neither, 1 later.")
    await expect(review.page.locator("#next-step code")).to_have_text(NEXT_STEP)
    await review.page.get_by_role("button", name="Copy").click()
    await expect(review.status).to_have_text("Copied.")
    assert await review.page.evaluate("navigator.clipboard.readText()") == NEXT_STEP
    await review.page.get_by_role("button", name="Decide 1 put off").click()
    await review.shows(3)


async def test_where_the_page_may_not_copy_the_next_step_is_selected(start: Start) -> None:
    review = await start(1)
    await review.press("ArrowLeft")
    await review.page.evaluate(
        "() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }"
    )

    await review.page.get_by_role("button", name="Copy").click()

    await expect(review.status).to_have_text("Selected: copy it with the keyboard.")
    assert await review.page.evaluate("getSelection().toString()") == NEXT_STEP


async def add(review: Review, first: int, last: int) -> None:
    """Save further covers, as a batch does."""
    async with Ledger(review.path) as ledger:
        await add_saved(ledger, songs(last)[first - 1 :], review.path.parent / "covers")


async def test_new_covers_appear_without_a_reload(start: Start) -> None:
    review = await start(0)
    await expect(review.page.get_by_role("heading", name="No covers yet")).to_be_visible()

    await add(review, 1, 2)

    await review.shows(1)
    await expect(review.page.locator("#decided")).to_have_text("0 of 2 decided")
    await review.press("ArrowLeft", "ArrowLeft")
    await expect(review.page.get_by_role("heading", name="All covers are decided")).to_be_visible()
    await add(review, 3, 3)
    await review.shows(3)
    await expect(review.page.locator("#decided")).to_have_text("2 of 3 decided")


async def test_new_covers_appear_in_the_grid(start: Start) -> None:
    review = await start(2, fragment="#view=grid")
    await expect(review.page.locator("#cells li")).to_have_count(2)

    await add(review, 3, 4)

    await expect(review.page.locator("#cells li")).to_have_count(4)


async def test_an_undecided_cover_before_the_list_is_shown_at_its_end(start: Start) -> None:
    review = await start(4, fragment="#pair=3")
    await review.shows(3)
    await review.page.route("**/api/summary", lambda _: None)  # no news of the server

    await review.press("ArrowLeft")
    await review.shows(4)
    await review.press("ArrowLeft")

    await review.shows(1)


async def test_the_grid_shows_numbers_titles_images_and_decisions(start: Start) -> None:
    review = await start(4)
    await review.press("ArrowRight", "ArrowDown", " ")
    await review.all_saved()
    await review.page.get_by_role("link", name="All 4").click()
    await review.shows(1)

    await review.press("g")

    await expect(review.page.locator("#cells li")).to_have_count(4)
    marks = review.page.locator("#cells .mark")
    await expect(marks).to_have_text(["right", "neither", "later", ""])
    await expect(review.page.locator("#cells li").first.locator("img")).to_have_count(2)
    await expect(review.page.locator("#cells .chosen")).to_have_count(1)
    titles = [track.title for track in songs(4)]
    await expect(review.page.locator("#cells .name")).to_have_text(titles)


async def test_a_click_in_the_grid_opens_that_pair(start: Start) -> None:
    review = await start(5, fragment="#show=all&view=grid")

    await review.page.locator("#cells a").nth(2).click()

    await review.shows(3)
    await review.press("ArrowLeft")
    await review.shows(4)
    assert await review.decisions() == {3: 1}
    await review.page.go_back()
    await expect(review.page.locator("#cells li")).to_have_count(5)


async def test_a_decision_before_the_list_is_read_shows_no_cover_twice(start: Start) -> None:
    review = await start(5, fragment="#show=all&view=grid")
    decided = asyncio.Event()

    async def answer_late(route: Route) -> None:
        await decided.wait()
        await route.continue_()

    await expect(review.page.locator("#cells li")).to_have_count(5)  # the grid's own list is read
    await review.page.route("**/api/pairs?*", answer_late)
    await review.page.locator("#cells a").nth(2).click()
    await review.shows(3)
    await review.press("ArrowLeft")
    await expect(review.page.locator("#page")).to_have_attribute("aria-busy", "true")
    decided.set()

    await review.shows(4)


async def test_the_grid_reads_pages_as_it_is_scrolled(start: Start) -> None:
    review = await start(170, fragment="#view=grid")
    cells = review.page.locator("#cells li")

    for count in (50, 100, 150, 170):
        await expect(cells).to_have_count(count)
        await review.page.locator("#grid").evaluate("(grid) => grid.scrollTo(0, 1e6)")

    style = await cells.first.evaluate("(cell) => getComputedStyle(cell).contentVisibility")
    assert style == "auto"
    assert await cells.last.locator("img").first.get_attribute("loading") == "lazy"


async def test_text_of_a_catalog_is_text(start: Start) -> None:
    evil = "<img src=x onerror=alert(1)><b>x</b>"
    review = await start([Track("a", title=evil, columns={evil: evil, "artist": evil})])

    await expect(review.title).to_have_text(evil)
    await expect(review.page.locator("#artist")).to_have_text(evil)
    await expect(review.page.locator("#columns dd").first).to_have_text(evil)
    await expect(review.page.locator("#written li")).to_contain_text(evil)
    await review.press("ArrowLeft")
    await expect(review.status).to_contain_text(evil)
    await review.page.goto(review.page.url.partition("#")[0] + "#show=all&view=grid")
    await expect(review.page.locator("#cells .name")).to_have_text(evil)


@pytest.mark.parametrize(
    "title",
    ["long " * 40, "夜空に浮かぶ百万の提灯と静かな川" * 6, "أغنية الليل الطويل", "🎵 🏄‍♀️", ""],
)
async def test_odd_titles_are_shown_whole_and_nothing_is_wider_than_the_page(
    start: Start, title: str
) -> None:
    review = await start([Track("a", title=title)])

    await expect(review.title).to_have_text(title.strip() or "Cover 1")
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not await review.page.evaluate(wide)
    box = await review.title.evaluate("(it) => [it.scrollHeight - it.clientHeight]")
    assert box[0] <= 1  # a part of a pixel
    await expect(review.page.locator("#artist")).to_be_hidden()


async def test_a_missing_image_is_named_and_cannot_be_taken(start: Start) -> None:
    review = await start(3)
    for file in files_of(review.path, [1]):
        file.unlink()
    await review.page.reload()

    problem = review.page.locator("figure").first.locator(".problem")
    await expect(problem).to_contain_text("The file is missing: ")
    await expect(review.page.get_by_role("button", name="Take left")).to_be_disabled()
    await review.press("ArrowLeft")
    await expect(review.status).to_have_text("There is no left image to take.")
    await review.shows(1)
    await review.press("Enter")
    await expect(review.page.locator("#zoom .pane:visible")).to_have_count(1)
    await review.press("Escape", "ArrowRight")
    assert await review.decisions() == {1: 2}


async def test_columns_are_collapsed_where_they_are_many(start: Start) -> None:
    many = {f"column {number}": f"value {number}" for number in range(30)}
    review = await start([Track("a", title="A", columns={"key": "D"}), Track("b", columns=many)])
    await expect(review.page.get_by_role("definition").first).to_have_text("D")

    await review.press("ArrowLeft")

    await expect(review.page.get_by_text("Columns (31)")).to_be_visible()
    await expect(review.page.get_by_text("value 7")).to_be_hidden()


async def test_what_will_be_written_and_where_is_shown(start: Start) -> None:
    review = await start([Track("a", title="Amber")])

    written = review.page.get_by_role("region", name="Details").get_by_role("listitem")

    await expect(written).to_have_text("artwork/Amber.jpg (3000 x 3000 JPEG)")
    heading = review.page.locator("#written h2")
    await expect(heading).to_have_text("Will be written once chosen")
    await review.press("ArrowLeft")
    await review.page.goto(f"{review.page.url.partition('#')[0]}#show=all&pair=1")
    await expect(heading).to_have_text("Will be written")
    await review.press("ArrowDown")
    await review.page.goto(f"{review.page.url.partition('#')[0]}#show=neither")
    await review.shows(1)
    await expect(review.page.locator("#written")).to_be_hidden()


async def test_a_decision_elsewhere_changes_the_progress(start: Start) -> None:
    review = await start(3)
    await expect(review.page.locator("#decided")).to_have_text("0 of 3 decided")

    await review.choose(3, Decision.NEITHER)

    await expect(review.page.locator("#decided")).to_have_text("1 of 3 decided")


async def test_mounted_below_a_prefix_the_page_works(browser: Browser, tmp_path: Path) -> None:
    path = await a_review_ledger(tmp_path, 2)
    app = web.Application()
    app.add_subapp("/any/where/", review_app(path, person=lambda _: "Cleo"))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    context = await browser.new_context()
    page = await context.new_page()

    await page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/any/where/")
    await expect(page.locator("#position")).to_have_text("No. 1")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("#position")).to_have_text("No. 2")
    await expect(page.locator("#stage img").first).to_have_js_property("complete", value=True)
    while await page.evaluate("import('./server.js').then((it) => it.saves.size)"):
        await page.evaluate("() => new Promise(requestAnimationFrame)")

    await context.close()
    await runner.cleanup()
    async with Ledger(path).choices() as choices:
        choice = (await choices.entry(1)).choice
    assert (choice.image, choice.decided_by) == (2, "Cleo")
