"""`ledger show` and `ledger export`."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from suno_cover_async import (
    CoverDetails,
    CoverStatus,
    CoverTask,
    Ledger,
    ServerError,
    Track,
    TrackState,
    read_catalog,
)
from suno_cover_async.cli.actions.ledger_show import show_to_people
from suno_cover_async.cli.actions.unsaved import Unsaved
from suno_cover_async.cli.exit_codes import ExitCode
from tests.support.batch_commands import HOSTILE, command_of
from tests.support.commands import (
    Run,
    needs_posix,
    on_a_terminal,
)
from tests.support.runs import read_now
from tests.support.terminal import console, said


async def a_ledger(path: Path) -> None:
    """Make one with a track in each of several states, with hostile words in it."""
    hostile = ServerError("=1+1\x1b[2J")
    tracks = [
        Track("saved", title="Twice", columns={"artist": "Ann", "year": 1999, "state": "WA"}),
        Track("saved", title='Once more, "twice"', columns={"tags": ["a", "b"]}),
        Track("failed", title=HOSTILE[1], columns={"=artist": "@x", "Artist": None}),
        Track("waiting", title="two\r\nlines"),
    ]
    async with Ledger(path) as ledger:
        await ledger.take_in(tracks)
        saved, failed, _ = await ledger.next_open(TrackState.WAITING, 0, 9)
        for entry in (saved, failed):
            task = CoverTask(cover_task_id=f"c-{entry.music_task_id}", music_task_id="x")
            await ledger.submitted(entry, task)
        images = ("https://x/1.png", "https://x/2.png")
        details = CoverDetails(
            cover_task_id="c-saved",
            status=CoverStatus.SUCCESS,
            images=images,
            completed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        )
        await ledger.covered(saved, details)
        files = [Path(f"covers/{name}.png") for name in ("t-1", "t-2", "o-1", "o-2")]
        await ledger.saved(saved, files)
        await ledger.ended(failed, TrackState.FAILED, hostile)


async def test_show_counts_and_lists_what_failed(run: Run, tmp_path: Path) -> None:
    await a_ledger(tmp_path / "covers.db")

    async with Ledger(tmp_path / "covers.db"):  # as a batch has it
        shown = await run("ledger", "show", "covers.db")
    others = await run(
        "ledger", "show", "covers.db", "--state", "saved", "--state", "waiting", "--limit", "1"
    )

    assert shown.code == ExitCode.DONE
    assert "saved\t1\n" in shown.out
    assert "waiting\t1\n" in shown.out
    *_, last = shown.lines
    assert last == f"{HOSTILE[1]}\tfailed\tfailed\tc-failed\t=1+1?[2J"
    assert others.lines[-1].startswith('Twice, Once more, "twice"\tsaved\tsaved\tc-saved')
    assert "and 1 more" in others.err


@needs_posix
async def test_show_on_a_terminal_is_a_table(tmp_path: Path) -> None:
    await a_ledger(tmp_path / "covers.db")

    screen = await on_a_terminal("ledger", "show", "covers.db", cwd=tmp_path)

    assert "covers.db: 3 tracks" in screen
    assert "music task, cover task" in screen
    assert "=cmd|' /C calc'!A0" in screen
    assert "\x1b[2J" not in screen


@needs_posix
async def test_show_has_what_is_not_downloaded_and_each_balance_and_warns_in_time(
    run: Run, tmp_path: Path
) -> None:
    async with Ledger(tmp_path / "covers.db") as ledger, ledger.lease("account"):
        await ledger.note_balance(before=1000.5, after=997.5)
        await ledger.take_in([Track("a")])
        [entry] = await ledger.next_open(TrackState.WAITING, 0, 9)
        await ledger.submitted(entry, CoverTask(cover_task_id="c", music_task_id="a"))
        made = datetime.now(UTC) - timedelta(days=12, hours=1)
        details = CoverDetails(
            cover_task_id="c", status=CoverStatus.SUCCESS, images=("x",), completed_at=made
        )
        await ledger.covered(entry, details)

    shown = await run("ledger", "show", "covers.db")
    screen = await on_a_terminal("ledger", "show", "covers.db", cwd=tmp_path, COLUMNS="160")

    assert "unsaved\t1\t46\t0" in shown.lines
    assert "images are deleted in 46 hours, for good" in shown.err
    again = ["batch", "CATALOG", "--ledger", "covers.db", "--max-covers", "0"]
    assert command_of(shown.err, "batch") == again
    assert "1 cover is not downloaded yet; 46 hours left of the 14 days" in screen
    assert "images are deleted in 46 hours" in screen
    assert "a balance includes what else the account spent meanwhile" in screen
    assert "0 adopted, balance from 1,000.5 to 997.5, 3 credits" in screen


@pytest.mark.parametrize("width", [40, 80, 120])
async def test_ids_are_shown_whole_whatever_the_width(width: int, tmp_path: Path) -> None:
    ids = [f"{number:032x}" for number in range(2)]
    async with Ledger(tmp_path / "covers.db") as ledger:
        await ledger.take_in([Track(one, title="A long title, " * 9) for one in ids])
        for entry in await ledger.next_open(TrackState.WAITING, 0, 9):
            task = CoverTask(cover_task_id="c" * 32, music_task_id=entry.music_task_id)
            await ledger.submitted(entry, task)
            await ledger.ended(entry, TrackState.FAILED, ServerError("reason " * 20))
    there = console(width)

    ledger = Ledger(tmp_path / "covers.db")
    show_to_people(
        there, ledger.name, await ledger.totals(), (), read_now(ledger), unsaved=Unsaved(covers=0)
    )

    assert all(one in said(there) for one in ids)
    assert said(there).count("c" * 32) == 2


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_an_export_has_a_row_for_each_track_and_is_a_catalog(
    kind: str, run: Run, tmp_path: Path
) -> None:
    await a_ledger(tmp_path / "covers.db")

    async with Ledger(tmp_path / "covers.db"):
        ended = await run(
            *("ledger", "export", "covers.db", "--format", kind, "--out", f"out.{kind}")
        )
    piped = await run("ledger", "export", "covers.db", "--format", kind)

    rows = [(track, dict(track.columns)) for track in read_catalog(tmp_path / f"out.{kind}")]
    (one, first), (two, second), (bad, third), (last, fourth) = rows
    assert (ended.code, ended.out) == (ExitCode.DONE, "")
    written = (tmp_path / f"out.{kind}").read_bytes().decode()
    assert piped.out.replace("\r\n", "\n") == written.replace("\r\n", "\n")
    ids = [track.music_task_id for track, _ in rows]
    assert ids == ["saved", "saved", "failed", "waiting"]
    assert (one.title, two.title) == ("Twice", 'Once more, "twice"')
    assert first["completed_at"] == "2026-01-02T03:04:05+00:00"
    assert (first["catalog.state"], first["artist"]) == ("WA", "Ann")
    assert third["cover_task_id"] == "c-failed"
    assert third["error"] == "ServerError"
    assert {fourth["cover_task_id"], fourth["adopted"]} <= {None, ""}
    if kind == "csv":
        assert written.startswith("\ufeffmusic_task_id,title,state,cover_task_id,adopted,images,")
        assert first["files"] == "covers/t-1.png\ncovers/t-2.png"
        assert second["files"] == "covers/o-1.png\ncovers/o-2.png"
        assert (first["year"], second["tags"], first["adopted"]) == ("1999", "a\nb", "false")
        assert bad.title == "'" + HOSTILE[1]
        assert third["reason"] == "'=1+1?[2J"
        assert third["'=artist"] == "'@x"
        assert last.title == "two\r\nlines"
    else:
        assert first["files"] == ["covers/t-1.png", "covers/t-2.png"]
        assert (first["year"], second["tags"]) == (1999, ["a", "b"])
        assert bad.title == HOSTILE[1]
        assert third["=artist"] == "@x"
        assert last.title == "two\r\nlines"


async def test_an_export_may_be_of_some_states(run: Run, tmp_path: Path) -> None:
    await a_ledger(tmp_path / "covers.db")

    ended = await run(*("ledger", "export", "covers.db", "--format", "jsonl", "--state", "failed"))

    assert [json.loads(line)["music_task_id"] for line in ended.lines] == ["failed"]


async def test_an_export_is_there_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    await a_ledger(tmp_path / "covers.db")
    (tmp_path / "out.csv").write_text("what was there")
    with sqlite3.connect(tmp_path / "covers.db") as database:
        database.execute("UPDATE tracks SET images = '{' WHERE music_task_id = 'failed'")
    database.close()

    ended = await run("ledger", "export", "covers.db", "--format", "jsonl", "--out", "out.csv")

    assert ended.code == ExitCode.FAILED
    assert "is damaged" in ended.err
    assert (tmp_path / "out.csv").read_text() == "what was there"
    assert not list(tmp_path.glob("*.part"))


@needs_posix
@pytest.mark.parametrize("out", ["covers.db", "./covers.db", "covers.db-wal", "link", "/dev/null"])
async def test_an_export_is_never_written_over_the_ledger_or_a_device(
    out: str, run: Run, tmp_path: Path
) -> None:
    await a_ledger(tmp_path / "covers.db")
    (tmp_path / "link").symlink_to("covers.db")
    before = (tmp_path / "covers.db").read_bytes()

    ended = await run("ledger", "export", "covers.db", "--format", "csv", "--out", out)

    assert ended.code == ExitCode.USAGE
    assert "--out" in ended.err
    assert (tmp_path / "covers.db").read_bytes() == before
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("what", ["show", "export"])
async def test_what_is_no_ledger_is_named(what: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "foreign").write_text("no database" * 100)
    more = ("--format", "csv") if what == "export" else ()

    missing = await run("ledger", what, "covers.db", *more)
    foreign = await run("ledger", what, "foreign", *more)

    assert (missing.code, foreign.code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert "Error: there is no ledger at" in missing.err
    assert "foreign is no ledger" in foreign.err
    assert missing.out + foreign.out == ""


@pytest.mark.parametrize(
    ("name", "kind"), [("e.csv", "csv"), ("e.CSV", "csv"), ("e.x.jsonl", "jsonl")]
)
async def test_the_format_of_an_export_is_that_of_the_suffix(
    name: str, kind: str, run: Run, tmp_path: Path
) -> None:
    await a_ledger(tmp_path / "covers.db")

    ended = await run("ledger", "export", "covers.db", "--out", name)
    other = await run("ledger", "export", "covers.db", "--format", kind, "--out", "other.txt")

    assert (ended.code, other.code) == (ExitCode.DONE, ExitCode.DONE)
    assert (tmp_path / name).read_bytes() == (tmp_path / "other.txt").read_bytes()


@pytest.mark.parametrize("out", [(), ("--out", "e.txt"), ("--out", "e"), ("--out", ".csv")])
async def test_an_export_without_a_format_says_in_plain_words_what_to_pass(
    out: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    await a_ledger(tmp_path / "covers.db")

    ended = await run("ledger", "export", "covers.db", *out)

    assert ended.code == ExitCode.USAGE
    advice = "pass --format csv or --format jsonl, or --out FILE.csv or FILE.jsonl"
    assert advice in ended.err
    assert "?" not in ended.err
    assert all(name in ended.err for name in out[1:])
    assert {path.suffix for path in tmp_path.iterdir()} <= {".db", ".lock"}
