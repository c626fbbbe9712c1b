"""axe-core finds nothing, and sizes: what fits on the screen, and what a finger can hit."""

import importlib.util
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import Decision, Track
from tests.support.browsers import DESKTOP, LAPTOP, PHONE, Review, Start, expect
from tests.support.review_ledgers import files_of, songs

pytestmark = pytest.mark.asyncio(loop_scope="session")

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
SCHEMES = ("dark", "light")
SIZES = {"laptop": LAPTOP, "desktop": DESKTOP, "phone": PHONE}
CHOICES = "**/choice"


def axe() -> str:
    """Return the script of axe-core; skip where the package that ships it is missing."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("axe-core is in axe-playwright-python (group `browser`)")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text()


async def findings(review: Review) -> list[str]:
    """Return what axe-core finds in the page as it is now."""
    await review.page.evaluate(axe())
    found: list[dict[str, Any]] = await review.page.evaluate(
        "async (tags) => (await axe.run({runOnly: tags})).violations", TAGS
    )
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


async def pair(review: Review) -> None:
    await review.press("ArrowRight", "Backspace")
    await expect(review.status).to_contain_text("Undone")


async def chosen(review: Review) -> None:
    await review.press("ArrowRight")
    await review.all_saved()
    await review.page.goto(review.page.url.partition("#")[0] + "#show=all")
    await expect(review.page.locator("figure.chosen")).to_have_count(1)


async def focused(review: Review) -> None:
    await review.page.get_by_role("button", name="Neither").click()
    await expect(review.title).to_be_focused()


async def grid(review: Review) -> None:
    await review.press("ArrowRight", "ArrowDown", " ", "g")
    await review.page.locator("#filters a").last.click()
    await expect(review.page.locator("#cells .chosen")).to_have_count(1)


async def help_(review: Review) -> None:
    await review.press("?")
    await expect(review.page.locator("#help")).to_be_visible()


async def zoom(review: Review) -> None:
    await review.press("Enter")
    await expect(review.page.locator("#zoom")).to_be_visible()


async def empty(review: Review) -> None:
    await review.page.goto(review.page.url.partition("#")[0] + "#show=later")
    await expect(review.page.locator("#empty")).to_be_visible()


async def done(review: Review) -> None:
    await review.press(*["ArrowLeft"] * 5)
    await expect(review.page.locator("#next-step")).to_be_visible()


async def conflict(review: Review) -> None:
    await review.choose(1, Decision.IMAGE, 2)
    await review.press("ArrowLeft")
    await expect(review.status).to_contain_text("Ben")
    await review.press("ArrowLeft")
    await expect(review.page.locator("#who-was-first")).to_be_visible()


async def offline(review: Review) -> None:
    await review.context.set_offline(offline=True)
    await review.press("ArrowLeft")
    await expect(review.page.locator("#offline")).to_be_visible()


async def ended(review: Review) -> None:
    await review.context.clear_cookies()
    await expect(review.page.locator("#session")).to_be_visible()


async def missing(review: Review) -> None:
    for file in files_of(review.path, [1]):
        file.unlink()
    await review.page.reload()
    await expect(review.page.locator(".problem").first).to_be_visible()


async def columns(review: Review) -> None:
    await review.page.goto(review.page.url.partition("#")[0] + "#show=all&pair=5")
    await review.page.get_by_text("Columns (41)").click()
    await expect(review.page.get_by_text("value 39")).to_be_attached()


STATES: dict[str, Callable[[Review], Awaitable[None]]] = {
    "pair": pair,
    "chosen": chosen,
    "focused": focused,
    "grid": grid,
    "help": help_,
    "zoom": zoom,
    "empty": empty,
    "done": done,
    "conflict": conflict,
    "offline": offline,
    "ended": ended,
    "missing": missing,
    "columns": columns,
}


def tracks() -> list[Track]:
    many = {f"column {number}": f"value {number}" for number in range(40)}
    return [*songs(4), Track("many", title="Many", columns=many)]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("state", STATES)
async def test_axe_finds_nothing(start: Start, state: str, scheme: str) -> None:
    review = await start(tracks(), color_scheme=scheme)

    await STATES[state](review)

    assert await findings(review) == []


@pytest.mark.parametrize("state", ["pair", "grid", "conflict", "help"])
async def test_axe_finds_nothing_on_a_phone(start: Start, state: str) -> None:
    review = await start(tracks(), size=PHONE)

    await STATES[state](review)

    assert await findings(review) == []


MATTERS = (
    "#title, #artist, #position, #decided, #written, #filters a, #stage figure, #stage img, "
    "#actions button, #tools button, #search-field, #ledger"
)


@pytest.mark.parametrize("size", [LAPTOP, DESKTOP], ids=str)
async def test_nothing_that_matters_is_below_the_fold(start: Start, size: tuple[int, int]) -> None:
    review = await start(songs(3), size=size)

    boxes: list[dict[str, float]] = await review.page.locator(MATTERS).evaluate_all(
        "(all) => all.map((it) => it.getBoundingClientRect().toJSON())"
    )
    hidden: list[str] = await review.page.locator(MATTERS).evaluate_all(
        """(all) => all.filter((it) => {
          const box = it.getBoundingClientRect();
          const found = document.elementsFromPoint(box.x + box.width / 2, box.bottom - 1);
          return !found.includes(it);
        }).map((it) => it.id || it.textContent)"""
    )

    assert hidden == []
    assert len(boxes) > 25
    for box in boxes:
        assert box["width"] > 0
        assert 0 <= box["left"] <= box["right"] <= size[0]
        assert 0 <= box["top"] <= box["bottom"] <= size[1]


@pytest.mark.parametrize("size", [LAPTOP, DESKTOP], ids=str)
async def test_each_image_is_also_shown_at_300_160_and_64_pixels(
    start: Start, size: tuple[int, int]
) -> None:
    review = await start(songs(2), size=size, side=700)

    for figure in await review.page.locator("#stage figure").all():
        for side in (300, 160, 64):
            small = figure.locator(f".s{side}")
            await expect(small).to_have_js_property("complete", value=True)
            box = await small.bounding_box()
            assert box
            assert (box["width"], box["height"]) == (side, side)
            source = await small.evaluate("(image) => image.currentSrc")
            assert f"size={side}" in source
        large = await figure.locator(".image").bounding_box()
        assert large
        assert large["width"] > 460


async def test_dense_screens_get_thumbnails_of_twice_the_size(start: Start) -> None:
    review = await start(songs(2), device_scale_factor=2)

    await review.page.wait_for_function(
        "() => document.querySelector('.s300').currentSrc.includes('size=600')"
    )


async def test_on_a_phone_images_are_side_by_side_and_targets_large(start: Start) -> None:
    review = await start(songs(3), size=PHONE)

    left, right = [await it.bounding_box() for it in await review.page.locator(".image").all()]
    assert left
    assert right
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    actions = await review.page.locator("#actions").bounding_box()
    assert actions
    assert actions["y"] + actions["height"] <= PHONE[1]  # without scrolling
    controls = "#actions button, #tools button, #search-field, #filters a"
    for control in await review.page.locator(controls).all():
        box = await control.bounding_box()
        assert box
        assert box["height"] >= 44
    assert await review.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("state", ["pair", "grid", "conflict", "done", "columns", "missing"])
async def test_no_page_is_wider_than_the_screen(start: Start, size: str, state: str) -> None:
    review = await start(tracks(), size=SIZES[size])

    await STATES[state](review)

    assert await review.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]


@pytest.mark.parametrize("size", SIZES)
async def test_no_button_is_smaller_than_its_text(start: Start, size: str) -> None:
    review = await start(tracks(), size=SIZES[size])

    cut = await review.page.locator("button:visible").evaluate_all(
        """(all) => all.filter((it) => {
          const text = document.createRange();
          text.selectNodeContents(it);
          const [inner, outer] = [text, it].map((one) => one.getBoundingClientRect());
          return inner.left < outer.left || inner.right > outer.right;
        }).map((it) => it.textContent)"""
    )

    assert cut == []


async def test_the_scheme_of_the_system_is_used(start: Start) -> None:
    review = await start(songs(1), color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"

    dark = await review.page.evaluate(background)
    await review.page.emulate_media(color_scheme="light")
    light = await review.page.evaluate(background)

    assert (dark, light) == ("rgb(25, 25, 25)", "rgb(228, 228, 228)")


async def test_nothing_moves_by_itself(start: Start) -> None:
    review = await start(songs(2))

    moving = await review.page.evaluate(
        """() => [...document.querySelectorAll("*")].map((it) => getComputedStyle(it)).filter(
          (style) => style.animationName !== "none" || style.transitionDuration !== "0s").length"""
    )

    assert moving == 0


async def test_by_tab_alone_every_control_is_reached_and_its_focus_is_seen(start: Start) -> None:
    review = await start(songs(2))
    undo = review.page.get_by_role("button", name="Undo")
    await expect(undo).to_be_disabled()
    await review.press("ArrowLeft")
    await expect(undo).to_be_enabled()
    seen: set[str] = set()

    for _ in range(40):
        await review.press("Tab")
        name, outline = await review.page.evaluate(
            """() => {
              const it = document.activeElement;
              const name = it.ariaLabel || it.textContent.trim() || it.id;
              return [name, getComputedStyle(it).outlineWidth];
            }"""
        )
        if await review.page.evaluate("document.activeElement !== document.body"):
            assert outline == "2px", name
            seen.add(" ".join(name.split()))

    for wanted in ("Take left ←", "Neither ↓", "Undo Backspace", "Grid g", "Help ?", "All 2"):
        assert wanted in seen
    assert "search-field" in seen
    assert any(name.startswith("Left image, 48") and name.endswith(": zoom") for name in seen)
