"""The ledger's file: whole or not there, held by one process, never another's or a damaged one."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.sqlite.database import open_to_write
from suno_cover_async.models import CoverTask, Track
from tests.support.bad_disk import disk_of_its_own, go_on, line, run, start
from tests.support.ledger_files import (
    DIE,
    HOLD,
    contents,
    fill,
    ids,
    open_and_close,
    refusal,
    totals,
)
from tests.support.runs import read_now


def test_a_ledger_is_not_begun_in_place_of_one_whose_rest_is_there(tmp_path: Path) -> None:
    wal = tmp_path / "covers.db-wal"
    wal.write_bytes(b"submits of last night")

    assert "covers.db-wal is there without" in refusal(tmp_path / "covers.db")
    assert contents(tmp_path) == {"covers.db-wal": b"submits of last night"}


def test_what_a_reader_left_beside_a_ledger_that_was_moved_away_is_in_nobodys_way(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    assert len(ids(path)) == 3
    path.rename(tmp_path / "moved.db")
    fill(path, tracks=1)

    assert (ids(path), ids(tmp_path / "moved.db")) == (["m0"], ["m0", "m1", "m2"])


def test_a_ledger_is_read_while_another_process_writes_and_neither_waits(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path, tracks=2_500)  # several pages
    known = [f"m{n}" for n in range(2_500)]

    async def read(writer: "subprocess.Popen[str]") -> list[str]:
        entries = Ledger(path).entries()
        first = await anext(entries)
        go_on(writer)  # it adds an entry, and ends
        assert writer.wait(10) == 0
        return [first.music_task_id, *[entry.music_task_id async for entry in entries]]

    with start(HOLD, path) as writer:
        assert line(writer) == "held"
        assert asyncio.run(read(writer)) == known
    assert ids(path) == [*known, "late"]
    assert totals(path)[TrackState.WAITING] == 2_501


def test_a_ledger_whose_holder_was_killed_is_read_as_far_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    with start(HOLD, path) as holder:
        assert line(holder) == "held"
        fill_from_outside = sqlite3.connect(path, isolation_level=None)
        fill_from_outside.execute(
            "INSERT INTO tracks (music_task_id, names) VALUES ('m', '{\"\":{}}')"
        )
        holder.kill()
    shutil.copytree(tmp_path, tmp_path / "copy")  # as the kill left it, not as closing does
    fill_from_outside.close()

    assert (tmp_path / "copy" / "covers.db-wal").stat().st_size
    assert ids(tmp_path / "copy" / "covers.db") == ["m"]


READ_ONLY = """
    import shutil, subprocess
    path, killed = Path(sys.argv[1], "covers.db"), Path(sys.argv[1], "killed.db")
    for name in sys.argv[2:]:
        shutil.copy(name, sys.argv[1])
    subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)

    async def open(ledger):
        async with Ledger(ledger):
            say("opened")

    for ledger in (path, killed):
        say([entry.music_task_id for entry in read(ledger)])
        say(sum(asyncio.run(Ledger(ledger).totals()).values()))
        try:
            asyncio.run(open(ledger))
        except LedgerError as error:
            say(error)
    say(sorted(path.name for path in path.parent.iterdir()))
"""


def test_on_a_read_only_disk_a_ledger_is_read_and_not_opened(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    fill(tmp_path / "covers.db")
    fill(tmp_path / "killed.db", tracks=1)
    run(DIE, tmp_path / "killed.db")
    files = sorted(tmp_path.glob("*.db*"))
    before = [file.name for file in files]
    code, said = run(READ_ONLY, disk, *files, prefix=disk_of_its_own("1m", disk))

    assert "killed.db-wal" in before
    assert code == 0
    assert said[:2] == ["['m0', 'm1', 'm2']", "3"]
    assert "cannot be used" in said[2]
    assert said[3:5] == ["['m0']", "1"]
    assert "cannot be used" in said[5]
    assert said[6] == str(before)


ODD = [
    "with spaces.db",
    "what?.db",
    "number #1.db",
    "100%.db",
    "a%41.db",
    "file:covers.db",
    "x?mode=memory",
    ":memory:",
    "Übergröße 歌 🎵.db",
    os.fsdecode(b"latin-\xe9.db"),
    'it\'s "quoted" \\ here.db',
    "line\nbreak.db",
    "-",
]


@pytest.mark.parametrize("name", ODD, ids=ascii)
async def test_any_name_a_file_may_have_is_good_for_a_ledger(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await asyncio.to_thread(fill, tmp_path / name)
    await asyncio.to_thread(fill, name, tracks=4)

    assert ids(name) == ids(tmp_path / name) == ["m0", "m1", "m2", "m3"]
    assert {file.name for file in tmp_path.iterdir()} - {f"{name}-wal", f"{name}-shm"} == {
        name,
        f"{name}.lock",
    }
    async with Ledger(name):
        assert "in use" in refusal(tmp_path / name)


@pytest.mark.parametrize("before", ["", "DELETE", "TRUNCATE"])
def test_a_ledger_is_opened_with_full_sync_and_a_log_whatever_a_backup_made_of_it(
    tmp_path: Path, before: str
) -> None:
    if before:
        open_and_close(tmp_path / "covers.db")
        with contextlib.closing(sqlite3.connect(tmp_path / "covers.db")) as database:
            database.execute(f"PRAGMA journal_mode = {before}")

    database, lock = open_to_write(tmp_path / "covers.db")
    modes = [
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    ]
    database.close()
    lock.release()

    assert modes == ["wal", 2]  # how it syncs is seen in `test_store.py`


def test_a_cover_task_of_one_run_is_there_in_the_next(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"

    async def submit() -> None:
        async with Ledger(path) as ledger:
            await ledger.take_in([Track("m0")])
            (entry,) = await ledger.next_open(TrackState.WAITING, 0, 9)
            await ledger.submitted(entry, CoverTask(cover_task_id="c0", music_task_id="m0"))

    asyncio.run(submit())
    (entry,) = read_now(path)

    assert entry.task == CoverTask(cover_task_id="c0", music_task_id="m0")
