"""Define the presets: the format, size and quality of the artwork that stores and players want.

It holds values only.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import attrs

from suno_cover_async.common.records import Record
from suno_cover_async.common.validation import checked, count

ImageFormat = Literal["JPEG", "PNG", "WEBP"]

_FORMATS: tuple[ImageFormat, ...] = ("JPEG", "PNG", "WEBP")
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_WORDS = {"JPEG": "JPEG", "PNG": "PNG", "WEBP": "WebP"}
_BEST_QUALITY = 100


@attrs.frozen(kw_only=True)
class Preset(Record):
    """How to write an image.

    Each image but that of a preset without a format is square (cropped at its centre), RGB, with
    transparent parts on white, upright, and in sRGB with its profile.

    Attributes:
        name: Its name for messages, records and `--preset`.
        format: "JPEG", "PNG" or "WEBP"; None copies the bytes of the image, whatever it is.
        side: The longest side to write, in pixels; None keeps the image's own. Smaller images are
            not enlarged, unless that is asked for.
        is_required: Whether smaller images than `side` are likely to be refused, so that a report
            warns of them.
        quality: 1 to 100, for JPEG and WebP.
        subsampling: How a JPEG stores colours: "4:4:4" keeps each pixel's, "4:2:0" one of four.

    Raises:
        ValueError: A value is none of these.
    """

    name: str
    format: ImageFormat | None = attrs.field(
        default=None, validator=attrs.validators.in_((None, *_FORMATS))
    )
    side: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(checked(count))
    )
    is_required: bool = False
    quality: int = attrs.field(
        default=95, validator=[checked(count), attrs.validators.le(_BEST_QUALITY)]
    )
    subsampling: Literal["4:4:4", "4:2:0"] = attrs.field(
        default="4:4:4", validator=attrs.validators.in_(("4:4:4", "4:2:0"))
    )

    @property
    def suffix(self) -> str | None:
        """Return the suffix of its files; None if it is that of the image."""
        return None if self.format is None else _SUFFIXES[self.format]

    @property
    def in_words(self) -> str:
        """Return what it writes, such as "JPEG of at most 1000 × 1000"."""
        if self.format is None:
            return "a copy of the image"
        size = "" if self.side is None else f" of at most {self.side} × {self.side}"
        return f"{_WORDS[self.format]}{size}"


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(name="original"),
            Preset(name="store", format="JPEG", side=3000, is_required=True),
            Preset(name="web", format="WEBP", side=1200, quality=85),
            Preset(
                name="player",
                format="JPEG",
                side=1000,
                quality=90,
                subsampling="4:2:0",
            ),
        )
    }
)
"""The presets by name.

`original` copies the image. `store` is the 3000 × 3000 sRGB JPEG that distributors ask for, in best
quality. `web` is a WebP, which is a third of a JPEG's size and which every browser shows. `player`
is a JPEG small enough for audio files and old players.
"""
