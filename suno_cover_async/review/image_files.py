"""Read the image files of a cover: regular files of a known image type, of bounded size.

It knows files and Pillow, and trusts neither names nor contents. It must not know who asks.
"""

import contextlib
import hashlib
import os
import stat
import threading
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import attrs

try:
    from PIL import Image
except ImportError as _error:
    raise ImportError(
        "the review page needs Pillow (the extra `artwork`): pip install pillow"
    ) from _error

from suno_cover_async.common.text import printable
from suno_cover_async.images.formats import PNG_END, bytes_needed, suffix_of

_MOST_PIXELS = 64_000_000  # a header alone may claim any number
_MOST_BYTES = 64 << 20
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")
_MOST_KNOWN = 50_000
_END = 1024  # bytes that hold the end marker of a PNG, with some that a tool may have added
_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
# O_NONBLOCK: opening a pipe would wait for its writer. O_BINARY: Windows would change line ends.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class ImageProblemError(Exception):
    """An image cannot be shown; the message is one line that says why, with the file's path."""


@attrs.frozen
class ImageFacts:
    """What is known of an image file.

    Attributes:
        version: Changes with the file: a hash of its path, its size and its time of change; empty
            if there is no file.
        width: In pixels; 0 if unknown.
        height: In pixels; 0 if unknown.
        problem: Why it cannot be shown; None if it can, as far as that is known.
    """

    version: str
    width: int = 0
    height: int = 0
    problem: str | None = None


class ImageFiles:
    """Reads facts about image files, and remembers them until the files change."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._known: dict[str, ImageFacts] = {}
        self._lock = threading.Lock()

    def facts(self, path: Path) -> ImageFacts:
        """Return the facts about a file, from its first and last bytes; it blocks."""
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            return ImageFacts("", problem=_unreadable(path, error))
        what = f"{status.st_mtime_ns} {status.st_size} {path}".encode(errors="surrogatepass")
        version = hashlib.blake2b(what, digest_size=8).hexdigest()
        known = self._known.get(version)
        return self._learn(path, version) if known is None else known

    def note(self, facts: ImageFacts) -> None:
        """Remember facts, such as a problem that was found when the image was decoded."""
        with self._lock:
            self._known[facts.version] = facts
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]

    def _learn(self, path: Path, version: str) -> ImageFacts:
        try:
            with _opened(path) as (file, _), opened_image(file, path) as image:
                facts = ImageFacts(version, image.width, image.height)
        except ImageProblemError as problem:
            facts = ImageFacts(version, problem=str(problem))
        self.note(facts)
        return facts


def read_image(path: Path) -> tuple[bytes, str]:
    """Return the bytes of an image file, and the media type that its first bytes show; it blocks.

    Raises:
        ImageProblemError: The file is missing, is no regular file, has more than 64 MiB, is no
            image or an incomplete PNG, or cannot be read.
    """
    with _opened(path) as (file, suffix):
        return file.read(_MOST_BYTES), _TYPES[suffix]


@contextlib.contextmanager
def _opened(path: Path) -> Generator[tuple[BinaryIO, str], None, None]:
    """Open an image file, and yield it with the suffix for its type; raises as `read_image`."""
    try:
        with os.fdopen(os.open(path, _READ), "rb") as file:
            yield file, _type(file, path)
    except (OSError, ValueError) as error:
        raise ImageProblemError(_unreadable(path, error)) from None


def _type(file: BinaryIO, path: Path) -> str:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ImageProblemError(f"it is no regular file: {shown(path)}")
    if status.st_size > _MOST_BYTES:
        raise ImageProblemError(f"the file has more than 64 MiB: {shown(path)}")
    head = file.read(12)
    suffix = suffix_of(head + file.read(bytes_needed(head) - len(head)))
    if suffix is None:
        raise ImageProblemError(f"the file is no image: {shown(path)}")
    if suffix == ".png":
        file.seek(max(status.st_size - _END, 0))
        if PNG_END not in file.read(_END):
            raise ImageProblemError(f"the image is incomplete: {shown(path)}")
    file.seek(0)
    return suffix


_filters = threading.Lock()


def opened_image(file: BinaryIO, path: Path) -> Image.Image:
    """Open an image of this file without decoding it.

    Raises:
        ImageProblemError: It is damaged, or has more than 64 million pixels.
    """
    try:
        # Pillow warns of large images, on the terminal. The filters of warnings belong to the whole
        # process, so one thread at a time changes them.
        with _filters, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=_FORMATS)
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        raise ImageProblemError(f"the image is damaged: {shown(path)}") from None
    if image.width * image.height > _MOST_PIXELS:
        size = f"{image.width:,} by {image.height:,} pixels"
        raise ImageProblemError(f"the image is too large, {size}: {shown(path)}")
    return image


def _unreadable(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"the file is missing: {shown(path)}"
    reason = getattr(error, "strerror", None) or "its name is not valid"
    return f"the file cannot be read: {shown(path)} ({reason})"


def shown(path: Path) -> str:
    """Return a path as text for people."""
    return printable(str(path))
