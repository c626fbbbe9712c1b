"""Read the catalog of a command line to its end, and check it before anything is submitted.

It knows where a catalog comes from and which lines are bad; it knows nothing of covers.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import attrs
from rich.console import Console

from suno_cover_async import BadLine, Catalog, read_catalog
from suno_cover_async.batch.catalog import Format
from suno_cover_async.batch.file_kinds import OtherFileError
from suno_cover_async.cli.output.console import say
from suno_cover_async.common.text import printable
from suno_cover_async.http.credentials import ApiKey

_MOST_NAMED = 20


@attrs.define(eq=False, kw_only=True)
class Intake:
    """A catalog, and the result of its first reading.

    Attributes:
        read: Returns the catalog, to be read from its start, without the bad lines.
        name: The catalog's name in messages.
        tracks: How many lines name a track.
        bad: How many lines do not.
        hide: Removes the API key from a reason, which quotes the line.
        named: The first 20 bad lines.
    """

    read: Callable[[], Catalog]
    name: str
    tracks: int = 0
    bad: int = 0
    hide: Callable[[str], str] = str
    named: list[BadLine] = attrs.field(factory=list[BadLine])

    @property
    def catalog(self) -> Catalog:
        """Return the tracks, to be read once."""
        return self.read()

    def note(self, line: BadLine) -> None:
        """Count a bad line."""
        self.bad += 1
        if len(self.named) < _MOST_NAMED:
            self.named.append(attrs.evolve(line, reason=self.hide(line.reason)))

    def say_bad(self, console: Console) -> None:
        """Write the first bad lines, and how many more there are."""
        for line in self.named:
            say(console, f"{self.name}, {line}", "yellow", indent=2)
        more = self.bad - len(self.named)
        if more:
            say(console, f"and {more:,} more", "yellow", indent=2)


@contextmanager
def opened(
    source: str, kind: Format | None, id_column: str | None = None, key: ApiKey | None = None
) -> Generator[Intake, None, None]:
    """Read a catalog to its end; `-` is standard input. A stream is copied into a file first.

    Args:
        source: The path, or `-`.
        kind: The format; None chooses it by the suffix or the first line.
        id_column: The name of the column or key with the ids; None finds it.
        key: The API key, which is refused in place of an id, and in no message; None without one.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not a catalog, its format is unknown, or an id is the API key.
    """
    path = Path(source)
    if source != "-" and path.is_file():
        yield _checked(path, _Options(kind, id_column), printable(source), key)
        return
    # On Windows, `TemporaryFile` returns a wrapper that has all methods of a file.
    with cast("BinaryIO", tempfile.TemporaryFile()) as kept:
        with nullcontext(sys.stdin.buffer) if source == "-" else path.open("rb") as stream:
            shutil.copyfileobj(stream, kept)
        name = "standard input" if source == "-" else printable(source)
        yield _checked(kept, _Options(kind, id_column), name, key)


class _Options(NamedTuple):
    """How to read a catalog."""

    kind: Format | None
    id_column: str | None


def _checked(source: Path | BinaryIO, how: _Options, name: str, key: ApiKey | None) -> Intake:
    hide = str if key is None else key.hide_in
    try:
        intake = Intake(read=partial(_read, source, how, None), name=name, hide=hide)
        for track in _read(source, how, intake.note):
            intake.tracks += 1
            if key is not None:
                key.check_id(f"{name}, track {intake.tracks:,}: music_task_id", track.music_task_id)
    except OtherFileError:
        raise
    except ValueError as error:
        if hide(str(error)) != str(error):
            raise ValueError(hide(str(error))) from None
        if how.kind is None and how.id_column is None:
            error.add_note("if it has another format, pass --format csv, jsonl or txt")
        raise
    intake.read = partial(_read, source, how, _skip if intake.bad else None)
    return intake


def _read(
    source: Path | BinaryIO, how: _Options, on_bad: Callable[[BadLine], object] | None
) -> Catalog:
    if not isinstance(source, Path):
        source.seek(0)
    return read_catalog(source, format=how.kind, on_bad=on_bad, id_column=how.id_column)


def _skip(_: BadLine) -> None:
    """Skip a bad line; the first reading reported it."""
