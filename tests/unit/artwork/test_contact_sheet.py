"""The contact sheet, drawn from real PNGs."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from suno_cover_async import CoverDetails, Covered, CoverStatus, Failed, SunoCoverError, Track
from suno_cover_async.artwork import ContactSheet
from suno_cover_async.artwork.contact_sheet import clipped

MOST_PIXELS = 24_000_000

Painter = Callable[..., Path]


@pytest.fixture
def paint(tmp_path: Path) -> Painter:
    def painted(name: str, colour: str, size: tuple[int, int] = (64, 64)) -> Path:
        file = tmp_path / name
        Image.new("RGB", size, colour).save(file)
        return file

    return painted


def colours(sheet: Path) -> set[object]:
    with Image.open(sheet) as image:
        return {colour for _, colour in image.getcolors(image.width * image.height) or ()}


def png_header(width: int, height: int) -> bytes:
    """Claim a size, and hold no pixels."""
    content = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    return start + content + struct.pack(">I", zlib.crc32(content))


def test_a_sheet_shows_every_image(paint: Painter, tmp_path: Path) -> None:
    rows = [
        ("One", [paint("1.png", "#ff0000"), paint("2.png", "#00ff00")]),
        ("Two", [paint("3.png", "#0000ff"), paint("4.png", "#ffff00")]),
    ]

    sheet = ContactSheet(rows).save(tmp_path / "sheet.png")

    assert sheet == tmp_path / "sheet.png"
    assert {(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)} <= colours(sheet)


def test_an_image_of_any_shape_is_cropped_and_not_squeezed(paint: Painter, tmp_path: Path) -> None:
    wide = paint("wide.png", "#ff0000", (400, 100))
    with Image.open(wide) as image:
        image.paste("#00ff00", (0, 0, 150, 100))
        image.paste("#00ff00", (250, 0, 400, 100))
        image.save(wide)

    shown = colours(ContactSheet([("Wide", [wide])]).save(tmp_path / "sheet.png"))

    assert (255, 0, 0) in shown
    assert (0, 255, 0) not in shown


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image at all",
        b"\x89PNG\r\n\x1a\nbroken",
        png_header(100, 100),
        png_header(10_000, 10_000),  # Pillow warns of a decompression bomb
        png_header(60_000, 60_000),  # Pillow refuses it
        png_header(0, 0),
    ],
)
def test_a_broken_image_is_a_placeholder_beside_whole_ones(
    content: bytes, paint: Painter, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(content)
    rows = [("Half", [broken, paint("1.png", "#ff0000")]), ("None", [tmp_path / "missing.png"])]

    sheet = ContactSheet(rows).save(tmp_path / "sheet.png")

    assert (255, 0, 0) in colours(sheet)


def test_a_png_cut_off_in_the_middle_is_a_placeholder(paint: Painter, tmp_path: Path) -> None:
    file = paint("cut.png", "#ff0000", (512, 512))
    file.write_bytes(file.read_bytes()[:-40])

    assert (255, 0, 0) not in colours(ContactSheet([("Cut", [file])]).save(tmp_path / "sheet.png"))


def test_a_transparent_image_lies_on_the_card(tmp_path: Path) -> None:
    file = tmp_path / "clear.png"
    Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(file)

    assert (255, 0, 0) not in colours(
        ContactSheet([("Clear", [file])]).save(tmp_path / "sheet.png")
    )


@pytest.mark.parametrize("tracks", [0, 1, 2, 13, 100, 30_000])
def test_a_sheet_never_grows_beyond_its_bound(tracks: int, tmp_path: Path) -> None:
    rows = [("Track", list[Path]())] * tracks

    sheet = ContactSheet(rows).save(tmp_path / "sheet.png")

    with Image.open(sheet) as image:
        assert 0 < image.width * image.height <= MOST_PIXELS


def test_a_sheet_is_there_whole_or_not_at_all(paint: Painter, tmp_path: Path) -> None:
    target = tmp_path / "sheet.png"
    target.write_bytes(b"the old one")

    ContactSheet([("One", [paint("1.png", "#ff0000")])]).save(target)

    assert sorted(file.name for file in tmp_path.iterdir()) == ["1.png", "sheet.png"]
    assert (255, 0, 0) in colours(target)


def test_a_sheet_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        ContactSheet([]).save(tmp_path / "file" / "sheet.png")

    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_a_notebook_shows_a_sheet_as_a_smaller_png(paint: Painter) -> None:
    file = paint("1.png", "#ff0000")

    small = ContactSheet([("One", [file])])._repr_png_()
    large = ContactSheet([("One", [file])] * 300)._repr_png_()

    assert small.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(large)) as image:
        assert image.width * image.height <= 4_000_000


def test_a_sheet_takes_the_outcomes_of_a_catalog(paint: Painter, tmp_path: Path) -> None:
    details = CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS)
    covered = Covered(
        track=Track("m", title="One"), details=details, files=(paint("1.png", "#ff0000"),)
    )
    failed = Failed(track=Track("no-title"), error=SunoCoverError("no"))

    sheet = ContactSheet([covered, failed])

    assert [title for title, _ in sheet.rows] == ["One", "no-title"]
    assert (255, 0, 0) in colours(sheet.save(tmp_path / "new" / "sheet.png"))


@pytest.mark.parametrize("rows", [["title"], [("title", "file.png")], [("title", [1])]])
def test_rows_of_another_form_are_refused(rows: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        ContactSheet(rows)


@pytest.mark.parametrize("title", ["", "\x1b[31m\n", "Café", "夜の渡し船", "\ud800", "🎵" * 300])
def test_any_title_can_be_drawn(title: str, tmp_path: Path) -> None:
    ContactSheet([(title, [])]).save(tmp_path / "sheet.png")

    assert (tmp_path / "sheet.png").is_file()


def test_a_long_title_ends_in_an_ellipsis() -> None:
    font = ImageFont.load_default(20)

    words = clipped("The Extremely Long Ballad of Everything That Ever Was", font, 200)

    assert words.startswith("The Extremely")
    assert words.endswith("…")
    assert font.getlength(words) <= 200


def test_a_short_title_stays_as_it_is() -> None:
    assert clipped("Slow Comet", ImageFont.load_default(20), 200) == "Slow Comet"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(title=st.text(max_size=400), width=st.integers(30, 500))
def test_no_title_is_wider_than_its_card(title: str, width: int) -> None:
    font = ImageFont.load_default(14)

    words = clipped(title, font, width)

    assert font.getlength(words) <= width
    assert "\n" not in words
