"""Read the tracks of a catalog: a .csv, .jsonl or .txt file, or a stream of one.

This module owns the format of a line and reports lines that name no track. It reads lazily, so
memory stays flat whatever the input is. It does not know what happens to the tracks.
"""

import csv
import hashlib
import io
import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

import attrs

from suno_cover_async.batch.line_reader import BadLine, Lines
from suno_cover_async.common.json_text import MOST_LEVELS, json_object
from suno_cover_async.common.text import printable
from suno_cover_async.models import Track

Format = Literal["csv", "jsonl", "txt"]
Row = TypeVar("Row", str, list[str])

_SUFFIXES: dict[str, Format] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".txt": "txt"}
_SUFFIXES[".ndjson"] = "jsonl"
_ID, _TITLE = "music_task_id", "title"
_csv = partial(csv.reader, strict=True)
_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@attrs.define(eq=False)
class Catalog:
    """The tracks of a catalog, in order; `read_catalog` creates it.

    Each iteration reads a file from its start; a stream can be read only once. Reading blocks.
    """

    _source: Path | BinaryIO
    _kind: Format | None
    _on_bad: Callable[[BadLine], object] | None
    _spent: bool = attrs.field(default=False, init=False)

    @property
    def name(self) -> str:
        """Return the name for messages: the path, "standard input" or "the stream"."""
        if isinstance(self._source, Path):
            return printable(str(self._source))
        is_stdin = self._source is getattr(sys.stdin, "buffer", None)
        return "standard input" if is_stdin else "the stream"

    def __iter__(self) -> Iterator[Track]:
        """Read from the start.

        Raises:
            OSError: The source cannot be read.
            ValueError: There is a bad line and no `on_bad`, a .csv has no usable header, the file
                is UTF-16, or a stream is read a second time.
        """
        if self._spent:
            raise ValueError(f"{self.name} can be read only once; save it to a file")
        self._spent = not isinstance(self._source, Path)
        return self._tracks()

    def fingerprint(self) -> str | None:
        """Return a digest of the bytes and the format; None for a stream, a pipe or a device.

        Equal fingerprints mean equal tracks. This reads the whole file, and blocks.

        Raises:
            OSError: The file cannot be read.
        """
        if not (isinstance(self._source, Path) and stat.S_ISREG(self._source.stat().st_mode)):
            return None
        with self._source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        digest.update(f"\0{self._kind}\0{self._on_bad is None}".encode())
        return digest.hexdigest()

    def _tracks(self) -> Iterator[Track]:
        source = self._source
        with source.open("rb") if isinstance(source, Path) else nullcontext(source) as stream:
            for found in _records(Lines(stream, self.name), self._kind):
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
) -> Catalog:
    r"""Read tracks lazily from UTF-8 text, with or without a BOM; lines end in \n, \r\n or \r.

    - csv: a header with a column `music_task_id` and optionally `title`, in any letter case, then
      one track a row, separated by commas, semicolons or tabs. Other columns are kept as text.
      Blank rows and repeated headers are skipped; missing cells are empty; columns without a name
      are ignored.
    - jsonl: one object a line with `music_task_id` and optionally `title`; other keys are kept.
    - txt: one id a line; blank lines and lines that begin with # are skipped.

    Args:
        source: A path, or a binary stream such as `sys.stdin.buffer`, which is left open.
        format: None chooses by the file's suffix, or by the stream's first line.
        on_bad: Called with every line that names no track or is longer than 1 MiB; the line is
            skipped. Without it, the first such line raises a ValueError.

    Raises:
        OSError: The file cannot be opened.
        TypeError: The source is neither a path nor a binary stream.
        ValueError: The format is unknown.
    """
    if format not in {None, *_SUFFIXES.values()}:
        raise ValueError(f"format must be csv, jsonl or txt, not {format!r:.80}")
    if not isinstance(source, str | os.PathLike):
        if isinstance(source, io.TextIOBase) or not hasattr(source, "read"):
            raise TypeError(f"source must be a path or a binary stream, not {source!r:.80}")
        return Catalog(source, format, on_bad)
    path = Path(source)
    if not path.is_fifo():
        path.open("rb").close()  # raises now, not at the first track
    kind = format or _SUFFIXES.get(path.suffix.lower())
    catalog = Catalog(path, kind, on_bad)
    if kind is None:
        known = ", ".join(_SUFFIXES)
        raise ValueError(f"{catalog.name} must end in {known}, or format be csv, jsonl or txt")
    return catalog


