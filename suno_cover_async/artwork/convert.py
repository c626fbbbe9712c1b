"""Convert one image to one file as a preset asks, whole or not at all.

It owns sizes, cropping and encoding. `images/decoding.py` decodes the image, and
`images/files.py` writes it.
"""

import hashlib
import os
from pathlib import Path

import attrs
from PIL import Image, ImageOps

from suno_cover_async.artwork.pictures import SRGB_PROFILE, as_srgb, is_animated
from suno_cover_async.artwork.presets import Preset
from suno_cover_async.common.records import Record
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.decoding import decode
from suno_cover_async.images.files import PartFile
from suno_cover_async.images.image_files import ImageFile, read_image


@attrs.frozen(kw_only=True)
class Converted(Record):
    """What was written for one image.

    Attributes:
        width: In pixels.
        height: In pixels.
        source_width: The width of the image that it was made from, turned upright.
        source_height: Its height.
        sha256: The SHA-256 of the file.
        source_sha256: That of the file that it was made from.
    """

    width: int
    height: int
    source_width: int
    source_height: int
    sha256: str
    source_sha256: str


def convert_image(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    preset: Preset,
    *,
    upscale: bool = False,
) -> Converted:
    """Convert one image to one file, which is replaced. It blocks: call it in a thread.

    Args:
        source: The image.
        target: The file to write; its suffix is not changed. A missing folder is created.
        preset: What to write.
        upscale: Enlarge an image that is smaller than the preset's side.

    Raises:
        ArtworkError: The image is missing, damaged, too large, or animated, which only a copy
            (a preset without a format) can be.
        OSError: The target cannot be written.
    """
    final = Path(target)
    part = PartFile(final.parent)
    try:
        converted = write_image(read_image(Path(source)), part, preset, upscale=upscale)
        part.finish(final)
    except BaseException:
        part.discard()
        raise
    return converted


def write_image(file: ImageFile, part: PartFile, preset: Preset, *, upscale: bool) -> Converted:
    """Write an image into an unfinished file; raises as `convert_image` does."""
    image = decode_for(file, preset)
    if preset.format is None:
        part.write(file.data)
        size, source_size, sha256 = image.size, image.size, file.sha256
    else:
        upright = as_srgb(image)
        source_size = upright.size
        square = _square(upright, preset.side, upscale=upscale)
        # Into a real file: Pillow releases the lock of the interpreter while it encodes into one,
        # and not while it encodes into memory, where threads then take turns (half as fast).
        out = part.open()
        square.save(out, preset.format, icc_profile=SRGB_PROFILE, **_options(preset))
        out.flush()
        size, sha256 = square.size, _sha256(Path(out.name))
    return Converted(
        width=size[0],
        height=size[1],
        source_width=source_size[0],
        source_height=source_size[1],
        sha256=sha256,
        source_sha256=file.sha256,
    )


def decode_for(file: ImageFile, preset: Preset) -> Image.Image:
    """Decode an image that a preset can write; raises ArtworkError as `convert_image` does."""
    image = decode(file)
    if preset.format is not None and is_animated(image):
        shown = printable(str(file.path))
        raise ArtworkError(f"{shown} is animated; only the preset original takes it")
    return image


def _square(image: Image.Image, side: int | None, *, upscale: bool) -> Image.Image:
    """Crop an image to a square at its centre, and reduce it, or enlarge it if asked to."""
    shortest = min(image.size)
    wanted = shortest if side is None else side if upscale else min(side, shortest)
    if image.size == (wanted, wanted):
        return image
    return ImageOps.fit(image, (wanted, wanted), Image.Resampling.LANCZOS)


def _options(preset: Preset) -> dict[str, int | str]:
    if preset.format == "JPEG":
        return {"quality": preset.quality, "subsampling": preset.subsampling}
    return {"quality": preset.quality} if preset.format == "WEBP" else {}


def _sha256(path: Path) -> str:
    with path.open("rb") as written:
        return hashlib.file_digest(written, "sha256").hexdigest()
