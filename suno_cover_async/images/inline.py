"""Put saved images into a notebook: as data in the HTML, small, or as a line that says why not.

It reads files of unknown origin and raises nothing. Pillow makes thumbnails where it is installed;
without it, a small file is put in as it is.
"""

import base64
import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suno_cover_async.common import html
from suno_cover_async.common.disk import open_regular
from suno_cover_async.images.formats import bytes_needed, suffix_of

if TYPE_CHECKING:
    from PIL import Image

_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "AVIF")
_LARGEST_IMAGE = 64_000_000  # pixels; a header alone may claim any number
_LARGEST_FILE = 64 << 20  # bytes, of which a thumbnail is made
_MOST_BYTES = 8 << 20  # of all images of one output
_MOST_IMAGES = 32
_SIDE = 320  # pixels
_QUALITY = 85


def gallery(files: Sequence[Path]) -> str:
    """Return HTML that shows image files, each with its path below; no request is made for it.

    At most 32 images are shown, of at most 8 MiB together. A file that is missing, damaged, too
    large or no image, whatever its name, is a line of text.
    """
    left = _MOST_BYTES
    shown: list[str] = []
    for file in files[:_MOST_IMAGES]:
        try:
            data, media_type = _inline(Path(file), left)
        except ValueError as reason:
            shown.append(_line(f"{file}: {reason}"))
            continue
        left -= len(data)
        shown.append(_figure(file, f"data:{media_type};base64,{base64.b64encode(data).decode()}"))
    if len(files) > _MOST_IMAGES:
        shown.append(_line(f"and {len(files) - _MOST_IMAGES:,} more files"))
    return f'<div style="display:flex;flex-wrap:wrap;gap:8px">{"".join(shown)}</div>'


def _figure(file: Path, uri: str) -> str:
    name = html.text(file)
    picture = f'<img src="{uri}" alt="{html.text(Path(file).name)}" style="max-width:{_SIDE}px">'
    return f'<figure style="margin:0">{picture}<figcaption>{name}</figcaption></figure>'


def _line(words: str) -> str:
    return f"<p>{html.text(words)}</p>"


def _inline(file: Path, most_bytes: int) -> tuple[bytes, str]:
    """Return an image's bytes and media type; raise ValueError with the reason if it has none."""
    try:
        data, suffix = _read(file)
    except FileNotFoundError:
        raise ValueError("the file is missing") from None
    except OSError as error:
        reason = error.strerror or "no reason is known"
        raise ValueError(f"the file cannot be read ({reason})") from None
    shown, media_type = _thumbnail(data) or (data, _TYPES[suffix])
    if len(shown) > most_bytes:
        raise ValueError(
            "not shown, since it is large; "
            "thumbnails need Pillow: pip install 'suno-cover-async[artwork]'"
        )
    return shown, media_type


def _read(file: Path) -> tuple[bytes, str]:
    with open_regular(file) as opened:
        if os.fstat(opened.fileno()).st_size > _LARGEST_FILE:
            raise ValueError("the file has more than 64 MiB")
        data = opened.read(_LARGEST_FILE)
    suffix = suffix_of(data[: bytes_needed(data)])
    if suffix is None:
        raise ValueError("the file is no PNG, JPEG, WebP, GIF or AVIF image")
    return data, suffix


def _thumbnail(data: bytes) -> tuple[bytes, str] | None:
    """Return a JPEG, or a PNG of an image with transparent parts, and its type.

    Return None without Pillow; raise ValueError with the reason for an image that has no thumbnail.
    """
    try:
        from PIL import Image  # noqa: PLC0415 - only where it is installed
    except ImportError:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height <= _LARGEST_IMAGE:
            return _reduced(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        pass
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        raise ValueError("the image is damaged") from None
    raise ValueError("the image has too many pixels")


def _reduced(image: "Image.Image") -> tuple[bytes, str]:
    from PIL import ImageOps  # noqa: PLC0415 - likewise

    image.draft("RGB", (_SIDE, _SIDE))
    transparent = image.has_transparency_data
    upright = ImageOps.exif_transpose(image).convert("RGBA" if transparent else "RGB")
    upright.thumbnail((_SIDE, _SIDE))
    written = io.BytesIO()
    upright.save(written, "PNG" if transparent else "JPEG", quality=_QUALITY)
    return written.getvalue(), "image/png" if transparent else "image/jpeg"
