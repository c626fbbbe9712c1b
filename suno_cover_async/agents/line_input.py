"""Read lines from a file descriptor, in a thread that no cancellation has to wait for.

A blocking read cannot be cancelled, and the host may keep standard input open for ever: the process
must end nevertheless. So the thread is a daemon, and reads the descriptor itself: a thread that is
inside a buffered file when the interpreter ends makes it abort. It must not know what a line means.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Self

_CHUNK = 65_536
_WAITING = 100  # lines that are read and not taken yet; then the thread reads no more
_LONGEST = 1 << 20  # bytes of a line: requests to our tools have a few hundred


class LineInput:
    """The lines of a file descriptor, as text; iterate over them in one event loop.

    A line of more than 1 MiB is replaced by an empty one. Bytes that are no UTF-8 are replaced.
    """

    def __init__(self, descriptor: int) -> None:
        """Start to read, inside a running event loop."""
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(_WAITING)
        self._loop = asyncio.get_running_loop()
        threading.Thread(
            target=self._read, args=(descriptor,), name="suno-cover-stdin", daemon=True
        ).start()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> str:
        """Wait for the next line and return it; there are no more once the input is closed."""
        line = await self._lines.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def _read(self, descriptor: int) -> None:
        for line in lines_of(descriptor):
            if not self._pass_on(line.decode(errors="replace")):
                return
        self._pass_on(None)

    def _pass_on(self, line: str | None) -> bool:
        """Give a line to the event loop; return whether the loop still takes lines."""
        put = self._lines.put(line)
        try:
            asyncio.run_coroutine_threadsafe(put, self._loop).result()
        except (RuntimeError, CancelledError):  # the loop is closed, or cancels what it still runs
            put.close()
            return False
        return True


def lines_of(descriptor: int, longest: int = _LONGEST) -> Iterator[bytes]:
    """Yield the lines of a descriptor without their ends; one that is too long is yielded empty."""
    rest, is_too_long = b"", False
    while chunk := _chunk(descriptor):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield b"" if is_too_long or len(line) > longest else line
            is_too_long = False
        if len(rest) > longest:
            rest, is_too_long = b"", True
    if rest and not is_too_long:
        yield rest


def _chunk(descriptor: int) -> bytes:
    """Read some bytes; none at the end, and where the descriptor cannot be read any more."""
    try:
        return os.read(descriptor, _CHUNK)
    except OSError:
        return b""
