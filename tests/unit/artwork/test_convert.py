import hashlib
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async.artwork.convert import convert_image
from suno_cover_async.artwork.pictures import SRGB_PROFILE
from suno_cover_async.artwork.presets import PRESETS, Preset
from suno_cover_async.errors import ArtworkError
from tests.support.artwork import draw


def made(
    folder: Path, size: tuple[int, int], preset: Preset, *, upscale: bool = False
) -> Image.Image:
    source = draw(folder / "source.png", "#c02040", size)
    convert_image(source, folder / "out", preset, upscale=upscale)
    with Image.open(folder / "out") as image:
        image.load()
    return image


def test_store_writes_3000_pixels_of_rgb_jpeg_without_reduced_colours(tmp_path: Path) -> None:
    image = made(tmp_path, (3200, 3200), PRESETS["store"])

    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (3000, 3000))
    assert image.info["icc_profile"] == SRGB_PROFILE
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "side"), [("store", 3000), ("web", 1200), ("player", 1000)])
def test_no_image_is_enlarged_unless_asked_for(tmp_path: Path, name: str, side: int) -> None:
    assert made(tmp_path, (500, 500), PRESETS[name]).size == (500, 500)
    assert made(tmp_path, (500, 500), PRESETS[name], upscale=True).size == (side, side)
    assert made(tmp_path, (side + 8, side + 8), PRESETS[name]).size == (side, side)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_format_has_the_profile_of_srgb(tmp_path: Path, kind: str) -> None:
    preset = Preset.from_dict({"name": "mine", "format": kind, "side": 40})

    image = made(tmp_path, (50, 50), preset)

    assert (image.format, image.size, image.mode) == (kind, (40, 40), "RGB")
    assert image.info["icc_profile"] == SRGB_PROFILE


def test_an_image_that_is_not_square_is_cropped_at_its_centre(tmp_path: Path) -> None:
    wide = Image.new("RGB", (300, 100), "white")
    wide.paste("black", (100, 0, 200, 100))
    wide.save(tmp_path / "wide.png")

    converted = convert_image(
        tmp_path / "wide.png", tmp_path / "x.png", Preset(name="p", format="PNG")
    )

    with Image.open(tmp_path / "x.png") as image:
        assert image.size == (100, 100)
        assert image.getextrema() == ((0, 0),) * 3
    assert (converted.source_width, converted.source_height) == (300, 100)


def test_original_copies_the_bytes_as_they_are(tmp_path: Path) -> None:
    source = tmp_path / "source"
    frames = [Image.new("RGBA", (30, 20), colour) for colour in ("red", "blue")]
    frames[0].save(source, "GIF", save_all=True, append_images=frames[1:])

    converted = convert_image(source, tmp_path / "copy", PRESETS["original"], upscale=True)

    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert (converted.width, converted.height) == (30, 20)
    assert converted.sha256 == converted.source_sha256


def test_the_size_and_the_hashes_are_those_of_the_files(tmp_path: Path) -> None:
    source = draw(tmp_path / "source.png", "#c02040", (90, 80))

    converted = convert_image(source, tmp_path / "x.jpg", PRESETS["player"])

    assert converted.to_dict() == {
        "width": 80,
        "height": 80,
        "source_width": 90,
        "source_height": 80,
        "sha256": hashlib.sha256((tmp_path / "x.jpg").read_bytes()).hexdigest(),
        "source_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }


def test_the_same_image_gives_the_same_bytes(tmp_path: Path) -> None:
    source = draw(tmp_path / "source.png", "#c02040")

    hashes = {convert_image(source, tmp_path / f"{n}", PRESETS["store"]).sha256 for n in range(3)}

    assert len(hashes) == 1


def test_an_animated_image_is_refused_in_a_sentence(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.png", save_all=True, append_images=frames[1:])

    with pytest.raises(ArtworkError, match=r"x\.png is animated; only the preset original takes"):
        convert_image(tmp_path / "x.png", tmp_path / "out", PRESETS["web"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.png"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_damaged_image_leaves_the_old_file_and_no_other(tmp_path: Path, name: str) -> None:
    source = draw(tmp_path / "source.png", "#c02040")
    source.write_bytes(source.read_bytes()[:100])
    (tmp_path / "x.jpg").write_bytes(b"old")

    with pytest.raises(ArtworkError, match=r"the image is incomplete: .*source\.png"):
        convert_image(source, tmp_path / "x.jpg", PRESETS[name])

    assert (tmp_path / "x.jpg").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source.png", "x.jpg"]


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    source = draw(tmp_path / "source.png", "#c02040")

    convert_image(source, tmp_path / "a/b/x.jpg", PRESETS["store"])

    assert (tmp_path / "a/b/x.jpg").is_file()


@pytest.mark.parametrize("name", PRESETS)
def test_a_target_that_cannot_be_replaced_leaves_no_unfinished_file(
    tmp_path: Path, name: str
) -> None:
    source = draw(tmp_path / "source.png", "#c02040")
    (tmp_path / "out").mkdir()

    with pytest.raises(OSError, match="out"):
        convert_image(source, tmp_path / "out", PRESETS[name])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source.png"]
