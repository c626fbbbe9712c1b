"""Files that are there whole or not at all, under names that are safe everywhere.

It knows disks and threads; what the bytes are, and where they come from, is its callers' business.
"""

import contextlib
import hashlib
import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable
from io import BufferedWriter
from pathlib import Path

from suno_cover_async.common.disk import in_thread, sync_directory
from suno_cover_async.common.text import is_seen, printable
from suno_cover_async.errors import DownloadError

_DEAD_SECONDS = 3600.0
_PART = re.compile(r"cover-[0-9a-f]{16}\.part")


class PartFile:
    """A file in the making, beside its final place. Every method blocks: call it in a thread."""

    def __init__(self, directory: Path) -> None:
        """Touch nothing yet."""
        self._path = directory / f"cover-{os.urandom(8).hex()}.part"
        self._file: BufferedWriter | None = None

    def write(self, *chunks: bytes) -> None:
        """Add to the file; the first time creates it, and its directory."""
        self._opened().writelines(chunks)

    def finish(self, final: Path, *rest: bytes) -> None:
        """Add the rest, and give the file its final name once its bytes are on the disk.

        Raises:
            DownloadError: It is gone. `sweep` removes a living one whose process slept for an hour,
                or by a clock that jumped: that says nothing of the disk, so it is `retryable`.
        """
        self.write(*rest)
        file = self._opened()
        file.flush()
        os.fsync(file.fileno())
        file.close()
        try:
            self._path.replace(final)
        except FileNotFoundError:
            raise DownloadError(
                f"{printable(str(self._path))} was removed in the making; download again",
                retryable=True,
            ) from None
        sync_directory(final.parent)

    def discard(self) -> None:
        """Leave nothing behind; a disk in trouble cannot make this fail."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _opened(self) -> BufferedWriter:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")  # never a file that is there already
        return self._file


def sweep(directory: Path) -> None:
    """Remove what processes that died left of files in the making, from an hour ago or before.

    Nothing else is touched, whatever its name begins with: the folder is its owner's.
    """
    with contextlib.suppress(OSError):
        for part in directory.glob("cover-*.part"):
            if _PART.fullmatch(part.name) and part.stat().st_mtime < time.time() - _DEAD_SECONDS:
                part.unlink()


async def on_disk(act: Callable[[], None], final: Path) -> None:
    """Do it in a thread; raises DownloadError with the system's words."""
    try:
        await in_thread(act)
    except OSError as error:
        path = printable(str(error.filename or final))
        raise DownloadError(
            f"cannot save {printable(str(final))}: {error.strerror or error} ({path}); make room "
            "or choose another directory, then download again"
        ) from error


_LONGEST_STEM = 100
_HASH = 10
_HASHED = re.compile(rf".*-[0-9a-f]{{{_HASH}}}", re.DOTALL)
_FORBIDDEN_CHARACTERS = frozenset('<>:"/\\|?*')
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE
)


def file_stem(name: str) -> str:
    """Make a file name, without a suffix, of a track's name or an id.

    A name that is safe on Linux, macOS and Windows stays as it is. Any other is made so, and
    ends in a hash of the original, so that two names never share a file by becoming alike; a
    name that looks as if it ended in such a hash gets one too. Names that differ in nothing but
    case share a file where the file system ignores case: whoever expects such names, or the same
    name twice, puts an id into them.

    Returns:
        1 to 100 bytes of UTF-8, in normal form C.
    """
    safe = _safe(name)
    if safe == name and len(name.encode()) <= _LONGEST_STEM and not _HASHED.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH]
    space = _LONGEST_STEM - len(digest) - 1
    return f"{safe.encode()[:space].decode(errors='ignore')}-{digest}"


def _safe(name: str) -> str:
    normal = unicodedata.normalize("NFC", name)
    encoding = sys.getfilesystemencoding()  # not UTF-8 in some locales: then accents cannot be
    normal = normal.encode(encoding, "replace").decode(encoding)
    text = "".join(c if is_seen(c) and c not in _FORBIDDEN_CHARACTERS else "_" for c in normal)
    text = text.lstrip(". ").rstrip(". ") or "cover"
    return f"_{text}" if _RESERVED.fullmatch(text) else text
