"""Put saved images into a notebook: as data in the HTML, small, or as a line that says why not.

It reads files of unknown origin and raises nothing. Pillow makes thumbnails where it is installed;
without it, a small file is put in as it is.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from suno_cover_async.common import html
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.image_files import ImageFile, read_image

_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
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
        except ArtworkError as error:
            shown.append(_line(str(error)))
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
    """Return an image's bytes and media type; raise ArtworkError with the reason if it has none."""
    image = read_image(file)
    shown, media_type = _thumbnail(image) or (image.data, _TYPES[image.suffix])
    if len(shown) > most_bytes:
        raise ArtworkError(
            f"not shown, since it is large: {printable(str(file))}; "
            "thumbnails need Pillow: pip install 'suno-cover-async[artwork]'"
        )
    return shown, media_type


def _thumbnail(file: ImageFile) -> tuple[bytes, str] | None:
    """Return a JPEG, or a PNG of an image with transparent parts, and its type.

    Return None without Pillow; raise ArtworkError for an image that is damaged or too large.
    """
    try:
        from PIL import ImageOps  # noqa: PLC0415 - only where it is installed

        from suno_cover_async.images.decoding import damaged, open_image  # noqa: PLC0415
    except ImportError:
        return None
    image = open_image(io.BytesIO(file.data), file.suffix, file.path)
    try:
        image.draft("RGB", (_SIDE, _SIDE))
        transparent = image.has_transparency_data
        upright = ImageOps.exif_transpose(image).convert("RGBA" if transparent else "RGB")
        upright.thumbnail((_SIDE, _SIDE))
        written = io.BytesIO()
        upright.save(written, "PNG" if transparent else "JPEG", quality=_QUALITY)
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        raise damaged(file.path) from None
    return written.getvalue(), "image/png" if transparent else "image/jpeg"
