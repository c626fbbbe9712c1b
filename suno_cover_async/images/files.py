"""Write files completely or not at all, under names that are safe on every system.

This module knows disks and threads. It does not know what the bytes are, nor where they come from.
"""

import contextlib
import errno
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
    """An unfinished file in the final directory. Every method blocks: call it in a thread."""

    def __init__(self, directory: Path) -> None:
        """Choose a name; nothing is created yet."""
        self._path = directory / f"cover-{os.urandom(8).hex()}.part"
        self._file: BufferedWriter | None = None

    def open(self) -> BufferedWriter:
        """Return the file, for what must write into one; the first call creates it."""
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("xb")  # never opens an existing file
        return self._file

    def write(self, *chunks: bytes) -> None:
        """Append to the file; the first call creates it and its directory."""
        self.open().writelines(chunks)

    def finish(self, final: Path, *rest: bytes, replace: bool = True) -> None:
        """Append the rest, and give the file its final name once its bytes are on the disk.

        Args:
            final: The name.
            rest: The last bytes.
            replace: Replace a file of that name.

        Raises:
            FileExistsError: There is such a file, and `replace` is false.
            DownloadError: The file was removed. `sweep` removes a file in use if its process slept
                for an hour or the clock jumped. The disk is not at fault, so it is `retryable`.
        """
        # The bytes are synced before the rename, and the directory after it. Renamed first, a power
        # cut could leave the final name on a file with missing bytes; without the second sync, it
        # could undo the rename after the ledger has recorded the file.
        self.write(*rest)
        file = self.open()
        file.flush()
        os.fsync(file.fileno())
        file.close()
        try:
            if replace:
                self._path.replace(final)
            else:
                self._take_name(final)
        except FileNotFoundError:
            raise DownloadError(
                f"{printable(str(self._path))} was removed before it was finished; download again",
                retryable=True,
            ) from None
        sync_directory(final.parent)

    def _take_name(self, final: Path) -> None:
        # Between a check and a rename, another program could give that name to a file of its own.
        # A link is refused by the system then; some file systems have no links.
        try:
            os.link(self._path, final)
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:
            if os.path.lexists(final):
                reason = os.strerror(errno.EEXIST)
                raise FileExistsError(
                    errno.EEXIST, reason, str(self._path), None, str(final)
                ) from None
            self._path.replace(final)
        else:
            self._path.unlink()

    def discard(self) -> None:
        """Close and remove the file; errors of the disk are ignored."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


def sweep(directory: Path) -> None:
    """Remove unfinished files, left by processes that crashed, that are over an hour old.

    No other file is touched, even if its name begins alike: the folder belongs to the user.
    """
    with contextlib.suppress(OSError):
        for part in directory.glob("cover-*.part"):
            if _PART.fullmatch(part.name) and part.stat().st_mtime < time.time() - _DEAD_SECONDS:
                part.unlink()


async def on_disk(act: Callable[[], None], final: Path) -> None:
    """Call `act` in a thread; raise DownloadError with the system's message for an OSError."""
    try:
        await in_thread(act)
    except OSError as error:
        path = printable(str(error.filename or final))
        raise DownloadError(
            f"cannot save {printable(str(final))}: {error.strerror or error} ({path}); free space "
            "or choose another directory, then download again"
        ) from error


_LONGEST_STEM = 100
_HASH = 10
_HASHED = re.compile(rf".*-[0-9a-f]{{{_HASH}}}", re.DOTALL)
_FORBIDDEN_CHARACTERS = frozenset('<>:"/\\|?*')
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE
)


def file_stem(name: str, *, identifier: str = "") -> str:
    """Return a file name without suffix for a track's name or an id.

    A name that is safe on Linux, macOS and Windows is returned unchanged. Any other name is made
    safe and gets a hash of the original at its end, so two names never become the same file. A name
    that already seems to end in such a hash gets one too. Names that differ only in letter case
    share a file on file systems that ignore case (of macOS and Windows), unless their identifiers
    tell them apart.

    Args:
        name: The name.
        identifier: The id in the name, of ASCII characters. If it has capital letters, the name
            gets a hash, so ids that differ only in letter case share no file on any system.

    Returns:
        1 to 100 bytes of UTF-8, in normal form C.
    """
    safe = _safe(name)
    is_distinct = identifier == identifier.lower() and not _HASHED.fullmatch(name)
    if safe == name and len(name.encode()) <= _LONGEST_STEM and is_distinct:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH]
    space = _LONGEST_STEM - len(digest) - 1
    return f"{safe.encode()[:space].decode(errors='ignore')}-{digest}"


def file_characters(text: str) -> str:
    """Return a part of a file name in normal form C, with a _ for each forbidden character."""
    normal = unicodedata.normalize("NFC", text)
    encoding = sys.getfilesystemencoding()  # not UTF-8 in some locales, without accents
    normal = normal.encode(encoding, "replace").decode(encoding)
    return "".join(c if is_seen(c) and c not in _FORBIDDEN_CHARACTERS else "_" for c in normal)


def _safe(name: str) -> str:
    text = file_characters(name)
    text = text.lstrip(". ").rstrip(". ") or "cover"
    return f"_{text}" if _RESERVED.fullmatch(text) else text
