"""Thumbnails: their sizes and types, how often they are made, and what they cost in memory."""

import asyncio
import io
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async.errors import ArtworkError
from suno_cover_async.review.thumbnails import SIZES, Thumbnails, media_type
from suno_cover_async.sandbox.images import draw
from tests.support.odd_images import png_that_claims


async def made(path: Path, size: int) -> Image.Image:
    thumbnails = Thumbnails()
    content = await thumbnails.get(path, "v", size)
    await thumbnails.aclose()
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("size", SIZES)
async def test_a_thumbnail_fits_in_the_square_that_was_asked_for(size: int, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(draw("x", 1, 1024))
    Image.new("RGB", (1200, 400), "red").save(tmp_path / "wide.jpg")

    assert (await made(tmp_path / "x.png", size)).size == (size, size)
    assert (await made(tmp_path / "wide.jpg", size)).size == (size, round(size / 3))


async def test_a_small_image_is_never_enlarged(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(draw("x", 1, 100))

    assert [(await made(tmp_path / "x.png", size)).width for size in SIZES] == [64, *[100] * 5]


@pytest.mark.parametrize(
    ("mode", "kind", "media"),
    [
        ("RGB", "PNG", "image/jpeg"),
        ("L", "PNG", "image/jpeg"),
        ("P", "GIF", "image/jpeg"),
        ("CMYK", "JPEG", "image/jpeg"),
        ("1", "PNG", "image/jpeg"),
        ("I;16", "PNG", "image/jpeg"),
        ("RGBA", "PNG", "image/webp"),
        ("LA", "PNG", "image/webp"),
    ],
)
async def test_a_thumbnail_is_a_jpeg_or_where_the_image_is_transparent_a_webp(
    mode: str, kind: str, media: str, tmp_path: Path
) -> None:
    Image.new(mode, (700, 700)).save(tmp_path / "x", kind)

    for size in (600, 64):
        content = await Thumbnails().get(tmp_path / "x", "v", size)
        assert media_type(content) == media
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == media.partition("/")[2].upper()


async def test_transparency_is_kept(tmp_path: Path) -> None:
    Image.new("RGBA", (700, 700), (255, 0, 0, 0)).save(tmp_path / "x.png")

    thumbnail = await made(tmp_path / "x.png", 64)

    assert thumbnail.convert("RGBA").getchannel("A").getextrema() == (0, 0)


async def test_the_colour_profile_is_kept(tmp_path: Path) -> None:
    profile = b"the bytes of a profile"
    Image.new("RGB", (700, 700)).save(tmp_path / "x.png", icc_profile=profile)

    assert (await made(tmp_path / "x.png", 64)).info["icc_profile"] == profile


async def test_an_image_that_was_turned_by_its_camera_is_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (800, 400))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "x.jpg", exif=exif)

    assert (await made(tmp_path / "x.jpg", 300)).size == (150, 300)


async def test_a_thumbnail_is_made_once_whoever_waits_for_it(tmp_path: Path) -> None:
    path, thumbnails = tmp_path / "x.png", Thumbnails()
    path.write_bytes(draw("x", 1, 1024))

    first, second = await asyncio.gather(*[thumbnails.get(path, "v", 300) for _ in range(2)])
    path.unlink()  # so that nothing can read it again
    third, smaller = [await thumbnails.get(path, "v", size) for size in (300, 64)]

    assert first is second is third
    assert len(smaller) < len(first)


async def test_a_changed_file_has_another_thumbnail(tmp_path: Path) -> None:
    path, thumbnails = tmp_path / "x.png", Thumbnails()
    path.write_bytes(draw("x", 1, 1024))
    before = await thumbnails.get(path, "1", 64)
    path.write_bytes(draw("x", 2, 1024))

    assert await thumbnails.get(path, "2", 64) != before
    assert await thumbnails.get(path, "1", 64) == before


async def test_the_least_recently_used_are_dropped_beyond_a_number_of_bytes(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        path.write_bytes(draw("x", number, 600))
    sizes = [len(await Thumbnails().get(path, "v", 600)) for path in paths]
    thumbnails = Thumbnails(most_bytes=sum(sizes) - 1)
    for path in paths[:2]:
        await thumbnails.get(path, path.name, 600)
    await thumbnails.get(paths[0], "0.png", 600)
    await thumbnails.get(paths[2], "2.png", 600)
    for path in paths:
        path.unlink()

    await thumbnails.get(paths[0], "0.png", 600)
    await thumbnails.get(paths[2], "2.png", 600)
    with pytest.raises(ArtworkError, match="missing"):
        await thumbnails.get(paths[1], "1.png", 600)


async def test_an_image_that_cannot_be_decoded_is_a_problem_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.effect_noise((700, 700), 90).save(path)
    path.write_bytes(path.read_bytes()[:-5000])

    for size in (600, 64):
        with pytest.raises(ArtworkError) as caught:
            await Thumbnails().get(path, "v", size)
        assert str(caught.value) == f"the image is damaged: {path}"


async def test_a_decompression_bomb_is_never_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(9_000, 9_000))

    with pytest.raises(ArtworkError, match="too large, 9,000 by 9,000 pixels"):
        await Thumbnails().get(path, "v", 64)


async def test_a_caller_who_leaves_takes_no_thumbnail_from_the_others(tmp_path: Path) -> None:
    path, thumbnails = tmp_path / "x.png", Thumbnails()
    path.write_bytes(draw("x", 1, 1024))
    leaving = asyncio.create_task(thumbnails.get(path, "v", 600))
    staying = asyncio.create_task(thumbnails.get(path, "v", 600))
    await asyncio.sleep(0)
    leaving.cancel()

    assert await staying
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_closing_waits_for_what_is_being_made_and_leaves_no_task(tmp_path: Path) -> None:
    path, thumbnails = tmp_path / "x.png", Thumbnails()
    path.write_bytes(draw("x", 1, 1024))
    getting = asyncio.create_task(thumbnails.get(path, "v", 600))
    await asyncio.sleep(0)

    await thumbnails.aclose()

    assert getting.done() or await getting
    assert asyncio.all_tasks() == {asyncio.current_task()}
