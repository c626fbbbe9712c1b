"""What keys and their buttons do, and when keys do nothing."""

import re

import pytest

from tests.support.browsers import Review, Start, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")

ACTIONS = {
    "ArrowLeft": "Take left",
    "ArrowRight": "Take right",
    "ArrowDown": "Neither",
    " ": "Later",
    "Backspace": "Undo",
    "Enter": "Zoom",
    "g": "Grid",
    "?": "Help",
}
SHOWN = {"ArrowLeft": "←", "ArrowRight": "→", "ArrowDown": "↓", " ": "Space"}


async def places(review: Review) -> list[tuple[float, float, float]]:
    """Return which place of each zoomed image is in the middle of its view, and its scale."""
    boxes = await review.page.evaluate(
        """() => [...document.querySelectorAll("#zoom .pane")].map((pane) => {
          const [view, image] = [pane, pane.firstElementChild].map((one) => one.getBoundingClientRect());
          return [(view.x + view.width / 2 - image.x) / image.width,
                  (view.y + view.height / 2 - image.y) / image.height, image.width / view.width];
        })"""  # noqa: E501
    )
    return [tuple(round(value, 3) for value in box) for box in boxes]


async def test_arrows_take_the_left_or_the_right_image(start: Start) -> None:
    review = await start(3)

    await review.press("ArrowRight", "ArrowLeft")

    await review.shows(3)
    assert await review.decisions() == {1: 2, 2: 1}


async def test_down_is_neither_and_space_is_later(start: Start) -> None:
    review = await start(3)

    await review.press("ArrowDown", " ")

    await review.shows(3)
    assert await review.decisions() == {1: "neither", 2: "later"}


async def test_backspace_undoes_any_decision_and_again_the_one_before(start: Start) -> None:
    review = await start(5)
    await review.press("ArrowLeft", "ArrowDown", " ", "ArrowRight")
    await review.shows(5)

    for number in (4, 3, 2):
        await review.press("Backspace")
        await review.shows(number)

    await expect(review.status).to_contain_text("Undone")
    assert await review.decisions() == {1: 1}
    await review.press("Backspace", "Backspace")
    await review.shows(1)
    await expect(review.status).to_have_text("There is nothing to undo.")
    assert await review.decisions() == {}


async def test_backspace_returns_to_the_decision_before(start: Start) -> None:
    review = await start(2, fragment="#show=all")
    await review.press("ArrowLeft", "ArrowLeft")
    await review.page.get_by_role("button", name="Begin again").click()
    await review.shows(1)

    await review.press("ArrowRight")
    await review.shows(2)
    assert await review.decisions() == {1: 2, 2: 1}
    await review.press("Backspace")

    await review.shows(1)
    assert await review.decisions() == {1: 1, 2: 1}


async def test_after_the_last_decision_backspace_returns_to_it(start: Start) -> None:
    review = await start(1)
    await review.press("ArrowLeft")
    await expect(review.page.get_by_role("heading", name="All covers are decided")).to_be_visible()

    await review.press("Backspace")

    await review.shows(1)


async def test_enter_on_an_image_zooms_both_at_the_same_place_and_scale(start: Start) -> None:
    review = await start(2)
    image = review.page.get_by_role("button", name="Right image")

    await image.focus()
    await review.press("Enter")

    await expect(review.page.locator("#zoom")).to_be_visible()
    left, right = await places(review)
    assert left == right == (0.5, 0.5, left[2])
    assert left[2] > 1
    await review.press("Enter")
    await expect(review.page.locator("#zoom")).to_be_hidden()
    await expect(image).to_be_focused()
    await review.shows(1)


async def test_arrows_pan_both_zoomed_images_and_decide_nothing(start: Start) -> None:
    review = await start(2)
    await review.press("Enter")

    await review.press("ArrowRight", "ArrowRight", "ArrowDown")

    left, right = await places(review)
    assert left == right
    assert left[0] > 0.5 < left[1]
    await review.press("ArrowLeft", "ArrowLeft", "ArrowUp", "+", "+", "-")
    assert (await places(review))[1][:2] == (0.5, 0.5)
    await review.press("Escape")
    await expect(review.page.locator("#zoom")).to_be_hidden()
    assert await review.decisions() == {}


