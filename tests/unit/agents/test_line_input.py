"""Lines of standard input, read in a thread."""

import asyncio
import os
import threading
from collections.abc import Iterator
from io import FileIO

import attrs
import pytest

from suno_cover_async.agents.line_input import LineInput, lines_of
from tests.support.waiting import until


@attrs.frozen
class Pipe:
    reader: FileIO
    writer: FileIO

    @property
    def end(self) -> int:
        return self.reader.fileno()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ours, its = os.pipe()
    with FileIO(ours) as reader, FileIO(its, "w") as writer:
        yield Pipe(reader, writer)


def read(pipe: Pipe, written: bytes, longest: int = 8) -> list[bytes]:
    pipe.writer.write(written)
    pipe.writer.close()
    return list(lines_of(pipe.end, longest))


def test_lines_end_with_the_input(pipe: Pipe) -> None:
    assert read(pipe, b"one\n\ntwo") == [b"one", b"", b"two"]


def test_a_line_that_is_too_long_is_empty_and_the_next_is_whole(pipe: Pipe) -> None:
    assert read(pipe, b"123456789\nnext\n" + b"x" * 30_000) == [b"", b"next"]


def test_a_long_line_is_never_held_in_memory(pipe: Pipe) -> None:
    lines = lines_of(pipe.end, 8)
    pipe.writer.write(b"x" * 20)
    pipe.writer.write(b"y" * 20 + b"\nnext\n")
    assert next(lines) == b""
    assert next(lines) == b"next"


def test_a_descriptor_that_is_closed_has_no_lines(pipe: Pipe) -> None:
    end = pipe.end
    pipe.reader.close()

    assert list(lines_of(end)) == []


async def test_lines_are_text_and_bytes_that_are_none_are_replaced(pipe: Pipe) -> None:
    lines = LineInput(pipe.end)
    pipe.writer.write("größer\n".encode() + b"\xff\n")
    pipe.writer.close()

    assert [line async for line in lines] == ["größer", "\ufffd"]


def test_an_event_loop_that_ends_waits_for_no_input_and_ends_its_thread(pipe: Pipe) -> None:
    async def read_one() -> str:
        lines = LineInput(pipe.end)
        first = await anext(lines)
        # The thread waits until a line is taken, which the end of the loop cancels.
        await until(lambda: lines._lines.full() and len(asyncio.all_tasks()) > 1)
        return first

    pipe.writer.write(b"one\n" * 300)

    assert asyncio.run(read_one()) == "one"
    for thread in threading.enumerate():
        if thread.name == "suno-cover-stdin":
            thread.join(50)  # an exception of a thread is a warning, which fails the test
            assert not thread.is_alive()