def _records(lines: Lines, kind: Format | None) -> Iterator[Track | BadLine]:
    if kind is None and (_peek(lines, lines) or "").lstrip().startswith("{"):
        kind = "jsonl"
    table = _table(lines, required=kind == "csv") if kind in {None, "csv"} else None
    if table is not None:
        hint = "; close every quote, and double those within a field"
        return _read(lines, _csv(lines, delimiter=table.delimiter), table.track, hint)
    return _read(lines, lines, _from_json if kind == "jsonl" else _from_txt)


def _peek(lines: Lines, rows: Iterator[Row]) -> Row | None:
    """Return the first row that is not blank, and unread it; None if there is none, or it broke."""
    try:
        for row in rows:
            if "".join(row).strip():
                return row
            lines.begin()
    except csv.Error:
        pass
    finally:
        lines.put_back()
    return None


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
    text = line.strip()
    return Track(text) if text and not text.startswith("#") else None


def _from_json(line: str) -> Track | None:
    if not line.strip():
        return None
    record = json_object(line, allow_duplicate_keys=False)
    if record is None:
        raise ValueError(
            f"it must be a JSON object, each key once and at most {MOST_LEVELS} levels deep, "
            f'such as {{"{_ID}": "7f3a"}}'
        )
    try:
        _json(record).encode()
    except ValueError:
        raise ValueError(
            "it contains an unpaired surrogate, or a number too large for JSON"
        ) from None
    music_task_id, title = _text(record, _ID), _text(record, _TITLE)
    return Track(music_task_id, title=title, columns=record)


def _text(record: dict[str, object], name: str) -> str:
    value = record.pop(name, None)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a text in quotes, not {type(value).__name__}")
    return value or ""


def _table(lines: Lines, *, required: bool) -> "_Table | None":
    headers: dict[str, list[str]] = {
        one: _peek(lines, _csv(lines, delimiter=one)) or [] for one in ",;\t"
    }
    for delimiter, header in headers.items():
        if _ID in map(_column, header):
            return _Table(lines, delimiter, header)
    if required:
        longest = max(headers.values(), key=len)
        seen = printable(", ".join(longest)) or "nothing"
        raise ValueError(f"{lines.name} has no column {_ID}, but: {seen}")
    return None


def _column(name: str) -> str:
    name = name.strip()
    return name.casefold() if name.casefold() in {_ID, _TITLE} else name


class _Table:
    """The header of a table, which says how to read the rows below it."""

    def __init__(self, lines: Lines, delimiter: str, header: list[str]) -> None:
        names = Counter(name for name in map(_column, header) if name)
        twice, times = names.most_common(1)[0]
        if times > 1:
            raise ValueError(f"{lines.name} has two columns {printable(twice)}; rename one")
        self.delimiter = delimiter
        self._lines = lines
        self._header = header
        self._places = {name: place for place, name in enumerate(map(_column, header)) if name}
        self._width = max(self._places.values()) + 1
        self._id, self._title = self._places.pop(_ID), self._places.pop(_TITLE, None)

    def track(self, row: list[str]) -> Track | None:
        if row == self._header or not any(map(str.strip, row)):
            return None
        lacking = self._width - len(row)
        if lacking > 0 and self._lines.quotes_broken:
            raise ValueError("it has too few fields, and a quote above it went wrong")
        if any(map(str.strip, row[self._width :])):
            raise ValueError("it has more fields than the header; quote fields that contain commas")
        self._lines.quotes_broken = False
        row += [""] * lacking
        title = "" if self._title is None else row[self._title].strip()
        columns = {name: row[place] for name, place in self._places.items()}
        return Track(row[self._id].strip(), title=title, columns=columns)
