import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from suno_cover_async.artwork.pictures import SRGB_PROFILE, as_srgb, is_animated
from suno_cover_async.images.decoding import decode
from suno_cover_async.images.image_files import read_image

RED = (200, 30, 40)


def saved(path: Path, image: Image.Image, kind: str = "PNG", **options: object) -> Path:
    image.save(path, kind, **options)
    return path


def pixel(image: Image.Image, at: tuple[int, int] = (0, 0)) -> tuple[int, ...]:
    value = image.getpixel(at)
    assert isinstance(value, tuple)
    return tuple(map(int, value))


def is_near(image: Image.Image, colour: tuple[int, int, int], most: int = 3) -> bool:
    return all(abs(a - b) <= most for a, b in zip(pixel(image), colour, strict=True))


def test_an_animated_image_is_known_as_one(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for kind in ("PNG", "GIF", "WEBP"):
        path = saved(tmp_path / kind, frames[0], kind, save_all=True, append_images=frames[1:])
        assert is_animated(decode(read_image(path))), kind
        path = saved(tmp_path / kind, frames[0], kind)
        assert not is_animated(decode(read_image(path))), kind


def a_transparent(mode: str) -> Image.Image:
    image = Image.new("RGBA", (8, 8), (*RED, 0))
    if mode == "LA":
        return Image.merge("LA", (Image.new("L", (8, 8), 10), Image.new("L", (8, 8), 0)))
    return image if mode == "RGBA" else image.quantize(8)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_put_on_white(tmp_path: Path, mode: str) -> None:
    path = saved(tmp_path / "x.png", a_transparent(mode))

    image = as_srgb(decode(read_image(path)))

    assert (image.mode, pixel(image)) == ("RGB", (255, 255, 255))


def test_half_transparent_parts_are_mixed_with_white(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("RGBA", (8, 8), (0, 0, 0, 128)))

    assert is_near(as_srgb(decode(read_image(path))), (127, 127, 127))


@pytest.mark.parametrize(
    ("make", "colour"),
    [
        (lambda: Image.new("RGB", (8, 8), RED), RED),
        (lambda: Image.new("RGB", (8, 8), RED).quantize(8), RED),
        (lambda: Image.new("L", (8, 8), 77), (77, 77, 77)),
        (lambda: Image.new("1", (8, 8), 1), (255, 255, 255)),
        (lambda: Image.new("I;16", (8, 8), 40_000), (156, 156, 156)),
    ],
)
def test_palettes_grey_and_16_bits_become_rgb(
    tmp_path: Path, make: Callable[[], Image.Image], colour: tuple[int, int, int]
) -> None:
    image = as_srgb(decode(read_image(saved(tmp_path / "x.png", make()))))

    assert image.mode == "RGB"
    assert is_near(image, colour)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")

    image = as_srgb(decode(read_image(path)))

    assert image.mode == "RGB"
    assert is_near(image, (255, 0, 0), 6)


def test_the_orientation_of_a_camera_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), "white")
    image.putpixel((0, 0), RED)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    path = saved(tmp_path / "x.png", image, exif=exif)

    upright = as_srgb(decode(read_image(path)))

    assert upright.size == (10, 20)
    assert pixel(upright, (9, 0)) == RED


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # Pillow's, of every such JPEG
def test_broken_exif_is_no_reason_to_refuse_an_image(tmp_path: Path) -> None:
    image = Image.new("RGB", (20, 10), RED)
    path = saved(tmp_path / "x.jpg", image, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffjunk")

    assert as_srgb(decode(read_image(path))).size == (20, 10)


def display_profile() -> bytes:
    """A profile of another RGB space: sRGB's, with red and blue exchanged, and another name."""
    profile = SRGB_PROFILE.replace(b"rXYZ", b"tmpZ", 1).replace(b"bXYZ", b"rXYZ", 1)
    profile = profile.replace(b"tmpZ", b"bXYZ", 1)
    name = "sRGB built-in".encode("utf-16-be")
    assert name in profile
    return profile.replace(name, "exchanged!!!!".encode("utf-16-be"))


def test_colours_of_another_profile_are_converted_to_srgb(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("RGB", (8, 8), RED), icc_profile=display_profile())

    image = as_srgb(decode(read_image(path)))

    assert is_near(image, (40, 30, 200), 4)


def test_colours_of_srgb_are_kept_as_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("RGB", (8, 8), RED), icc_profile=SRGB_PROFILE)

    assert pixel(as_srgb(decode(read_image(path)))) == RED


@pytest.mark.parametrize("profile", [b"junk", SRGB_PROFILE[:300], b"\0" * 600])
def test_a_broken_profile_is_taken_for_srgb(tmp_path: Path, profile: bytes) -> None:
    path = saved(tmp_path / "x.png", Image.new("RGB", (8, 8), RED), icc_profile=profile)

    assert pixel(as_srgb(decode(read_image(path)))) == RED


def test_a_profile_of_another_kind_of_image_is_taken_for_srgb(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("L", (8, 8), 77), icc_profile=display_profile())

    assert pixel(as_srgb(decode(read_image(path)))) == (77, 77, 77)


def test_the_profile_of_srgb_is_the_same_at_all_times() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(SRGB_PROFILE))

    assert re.match("sRGB", ImageCms.getProfileDescription(profile))
    assert SRGB_PROFILE[24:36].hex() == "07d000010001000000000000"
