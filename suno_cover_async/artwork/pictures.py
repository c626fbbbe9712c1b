"""Make images opaque, upright and sRGB.

It owns colours and modes. It reads and writes no file: `images/decoding.py` decodes.
"""

import io
from typing import Any, cast

from PIL import Image, ImageCms, ImageOps

_WHITE = 255
_PER_TONE = 256  # of 16 bits in one of 8


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