async def test_a_pointer_drags_both_zoomed_images_or_clicks_where_to_look(start: Start) -> None:
    review = await start(2)
    await review.press("Enter")
    mouse = review.page.mouse

    await mouse.move(300, 300)
    await mouse.down()
    await mouse.move(200, 250)
    await mouse.up()

    left, right = await places(review)
    assert left == right
    assert left[0] > 0.5 < left[1]
    await mouse.click(10, 10)
    clicked, other = await places(review)
    assert clicked == other
    assert clicked[0] < left[0]


async def test_zoomed_images_scale_together_by_keys_buttons_and_the_wheel(start: Start) -> None:
    review = await start(2)
    await review.press("Enter")
    first = await places(review)

    await review.press("+")
    second = await places(review)
    await review.page.get_by_role("button", name="Larger").click()
    third = await places(review)
    await review.page.mouse.move(300, 300)
    await review.page.mouse.wheel(0, -100)

    scales = [first[0][2], second[0][2], third[0][2], (await places(review))[0][2]]
    assert scales == sorted(set(scales))
    assert [left == right for left, right in (first, second, third)] == [True] * 3


async def test_slash_searches_question_mark_helps_and_g_shows_the_grid(start: Start) -> None:
    review = await start(2)

    await review.press("?")
    await expect(review.page.get_by_role("dialog", name="Keys")).to_be_visible()
    await review.press("Escape", "g")
    await expect(review.page.locator("#cells li")).to_have_count(2)
    await review.press("g")
    await expect(review.page.locator("#stage")).to_be_visible()
    await review.press("/")

    await expect(review.page.get_by_role("searchbox", name="Search titles")).to_be_focused()


@pytest.mark.parametrize("key", ACTIONS)
async def test_each_key_has_a_visible_button_that_shows_it(start: Start, key: str) -> None:
    review = await start(2)

    button = review.page.get_by_role("button", name=ACTIONS[key], exact=True)

    await expect(button).to_be_visible()
    await expect(button).to_have_text(f"{ACTIONS[key]} {SHOWN.get(key, key)}")
    await expect(review.page.locator("#search kbd")).to_have_text("/")


async def test_buttons_do_what_their_keys_do(start: Start) -> None:
    review = await start(6)

    for name in ("Take left", "Take right", "Neither", "Later", "Take left", "Undo"):
        await review.page.get_by_role("button", name=name).click()

    await review.shows(5)
    assert await review.decisions() == {1: 1, 2: 2, 3: "neither", 4: "later"}
    await review.page.get_by_role("button", name="Zoom", exact=True).click()
    await review.page.get_by_role("button", name="Close").click()
    await review.page.get_by_role("button", name="Grid").click()
    await expect(review.page.locator("#cells li")).to_have_count(2)


async def test_a_key_that_is_held_decides_once(start: Start) -> None:
    review = await start(4)

    for _ in range(5):
        await review.page.keyboard.down("ArrowLeft")
    await review.page.keyboard.up("ArrowLeft")

    await review.shows(2)
    assert await review.decisions() == {1: 1}


async def test_a_held_enter_opens_the_zoom_and_leaves_it_open(start: Start) -> None:
    review = await start(2)
    await review.page.get_by_role("button", name="Left image").focus()

    for _ in range(4):
        await review.page.keyboard.down("Enter")
    await review.page.keyboard.up("Enter")

    await expect(review.page.locator("#zoom")).to_be_visible()


@pytest.mark.parametrize(
    "control", ["#search-field", "#filters a", "button[data-key='?']", "#columns summary"]
)
async def test_keys_do_nothing_while_a_control_has_the_focus(start: Start, control: str) -> None:
    review = await start(3)
    await review.page.locator(control).first.focus()

    await review.press("ArrowLeft", "ArrowRight", "ArrowDown", "Backspace", "g")

    await review.shows(1)
    await expect(review.page.locator("#stage")).to_be_visible()
    assert await review.decisions() == {}


async def test_keys_do_nothing_in_a_dialog(start: Start) -> None:
    review = await start(3)
    await review.press("?")

    await review.press("ArrowLeft", "ArrowDown", "Escape")

    await review.shows(1)
    assert await review.decisions() == {}


async def test_keys_work_while_an_image_has_the_focus(start: Start) -> None:
    review = await start(4)
    await review.page.get_by_role("button", name="Left image").focus()

    await review.press("ArrowRight", " ", "ArrowDown")

    await review.shows(4)
    assert await review.decisions() == {1: 2, 2: "later", 3: "neither"}


