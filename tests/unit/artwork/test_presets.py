from collections.abc import Callable

import pytest

from suno_cover_async.artwork.presets import PRESETS, Preset


def test_store_is_a_jpeg_of_3000_pixels_in_best_quality_and_asks_for_all_of_them() -> None:
    store = PRESETS["store"]

    assert (store.format, store.side, store.quality, store.subsampling, store.is_required) == (
        *("JPEG", 3000, 95, "4:4:4"),
        True,
    )


def test_every_preset_is_found_by_its_own_name() -> None:
    assert {name: preset.name for name, preset in PRESETS.items()} == {
        name: name for name in ("original", "store", "web", "player")
    }


@pytest.mark.parametrize(
    ("name", "suffix", "words"),
    [
        ("original", None, "a copy of the image"),
        ("store", ".jpg", "JPEG of at most 3000 × 3000"),
        ("web", ".webp", "WebP of at most 1200 × 1200"),
        ("player", ".jpg", "JPEG of at most 1000 × 1000"),
    ],
)
def test_a_preset_says_what_it_writes(name: str, suffix: str | None, words: str) -> None:
    assert PRESETS[name].suffix == suffix
    assert PRESETS[name].in_words == words


def test_a_preset_without_a_side_keeps_the_images_own_size() -> None:
    assert Preset(name="mine", format="PNG").in_words == "PNG"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Preset(name="x", format="BMP"),  # type: ignore[arg-type]
        lambda: Preset(name="x", format="JPEG", side=0),
        lambda: Preset(name="x", format="JPEG", quality=0),
        lambda: Preset(name="x", format="JPEG", quality=101),
        lambda: Preset(name="x", format="JPEG", subsampling="4:1:1"),  # type: ignore[arg-type]
    ],
)
def test_a_preset_with_a_wrong_value_is_refused(make: Callable[[], Preset]) -> None:
    with pytest.raises(ValueError, match=r"side|quality|format|subsampling"):
        make()


def test_a_preset_is_written_and_read_as_plain_data() -> None:
    assert Preset.from_dict(PRESETS["web"].to_dict()) == PRESETS["web"]
    assert Preset.from_dict(PRESETS["original"].to_dict()) == PRESETS["original"]
