"""Catalogs as bytes, and what was read of them."""

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from hypothesis import strategies as st

from suno_cover_async.batch.catalog import read_catalog
from suno_cover_async.batch.line_reader import BadLine
from suno_cover_async.models import Track

MIB = 2**20

ONE, TWO, THREE = (f"{number:032x}" for number in (1, 2, 3))

HEADER = "music_task_id,title,genre\n"


class Source(io.RawIOBase):
    """A stream that is made while it is read, a piece a read, as a pipe gives it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        piece = next((piece for piece in self._pieces if piece), b"")
        assert len(piece) <= size
        return piece


def stream(*pieces: bytes) -> BinaryIO:
    return cast("BinaryIO", Source(iter(pieces)))


def judged(
    data: str | bytes, kind: Any = None, id_column: str | None = None
) -> tuple[list[Track], list[BadLine]]:
    """Read it all, as a stream: the tracks, and the bad lines."""
    bad: list[BadLine] = []
    raw = data.encode() if isinstance(data, str) else data
    source = io.BytesIO(raw)
    return [*read_catalog(source, format=kind, on_bad=bad.append, id_column=id_column)], bad


def tracks(data: str | bytes, kind: Any = None, id_column: str | None = None) -> list[Track]:
    """Read what has no bad line."""
    raw = data.encode() if isinstance(data, str) else data
    return [*read_catalog(io.BytesIO(raw), format=kind, id_column=id_column)]


def ids(found: list[Track]) -> list[str]:
    return [track.music_task_id for track in found]


def numbers(bad: list[BadLine]) -> list[int]:
    return [line.number for line in bad]


texts = st.text(st.characters(exclude_categories=["Cs"]))

music_ids = st.from_regex(r"[0-9a-f]{32}|[A-Za-z0-9]{1,4}[0-9][-_]{1,9}x", fullmatch=True)

rows = st.lists(st.tuples(music_ids, texts, texts), max_size=5)
