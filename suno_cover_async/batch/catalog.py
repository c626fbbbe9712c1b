"""Read the tracks of a catalog: a .csv, .jsonl or .txt file, or a stream of one.

This module chooses the format, and reports lines that name no track. It reads lazily, so memory
stays flat, except for a JSON array. Open `table.py` for tables, `json_records.py` for JSON,
`columns.py` for the names of columns, and `cells.py` for what an id is. It does not know what
happens to the tracks.
"""

import csv
import hashlib
import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

import attrs

from suno_cover_async.batch.cells import is_sheet_error, plain_id
from suno_cover_async.batch.file_kinds import refuse_other_files
from suno_cover_async.batch.json_records import MOST_ARRAY_BYTES, array_tracks, track_of
from suno_cover_async.batch.line_reader import BadLine, Lines
from suno_cover_async.batch.table import find_table
from suno_cover_async.common.text import printable, trimmed
from suno_cover_async.common.validation import instance
from suno_cover_async.models import Track

Format = Literal["csv", "jsonl", "txt"]
Row = TypeVar("Row", str, list[str])

_RULES = 2  # changes when the same bytes are read as other tracks than in an earlier version
_SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".txt": "txt"}
_SUFFIXES.update({".ndjson": "jsonl", ".json": "jsonl"})


