"""Draw images that look like cover art; the same ids always give the same image.

An image is drawn in 256 tones at twice its size, reduced for smooth edges, and coloured with a
palette of a few colours. Its title and its motif are derived from the music task id. A label at
its foot shows the music task and the style. It knows no API.
"""

import functools
import io
import math
import random
from collections.abc import Callable, Sequence

import attrs

try:
    from PIL import Image, ImageChops, ImageDraw, ImageFont
except ImportError as _error:
    raise ModuleNotFoundError(
        "the sandbox needs Pillow: pip install 'suno-cover-async[sandbox]'", name="PIL"
    ) from _error

_KEPT = 128  # pictures in memory, about 50 KB each
_OVERSAMPLING = 2
_TONES = 256
_HALF = 0.5
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PALETTES = (
    ("#0b0221", "#5c1a8c", "#ff4f79", "#ffd6a5"),
    ("#03141f", "#0b4f6c", "#20a39e", "#f6f7d7"),
    ("#1a0a07", "#7a1f1f", "#f2652f", "#ffe8b6"),
    ("#08110b", "#1d4d3a", "#8fbf5f", "#f9f6d2"),
    ("#0a0a12", "#2b2d5b", "#7d83ff", "#e9f0ff"),
    ("#150818", "#6a1b4d", "#e3578f", "#ffe3ec"),
    ("#0c0c0c", "#4a3f35", "#d4a24e", "#fbf3e0"),
    ("#04101c", "#14406b", "#f08a4b", "#fff0d9"),
    ("#120422", "#3b1c8f", "#29c7e8", "#eafffb"),
    ("#101010", "#454b54", "#a9b4c2", "#ffffff"),
)
_FIRST_WORDS = (
    *("Amber", "Borrowed", "Copper", "Distant", "Electric", "Falling", "Glass", "Hollow"),
    *("Indigo", "Little", "Midnight", "Northern", "Paper", "Quiet", "Silver", "Velvet"),
)
_LAST_WORDS = (
    *("Avenue", "Birds", "Cinema", "Daylight", "Echoes", "Fever", "Gardens", "Harbour"),
    *("Islands", "Kites", "Letters", "Motel", "Oceans", "Parade", "Radio", "Summer"),
)


@attrs.frozen
class _Canvas:
    """The surface of a motif: tones from 0 (dark) to 255, `side` pixels square."""

    tones: Image.Image
    pen: ImageDraw.ImageDraw
    side: int
    dice: random.Random


@functools.lru_cache(maxsize=_KEPT)
def draw(music_task_id: str, style: int, size: int) -> bytes:
    """Return one image of a music task's cover as a PNG, `size` pixels square."""
    names = random.Random(music_task_id)
    motifs = names.sample(_MOTIFS, len(_MOTIFS))
    palettes = names.sample(_PALETTES, len(_PALETTES))
    canvas = _blank(size * _OVERSAMPLING, random.Random(f"{music_task_id} {style}"))
    motifs[style % len(motifs)](canvas)
    picture = canvas.tones.reduce(_OVERSAMPLING)
    _label(picture, title_of(music_task_id), f"style {style}", music_task_id)
    picture.putpalette(_palette(palettes[style % len(palettes)]))
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=4)
    return file.getvalue()


def title_of(music_task_id: str) -> str:
    """Return a made-up title for a song, the same for the same id."""
    words = random.Random(f"{music_task_id} title")
    return f"{words.choice(_FIRST_WORDS)} {words.choice(_LAST_WORDS)}"


def _blank(side: int, dice: random.Random) -> _Canvas:
    tones = _sky(side, rising=dice.random() < _HALF).copy()
    return _Canvas(tones, ImageDraw.Draw(tones), side, dice)


@functools.lru_cache(maxsize=4)
def _sky(side: int, *, rising: bool) -> Image.Image:
    tones = range(115, 30, -1) if rising else range(30, 115)
    return _gradient(side, side, tones)


