"""Exports of a ledger: rows, columns, cells, and the file that is written."""

import csv
import io
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    Choice,
    CoverTask,
    Decision,
    Ledger,
    LedgerEntry,
    LedgerError,
    ServerError,
    Track,
    TrackState,
)
from suno_cover_async.cli.output.export import as_csv, export, guarded, rows
from tests.support.commands import needs_posix
from tests.support.reports import an_entry
from tests.support.saved_covers import save_covers


async def a_ledger(path: Path, *tracks: Track) -> Ledger:
    async with Ledger(path) as ledger:
        await ledger.take_in(tracks)
    return Ledger(path)


async def rows_of(*entries: LedgerEntry) -> list[dict[str, Any]]:
    async def each() -> AsyncIterator[LedgerEntry]:
        for entry in entries:
            yield entry

    return [row async for row in rows(each())]


async def table(path: Path, *tracks: Track) -> list[list[str]]:
    lines = [line async for line in as_csv(await a_ledger(path, *tracks), [])]
    return list(csv.reader(io.StringIO("".join(lines), newline="")))


async def test_each_title_has_a_row_with_the_files_saved_under_it() -> None:
    tracks = (Track("m", title="One"), Track("m", title="Two"))
    saved = an_entry(
        tracks=tracks,
        state=TrackState.SAVED,
        task=CoverTask(cover_task_id="c", music_task_id="m", adopted=True),
        images=("https://x/1", "https://x/2"),
        files=tuple(Path(f"covers/{name}") for name in ("o1", "o2", "t1", "t2")),
        completed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )

    one, two = await rows_of(saved)

    assert (one["title"], one["files"]) == ("One", ["covers/o1", "covers/o2"])
    assert (two["title"], two["files"]) == ("Two", ["covers/t1", "covers/t2"])
    assert (two["state"], two["cover_task_id"], two["adopted"]) == ("saved", "c", True)
    assert two["completed_at"] == "2026-01-02T03:04:05+00:00"


async def test_a_choice_has_its_file_under_each_title_its_time_and_its_person() -> None:
    tracks = (Track("m", title="One"), Track("m", title="Two"))
    choice = Choice(
        decision=Decision.IMAGE,
        image=2,
        revision=1,
        decided_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        decided_by="=Ann",
    )
    saved = an_entry(
        tracks=tracks,
        state=TrackState.SAVED,
        images=("https://x/1", "https://x/2"),
        files=tuple(Path(f"covers/{name}") for name in ("o1", "o2", "t1", "t2")),
        choice=choice,
    )

    rows = await rows_of(saved)

    assert [row["chosen_file"] for row in rows] == ["covers/o2", "covers/t2"]
    assert {row["choice"] for row in rows} == {"image"}
    assert {row["decided_at"] for row in rows} == {"2026-01-02T03:04:05+00:00"}
    assert {row["decided_by"] for row in rows} == {"=Ann"}


@pytest.mark.parametrize("decision", [Decision.UNDECIDED, Decision.NEITHER, Decision.LATER])
async def test_without_a_chosen_image_there_is_no_chosen_file(decision: Decision) -> None:
    files = (Path("o1"), Path("o2"))
    images = ("https://x/1", "https://x/2")
    choice = Choice(decision=decision)

    (row,) = await rows_of(an_entry("m", files=files, images=images, choice=choice))
    (lost,) = await rows_of(an_entry("m", choice=Choice(decision=Decision.IMAGE, image=1)))

    assert (row["choice"], row["chosen_file"]) == (decision.value, None)
    assert lost["chosen_file"] is None


async def test_a_choice_of_the_ledger_is_exported(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    await save_covers(path, [Track("a", title="A"), Track("b", title="B")])
    async with Ledger(path).choices() as choices:
        await choices.choose(1, Decision.IMAGE, 2, revision=0, by="=Ann")
    out = tmp_path / "out.csv"

    await export(Ledger(path), [], "csv", out=out)

    first, second = csv.DictReader(io.StringIO(out.read_text("utf-8-sig"), newline=""))
    assert (first["choice"], first["chosen_file"]) == ("image", "covers/A-2.png")
    assert (first["decided_by"], bool(first["decided_at"])) == ("'=Ann", True)
    assert (second["choice"], second["chosen_file"], second["decided_at"]) == ("undecided", "", "")


async def test_a_track_without_a_cover_task_has_nothing_in_its_place() -> None:
    (row,) = await rows_of(an_entry("m", state=TrackState.WAITING))

    assert (row["cover_task_id"], row["adopted"], row["files"]) == (None, None, [])


async def test_a_column_of_the_catalog_takes_no_other_columns_name() -> None:
    columns = {"artist": "Ann", "catalog.state": "OR", "state": "WA"}

    (row,) = await rows_of(an_entry(tracks=(Track("m", columns=columns),)))

    assert list(row.items())[-3:] == [
        ("artist", "Ann"),
        ("catalog.state", "OR"),
        ("catalog.catalog.state", "WA"),
    ]
    assert row["state"] == "submitted"


async def test_a_header_has_every_column_once_and_none_that_a_reader_takes_for_another(
    tmp_path: Path,
) -> None:
    columns = {"Artist": "a", " artist": "b", "": "c", "TITLE": "d", "=x": "e", "'=x": "f"}

    header, first, second = await table(
        tmp_path / "covers.db", Track("m"), Track("n", columns=columns)
    )

    assert header[0] == "\ufeffmusic_task_id"
    assert header[-6:] == [
        *("Artist", "catalog.artist", "catalog.", "catalog.TITLE", "'=x", "catalog.'=x")
    ]
    assert (first[-6:], second[-6:]) == ([""] * 6, ["a", "b", "c", "d", "e", "f"])


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        ("été", "été"),
        (1999, "1999"),
        (True, "true"),
        (["a", 1, None], "a\n1\n"),
        ({"é": [1]}, '{"é": [1]}'),
        (-5, "'-5"),
        ("a\x1bb\x85c", "a?b?c"),
        ("a\rb\r\nc", "a?b\r\nc"),
        ('a,b"c', 'a,b"c'),
        ("\ud800", "?"),
    ],
)
async def test_any_value_has_a_cell_without_control_characters(
    value: object, cell: str, tmp_path: Path
) -> None:
    _, row = await table(tmp_path / "covers.db", Track("m", columns={"x": value}))

    assert row[-1] == cell


