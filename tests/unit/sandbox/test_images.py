"""Images of the sandbox: distinct, viewable, labelled, the same again."""

import io
import random
from collections.abc import Callable

import pytest
from PIL import Image, ImageChops

from suno_cover_async.sandbox import images


def test_pictures_are_distinct_and_the_same_again() -> None:
    names = [(f"{music:032x}", style) for music in range(12) for style in (1, 2)]

    pictures = [images.draw(music_task_id, style, 128) for music_task_id, style in names]
    images.draw.cache_clear()

    assert len(set(pictures)) == len(names)
    assert images.draw(*names[5], 128) == pictures[5]


@pytest.mark.parametrize("music_task_id", ["x", "a" * 128, "ünïcode"])
@pytest.mark.parametrize("size", [16, 100, 512])
def test_a_picture_can_be_viewed_whatever_its_name_and_size(music_task_id: str, size: int) -> None:
    with Image.open(io.BytesIO(images.draw(music_task_id, 1, size))) as picture:
        picture.load()

        assert (picture.format, picture.size) == ("PNG", (size, size))
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 20) or ()) > 20


@pytest.mark.parametrize("other", [("style 2", "73d6"), ("style 1", "73d7")])
def test_a_picture_is_labelled_with_its_style_and_its_music_task(other: tuple[str, str]) -> None:
    first, second = Image.new("L", (512, 512)), Image.new("L", (512, 512))

    images._label(first, "Title", "style 1", "73d6")
    images._label(second, "Title", *other)

    assert first.tobytes() != second.tobytes()


def test_a_label_darkens_the_foot_and_nothing_else() -> None:
    plain = Image.new("L", (512, 512), 255)

    images._label(plain, "Title", "style 1", "73d6")

    assert plain.crop((0, 0, 512, 358)).getextrema() == (255, 255)
    assert plain.getpixel((511, 500)) != 255


@pytest.mark.parametrize("music_task_id", ["x", "W" * 40])
def test_an_id_of_any_length_is_written_within_the_margins(music_task_id: str) -> None:
    black = Image.new("L", (512, 512))

    images._label(black, "", "", music_task_id)

    foot = black.crop((0, 440, 512, 512))
    box = ImageChops.subtract(foot, Image.new("L", foot.size, 100)).getbbox()
    assert box is not None
    assert box[0] >= 512 // 20 - 1
    assert box[2] <= 512 - 512 // 20 + 1


def test_the_styles_of_a_music_task_have_other_motifs_and_other_colours() -> None:
    def opened(style: int) -> Image.Image:
        with Image.open(io.BytesIO(images.draw("73d6", style, 64))) as picture:
            picture.load()
            return picture

    one, two = opened(1), opened(2)

    assert one.getpalette() != two.getpalette()
    assert one.convert("RGB").getpixel((0, 0)) != two.convert("RGB").getpixel((0, 0))


def test_every_palette_goes_from_dark_to_light() -> None:
    for colours in images._PALETTES:
        blended = images._palette(colours)
        tones = [sum(blended[at : at + 3]) for at in range(0, len(blended), 3)]

        assert len(tones) == 256
        assert tones == sorted(tones)
        assert blended[:3] == list(bytes.fromhex(colours[0][1:]))
        assert blended[-3:] == list(bytes.fromhex(colours[-1][1:]))


@pytest.mark.parametrize("motif", images._MOTIFS, ids=lambda motif: motif.__name__)
def test_every_motif_draws_on_the_sky(motif: Callable[[images._Canvas], None]) -> None:
    drawn = [images._blank(128, random.Random(seed)) for seed in (1, 1, 2)]
    before = drawn[0].tones.tobytes()

    for canvas in drawn:
        motif(canvas)

    assert drawn[0].tones.tobytes() != before
    assert drawn[0].tones.tobytes() == drawn[1].tones.tobytes() != drawn[2].tones.tobytes()


def test_a_title_is_two_words_and_the_same_for_the_same_song() -> None:
    titles = [images.title_of(f"{number:032x}") for number in range(200)]

    assert titles == [images.title_of(f"{number:032x}") for number in range(200)]
    assert {len(title.split()) for title in titles} == {2}
    assert len(set(titles)) > 100
