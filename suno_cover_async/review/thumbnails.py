"""Make thumbnails of images in threads, and keep the latest in bounded memory.

It knows Pillow and bytes. It must not know which cover an image belongs to.
"""

import asyncio
import io
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, ImageOps

from suno_cover_async.common.text import printable
from suno_cover_async.review.image_files import ImageProblemError, opened, read

SIZES = (64, 128, 160, 300, 320, 600)
"""The sides that are made, in pixels: those of stores, and twice those for dense screens."""

_LARGEST = SIZES[-1]
_QUALITY = 90
_Key = tuple[str, int]


class Thumbnails:
    """Thumbnails by version and size: each is made once, whoever waits for it."""

    def __init__(self, most_bytes: int = 64 << 20) -> None:
        """Start with none.

        Args:
            most_bytes: The memory for them; the least recently used are dropped.
        """
        self._most_bytes = most_bytes
        self._made: OrderedDict[_Key, bytes] = OrderedDict()
        self._bytes = 0
        self._making: dict[_Key, asyncio.Task[bytes | ImageProblemError]] = {}
        self._threads = ThreadPoolExecutor(
            min(4, os.cpu_count() or 1), thread_name_prefix="suno-cover-thumbnails"
        )

    def close(self) -> None:
        """Start no further thumbnail; those that are being made end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def get(self, path: Path, version: str, size: int) -> bytes:
        """Return a JPEG, or a WebP where the image is transparent, in a square of `size` pixels.

        The image keeps its proportions and is never enlarged.

        Raises:
            ImageProblemError: The file cannot be read or decoded.
        """
        made = self._made.get((version, size))
        if made is not None:
            self._made.move_to_end((version, size))
            return made
        # Smaller ones are made from the largest, so that the file is decoded once.
        larger = None if size == _LARGEST else await self.get(path, version, _LARGEST)
        key = (version, size)
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._make(path, key, larger))
            task.add_done_callback(lambda _: self._making.pop(key, None))
        result = await asyncio.shield(task)
        if isinstance(result, ImageProblemError):
            raise result
        return result

    async def _make(self, path: Path, key: _Key, larger: bytes | None) -> bytes | ImageProblemError:
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._threads, _drawn, path, larger, key[1])
        except ImageProblemError as problem:
            return problem
        self._keep(key, made)
        return made

    def _keep(self, key: _Key, made: bytes) -> None:
        self._made[key] = made
        self._bytes += len(made)
        while self._bytes > self._most_bytes:
            _, dropped = self._made.popitem(last=False)
            self._bytes -= len(dropped)


def media_type(thumbnail: bytes) -> str:
    """Return the media type of a thumbnail."""
    return "image/webp" if thumbnail.startswith(b"RIFF") else "image/jpeg"


def _drawn(path: Path, larger: bytes | None, size: int) -> bytes:
    file = io.BytesIO(read(path)[0] if larger is None else larger)
    with opened(file, path) as image:
        try:
            return _reduced(image, size)
        except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
            shown = printable(str(path))
            raise ImageProblemError(f"the image is damaged: {shown}") from None


def _reduced(image: Image.Image, size: int) -> bytes:
    image.draft("RGB", (size, size))
    profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA", "P"} else None
    transparent = image.has_transparency_data
    upright = ImageOps.exif_transpose(image)
    whole = upright.convert("RGBA" if transparent else "RGB")
    whole.thumbnail((size, size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    kind = {"format": "WEBP", "method": 2} if transparent else {"format": "JPEG"}
    whole.save(file, quality=_QUALITY, icc_profile=profile, **kind)
    return file.getvalue()
