"""What is on the screen, pixel by pixel, at three sizes in both schemes."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from suno_cover_async import Ledger
from tests.support.browsers import DESKTOP, LAPTOP, PHONE, Review, Start, expect
from tests.support.review_ledgers import files_of, songs

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZES = {"laptop": LAPTOP, "desktop": DESKTOP, "phone": PHONE}
BRIGHTNESS = {"dark": (0, 60), "light": (200, 255)}  # of the background, from 0 to 255


# By view: the key that opens it, what is there then, and the key that closes it.
VIEWS = {
    "grid": ("g", "#cells li >> nth=2", "g"),
    "zoom": ("Enter", "#zoom", "Escape"),
    "help": ("?", "#help", "Escape"),
}


async def screenshot(review: Review, name: str, folder: Path) -> Image.Image:
    """Take one, and keep it in `$SCREENSHOTS` or the test's own folder."""
    await review.page.wait_for_function(
        "() => [...document.images].every((it) => !it.checkVisibility() || it.complete)"
    )
    content = await review.page.screenshot()
    kept = Path(os.environ.get("SCREENSHOTS") or folder)
    kept.mkdir(parents=True, exist_ok=True)
    (kept / f"{name}.png").write_bytes(content)
    return Image.open(io.BytesIO(content)).convert("RGB")


@pytest.mark.parametrize("scheme", BRIGHTNESS)
@pytest.mark.parametrize("size", SIZES)
async def test_each_view_has_a_screenshot_and_both_images_are_on_it_as_they_are(
    start: Start, size: str, scheme: str, tmp_path: Path
) -> None:
    review = await start(songs(3), size=SIZES[size], color_scheme=scheme, side=300)
    [entry, *_] = [entry async for entry in Ledger(review.path).entries()]

    shown = await screenshot(review, f"pair {size} {scheme}", tmp_path)

    assert shown.size == SIZES[size]
    corner = shown.getpixel((shown.width - 2, 1))
    assert isinstance(corner, tuple)
    low, high = BRIGHTNESS[scheme]
    assert all(low <= value <= high for value in corner), corner
    for image, file in zip(await review.page.locator(".image").all(), entry.files, strict=True):
        box = await image.bounding_box()
        assert box
        right, bottom = box["x"] + box["width"], box["y"] + box["height"]
        part = shown.crop((int(box["x"]), int(box["y"]), int(right), int(bottom)))
        assert difference(part, file) < 12 < difference(part, files_of(review.path, [2])[0])
    for view, (opens, seen, closes) in VIEWS.items():
        await review.press(opens)
        await expect(review.page.locator(seen)).to_be_visible()
        assert (await screenshot(review, f"{view} {size} {scheme}", tmp_path)).size == SIZES[size]
        await review.press(closes)
        await expect(review.page.locator("#stage")).to_be_visible()


def difference(shown: Image.Image, file: Path) -> float:
    """Return how much an image differs from a file, in the mean of all pixels, from 0 to 255."""
    with Image.open(file) as image:
        sides = [one.convert("RGB").resize((48, 48)) for one in (shown, image)]
    return sum(ImageStat.Stat(ImageChops.difference(*sides)).mean) / 3
