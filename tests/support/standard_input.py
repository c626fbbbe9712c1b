"""What a person or a pipe writes to standard input, and one that breaks."""

import io
import sys
from typing import Any

import pytest


class Broken(io.BytesIO):
    """A standard input that fails as it is read."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def read(self, _: Any = None) -> bytes:
        raise self._error


def typed(patch: pytest.MonkeyPatch, what: bytes | BaseException) -> None:
    raw = io.BytesIO(what) if isinstance(what, bytes) else Broken(what)
    patch.setattr(sys, "stdin", io.TextIOWrapper(raw))
