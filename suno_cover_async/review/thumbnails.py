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

from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.decoding import damaged, open_image
from suno_cover_async.images.image_files import ImageFile, read_image

SIZES = (64, 128, 160, 300, 320, 600)
"""The sides that are made, in pixels: those of stores, and twice those for dense screens."""

_LARGEST = SIZES[-1]
_QUALITY = 90
_MOST_BYTES = 64 << 20
_MOST_THREADS = 4  # each may decode 64 million pixels, 256 MB
_Key = tuple[str, int]


class Thumbnails:
    """Thumbnails by version of the file and size; each is made once, whoever waits for it."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Start with none.

        Args:
            most_bytes: The memory for them; the least recently used are dropped.
        """
        self._most_bytes = most_bytes
        self._made: OrderedDict[_Key, bytes] = OrderedDict()
        self._bytes = 0
        self._making: dict[_Key, asyncio.Task[bytes | ArtworkError]] = {}
        self._threads = ThreadPoolExecutor(
            min(_MOST_THREADS, os.cpu_count() or 1), thread_name_prefix="suno-cover-thumbnails"
        )

    async def aclose(self) -> None:
        """Begin no further thumbnail, and wait for those that are being made."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._making:
            await asyncio.wait(self._making.values())

    async def get(self, path: Path, version: str, size: int) -> bytes:
        """Return a JPEG, or a WebP where the image is transparent, that fits in a square.

        The image keeps its proportions, and is never enlarged.

        Args:
            path: The file.
            version: Its version, from `ImageFiles.facts`.
            size: The side of the square in pixels, one of `SIZES`.

        Raises:
            ArtworkError: The file cannot be read or decoded.
        """
        key = (version, size)
        made = self._made.get(key)
        if made is not None:
            self._made.move_to_end(key)
            return made
        # Smaller ones are made from the largest, so that a file is read and decoded once.
        larger = None if size == _LARGEST else await self.get(path, version, _LARGEST)
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._make(path, key, larger))
            task.add_done_callback(lambda _: self._making.pop(key))
        result = await asyncio.shield(task)
        if isinstance(result, ArtworkError):
            raise ArtworkError(result.message, retryable=result.retryable)
        return result

    async def _make(self, path: Path, key: _Key, larger: bytes | None) -> bytes | ArtworkError:
        loop = asyncio.get_running_loop()
        try:
            made = await loop.run_in_executor(self._threads, _drawn, path, larger, key[1])
        except ArtworkError as problem:
            return problem
        self._made[key] = made
        self._bytes += len(made)
        while self._bytes > self._most_bytes:
            _, dropped = self._made.popitem(last=False)
            self._bytes -= len(dropped)
        return made


def media_type(thumbnail: bytes) -> str:
    """Return the media type of a thumbnail."""
    return "image/webp" if _suffix(thumbnail) == ".webp" else "image/jpeg"


def _suffix(thumbnail: bytes) -> str:
    return ".webp" if thumbnail.startswith(b"RIFF") else ".jpg"


def _drawn(path: Path, larger: bytes | None, size: int) -> bytes:
    if larger is None:
        file = read_image(path)
    else:
        file = ImageFile(path=path, suffix=_suffix(larger), data=larger)
    with open_image(io.BytesIO(file.data), file.suffix, path) as image:
        try:
            return _reduced(image, size)
        except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
            raise damaged(path) from None


def _reduced(image: Image.Image, size: int) -> bytes:
    image.draft("RGB", (size, size))
    transparent = image.has_transparency_data
    whole = ImageOps.exif_transpose(image).convert("RGBA" if transparent else "RGB")
    whole.thumbnail((size, size), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    # The colour profile stays, but for modes whose profile is not one of RGB.
    profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA", "P"} else None
    kind = "WEBP" if transparent else "JPEG"
    whole.save(file, kind, quality=_QUALITY, method=2, icc_profile=profile)
    return file.getvalue()