async def test_space_on_a_focused_button_presses_it(start: Start) -> None:
    review = await start(3)
    await review.page.get_by_role("button", name="Neither").focus()

    await review.press(" ")

    await review.shows(2)
    assert await review.decisions() == {1: "neither"}


@pytest.mark.parametrize("modifier", ["Control", "Alt", "Meta", "Shift"])
async def test_keys_with_a_modifier_are_the_browsers(start: Start, modifier: str) -> None:
    review = await start(3)

    await review.press(f"{modifier}+ArrowDown", f"{modifier}+g")

    await review.shows(1)
    assert await review.decisions() == {}


async def test_keys_can_be_switched_off_and_stay_off(start: Start) -> None:
    review = await start(3)
    await review.press("?")
    await review.page.get_by_label("Use these keys").uncheck()
    await review.press("Escape")

    await review.press("ArrowLeft", "g", "?", " ")
    await review.shows(1)
    await expect(review.page.locator("#actions kbd").first).to_be_hidden()
    await review.page.reload()
    await review.shows(1)
    await review.press("ArrowLeft")

    await review.shows(1)
    await review.page.get_by_role("button", name="Take right").click()
    await review.shows(2)
    assert await review.decisions() == {1: 2}


async def test_switched_off_keys_leave_enter_and_space_to_the_focused_image(start: Start) -> None:
    review = await start(3)
    await review.press("?")
    await review.page.get_by_label("Use these keys").uncheck()
    await review.press("Escape")

    for key in ("Enter", " "):
        await review.page.get_by_role("button", name="Left image").focus()
        await review.press(key)
        await expect(review.page.locator("#zoom")).to_be_visible()
        await review.press("Escape")

    assert await review.decisions() == {}


async def test_without_storage_the_page_works(start: Start) -> None:
    review = await start(3)
    await review.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() { throw new Error('blocked'); }})"
    )
    await review.page.reload()
    await review.shows(1)

    await review.press("ArrowLeft", "?")
    await review.page.get_by_label("Use these keys").uncheck()
    await review.press("Escape", "ArrowLeft")

    await review.shows(2)
    assert await review.decisions() == {1: 1}


async def test_after_a_pressed_button_the_focus_is_on_the_title_and_keys_work(
    start: Start,
) -> None:
    review = await start(3)

    await review.page.get_by_role("button", name="Take left").click()
    await expect(review.title).to_be_focused()
    await review.press(" ")

    await review.shows(3)
    assert await review.decisions() == {1: 1, 2: "later"}


async def test_after_a_decision_on_an_image_the_focus_is_on_the_next_image_of_that_side(
    start: Start,
) -> None:
    review = await start(3)
    await review.page.get_by_role("button", name="Right image").focus()

    await review.press("ArrowLeft")

    await review.shows(2)
    await expect(review.page.get_by_role("button", name="Right image")).to_be_focused()


async def test_after_a_key_without_focus_nothing_has_the_focus(start: Start) -> None:
    review = await start(3)

    await review.press("ArrowLeft")

    await review.shows(2)
    await expect(review.focused).to_have_count(0)


async def test_the_live_region_says_the_decision_and_the_next_title(start: Start) -> None:
    review = await start(3)
    first = await review.title.text_content()

    await review.press("ArrowDown")

    next_ = await review.title.text_content()
    await expect(review.page.get_by_role("status").first).to_have_text(
        f"Neither: {first}. Next: {next_}"
    )


async def test_the_chosen_image_is_marked_by_text_and_by_a_pressed_button(start: Start) -> None:
    review = await start(2)
    await review.press("ArrowRight", "Backspace")
    await review.shows(1)
    await review.press("ArrowRight")
    await review.all_saved()

    await review.page.goto(re.sub("/#?$", "/#show=all", review.page.url))

    await review.shows(1)
    take = review.page.get_by_role("button", name="Take right")
    await expect(take).to_have_attribute("aria-pressed", "true")
    await expect(review.page.locator("figure.chosen figcaption")).to_contain_text("Chosen")
    await expect(review.page.get_by_role("button", name="Take left")).to_have_attribute(
        "aria-pressed", "false"
    )