@attrs.define(eq=False)
class Catalog:
    """The tracks of a catalog, in order; `read_catalog` creates it.

    Each iteration reads a file from its start; a stream can be read only once. Reading blocks.
    """

    _source: Path | BinaryIO
    _kind: Format | None
    _on_bad: Callable[[BadLine], object] | None
    _id_column: str | None = None
    _spent: bool = attrs.field(default=False, init=False)

    @property
    def name(self) -> str:
        """Return the name for messages: the path, "standard input" or "the stream"."""
        if isinstance(self._source, Path):
            return printable(str(self._source))
        is_stdin = self._source is getattr(sys.stdin, "buffer", None)
        return "standard input" if is_stdin else "the stream"

    @property
    def format(self) -> Format | None:
        """Return the format; None for a stream whose first line tells it."""
        return self._kind

    def __iter__(self) -> Iterator[Track]:
        """Read from the start.

        Raises:
            OSError: The source cannot be read.
            ValueError: There is a bad line and no `on_bad`; a table has no usable header; the file
                is something else, such as a spreadsheet or UTF-16; a JSON array is broken or
                longer than 64 MiB; or a stream is read a second time.
        """
        if self._spent:
            raise ValueError(f"{self.name} can be read only once; save it to a file")
        self._spent = not isinstance(self._source, Path)
        return self._tracks()

    def fingerprint(self) -> str | None:
        """Return a digest of the bytes and how to read them; None for a stream, pipe or device.

        Equal fingerprints mean equal tracks. This reads the whole file, and blocks.

        Raises:
            OSError: The file cannot be read.
        """
        if not (isinstance(self._source, Path) and stat.S_ISREG(self._source.stat().st_mode)):
            return None
        with self._source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(f"\0{_RULES}\0{self._kind}\0{self._on_bad is None}".encode())
        if self._id_column is not None:
            digest.update(f"\0{self._id_column}".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def _tracks(self) -> Iterator[Track]:
        source = self._source
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as stream:
            for found in _records(Lines(stream, self.name), self._kind, self._id_column):
                if isinstance(found, Track):
                    yield found
                elif self._on_bad is None:
                    raise ValueError(f"{self.name}, {found}")
                else:
                    self._on_bad(found)


def read_catalog(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    format: Format | None = None,  # noqa: A002 - the usual name
    on_bad: Callable[[BadLine], object] | None = None,
    id_column: str | None = None,
) -> Catalog:
    r"""Read tracks lazily from UTF-8 text, with or without a BOM; lines end in \n, \r\n or \r.

    - csv: a header with a column `music_task_id` and optionally `title`, then one track a row,
      separated by commas, semicolons, tabs or pipes. Other columns are kept as text. Blank rows and
      repeated headers are skipped; missing cells are empty; columns without a name are ignored; so
      are `sep=;` and `#TYPE` above the header. With tabs, an unbalanced quote is a character.
    - jsonl: one object a line with `music_task_id` and optionally `title`, or one JSON array of
      such objects or of ids, of at most 64 MiB; other keys are kept.
    - txt: one id a line, perhaps in quotes and with a comma after it; blank lines and lines that
      begin with # are skipped.

    The name of a column is read without case, spaces, `-` and `_`; without a `music_task_id`,
    `task_id` is the id, and without a `title`, `song title` or `track title` is. An id is 1 to 128
    letters, digits, `-` and `_`, and begins with a letter or digit; white space, quotes, `="..."`
    and a leading `'` around it are removed, and `="..."` around a title of a table.

    Args:
        source: A path, or a binary stream such as `sys.stdin.buffer`, which is left open.
        format: None chooses by the file's suffix, or by the stream's first line.
        on_bad: Called with every line that names no track or is longer than 1 MiB; the line is
            skipped. Without it, the first such line raises a ValueError.
        id_column: The name of the column or key with the ids, in any letter case; None finds it.

    Raises:
        OSError: The file cannot be opened.
        TypeError: The source is neither a path nor a binary stream, or `id_column` no text.
        ValueError: The format is unknown, `id_column` is empty, or a .txt cannot have one.
    """
    if format not in {None, *_SUFFIXES.values()}:
        raise ValueError(f"format must be csv, jsonl or txt, not {format!r:.80}")
    if id_column is not None and not trimmed(instance("id_column", id_column, str)):
        raise ValueError("id_column must not be empty")
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        catalog = Catalog(path, format or _SUFFIXES.get(path.suffix.lower()), on_bad, id_column)
        _check_file(catalog, path)
    elif isinstance(source, io.TextIOBase) or not hasattr(source, "read"):
        raise TypeError(f"source must be a path or a binary stream, not {source!r:.80}")
    else:
        catalog = Catalog(source, format, on_bad, id_column)
    if catalog.format == "txt" and id_column is not None:
        raise ValueError(f"{catalog.name} is read as txt, which has no columns; omit id_column")
    return catalog


def _check_file(catalog: Catalog, path: Path) -> None:
    """Raise what is wrong with a file now, and not at the first track."""
    if not path.is_fifo():
        with path.open("rb") as file:
            if catalog.format is None and path.is_file():
                refuse_other_files(catalog.name, file.readline(1000))
    if catalog.format is None:
        known = ", ".join(_SUFFIXES)
        raise ValueError(f"{catalog.name} must end in {known}, or format be csv, jsonl or txt")


def _records(lines: Lines, kind: Format | None, id_column: str | None) -> Iterator[Track | BadLine]:
    first = lines.peek()
    refuse_other_files(lines.name, first)
    mark = first[:1000].decode(errors="replace").lstrip("\ufeff").lstrip()[:1]
    if kind is None and mark and mark in "{[":
        kind = "jsonl"
    if kind == "jsonl" and mark == "[":
        return array_tracks(lines.name, lines.remaining(MOST_ARRAY_BYTES), id_column)
    if kind == "jsonl":
        return _read(lines, lines, partial(track_of, id_column=id_column))
    if kind != "txt":
        required = kind == "csv" or id_column is not None
        table = find_table(lines, id_column, required=required)
        if table is not None:
            hint = "; close every quote, and double those within a field"
            return _read(lines, table.rows(), table.track, hint)
    return _read(lines, lines, _from_txt)


def _read(
    lines: Lines, rows: Iterator[Row], track: Callable[[Row], Track | None], hint: str = ""
) -> Iterator[Track | BadLine]:
    while True:
        lines.begin()
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield lines.broken(f"{error}{hint}")
            continue
        try:
            if not lines.is_utf8:
                raise ValueError("it is not UTF-8; save the catalog as UTF-8")
            found = track(row)
        except ValueError as error:
            yield lines.bad(str(error))
            continue
        if found is not None:
            yield found


def _from_txt(line: str) -> Track | None:
    text = trimmed(line).removesuffix(",")
    if not text or (text.startswith("#") and not is_sheet_error(text)):
        return None
    return Track(plain_id(text))
