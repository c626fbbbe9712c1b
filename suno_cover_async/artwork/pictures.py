"""Read image files of unknown origin with Pillow, and make them opaque, upright and sRGB.

It owns what is accepted: regular files of up to 64 MiB, images of up to 64 million pixels, in the
formats that downloads have. It writes nothing.
"""

import hashlib
import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import attrs
from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.formats import bytes_needed, suffix_of

LARGEST_IMAGE = 64_000_000
"""Pixels; the header alone may claim any number."""

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes: twice what a download may have."""

# Each format's own class, in place of Image.open: that warns of large images, and a warning can be
# turned into an error only for all threads at once.
_OPENERS: dict[str, Callable[[io.BytesIO], Image.Image]] = {
    ".png": PngImagePlugin.PngImageFile,
    ".jpg": JpegImagePlugin.JpegImageFile,
    ".webp": WebPImagePlugin.WebPImageFile,
    ".gif": GifImagePlugin.GifImageFile,
    ".avif": AvifImagePlugin.AvifImageFile,
}
_LONGEST_HEAD = 1024  # bytes, which tell the format
_WHITE = 255
_PER_TONE = 256  # of 16 bits in one of 8


@attrs.frozen(kw_only=True)
class ImageFile:
    """The bytes of an image file, whose format is known by its first bytes.

    Attributes:
        path: The file.
        suffix: The suffix for its format.
        data: Its bytes.
    """

    path: Path
    suffix: str
    data: bytes = attrs.field(repr=False)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


def read_image(path: Path) -> ImageFile:
    """Read a file; the image in it is not decoded.

    Raises:
        ArtworkError: The file is missing, cannot be read, is larger than 64 MiB, or has no format
            that is known.
    """
    data = _read(path, LARGEST_FILE)
    return ImageFile(path=path, suffix=_suffix(path, data), data=data)


def suffix_of_file(path: Path) -> str:
    """Return the suffix for the format of an image file; raises as `read_image` does."""
    return _suffix(path, _read(path, _LONGEST_HEAD))


def _read(path: Path, most: int) -> bytes:
    shown = printable(str(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would block, a device never end
            raise ArtworkError(f"{shown} is not a regular file")
        if status.st_size > LARGEST_FILE:
            raise ArtworkError(f"{shown} has {status.st_size:,} bytes, over {LARGEST_FILE:,}")
        with path.open("rb") as file:
            return file.read(most)
    except FileNotFoundError:
        raise ArtworkError(f"the file is missing: {shown}") from None
    except OSError as error:
        raise ArtworkError(f"cannot read {shown}: {error.strerror}") from None


def _suffix(path: Path, data: bytes) -> str:
    suffix = suffix_of(data[: bytes_needed(data)])
    if suffix is None:
        raise ArtworkError(f"{printable(str(path))} is no PNG, JPEG, WebP, GIF or AVIF image")
    return suffix


def decode(file: ImageFile) -> Image.Image:
    """Decode an image.

    Raises:
        ArtworkError: It is damaged, or has over 64 million pixels.
    """
    shown = printable(str(file.path))
    try:
        image = _OPENERS[file.suffix](io.BytesIO(file.data))
        if image.width * image.height <= LARGEST_IMAGE:
            image.load()
            return image
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything on garbage
        reason = printable(str(error)) or type(error).__name__
        raise ArtworkError(f"{shown} is damaged: {reason}") from None
    raise ArtworkError(
        f"{shown} is {image.width} × {image.height} pixels, over {LARGEST_IMAGE:,} in all"
    )


def is_animated(image: Image.Image) -> bool:
    """Return whether an image has several frames."""
    return bool(getattr(image, "is_animated", False))


def as_srgb(image: Image.Image) -> Image.Image:
    """Return an image upright, opaque, in RGB, its colours those of sRGB.

    Transparent parts are put on white. An image without a colour profile, or with one that is
    broken or of another kind of image, is taken for sRGB.
    """
    profile = image.info.get("icc_profile")
    return _in_srgb(_opaque(_of_8_bits(_upright(image))), profile)


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - broken EXIF says nothing about the orientation
        return image


def _of_8_bits(image: Image.Image) -> Image.Image:
    """Reduce grey of 16 bits; Pillow reads other images of 16 bits as 8, and would clip these."""
    if not image.mode.startswith("I"):
        return image
    scaled: Image.Image = image.point(lambda tone: tone * (1 / _PER_TONE))  # pyright: ignore[reportUnknownMemberType]
    return scaled.convert("L")


def _opaque(image: Image.Image) -> Image.Image:
    """Return an image of mode L, RGB or CMYK, with transparent parts on white."""
    has_alpha = image.has_transparency_data
    grey = image.mode in {"1", "L", "LA", "La"}
    if not has_alpha and (grey or image.mode == "CMYK"):
        return image.convert("L") if grey else image
    if not has_alpha:
        return image.convert("RGB")
    layered = image.convert("LA" if grey else "RGBA")
    flat = Image.new("L" if grey else "RGB", image.size, _WHITE if grey else (_WHITE,) * 3)
    flat.paste(layered.convert(flat.mode), mask=layered.getchannel("A"))
    return flat


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile is None:
        return image.convert("RGB")
    try:
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(theirs).startswith("sRGB"):
            return image.convert("RGB")
        converted = ImageCms.profileToProfile(
            image,
            theirs,
            ImageCms.ImageCmsProfile(io.BytesIO(SRGB_PROFILE)),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except Exception:  # noqa: BLE001 - a profile of others may be anything
        converted = None
    return image.convert("RGB") if converted is None else converted


def _srgb_profile() -> bytes:
    """Return the profile of sRGB, the same at all times: Pillow's has the time of its making."""
    made = cast("Any", ImageCms.createProfile("sRGB"))  # pyright: ignore[reportUnknownMemberType]
    profile = ImageCms.ImageCmsProfile(made).tobytes()
    time = bytes.fromhex("07d000010001000000000000")  # 2000-01-01, in bytes 24 to 35 [ICC.1, 7.2]
    return profile[:24] + time + profile[36:]


SRGB_PROFILE = _srgb_profile()
"""The ICC profile of sRGB."""
