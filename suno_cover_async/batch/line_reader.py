"""Split a catalog into lines, count and bound them, and unread those of a broken record.

This module knows bytes and line ends; what a line means is decided in the modules beside it.
"""

import csv
from collections import deque
from collections.abc import Callable
from typing import BinaryIO, Literal

import attrs

from suno_cover_async.common.text import printable

_LONGEST = 2**20  # bytes of a record
_BLOCK = 2**16  # bytes of a read


@attrs.frozen(kw_only=True)
class BadLine:
    """A line of a catalog that names no track, or an element of a JSON array.

    Attributes:
        number: The number of the line or element, from 1; for a record of several lines, its first
            line.
        reason: What is wrong and what to do, in one printable line.
        unit: What is counted: `line`, or `element` in a JSON array.
    """

    number: int
    reason: str
    unit: Literal["line", "element"] = "line"

    def __str__(self) -> str:
        """Return the line number and the reason."""
        return f"{self.unit} {self.number}: {self.reason}"


class Lines:
    """Iterate over the lines of a stream as text; the lines of the current record can be unread.

    Byte order marks at the start of a record are dropped.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        """Start at the stream's first line."""
        self.name = name
        self.quotes_broken: bool = False  # a quote was broken, and no whole row was read since
        self.is_utf8: bool = True  # of the current record
        # `read1` returns the bytes that are there; `read` on a pipe would wait for a full block.
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self._next = deque[bytes]()  # lines to be read next
        self._rest = b""  # the start of the line after them
        self._is_cut = False  # its beginning is in `_next` already, being longer than _LONGEST
        self._is_over = False
        self._last = 0  # number of the last line read
        self._again = 0  # number of the last line that was read again after a failure
        self.begin()

    def __iter__(self) -> "Lines":
        """Return itself."""
        return self

    def __next__(self) -> str:
        """Return the next line; raise csv.Error when the record gets longer than 1 MiB."""
        if not self._fill():
            raise StopIteration
        line = self._next.popleft()
        self._last += 1
        self._record.append(line)
        self._size += len(line)
        if self._size > _LONGEST:
            raise csv.Error("it is longer than 1 MiB")
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.is_utf8 = False
            text = line.decode(errors="replace")
        return text if len(self._record) > 1 else text.lstrip("\ufeff")

    def peek(self) -> bytes:
        """Pass over blank lines, and return the next line without reading it; empty at the end."""
        while self._fill():
            line = self._next[0]
            if line.decode(errors="replace").lstrip("\ufeff").strip() or len(line) > _LONGEST:
                return line
            self._next.popleft()
            self._last += 1
        return b""

    def remaining(self, most: int) -> bytes:
        """Read all that is left, lines of any length; the first bytes must have been peeked at.

        Raises:
            ValueError: More than `most` bytes are left.
        """
        parts = [*self._next, self._rest]
        size = sum(map(len, parts))
        while size <= most and not self._is_over and (block := self._read(_BLOCK)):
            parts.append(block)
            size += len(block)
        self._next.clear()
        self._rest, self._is_over = b"", True
        if size > most:
            raise ValueError(
                f"{self.name} is longer than {most // 2**20} MiB; write one object a line"
            )
        return b"".join(parts)

    def begin(self) -> None:
        """Start a record at the next line."""
        self._record: list[bytes] = []
        self._size = 0
        self.is_utf8 = True

    def put_back(self) -> None:
        """Unread the record."""
        self.keep(0)

    def keep(self, count: int) -> None:
        """Unread the lines of the record after its first `count`."""
        self._unread(count)
        self._size = sum(map(len, self._record))
        self.is_utf8 = all(map(_is_utf8, self._record))

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
    def record_lines(self) -> int:
        """How many lines of the current record were read."""
        return len(self._record)

    @property
    def _first(self) -> int:
        return self._last - len(self._record) + 1

    def _unread(self, kept: int) -> None:
        unread = self._record[kept:]
        del self._record[kept:]
        self._next.extendleft(reversed(unread))
        self._last -= len(unread)

    def _fill(self) -> bool:
        """Read until there is a next line; return whether there is one.

        Of a line over _LONGEST, only its beginning becomes a line, which is enough to see that it
        is too long.
        """
        while not self._next and not self._is_over:
            block = self._read(_BLOCK)
            *lines, self._rest = (self._rest + block).splitlines(keepends=True) or [b""]
            self._is_over = not block
            # A \r stays in `_rest` until the next read, since a \n may follow.
            if self._rest.endswith(b"\n") or (self._is_over and self._rest):
                lines.append(self._rest)
                self._rest = b""
            if self._is_cut and lines:
                del lines[0]
                self._is_cut = False
            self._next.extend(lines)
            if self._is_cut:
                self._rest = self._rest[-1:]
            elif len(self._rest) > _LONGEST + 1:
                self._next.append(self._rest[:-1])
                self._rest = self._rest[-1:]
                self._is_cut = True
        return bool(self._next)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
