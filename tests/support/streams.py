"""Standard streams in their odd forms: a terminal in memory, a pipe without a reader, no disk."""

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest


class Terminal(io.TextIOWrapper):
    """A standard output that says it is a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode()


def on_a_terminal(patch: pytest.MonkeyPatch) -> Terminal:
    """Have standard output on a terminal."""
    terminal = Terminal()
    patch.setattr(sys, "stdout", terminal)
    return terminal


@contextmanager
def without_a_reader(name: str, patch: pytest.MonkeyPatch) -> Generator[TextIO, None, None]:
    """Have a standard stream be a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        patch.setattr(sys, name, stream)
        yield stream
        patch.undo()


@contextmanager
def written_to(path: Path, patch: pytest.MonkeyPatch) -> Generator[TextIO, None, None]:
    """Have standard output written to a file."""
    with path.open("w") as stream:
        patch.setattr(sys, "stdout", stream)
        yield stream
        patch.undo()
