"""Draw many covers on one image: a card for each track, its images side by side above its title.

It owns the layout and the drawing. It knows files and titles; it knows no client, no API and
nothing about where the files came from, so it trusts none of them: a broken, missing or too large
image becomes a placeholder.
"""

import io
import math
import os
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TypeAlias

import attrs
from PIL import Image, ImageDraw, ImageFont, ImageOps

from suno_cover_async.batch.outcomes import Covered, Failed
from suno_cover_async.common.text import is_seen
from suno_cover_async.images.decoding import open_image
from suno_cover_async.images.files import PartFile
from suno_cover_async.images.image_files import opened_file

Row: TypeAlias = tuple[str, tuple[Path, ...]]
Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PAGE = "#12141a"
_CARD = "#1d2029"
_HOLE = "#2a2e3a"
_CROSS = "#4a5063"
_INK = "#eceef4"
_FAINT = "#8b91a3"

_LARGEST_SHEET = 24_000_000  # pixels
_LARGEST_SHOWN = 4_000_000  # pixels, in a notebook, which keeps what it shows
_THUMBS = (240, 180, 120, 80)
_MOST_ABREAST = 4
_LONGEST_TITLE = 200
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "msyh.ttc",
    "PingFang.ttc",
    "Arial Unicode.ttf",
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "arial.ttf",
)


