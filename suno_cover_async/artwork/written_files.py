"""Remember, in the folder of the artwork, which song each file is of and what it was made from.

It owns `.suno-cover.jsonl`, with a line for each file that was written. By it a second run knows
what is there already, and replaces no file of another song or of another program.
"""

import errno
import json
import os
import sys
import threading
import unicodedata
from collections import defaultdict
from io import FileIO
from pathlib import Path, PurePath

import attrs

from suno_cover_async.artwork.convert import Converted
from suno_cover_async.artwork.presets import Preset
from suno_cover_async.common.json_text import json_object
from suno_cover_async.common.records import Record
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError

if sys.platform != "win32":
    import fcntl

NAME = ".suno-cover.jsonl"
"""The name of the file, in the folder of the artwork."""


@attrs.frozen(kw_only=True)
class WrittenFile(Record):
    """A file that was written, or was about to be.

    Attributes:
        file: Its path below the folder, with `/`.
        music_task_id: The song that it is of.
        preset: What it was written as.
        upscale: Whether a smaller image was to be enlarged.
        converted: Its size and hash, and those of the image that it was made from.
    """

    file: str
    music_task_id: str
    preset: Preset
    upscale: bool
    converted: Converted


class WrittenFiles:
    """The files of one folder. Its methods may be called in several threads at once."""

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        """Read what was written; it blocks. A line that a kill cut off is left out.

        Args:
            folder: The folder; it is made unless `read_only`.
            read_only: Write nothing.

        Raises:
            ArtworkError: The file is a link or no regular file, or another run writes to it.
            OSError: It cannot be read, or not be written.
        """
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        path = folder / NAME
        if path.is_symlink() or (path.exists() and not path.is_file()):
            what = "a link" if path.is_symlink() else "no regular file"
            raise ArtworkError(f"{printable(str(path))} is {what}; remove it, then run again")
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            _take(self._file, folder)
        text = path.read_bytes() if path.exists() else b""
        self._is_cut = not text.endswith(b"\n") and text != b""
        self._known: dict[str, WrittenFile] = {}
        self._hashes = defaultdict[str, set[str]](set)
        for one in _read(text):
            if (folder / one.file).exists():
                self._remember(one)
        self._claims = {key: one.music_task_id for key, one in self._known.items()}

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def find(self, path: PurePath) -> WrittenFile | None:
        """Return what is known of a file, in any letter case or form of Unicode."""
        return self._known.get(_key(path.as_posix()))

    def wrote(self, path: PurePath, sha256: str) -> bool:
        """Return whether a file with this hash was written under this name."""
        return sha256 in self._hashes[_key(path.as_posix())]

    def claim(self, path: PurePath, music_task_id: str) -> None:
        """Take a name for a song, for this run and, once it is written, for those to come.

        Raises:
            ArtworkError: It is the name of another song's file.
        """
        with self._lock:
            owner = self._claims.setdefault(_key(path.as_posix()), music_task_id)
        if owner != music_task_id:
            raise ArtworkError(
                f"its file would be {printable(str(path))}, which is that of music task {owner}; "
                "add {music_task_id} or {number} to the name"
            )

    def add(self, written: WrittenFile) -> None:
        """Remember a file, before it gets its name.

        Raises:
            OSError: It cannot be written.
        """
        line = json.dumps(written.to_dict()).encode() + b"\n"
        with self._lock:
            if self._file is not None:
                self._append(self._file, line)
            self._remember(written)

    def _append(self, file: FileIO, line: bytes) -> None:
        """Append a line, after the end of one that a full disk or a kill cut off."""
        line = b"\n" + line if self._is_cut else line
        length = file.write(line)
        self._is_cut = length != len(line)
        if self._is_cut:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.name))

    def _remember(self, written: WrittenFile) -> None:
        key = _key(written.file)
        self._known[key] = written
        self._hashes[key].add(written.converted.sha256)


def _take(file: FileIO, folder: Path) -> None:
    """Lock the file until it is closed, so that two runs at once replace no file of each other."""
    try:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ArtworkError(
            f"another apply is writing into {printable(str(folder))}; wait for it to end"
        ) from None
    except OSError:  # a file system without locks
        return


def _read(text: bytes) -> list[WrittenFile]:
    found: list[WrittenFile] = []
    for line in text.decode(errors="replace").splitlines():
        try:
            found.append(WrittenFile.from_dict(json_object(line) or {}))
        except ValueError:
            continue
    return found


def _key(path: str) -> str:
    """Return a path as file systems compare them that ignore letter case and Unicode's forms."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
