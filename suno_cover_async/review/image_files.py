"""Read the image files of a cover: regular files of a known image type, of bounded size.

It knows files and Pillow, and trusts neither names nor contents. It must not know who asks.
"""

import hashlib
import io
import os
import stat
import threading
import warnings
from collections import OrderedDict
from pathlib import Path

import attrs

try:
    from PIL import Image
except ImportError as _error:
    raise ImportError(
        "the review page needs Pillow (the extra `artwork`): pip install pillow"
    ) from _error

from suno_cover_async.common.text import printable
from suno_cover_async.images.formats import PNG_END, bytes_needed, suffix_of

MOST_PIXELS = 64_000_000
"""A larger image is not decoded; a header alone may claim any number."""

_MOST_BYTES = 64 << 20
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")
_MOST_KNOWN = 50_000
_HEAD = 1024
_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
}
# Without O_NONBLOCK, opening a pipe would wait for its writer. Windows has neither flag's meaning.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class ImageProblemError(Exception):
    """An image cannot be shown; the message is one line for a person."""


@attrs.frozen
class ImageFacts:
    """What is known of an image file.

    Attributes:
        version: Changes with the file: a hash of its path, its size and its time of change.
        width: In pixels; 0 if unknown.
        height: In pixels; 0 if unknown.
        problem: Why it cannot be shown; None if it can.
    """

    version: str
    width: int = 0
    height: int = 0
    problem: str | None = None


class ImageFiles:
    """Reads image files, and remembers their sizes until they change. Every method blocks."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._known: OrderedDict[str, ImageFacts] = OrderedDict()
        self._lock = threading.Lock()

    def facts(self, path: Path) -> ImageFacts:
        """Return the size of an image, or the problem that it has; raises nothing."""
        try:
            version = _version(path, path.stat())
        except (OSError, ValueError) as error:
            return ImageFacts("", problem=_unreadable(path, error))
        with self._lock:
            known = self._known.get(version)
        if known is None:
            known = self._learn(path, version)
        return known

    def _learn(self, path: Path, version: str) -> ImageFacts:
        try:
            with opened(io.BytesIO(read(path)[0]), path) as image:
                facts = ImageFacts(version, *image.size)
        except ImageProblemError as problem:
            facts = ImageFacts(version, problem=str(problem))
        self.note(facts)
        return facts

    def note(self, facts: ImageFacts) -> None:
        """Remember what was found out about a file."""
        with self._lock:
            self._known[facts.version] = facts
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)


def read(path: Path) -> tuple[bytes, str]:
    """Return the bytes of an image file, and the media type that its first bytes show.

    Raises:
        ImageProblemError: It is missing, no regular file, larger than 64 MiB, or no image.
    """
    try:
        handle = os.open(path, _READ)
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise ImageProblemError(f"it is no regular file: {_shown(path)}")
            if status.st_size > _MOST_BYTES:
                raise ImageProblemError(f"the file is larger than 64 MiB: {_shown(path)}")
            content = file.read(_MOST_BYTES)
    except (OSError, ValueError) as error:
        raise ImageProblemError(_unreadable(path, error)) from None
    suffix = suffix_of(content[: max(bytes_needed(content[:12]), 12)])
    if suffix is None:
        raise ImageProblemError(f"the file is no image: {_shown(path)}")
    if suffix == ".png" and PNG_END not in content[-_HEAD:]:
        raise ImageProblemError(f"the image is incomplete: {_shown(path)}")
    return content, _TYPES[suffix]


_warnings = threading.Lock()


def opened(file: io.BytesIO, path: Path) -> Image.Image:
    """Open an image without decoding it.

    Raises:
        ImageProblemError: Its header cannot be read, or claims more than 64 million pixels.
    """
    try:
        # Pillow warns of large images, which would be seen in the terminal. Filters of warnings
        # belong to the process, so one thread at a time changes them.
        with _warnings, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(file, formats=_FORMATS)
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        raise ImageProblemError(f"the image is damaged: {_shown(path)}") from None
    if image.width * image.height > MOST_PIXELS:
        raise ImageProblemError(
            f"the image has more than 64 million pixels ({image.width} × {image.height}): "
            f"{_shown(path)}"
        )
    return image


def _version(path: Path, status: os.stat_result) -> str:
    what = f"{status.st_mtime_ns} {status.st_size} {path}"
    return hashlib.blake2b(what.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def _unreadable(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"the file is missing: {_shown(path)}"
    reason = getattr(error, "strerror", None) or "it has no valid name"
    return f"the file cannot be read: {_shown(path)} ({reason})"


def _shown(path: Path) -> str:
    return printable(str(path))
