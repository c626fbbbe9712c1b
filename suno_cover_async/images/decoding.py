"""Decode image files with Pillow, of up to 64 million pixels, without its warnings.

It needs Pillow, from the extra `artwork`. It must not know what an image is for.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import IO

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.image_files import ImageFile

LARGEST_IMAGE = 64_000_000
"""Pixels; the header alone may claim any number."""

# Each format's own class, in place of Image.open: that warns of large images, and warnings can be
# turned off only for all threads at once.
_OPENERS: dict[str, Callable[[IO[bytes]], Image.Image]] = {
    ".png": PngImagePlugin.PngImageFile,
    ".jpg": JpegImagePlugin.JpegImageFile,
    ".webp": WebPImagePlugin.WebPImageFile,
    ".gif": GifImagePlugin.GifImageFile,
    ".avif": AvifImagePlugin.AvifImageFile,
}


def open_image(source: IO[bytes], suffix: str, path: Path) -> Image.Image:
    """Open an image without decoding it.

    Args:
        source: Its bytes; they must stay readable until the image is decoded.
        suffix: The suffix for its format.
        path: Its file, for messages.

    Raises:
        ArtworkError: It is damaged, or has more than 64 million pixels.
    """
    try:
        image = _OPENERS[suffix](source)
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        raise damaged(path) from None
    if image.width * image.height > LARGEST_IMAGE:
        size = f"{image.width:,} by {image.height:,} pixels"
        raise ArtworkError(f"the image is too large, {size}: {printable(str(path))}")
    return image


def decode(file: ImageFile) -> Image.Image:
    """Decode an image; raises as `open_image` does."""
    image = open_image(io.BytesIO(file.data), file.suffix, file.path)
    try:
        image.load()
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        raise damaged(file.path) from None
    return image


def damaged(path: Path) -> ArtworkError:
    """Return the error for an image that cannot be decoded."""
    return ArtworkError(f"the image is damaged: {printable(str(path))}")
