"""The lines of a catalog: cut, counted, bounded, and put back when a record turns out to be broken.

It knows bytes and line ends; what a line says is `catalog.py`'s.
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
        number: The line, counted from 1; of a record of several, the one at which it begins.
        reason: What is wrong and what to do: one printable line.
    """

    number: int
    reason: str

    def __str__(self) -> str:
        """Say where and what."""
        return f"line {self.number}: {self.reason}"


class Lines:
    """The lines of a stream as text, counted; those of the record at hand can be put back."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        """Begin at the stream's first line; raises ValueError for UTF-16."""
        self.name = name
        self.quotes_broken: bool = False  # a quote went wrong, and no whole row came since
        self.is_utf8: bool = True  # the record at hand
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
        """Read the next line; raises csv.Error when the record gets longer than 1 MiB."""
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
        """Let a record begin at the next line."""
        self._record: list[bytes] = []
        self._size = 0
        self.is_utf8 = True

    def put_back(self) -> None:
        """Unread the record."""
        self._unread(0)
        self.begin()

    def bad(self, reason: str) -> BadLine:
        """Tell of the record at hand, and how far it goes."""
        more = f"; lines {self._first} to {self._last} are left out" if self._record[1:] else ""
        return BadLine(number=self._first, reason=printable(reason + more))

    def broken(self, reason: str) -> BadLine:
        """Tell of a record without an end, and unread what may be records of their own.

        No line is read a third time, which bounds the time whatever the quotes.
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
    """Cut at line ends; of a line beyond _LONGEST, only so much is kept as shows that it is."""
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)  # waits for no more
    rest = b""
    for block in iter(lambda: read(_BLOCK), b""):
        *lines, rest = (rest + block).splitlines(keepends=True)
        if rest.endswith(b"\n"):  # a \r is kept: a \n may follow
            lines.append(rest)
            rest = b""
        yield from lines
        rest = rest[:_LONGEST] + rest[_LONGEST:][-1:]
    if rest:
        yield rest