@attrs.frozen(kw_only=True)
class _Layout:
    """All positions and sizes, in pixels, computed from the side of a thumbnail."""

    thumb: int
    abreast: int
    cards: int
    left_out: int
    most_pixels: int

    @property
    def gap(self) -> int:
        return max(6, self.thumb // 15)

    @property
    def ink(self) -> int:
        return max(11, self.thumb // 12)

    @property
    def card(self) -> tuple[int, int]:
        wide = self.gap + self.abreast * (self.thumb + self.gap)
        return wide, self.thumb + 3 * self.gap + self.ink

    @property
    def columns(self) -> int:
        """How many columns make the sheet about three wide to two high."""
        wide, high = self.card
        return max(1, min(self.cards, round(math.sqrt(self.cards * 1.5 * high / wide))))

    @property
    def size(self) -> tuple[int, int]:
        wide, high = self.card
        lines = -(-self.cards // self.columns)
        edge = 2 * self.gap
        footer = 2 * self.ink if self.left_out else 0
        return (
            2 * edge + self.columns * (wide + self.gap) - self.gap,
            2 * edge + lines * (high + self.gap) - self.gap + footer,
        )

    def corner(self, index: int) -> tuple[int, int]:
        """Return the upper left corner of a card."""
        wide, high = self.card
        line, column = divmod(index, self.columns)
        return 2 * self.gap + column * (wide + self.gap), 2 * self.gap + line * (high + self.gap)

    @property
    def fits(self) -> bool:
        wide, high = self.size
        return wide * high <= self.most_pixels


def _rows(covers: Iterable[Covered | Failed | tuple[str, Sequence[Path]]]) -> tuple[Row, ...]:
    return tuple(_row(cover) for cover in covers)


def _row(cover: Covered | Failed | tuple[str, Sequence[Path]]) -> Row:
    if isinstance(cover, Covered | Failed):
        files = cover.files if isinstance(cover, Covered) else ()
        return cover.track.title or cover.track.music_task_id, files
    title, paths = cover
    if isinstance(paths, str | bytes):
        raise TypeError("a contact sheet takes outcomes of a catalog, or a title with its files")
    return str(title), tuple(map(Path, paths))


@attrs.frozen
class ContactSheet:
    """The covers of many tracks on one image; a notebook shows it.

    ::

        ContactSheet([outcome async for outcome in run]).save("contact-sheet.png")

    Thumbnails are smaller for more tracks; beyond about 1,000 tracks the rest is left out, and the
    sheet says how many. A file that is missing, damaged or too large becomes a placeholder. Files
    are read when the sheet is drawn, so it blocks: call `save` in a thread.

    Attributes:
        rows: A title and its image files, for each track; up to four images are shown. Outcomes of
            a catalog are taken too: `Covered` and, without images, `Failed`.

    Raises:
        TypeError: A row is neither an outcome nor a title with its files.
    """

    rows: tuple[Row, ...] = attrs.field(converter=_rows)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the sheet as a PNG of at most 24 million pixels, whole or not at all.

        Args:
            path: The file; it is replaced when the new one is complete. A missing folder is
                created.

        Returns:
            The file.

        Raises:
            OSError: The file cannot be written.
        """
        target = Path(path)
        part = PartFile(target.parent)
        try:
            part.write(self._png(_LARGEST_SHEET))
            part.finish(target)
        except BaseException:
            part.discard()
            raise
        return target

    def _repr_png_(self) -> bytes:
        """Show the sheet in a notebook, with at most 4 million pixels."""
        return self._png(_LARGEST_SHOWN)

    def _png(self, most_pixels: int) -> bytes:
        layout = _lay_out(self.rows, most_pixels)
        sheet = Image.new("RGB", layout.size, _PAGE)
        for index, (title, files) in enumerate(self.rows[: layout.cards]):
            sheet.paste(_card(layout, title, files), layout.corner(index))
        if layout.left_out:
            _footer(sheet, layout)
        written = io.BytesIO()
        sheet.save(written, format="PNG")
        return written.getvalue()


def _lay_out(rows: Sequence[Row], most_pixels: int) -> _Layout:
    """Choose the largest thumbnails that fit; omit tracks only if the smallest do not fit."""
    abreast = max((min(len(files), _MOST_ABREAST) for _, files in rows), default=1) or 1

    def sized(thumb: int, cards: int) -> _Layout:
        left_out = len(rows) - cards
        return _Layout(
            thumb=thumb, abreast=abreast, cards=cards, left_out=left_out, most_pixels=most_pixels
        )

    for thumb in _THUMBS:
        layout = sized(thumb, len(rows))
        if layout.fits:
            return layout
    cards = len(rows)
    while not (layout := sized(_THUMBS[-1], cards)).fits:
        cards = cards * 9 // 10
    return layout


def _card(layout: _Layout, title: str, files: Sequence[Path]) -> Image.Image:
    """Draw the card of one track: its thumbnails, and its title below them."""
    card = _rounded(Image.new("RGB", layout.card, _CARD), radius=layout.gap, behind=_PAGE)
    gap, thumb = layout.gap, layout.thumb
    for place in range(layout.abreast):
        picture = _thumbnail(files[place], thumb) if place < len(files) else _placeholder(thumb)
        corner = gap + place * (thumb + gap), gap
        card.paste(_rounded(picture, radius=gap // 2, behind=_CARD), corner)
    title, font = _legible(title, layout.ink)
    words = clipped(title, font, layout.card[0] - 3 * gap)
    ImageDraw.Draw(card).text(
        (gap + gap // 4, thumb + 2 * gap + layout.ink // 2), words, _INK, font, anchor="lm"
    )
    return card


def _footer(sheet: Image.Image, layout: _Layout) -> None:
    wide, high = layout.size
    words = f"and {layout.left_out:,} more tracks"
    font = ImageFont.load_default(layout.ink)
    ImageDraw.Draw(sheet).text((wide // 2, high - 2 * layout.gap), words, _FAINT, font, anchor="ms")


def _legible(title: str, size: int) -> tuple[str, Font]:
    """Return a title and a font for it; if the machine has no font for it, reduce it to ASCII."""
    if title.isascii():
        return title, ImageFont.load_default(size)
    font = _wide_font(size)
    if font is not None:
        return title, font
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return plain or title, ImageFont.load_default(size)


@cache
def _wide_font(size: int) -> Font | None:
    """Open a font of this machine with more than ASCII, which Pillow's own font lacks."""
    for name in _WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


def clipped(title: str, font: Font, width: float) -> str:
    """Shorten a title to a width in pixels, with an ellipsis if something was cut off."""
    words = " ".join("".join(c if is_seen(c) else " " for c in title).split())
    if len(words) <= _LONGEST_TITLE and font.getlength(words) <= width:
        return words
    for end in range(min(len(words), _LONGEST_TITLE), 0, -1):
        shorter = f"{words[:end].rstrip()}…"
        if font.getlength(shorter) <= width:
            return shorter
    return "…"


def _thumbnail(file: Path, side: int) -> Image.Image:
    """Read an image, cropped to a square; return a placeholder if that cannot be done safely."""
    try:
        with opened_file(file) as (source, suffix), open_image(source, suffix, file) as image:
            image.draft("RGB", (side, side))
            whole = ImageOps.fit(image.convert("RGBA"), (side, side))
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        return _placeholder(side)
    canvas = Image.new("RGB", whole.size, _HOLE)
    canvas.paste(whole, mask=whole)
    return canvas


def _placeholder(side: int) -> Image.Image:
    """Draw a placeholder for an image that cannot be shown."""
    hole = Image.new("RGB", (side, side), _HOLE)
    near, far = side * 3 // 8, side * 5 // 8
    pen = ImageDraw.Draw(hole)
    pen.line((near, near, far, far), _CROSS, width=max(2, side // 40))
    pen.line((near, far, far, near), _CROSS, width=max(2, side // 40))
    return hole


def _rounded(picture: Image.Image, *, radius: int, behind: str) -> Image.Image:
    """Round the corners of a picture, over the colour behind it."""
    finer = 4  # drawn larger and shrunk, since Pillow does not smooth edges
    mask = Image.new("L", (picture.width * finer, picture.height * finer), 0)
    edges = (0, 0, mask.width - 1, mask.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(edges, radius * finer, fill=255)
    whole = Image.new("RGB", picture.size, behind)
    whole.paste(picture, mask=mask.reduce(finer))
    return whole
