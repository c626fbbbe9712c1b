"""`ledger export`: all that a ledger knows, a row for each track, for spreadsheets and programs.

It owns the columns, and what a spreadsheet must not take for a formula. Memory stays flat: the
ledger is read once for the names of the columns, and once more for the rows.
"""

import csv
import io
import json
import os
import re
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Container, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

import attrs

from suno_cover_async import Ledger, LedgerEntry, TrackState
from suno_cover_async.cli.output.console import result
from suno_cover_async.common.records import make_converter
from suno_cover_async.common.text import is_seen, printable
from suno_cover_async.images.files import PartFile

ExportFormat = Literal["csv", "jsonl"]
Row = dict[str, object]

_BOM = "\ufeff"  # without it Excel takes UTF-8 for its own old encoding
_THEIRS = "catalog."


@attrs.frozen(kw_only=True)
class ExportRow:
    """What a ledger says of one of a music task's titles; the catalog's own columns come after."""

    music_task_id: str
    title: str
    state: TrackState
    cover_task_id: str | None
    adopted: bool | None
    images: tuple[str, ...]
    files: tuple[Path, ...]
    saved_on: str | None
    completed_at: datetime | None
    error: str | None
    reason: str | None
    submits: int


_CONVERTER = make_converter(datetimes="ISO 8601")
_OWN = tuple(attrs.fields_dict(ExportRow))


async def export(
    ledger: Ledger,
    states: Sequence[TrackState],
    kind: ExportFormat,
    *,
    out: Path | None,
    beside: Path,
) -> None:
    """Write the tracks in these states, none stands for all.

    Args:
        ledger: What to read.
        states: Which tracks.
        kind: How to write them.
        out: Where to, whole or not at all; None is standard output.
        beside: The ledger's path, which is never written over.

    Raises:
        LedgerError: The ledger cannot be read.
        OSError: It cannot be written.
        ValueError: It must not be written there, or the ledger was given a new catalog meanwhile.
    """
    if out is not None:
        _refuse(out, beside)
    lines = as_csv(ledger, states) if kind == "csv" else _jsonl(ledger, states)
    if out is None:
        async for line in lines:
            result(line.removesuffix("\n"))
    else:
        await _write(out, lines)


async def rows(entries: AsyncIterable[LedgerEntry]) -> AsyncIterator[Row]:
    """Make a row for each of a music task's titles.

    Where the catalog has a column that is called as one of ours, it goes by `catalog.` and its
    name.
    """
    async for entry in entries:
        for number, track in enumerate(entry.tracks):
            row: Row = _CONVERTER.unstructure(_row(entry, number))
            for name, value in track.columns.items():
                row[_unlike(row, name)] = value
            yield row


def _row(entry: LedgerEntry, number: int) -> ExportRow:
    """Say all of one title of an entry; its files are those that bear this title."""
    track, task, each = entry.tracks[number], entry.task, len(entry.images)
    return ExportRow(
        music_task_id=track.music_task_id,
        title=track.title,
        state=entry.state,
        cover_task_id=task.cover_task_id if task else None,
        adopted=task.adopted if task else None,
        images=entry.images,
        files=entry.files[number * each :][:each],
        saved_on=entry.saved_on,
        completed_at=entry.completed_at,
        error=entry.error,
        reason=entry.reason,
        submits=entry.submits,
    )


def _unlike(taken: Container[str], name: str) -> str:
    while name in taken:
        name = _THEIRS + name
    return name


async def _jsonl(ledger: Ledger, states: Sequence[TrackState]) -> AsyncIterator[str]:
    async for row in rows(ledger.entries(*states)):
        yield json.dumps(row) + "\n"


async def as_csv(ledger: Ledger, states: Sequence[TrackState]) -> AsyncIterator[str]:
    """Make the lines of a CSV; raises as `export` does."""
    names: dict[str, None] = dict.fromkeys(_OWN)
    async for row in rows(ledger.entries(*states)):
        names.update(dict.fromkeys(row))
    yield _BOM + _record(_header(names))
    async for row in rows(ledger.entries(*states)):
        if not row.keys() <= names.keys():
            raise ValueError("the ledger was given a new catalog meanwhile; export it again")
        yield _record(_cell(row.get(name)) for name in names)


def _header(names: Iterable[str]) -> Iterator[str]:
    """Name the columns so that a catalog's reader tells them apart."""
    taken = {""}
    for name in names:
        label = guarded(name.strip())
        while label.casefold() in taken:
            label = _THEIRS + label
        taken.add(label.casefold())
        yield label


def _record(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(map(guarded, cells))
    text = _LONE_RETURN.sub("?", line.getvalue()).translate(_CONTROLS)
    return text.encode(errors="replace").decode()  # halves of characters have no UTF-8


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        lines = cast("list[object]", value)
        return "\n".join(map(_cell, lines))
    return json.dumps(value, ensure_ascii=False)


def guarded(cell: str) -> str:
    """Put a ' before what a spreadsheet would run as a formula [OWASP: CSV injection].

    That is what begins with = + - or @, in any width and after any quote, white space or invisible
    character; a tab, a line end or NUL counts as well. A ' stands inside a cell, too, where that
    begins after a semicolon, a tab or a line end: where one separates cells, the cell ends there.
    """
    first, *rest = _SEPARATOR.split(cell)
    if cell[:1] in _BEGINNINGS or _is_formula(first):
        first = "'" + first
    return first + "".join("'" + part if _is_formula(part) else part for part in rest)


def _is_formula(text: str) -> bool:
    first = next((c for c in text if is_seen(c) and c not in ' "' and not c.isspace()), "")
    return unicodedata.normalize("NFKC", first)[:1] in _FORMULA


_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160)], "?")
_LONE_RETURN = re.compile(r"\r(?!\n)")
_BEGINNINGS = frozenset("\t\r\n\0")
_SEPARATOR = re.compile("([;\t\r\n])")
_FORMULA = frozenset("=+-@\N{MINUS SIGN}")


def _refuse(out: Path, ledger: Path) -> None:
    """Refuse what must not be written over."""
    shown = printable(str(out))
    if out.exists() and not out.is_file():
        raise ValueError(f"--out {shown} is no plain file; leave --out away and use > instead")
    real = _real(ledger)
    if str(_real(out)) in {f"{real}{suffix}" for suffix in ("", "-wal", "-shm", ".lock")}:
        raise ValueError(f"--out {shown} is the ledger itself; give another file")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


async def _write(out: Path, lines: AsyncIterable[str]) -> None:
    final = _real(out)
    part = PartFile(final.parent)
    try:
        async for line in lines:
            part.write(line.encode())
        part.finish(final)
    except BaseException:
        part.discard()
        raise