def _gradient(width: int, height: int, tones: Sequence[int]) -> Image.Image:
    """Blend from the first tone, at the top, to the last."""
    rows = (bytes([tones[row * len(tones) // height]]) * width for row in range(height))
    return Image.frombytes("L", (width, height), b"".join(rows))


def _sunset(canvas: _Canvas) -> None:
    """Draw a slit sun above hills."""
    side, dice = canvas.side, canvas.dice
    _disc(canvas, dice.uniform(0.35, 0.65), 0.4, 0.27, 235)
    for step in range(6):
        top = side * (0.42 + 0.045 * step)
        canvas.pen.rectangle((0, top, side, top + side * 0.004 * (step + 1)), fill=70)
    for layer in range(4):
        _hill(canvas, 0.6 + 0.09 * layer, 0.05, 120 - 32 * layer)


def _hill(canvas: _Canvas, height: float, swing: float, tone: int) -> None:
    side, phase = canvas.side, canvas.dice.uniform(0, math.tau)
    waves = canvas.dice.uniform(1.2, 2.6)
    crest = [
        (x, side * (height - swing * math.sin(phase + waves * math.tau * x / side)))
        for x in range(0, side + 17, 16)
    ]
    canvas.pen.polygon([*crest, (side, side), (0, side)], fill=tone)


def _orbits(canvas: _Canvas) -> None:
    """Draw circles that invert each other where they overlap."""
    dice = canvas.dice
    tones = canvas.dice.sample((90, 120, 150, 180, 210), 5)
    for tone in tones:
        layer = Image.new("L", canvas.tones.size)
        circle = _Canvas(layer, ImageDraw.Draw(layer), canvas.side, dice)
        _disc(
            circle, dice.uniform(0.2, 0.8), dice.uniform(0.15, 0.65), dice.uniform(0.15, 0.36), tone
        )
        canvas.tones.paste(ImageChops.difference(canvas.tones, layer))


def _tiles(canvas: _Canvas) -> None:
    """Draw a quilt of quarter circles."""
    count = canvas.dice.choice((3, 4, 5))
    tile = canvas.side / count
    for row in range(count):
        for column in range(count):
            _quarter(canvas, column * tile, row * tile, tile)


def _quarter(canvas: _Canvas, left: float, top: float, tile: float) -> None:
    ground, figure = canvas.dice.sample((35, 80, 130, 180, 235), 2)
    canvas.pen.rectangle((left, top, left + tile, top + tile), fill=ground)
    corner = canvas.dice.randrange(4)
    x, y = left + tile * (corner % 2), top + tile * (corner // 2)
    start = (0, 90, 270, 180)[corner]
    for radius, tone in ((tile, figure), (tile * 0.5, ground)):
        box = (x - radius, y - radius, x + radius, y + radius)
        canvas.pen.pieslice(box, start, start + 90, fill=tone)


def _rays(canvas: _Canvas) -> None:
    """Draw a sun with rays over the whole sky."""
    side, dice = canvas.side, canvas.dice
    x, y, count = dice.uniform(0.3, 0.7), dice.uniform(0.35, 0.6), dice.choice((12, 16, 20))
    for ray in range(count):
        edges = (math.tau * ray / count, math.tau * (ray + 0.5) / count)
        ends = [((x + 2 * math.cos(a)) * side, (y + 2 * math.sin(a)) * side) for a in edges]
        canvas.pen.polygon([(x * side, y * side), *ends], fill=150)
    for radius, tone in ((0.25, 60), (0.22, 240), (0.12, 110), (0.1, 240)):
        _disc(canvas, x, y, radius, tone)


def _ridges(canvas: _Canvas) -> None:
    """Draw horizontal lines that rise over hidden mountains."""
    side, dice = canvas.side, canvas.dice
    canvas.pen.rectangle((0, 0, side, side), fill=22)
    peaks = [(dice.uniform(0.3, 0.7), dice.uniform(0.03, 0.09)) for _ in range(4)]
    for line in range(22):
        base = side * (0.16 + 0.026 * line)
        points = [
            (x * side, base - side * _lift(peaks, x, dice))
            for x in (0.125 + 0.75 * step / 96 for step in range(97))
        ]
        below = base + side * 0.01
        canvas.pen.polygon([*points, (side * 0.875, below), (side * 0.125, below)], fill=22)
        canvas.pen.line(points, fill=110 + 6 * line, width=max(side // 240, 1), joint="curve")


def _lift(peaks: list[tuple[float, float]], x: float, dice: random.Random) -> float:
    swell = sum(math.exp(-(((x - middle) / width) ** 2)) for middle, width in peaks)
    return 0.045 * swell * dice.uniform(0.35, 1) + 0.004 * dice.random()


def _vinyl(canvas: _Canvas) -> None:
    """Draw a record, half out of its sleeve."""
    x, y = canvas.dice.uniform(0.5, 0.75), canvas.dice.uniform(0.38, 0.5)
    for groove in range(18):
        _disc(canvas, x, y, 0.4 - 0.014 * groove, (28, 62)[groove % 2])
    for radius, tone in ((0.14, 225), (0.1, 150), (0.085, 225), (0.015, 15)):
        _disc(canvas, x, y, radius, tone)
    _disc(canvas, x - 0.62, y + 0.1, 0.3, 190)


def _skyline(canvas: _Canvas) -> None:
    """Draw bars like the song's loudness, as a skyline at night."""
    side, dice = canvas.side, canvas.dice
    _disc(canvas, dice.uniform(0.2, 0.8), 0.25, 0.12, 245)
    count = dice.choice((24, 32, 40))
    step = side / count
    for bar in range(count):
        envelope = 0.15 + 0.45 * abs(math.sin(math.pi * 2.3 * bar / count + dice.random()))
        box = (bar * step, side * (0.85 - envelope), bar * step + step * 0.72, side)
        canvas.pen.rounded_rectangle(box, step * 0.3, fill=110 + int(130 * envelope))


_MOTIFS: tuple[Callable[[_Canvas], None], ...] = (
    _sunset,
    _orbits,
    _tiles,
    _rays,
    _ridges,
    _vinyl,
    _skyline,
)


def _disc(canvas: _Canvas, x: float, y: float, radius: float, tone: int) -> None:
    x, y, radius = x * canvas.side, y * canvas.side, radius * canvas.side
    canvas.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tone)


def _label(picture: Image.Image, title: str, style: str, music_task_id: str) -> None:
    """Darken the foot of an image, and write the title, style and id there."""
    size = picture.width
    shade = _shade(size)
    picture.paste(8, (0, size - shade.height), shade)
    pen, margin = ImageDraw.Draw(picture), size // 20
    pen.text((margin, size * 0.83), title, fill=255, font=_font(size // 12), anchor="ls")
    pen.text((size - margin, size * 0.83), style, fill=235, font=_font(size // 18), anchor="rs")
    small = _fitting(music_task_id, size // 23, size - 2 * margin)
    pen.text((margin, size * 0.93), music_task_id, fill=225, font=small, anchor="ls")


@functools.lru_cache(maxsize=4)
def _shade(size: int) -> Image.Image:
    """Return the mask of the darkened foot, which is dense from its middle down."""
    return _gradient(size, size * 3 // 10, [min(230, 2 * tone) for tone in range(_TONES)])


def _fitting(text: str, size: int, space: int) -> _Font:
    wide = _font(size).getlength(text)
    return _font(size) if wide <= space else _font(int(size * space / wide))


@functools.lru_cache(maxsize=32)
def _font(size: int) -> _Font:
    return ImageFont.load_default(max(size, 6))


@functools.cache
def _palette(colours: tuple[str, ...]) -> list[int]:
    """Blend the colours, dark to light, into one for each tone."""
    stops = [tuple(bytes.fromhex(colour[1:])) for colour in colours]
    spans = len(stops) - 1
    blended = list[int]()
    for tone in range(_TONES):
        at, way = divmod(tone * spans / (_TONES - 1), 1)
        low, high = stops[int(at)], stops[min(int(at) + 1, spans)]
        blended += [round(a + (b - a) * way) for a, b in zip(low, high, strict=True)]
    return blended
