"""Split a catalog into lines, count and bound them, and unread those of a broken record.

This module knows bytes and line ends; what a line means is decided in `catalog.py`.
"""

import codecs
import csv
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

import attrs

from suno_cover_async.common.text import printable

_LONGEST = 2**20  # bytes of a record
_BLOCK = 2**16  # bytes of a read


@attrs.frozen(kw_only=True)
class BadLine:
    """A line of a catalog that names no track.

    Attributes:
        number: The line number, from 1; for a record of several lines, its first line.
        reason: What is wrong and what to do, in one printable line.
    """

    number: int
    reason: str

    def __str__(self) -> str:
        """Return the line number and the reason."""
        return f"line {self.number}: {self.reason}"


class Lines:
    """Iterate over the lines of a stream as text; the lines of the current record can be unread."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        """Start at the stream's first line; raise ValueError for UTF-16."""
        self.name = name
        self.quotes_broken: bool = False  # a quote was broken, and no whole row was read since
        self.is_utf8: bool = True  # of the current record
        self._lines = _split(stream)
        first = next(self._lines, b"")
        if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise ValueError(f"{name} is UTF-16; save it as UTF-8")
        self._back = deque([first.removeprefix(codecs.BOM_UTF8)])
        self._last = 0  # number of the last line read
        self._again = 0  # number of the last line that was read again after a failure
        self.begin()

    def __iter__(self) -> Iterator[str]:
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Return the next line; raise csv.Error when the record gets longer than 1 MiB."""
        line = self._back.popleft() if self._back else next(self._lines)
        self._last += 1
        self._record.append(line)
        self._size += len(line)
        if self._size > _LONGEST:
            raise csv.Error("it is longer than 1 MiB")
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.is_utf8 = False
            return line.decode(errors="replace")

    def begin(self) -> None:
        """Start a record at the next line."""
        self._record: list[bytes] = []
        self._size = 0
        self.is_utf8 = True

    def put_back(self) -> None:
        """Unread the record."""
        self._unread(0)
        self.begin()

    def bad(self, reason: str) -> BadLine:
        """Return the current record as a bad line, with the range of lines it covers."""
        more = f"; lines {self._first} to {self._last} are left out" if self._record[1:] else ""
        return BadLine(number=self._first, reason=printable(reason + more))

    def broken(self, reason: str) -> BadLine:
        """Return a record without an end as a bad line; unread the lines that may be records.

        No line is read a third time, so the time is bounded whatever the quotes are.
        """
        last = self._last
        self._unread(max(1, self._again - self._first + 1))
        self._again = max(self._again, last)
        self.quotes_broken = True
        return self.bad(reason)

    @property
    def _first(self) -> int:
        return self._last - len(self._record) + 1

    def _unread(self, kept: int) -> None:
        unread = self._record[kept:]
        del self._record[kept:]
        self._back.extendleft(reversed(unread))
        self._last -= len(unread)


def _split(stream: BinaryIO) -> Iterator[bytes]:
    """Split at line ends; of a line over _LONGEST, keep only enough to see that it is too long."""
    # `read1` returns the bytes that are there; `read` on a pipe would wait for a full block.
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    rest = b""
    for block in iter(lambda: read(_BLOCK), b""):
        *lines, rest = (rest + block).splitlines(keepends=True)
        if rest.endswith(b"\n"):  # a \r stays in `rest`: a \n may follow
            lines.append(rest)
            rest = b""
        yield from lines
        rest = rest[:_LONGEST] + rest[_LONGEST:][-1:]
    if rest:
        yield rest
