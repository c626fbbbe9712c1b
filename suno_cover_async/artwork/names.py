"""Name the files of artwork by a pattern such as `{artist} - {title}.{ext}`.

It owns the fields, and that no name leaves its folder: values become parts of names that are safe
on every system, only a `/` in the pattern itself begins a folder. It knows no files.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from string import Formatter

import attrs

from suno_cover_async.batch.columns import folded
from suno_cover_async.batch.image_saver import Folder, name_of
from suno_cover_async.common.text import printable, trimmed
from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.files import file_characters, file_stem
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.models import Track

OWN_FIELDS = ("title", "music_task_id", "cover_task_id", "number", "image", "ext")
"""The fields that every track has; the others are the columns of its catalog."""

_END = ".{ext}"
_OWN = {folded(name): name for name in OWN_FIELDS}
_SHOWN_COLUMNS = 20


@attrs.frozen
class NamePattern:
    """A pattern of names; `NamePattern.parse` reads one.

    Attributes:
        text: The pattern as it was given.
        segments: The folders and the name: for each, texts and fields that alternate, a text first.
    """

    text: str
    segments: tuple[tuple[str, ...], ...]

    @classmethod
    def parse(cls, text: str) -> "NamePattern":
        """Read a pattern: text with fields in braces, and `/` between folders.

        `.{ext}` is added to a pattern that does not end in it.

        Raises:
            ValueError: It is no pattern, leaves the folder, or has characters that are not allowed
                in file names.
        """
        segments: list[list[str]] = [[""]]
        try:
            for literal, field, spec, conversion in Formatter().parse(text.removesuffix(_END)):
                first, *rest = literal.split("/")
                segments[-1][-1] += first
                segments += [[more] for more in rest]
                if field is None:
                    continue
                if spec or conversion:
                    raise ValueError(f"{{{field}}} takes no : and no !")
                segments[-1] += [trimmed(field), ""]
        except ValueError as error:
            raise ValueError(f"the name {text!r:.200} is no pattern: {error}") from None
        for segment in segments:
            _check(text, segment)
        return cls(text=text, segments=tuple(map(tuple, segments)))

    @property
    def fields(self) -> list[str]:
        """Return the fields of the pattern that are columns of a catalog."""
        names = (name for segment in self.segments for name in segment[1::2])
        return [name for name in dict.fromkeys(names) if folded(name) not in _OWN]

    def check(self, columns: Iterable[str]) -> None:
        """Check that each field is known.

        Args:
            columns: The columns of the catalog.

        Raises:
            ValueError: One is not; the message lists those that are.
        """
        names = list(dict.fromkeys(columns))
        known = {folded(name) for name in names}
        for field in self.fields:
            if folded(field) not in known:
                there = [*OWN_FIELDS, *names[:_SHOWN_COLUMNS]]
                more = " and more" if len(names) > _SHOWN_COLUMNS else ""
                raise ValueError(
                    f"no column {{{printable(field, 80)}}} for a name; there are: "
                    f"{printable(', '.join(there), 1_000)}{more}"
                )

    def path(self, entry: LedgerEntry, track: Track, image: int, suffix: str) -> PurePosixPath:
        """Return the name of a track's file, below the folder of all.

        Args:
            entry: The cover.
            track: One of its titles.
            image: The number of the image, from 1.
            suffix: The file's suffix, with its dot.

        Raises:
            ArtworkError: The track has no value for a field.
        """
        values = _values(entry, track, image, suffix)
        *folders, name = [_written(segment, values) for segment in self.segments]
        return PurePosixPath(*map(file_stem, folders), file_stem(name) + suffix)


def usual_path(track: Track, suffix: str) -> PurePosixPath:
    """Return the name without a pattern: that of the saved images, without their number."""
    return PurePosixPath(Folder(path=Path(), file_name=name_of).stem(track) + suffix)


def _check(text: str, segment: Sequence[str]) -> None:
    if segment in ([""], ["."], [".."]):
        raise ValueError(
            f"the name {text!r:.200} must be one of a file in the folder: without / at its ends, "
            "and without // . and .. as folders"
        )
    for literal in segment[::2]:
        if file_characters(literal) != literal:
            raise ValueError(
                f"the name {text!r:.200} has characters that some system does not allow in names"
            )
    if "" in segment[1::2]:
        raise ValueError(f"the name {text!r:.200} has a field without a name: {{}}")


def _values(entry: LedgerEntry, track: Track, image: int, suffix: str) -> Mapping[str, object]:
    """Return the values by the folded names of the fields; our own before the columns."""
    own = {
        "title": track.title,
        "music_task_id": track.music_task_id,
        "cover_task_id": entry.task.cover_task_id if entry.task else "",
        "number": entry.number,
        "image": image,
        "ext": suffix.removeprefix("."),
    }
    columns = {folded(name): value for name, value in track.columns.items()}
    return columns | {folded(name): value for name, value in own.items()}


def _written(segment: Sequence[str], values: Mapping[str, object]) -> str:
    words = list(segment)
    for place in range(1, len(words), 2):
        words[place] = file_characters(_value(words[place], values))
    return "".join(words)


def _value(field: str, values: Mapping[str, object]) -> str:
    value = values.get(folded(field))
    text = str(value) if isinstance(value, str | int | float) else ""
    text = re.sub(r"\s+", " ", trimmed(text))
    if not text:
        raise ArtworkError(f"it has no {printable(field, 80)}, which its file's name needs")
    return text
