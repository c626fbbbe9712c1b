"""A cover as audio files hold it: an image's bytes, its type and its size. It knows no files."""

import io
from pathlib import Path

import attrs

from suno_cover_async.images.formats import suffix_of

try:
    from PIL import Image
except ImportError as _error:
    raise ModuleNotFoundError(
        "embedding covers needs Pillow: pip install 'suno-cover-async[audio]'", name="PIL"
    ) from _error

LARGEST = 16_000_000
"""Bytes that a cover may have: a FLAC file, and ID3v2.2, hold no picture of 16 MiB."""

_MIME = {".jpg": "image/jpeg", ".png": "image/png"}


@attrs.frozen(kw_only=True)
class Picture:
    """A front cover.

    Attributes:
        data: The image's bytes, of a JPEG or a PNG.
        mime: image/jpeg or image/png.
        width: Pixels.
        height: Pixels.
        depth: Bits of each pixel.
        description: The text that goes with it.
    """

    data: bytes
    mime: str
    width: int
    height: int
    depth: int
    # Pictures of a tag that differ in type alone must differ in their descriptions (ID3v2, 4.14),
    # and most programs leave the description of a back cover empty.
    description: str = "Front cover"


def read_picture(image: bytes | str | Path) -> Picture:
    """Read an image from its bytes or from a file.

    Raises:
        ValueError: It is neither a JPEG nor a PNG, is damaged, or is larger than 16,000,000 bytes.
        OSError: The file cannot be read.
    """
    data = image if isinstance(image, bytes) else Path(image).read_bytes()
    mime = _MIME.get(suffix_of(data[:1024]) or "")
    if mime is None:
        raise ValueError("audio files hold JPEG or PNG only; convert the image first")
    if len(data) > LARGEST:
        raise ValueError(f"the image has {len(data):,} bytes, and a cover at most {LARGEST:,}")
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as opened:
            width, height = opened.size
            depth = 8 * len(opened.getbands())
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        raise ValueError("the image is damaged: its size cannot be read") from None
    return Picture(data=data, mime=mime, width=width, height=height, depth=depth)