@pytest.mark.parametrize(
    "cell",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", "\n1", "\0=1", "  =1", "\u00a0=1"),
        *("\uff1d1", "\uff0b1", "\uff0d1", "\uff201", "\ufe661", "\u22121", "\u200b=1", "\ufeff=1"),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_gets_a_quote(cell: str) -> None:
    assert guarded(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", " ", "a=1", "1-1", "'=1", "été", "\u4f60", "(=1)"])
def test_any_other_cell_is_left_alone(cell: str) -> None:
    assert guarded(cell) == cell


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("a;=1", "a;'=1"),
        ("a\t+1;b", "a\t'+1;b"),
        ("a\n=1\n-1", "a\n'=1\n'-1"),
        ("=1;=1", "'=1;'=1"),
    ],
)
def test_a_formula_behind_what_may_be_a_separator_gets_a_quote_too(cell: str, shown: str) -> None:
    assert guarded(cell) == shown


async def test_an_export_that_the_ledger_outgrows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    await a_ledger(path, Track("old"))
    lines = as_csv(Ledger(path), [])
    await anext(lines)

    async with Ledger(path) as ledger:
        await ledger.take_in([Track("new", columns={"new": 1})])

    with pytest.raises(ValueError, match="export it again"):
        [line async for line in lines]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_a_file_and_standard_output_get_the_same_lines(
    kind: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "covers.db", tmp_path / "out"
    ledger = await a_ledger(path, Track("m", title="Größe"), Track("n", title="=1"))

    await export(ledger, [], kind, out=out)
    await export(ledger, [], kind, out=None)

    written = out.read_bytes().decode()
    assert capsys.readouterr().out.splitlines() == written.splitlines()
    if kind == "jsonl":
        titles = [json.loads(line)["title"] for line in written.splitlines()]
        assert titles == ["Größe", "=1"]
        assert written.isascii()


async def test_only_the_states_that_were_asked_for_are_written(tmp_path: Path) -> None:
    path, out = tmp_path / "covers.db", tmp_path / "out"
    ledger = await a_ledger(path, Track("m"), Track("n"))
    async with ledger:
        entry, _ = await ledger.next_open(TrackState.WAITING, 0, 9)
        await ledger.ended(entry, TrackState.FAILED, ServerError("x"))

    await export(Ledger(path), [TrackState.FAILED], "jsonl", out=out)

    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["music_task_id"], row["error"]) == ("m", "ServerError")


async def test_an_export_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path, out = tmp_path / "covers.db", tmp_path / "out"
    ledger = await a_ledger(path, Track("m"), Track("n"))
    out.write_text("what was there")
    with sqlite3.connect(path) as database:
        database.execute("UPDATE tracks SET images = '{' WHERE music_task_id = 'n'")
    database.close()

    with pytest.raises(LedgerError, match="damaged"):
        await export(ledger, [], "jsonl", out=out)

    assert out.read_text() == "what was there"
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {
        "covers.db",
        "covers.db.lock",
        "out",
    }


@needs_posix
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("covers.db", "is the ledger itself; pass another file"),
        ("covers.db-wal", "is the ledger itself"),
        ("covers.db.lock", "is the ledger itself"),
        ("link", "is the ledger itself"),
        ("another name", "is the ledger itself"),  # as COVERS.DB is where case is ignored
        ("pipe", "is not a regular file; omit --out"),
        (".", "is not a regular file"),
    ],
)
async def test_the_ledger_and_what_is_no_file_are_never_written_over(
    name: str, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "covers.db"
    ledger = await a_ledger(path, Track("m"))
    (tmp_path / "link").symlink_to("covers.db")
    (tmp_path / "another name").hardlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    before = path.read_bytes()

    with pytest.raises(ValueError, match=f"--out .*{why}"):
        await export(ledger, [], "csv", out=tmp_path / name)

    assert path.read_bytes() == before


@needs_posix
async def test_a_link_is_followed_to_the_file_that_is_written(tmp_path: Path) -> None:
    path, real, link = tmp_path / "covers.db", tmp_path / "real", tmp_path / "link"
    link.symlink_to(real)

    await export(await a_ledger(path, Track("m")), [], "jsonl", out=link)

    assert link.is_symlink()
    assert json.loads(real.read_text())["music_task_id"] == "m"
