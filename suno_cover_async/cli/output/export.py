"""`ledger export`: write all tracks of a ledger, one row each, for spreadsheets and programs.

It owns the columns, and the guard against cells that a spreadsheet would run as formulas. It needs
constant memory: the ledger is read once for the names of the columns, and again for the rows.
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

from suno_cover_async import Decision, Ledger, LedgerEntry, TrackState
from suno_cover_async.cli.output.console import result
from suno_cover_async.common.records import to_dict
from suno_cover_async.common.text import is_seen, printable
from suno_cover_async.images.files import PartFile

ExportFormat = Literal["csv", "jsonl"]
Row = dict[str, object]

_BOM = "\ufeff"  # without it Excel reads UTF-8 as a legacy encoding
_THEIRS = "catalog."


@attrs.frozen(kw_only=True)
class ExportRow:
    """The row for one title of a music task; the catalog's own columns follow after these.

    Attributes:
        choice: What a person decided: `undecided`, `image`, `neither` or `later`.
        chosen_file: The file of the chosen image, under this title.
    """

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
    choice: Decision
    chosen_file: Path | None
    decided_at: datetime | None
    decided_by: str | None


_OWN = tuple(attrs.fields_dict(ExportRow))


async def export(
    ledger: Ledger,
    states: Sequence[TrackState],
    kind: ExportFormat,
    *,
    out: Path | None,
) -> None:
    """Write the tracks in these states; an empty sequence means all states.

    Args:
        ledger: The ledger to read.
        states: The states of the tracks to write.
        kind: The format.
        out: The file to write, whole or not at all, and never over the ledger; None is standard
            output.

    Raises:
        LedgerError: The ledger cannot be read.
        OSError: The output cannot be written.
        ValueError: `out` must not be written, or the ledger got a new catalog during the export.
    """
    if out is not None:
        _refuse(out, ledger.path)
    lines = as_csv(ledger, states) if kind == "csv" else _jsonl(ledger, states)
    if out is None:
        async for line in lines:
            result(line.removesuffix("\n"))
    else:
        await _write(out, lines)


async def rows(entries: AsyncIterable[LedgerEntry]) -> AsyncIterator[Row]:
    """Yield a row for each title of each music task.

    A column of the catalog that has the name of one of our columns gets the prefix `catalog.`.
    """
    async for entry in entries:
        for number, track in enumerate(entry.tracks):
            row: Row = to_dict(_row(entry, number))
            for name, value in track.columns.items():
                row[_unlike(row, name)] = value
            yield row


def _row(entry: LedgerEntry, number: int) -> ExportRow:
    """Return the row for one title of an entry, with the files saved under that title."""
    track, task, choice = entry.tracks[number], entry.task, entry.choice
    files = entry.files_of(track)
    return ExportRow(
        music_task_id=track.music_task_id,
        title=track.title,
        state=entry.state,
        cover_task_id=task.cover_task_id if task else None,
        adopted=task.adopted if task else None,
        images=entry.images,
        files=files,
        saved_on=entry.saved_on,
        completed_at=entry.completed_at,
        error=entry.error,
        reason=entry.reason,
        submits=entry.submits,
        choice=choice.decision,
        chosen_file=None if choice.image is None else dict(enumerate(files, 1)).get(choice.image),
        decided_at=choice.decided_at,
        decided_by=choice.decided_by,
    )


def _unlike(taken: Container[str], name: str) -> str:
    while name in taken:
        name = _THEIRS + name
    return name


async def _jsonl(ledger: Ledger, states: Sequence[TrackState]) -> AsyncIterator[str]:
    async for row in rows(ledger.entries(*states)):
        yield json.dumps(row) + "\n"


async def as_csv(ledger: Ledger, states: Sequence[TrackState]) -> AsyncIterator[str]:
    """Yield the lines of a CSV; raises the same errors as `export`."""
    names: dict[str, None] = dict.fromkeys(_OWN)
    async for row in rows(ledger.entries(*states)):
        names.update(dict.fromkeys(row))
    yield _BOM + _record(_header(names))
    async for row in rows(ledger.entries(*states)):
        if not row.keys() <= names.keys():
            raise ValueError("the ledger got a new catalog during the export; export it again")
        yield _record(_cell(row.get(name)) for name in names)


def _header(names: Iterable[str]) -> Iterator[str]:
    """Yield column names that a catalog's reader distinguishes, ignoring case and white space."""
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
    return text.encode(errors="replace").decode()  # lone surrogates have no UTF-8


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
    """Put a ' before text that a spreadsheet would run as a formula [OWASP: CSV injection].

    A formula begins with = + - or @, in any width and after any quote, white space or invisible
    character; a tab, a line end or NUL at the start of a cell counts as well. Text after a
    semicolon, tab or line end inside a cell is guarded too, since a spreadsheet that takes that
    character for a separator begins a new cell there.
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


def _refuse(out: Path, ledger: Path | None) -> None:
    """Raise ValueError if `out` is not a regular file, or is the ledger or a file beside it."""
    shown = printable(str(out))
    if out.exists() and not out.is_file():
        raise ValueError(f"--out {shown} is not a regular file; omit --out, and use > instead")
    if ledger is None:  # it is in a database
        return
    files = [Path(f"{_real(ledger)}{suffix}") for suffix in ("", "-wal", "-shm", ".lock")]
    if any(_are_one(_real(out), file) for file in files):
        raise ValueError(f"--out {shown} is the ledger itself; pass another file")


def _are_one(path: Path, other: Path) -> bool:
    """Return whether two paths lead to one file, also where the file system ignores case."""
    return path == other or (path.exists() and other.exists() and path.samefile(other))


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
