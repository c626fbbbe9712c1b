"""The audio files of a folder, found by their path, their name, or the title in their tags.

It reads files and changes none. Nothing that it finds is outside the folder.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import mutagen

from suno_cover_async.artwork.audio.parts import SUFFIX
from suno_cover_async.artwork.audio.tags import read_tags
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError

_MUTAGEN: Any = mutagen  # it has no types for what is used here

SUFFIXES = frozenset(
    (".mp3", ".flac", ".m4a", ".m4b", ".mp4", ".ogg", ".oga", ".opus", ".wav", ".wave")
)
"""How the names of audio files end, in small letters. A file with another name may be one too."""

_Index = Mapping[str, set[Path]]


@attrs.frozen
class _Names:
    """Files by a text: as it is, and without its letter case."""

    exact: _Index
    folded: _Index

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Path]]) -> "_Names":
        exact, folded = defaultdict[str, set[Path]](set), defaultdict[str, set[Path]](set)
        for text, path in pairs:
            exact[_normal(text)].add(path)
            folded[_normal(text).casefold()].add(path)
        return cls(exact, folded)

    def find(self, texts: Iterable[str]) -> set[Path]:
        """Return the files of these texts; in any letter case if there are none in theirs."""
        normal = [_normal(text) for text in texts if text.strip()]
        exact = [self.exact.get(text, set()) for text in normal]
        folded = [self.folded.get(text.casefold(), set()) for text in normal]
        return set[Path]().union(*exact) or set[Path]().union(*folded)


class AudioFolder:
    """A folder and all that are below it; hidden ones, and unfinished files, are left out.

    Links to folders are not followed, nor links to files outside.
    """

    def __init__(self, path: str | Path) -> None:
        """Read the names of all files, and nothing of their content.

        Raises:
            ArtworkError: It is no folder, or cannot be read.
        """
        self._root = Path(os.path.realpath(path))
        try:
            os.scandir(self._root).close()
        except OSError as error:
            raise ArtworkError(
                f"cannot read the folder {printable(str(path))}: {error.strerror}"
            ) from error
        self._paths = list(self._walk())
        self._audio: dict[Path, bool] = {}

    def shown(self, path: Path) -> str:
        """Return a file's path below the folder, as one line."""
        return printable(str(path.relative_to(self._root)))

    def named(self, path: str) -> Path:
        r"""Return the file at a path below the folder, or at an absolute one that leads there.

        Args:
            path: The path; on every system it may have `/` or `\`.

        Raises:
            ArtworkError: There is no such file, or it is outside the folder.
        """
        for text in (path, path.replace("\\", "/")):
            try:
                real = Path(os.path.realpath(self._root / text))
                if not real.is_relative_to(self._root):
                    raise ArtworkError(f"{printable(path)} is outside the folder")
                if real.is_file():
                    return real
            except (OSError, ValueError):  # too long, or with characters that no path has
                break
            if found := self._by_path.exact.get(_normal(text)):
                return next(iter(found))
        raise ArtworkError(f"{printable(path)} is not in the folder")

    def with_stem(self, names: Iterable[str]) -> set[Path]:
        """Return the audio files with one of these names before their suffix."""
        return {path for path in self._by_stem.find(names) if self._is_audio(path)}

    def with_title(self, title: str) -> set[Path]:
        """Return the audio files that have this title in their tags; the first call reads all."""
        return self._by_title.find([title])

    @cached_property
    def _by_path(self) -> _Names:
        paths = (name.relative_to(self._root).as_posix() for name, _ in self._paths)
        return _Names.of(zip(paths, (real for _, real in self._paths), strict=True))

    @cached_property
    def _by_stem(self) -> _Names:
        return _Names.of((name.stem, real) for name, real in self._paths)

    @cached_property
    def _by_title(self) -> _Names:
        audio = {real for _, real in self._paths if self._is_audio(real)}
        return _Names.of((title, path) for path in audio for title in _titles(path))

    def _walk(self) -> Iterator[tuple[Path, Path]]:
        """Return each file's path with the path of the file that it leads to."""
        for base, folders, files in os.walk(self._root):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in files:
                path = Path(base, name)
                if name.startswith(".") or path.suffix == SUFFIX:
                    continue
                real = Path(os.path.realpath(path)) if path.is_symlink() else path
                if real.is_relative_to(self._root) and real.is_file():
                    yield path, real

    def _is_audio(self, path: Path) -> bool:
        """Whether it is an audio file by its name or, where that says nothing, by its content."""
        if path not in self._audio:
            self._audio[path] = path.suffix.lower() in SUFFIXES or _holds_audio(path)
        return self._audio[path]


def _holds_audio(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return bool(read_tags(file))
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        return False


def _titles(path: Path) -> list[str]:
    """Return the titles in a file's tags; none if it is damaged, which embedding tells."""
    try:
        tags = _MUTAGEN.File(path, easy=True).tags
        return [str(title) for title in tags.get("title") or tags["TIT2"].text]
    except Exception:  # noqa: BLE001 - a decoder may raise anything on garbage
        return []


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()
