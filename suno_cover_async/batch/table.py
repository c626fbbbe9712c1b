"""Read the rows of a table: its delimiter, its header, quotes, and the track of each row.

It knows neither the spellings of names (`columns.py`) nor what an id is (`cells.py`).
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator

from suno_cover_async.batch.cells import plain_id, title_of, without_bom
from suno_cover_async.batch.columns import id_place, no_id_column, title_place
from suno_cover_async.batch.file_kinds import OtherFileError
from suno_cover_async.batch.line_reader import Lines
from suno_cover_async.common.text import printable, trimmed
from suno_cover_async.models import Track

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_SEPARATOR = re.compile(r'"?sep=([^\w"\s]|\t)"?\s*', re.IGNORECASE)
_MOST_COLUMNS = 1000  # each row gets all of them, however short it is
_TYPE = "#TYPE "  # PowerShell's Export-Csv writes it above the header

# The text of a quoted field up to its end, its line's end, or a quote that does not end it.
_QUOTED = re.compile(r'((?:[^"]|"")*+)"(?=[\t\r\n]|\Z)')
_OPEN = re.compile(r'(?:[^"\t]|"")*+\Z')
_CLOSED = re.compile(r'((?:[^"\t]|"")*+)"(?=[\t\r\n]|\Z)')
_RAW = re.compile(r"[^\t\r\n]*")


def find_table(lines: Lines, id_column: str | None, *, required: bool) -> "Table | None":
    """Read what is above the header, and the header; return None if there is no table.

    Raises:
        ValueError: The header cannot be used, or there is none and one is required.
    """
    if required and not lines.peek():
        raise OtherFileError(f"{lines.name} is empty")
    separator = _read_preamble(lines)
    headers: dict[str, list[str]] = {
        one: _first_row(lines, one) for one in ([separator] if separator else _DELIMITERS)
    }
    try:
        for delimiter, header in headers.items():
            place = id_place(header, id_column)
            if place is not None:
                return Table(lines, delimiter, header, place)
        if required or separator:
            names = max(headers.values(), key=len)
            above = "; its first line must name the columns" if len(names) == 1 else ""
            raise ValueError(no_id_column(names, id_column) + above)
    except ValueError as error:
        raise ValueError(f"{lines.name} has {error}") from None
    return None


def rows(lines: Lines, delimiter: str) -> Iterator[list[str]]:
    """Return the rows of a table, read lazily; it can be read on after a csv.Error."""
    if delimiter == "\t":
        return _TabRows(lines)
    return csv.reader(lines, delimiter=delimiter, strict=True)


class Table:
    """The header of a table, which says how to read the rows below it."""

    def __init__(self, lines: Lines, delimiter: str, header: list[str], id_place: int) -> None:
        """Take the header; raise ValueError if it names a column twice, or over 1000 columns."""
        self.delimiter = delimiter
        self._lines = lines
        self._header = header
        self._id, self._title = id_place, title_place(header)
        names = {place: trimmed(name) for place, name in enumerate(header) if trimmed(name)}
        twice, times = Counter(names.values()).most_common(1)[0]
        if times > 1:
            raise ValueError(f"two columns {printable(twice)}; rename one")
        self._width = max(names) + 1
        if self._width > _MOST_COLUMNS:
            raise ValueError(f"more than {_MOST_COLUMNS} columns; leave out those of no use")
        self._id_name = names.pop(self._id)
        if self._title == self._id:
            self._title = None
        if self._title is not None:
            del names[self._title]
        self._others = names

    def rows(self) -> Iterator[list[str]]:
        """Return the rows from the next line on."""
        return rows(self._lines, self.delimiter)

    def track(self, row: list[str]) -> Track | None:
        """Return the track of a row; None for a blank row, and for the header repeated.

        Raises:
            ValueError: The row names no track.
        """
        if row == self._header or not any(map(trimmed, row)):
            return None
        lacking = self._width - len(row)
        if lacking > 0 and self._lines.quotes_broken:
            raise ValueError("it has too few fields, and a quote above it went wrong")
        if any(map(trimmed, row[self._width :])):
            marks = _DELIMITERS.get(self.delimiter, repr(self.delimiter))
            raise ValueError(
                f"it has more fields than the header; quote fields that contain {marks}"
            )
        self._lines.quotes_broken = False
        row += [""] * lacking
        title = "" if self._title is None else title_of(row[self._title])
        columns = {name: without_bom(row[place]) for place, name in self._others.items()}
        return Track(plain_id(row[self._id], self._id_name), title=title, columns=columns)


def _read_preamble(lines: Lines) -> str | None:
    """Pass over the lines that tools write above the header; return the delimiter they name."""
    separator = None
    while line := lines.peek()[:1000].decode(errors="replace").lstrip("\ufeff"):
        named = _SEPARATOR.fullmatch(line)
        if named is None and (separator or not line.startswith(_TYPE)):
            break
        separator = named[1] if named else separator
        next(lines)
        lines.begin()
    return separator


def _first_row(lines: Lines, delimiter: str) -> list[str]:
    """Return the first row that is not blank, and unread it; empty if there is none or it broke."""
    try:
        for row in rows(lines, delimiter):
            if any(map(trimmed, row)):
                return row
            lines.begin()
    except csv.Error:
        pass
    finally:
        lines.put_back()
    return []


class _TabRows:
    """The rows of a table with tabs, in which a quote may be nothing but a quote.

    Spreadsheets quote fields with tabs, line breaks or quotes in them; other programs write the
    title `"Heroes" (2017 Remaster)` as it is. A field is a quoted one if its closing quote is
    followed by a tab or by the end of the line; any other is read as it stands. A quoted field may
    contain tabs or line breaks, but not both: with both, a title that begins with a quote could
    take the rows below it for a part of itself.
    """

    # The search for a closing quote ends at a tab or a quote, and so at the next field at the
    # latest that begins with an open quote. No line is read more than twice, whatever the quotes.

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def __iter__(self) -> "_TabRows":
        return self

    def __next__(self) -> list[str]:
        text = next(self._lines)
        row: list[str] = []
        place = 0
        while True:
            field, text, place = self._field(text, place)
            row.append(field)
            if text[place : place + 1] != "\t":
                return row
            place += 1

    def _field(self, text: str, place: int) -> tuple[str, str, int]:
        """Return a field, the text in which it ends, and where."""
        if text.startswith('"', place):
            if match := _QUOTED.match(text, place + 1):
                return match[1].replace('""', '"'), text, match.end()
            if match := _OPEN.match(text, place + 1):
                rest = self._rest_of_quoted()
                if rest is not None:
                    inner, text, end = rest
                    return (match[0] + inner).replace('""', '"'), text, end
        match = _RAW.match(text, place)
        return (match[0], text, match.end()) if match else ("", text, place)

    def _rest_of_quoted(self) -> tuple[str, str, int] | None:
        """Read the lines in which a quoted field goes on; unread them if it has no end."""
        kept = self._lines.record_lines
        parts: list[str] = []
        try:
            for text in self._lines:
                if match := _CLOSED.match(text):
                    return "".join([*parts, match[1]]), text, match.end()
                if not _OPEN.match(text):
                    break
                parts.append(text)
        except csv.Error:
            pass
        self._lines.keep(kept)
        return None
