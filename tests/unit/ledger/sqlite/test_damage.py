"""Files that are no ledger, or a damaged one: refused, and left as they are."""

import asyncio
import contextlib
import os
import random
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Track
from tests.support.bad_disk import OPEN, run
from tests.support.ledger_files import (
    DIE,
    contents,
    fill,
    ids,
    refusal,
    totals,
)

APPLICATION = 0x53434F56


def database_of_another(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE tracks (number)")


def database_of_another_with_an_id(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA application_id = 252006673")
        database.execute("CREATE TABLE tracks (number)")


def database_in_use(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE tracks (number)")
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{suffix}", f"{path}{suffix}.copy")
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}.copy").rename(f"{path}{suffix}")


OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a text": (lambda path: path.write_text("id,title\n" * 100), "is no ledger;"),
    "a short text": (lambda path: path.write_text("x"), "is no ledger: it has 1 bytes"),
    "bytes": (lambda path: path.write_bytes(random.Random(1).randbytes(9000)), "is no ledger;"),
    "a torn header": (
        lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 4080),
        "is no ledger;",
    ),
    "nothing": (lambda path: path.touch(), "is no ledger: it has 0 bytes"),
    "another database": (database_of_another, "is no ledger: it is another program's"),
    "another's id": (database_of_another_with_an_id, "is no ledger: it is another program's"),
    "another's in use": (database_in_use, "is no ledger: it is another program's"),
}


@pytest.mark.parametrize("other_cover", OTHERS)
def test_what_is_no_ledger_is_refused_with_the_reason_and_left_as_it_is(
    tmp_path: Path, other_cover: str
) -> None:
    path = tmp_path / "covers.db"
    make, reason = OTHERS[other_cover]
    make(path)
    before = contents(tmp_path)

    assert reason in refusal(path)
    with pytest.raises(LedgerError, match=re.escape(reason)):
        ids(path)
    with pytest.raises(LedgerError, match=re.escape(reason)):
        totals(path)
    assert contents(tmp_path) == before
    assert not (tmp_path / "covers.db.lock").exists()


def test_paths_that_hold_no_file_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert "is a folder; give the path of a file in it" in refusal(tmp_path)
    assert "is a folder" in refusal("")
    assert f"there is no folder {tmp_path / 'none'}" in refusal(tmp_path / "none" / "covers.db")
    assert "cannot be used" in refusal(tmp_path / "file" / "covers.db")
    assert "File name too long" in refusal(tmp_path / ("x" * 300))
    assert contents(tmp_path) == {"file": b""}


def test_there_is_nothing_to_read_where_no_ledger_is(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"there is no ledger at .*covers\.db"):
        ids(tmp_path / "covers.db")
    assert contents(tmp_path) == {}


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """Give a directory that other users reach, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_a_ledger_that_may_not_be_read_or_reached_is_refused_with_the_reason(
    open_to_all: Path,
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    mine, hidden = open_to_all / "covers.db", open_to_all / "hidden"
    hidden.mkdir(mode=0o700)
    for path in (mine, hidden / "covers.db"):
        fill(path)
    mine.chmod(0o600)
    before = contents(open_to_all)
    as_nobody = "    os.setuid(65534)" + OPEN

    assert "unable to open database file" in run(as_nobody, mine)[1][0]
    assert "Permission denied" in run(as_nobody, hidden / "covers.db")[1][0]
    assert contents(open_to_all) == before


def test_a_newer_ledger_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 4")
    before = contents(tmp_path)

    assert "has version 4, and this suno_cover_async reads versions up to 3" in refusal(path)
    assert contents(tmp_path) == before
    with pytest.raises(LedgerError, match="has version 4"):
        ids(path)
    with pytest.raises(LedgerError, match="has version 4"):
        totals(path)


def test_a_ledger_says_whose_it_is_and_of_which_version(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path)

    with contextlib.closing(sqlite3.connect(path)) as database:
        pragmas = ("application_id", "user_version", "journal_mode")
        answers = [database.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in pragmas]
    assert answers == [APPLICATION, 3, "wal"]


def test_whichever_page_is_lost_the_ledger_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path, tracks=500)
    whole = path.read_bytes()
    pages = range(0, len(whole), 4096)
    for start_of_page in pages:
        path.write_bytes(whole[:start_of_page] + bytes(4096) + whole[start_of_page + 4096 :])
        damaged = contents(tmp_path)

        reason = refusal(path)
        assert "damaged" in reason or start_of_page == 0, reason
        with pytest.raises(LedgerError):
            ids(path)
        for leftover in ("-wal", "-shm"):
            Path(f"{path}{leftover}").unlink(missing_ok=True)  # a reader's
        assert contents(tmp_path) == damaged
    path.write_bytes(whole)

    assert len(pages) > 12
    assert len(ids(path)) == 500


@pytest.mark.parametrize("size", [0.5, 0.9, 0.05])
def test_a_ledger_that_is_cut_off_is_refused_and_left_as_it_is(tmp_path: Path, size: float) -> None:
    path = tmp_path / "covers.db"
    fill(path, tracks=500)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * size)])
    before = contents(tmp_path)

    assert "is damaged" in refusal(path)
    assert contents(tmp_path) == before
    with pytest.raises(LedgerError, match="is damaged"):
        ids(path)


def test_a_damaged_ledger_keeps_what_a_killed_process_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path, tracks=500)
    run(DIE, path)
    with path.open("r+b") as file:
        file.seek(4096 * 10)
        file.write(b"\xff" * 4096)
    before = contents(tmp_path)
    reason = refusal(path)
    after = contents(tmp_path)

    assert "is damaged" in reason
    assert before["covers.db-wal"]
    for name in ("covers.db", "covers.db-wal"):
        assert after[name] == before[name]


def test_whatever_bytes_are_flipped_a_ledger_is_read_or_refused_as_one(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path, tracks=60)
    whole = path.read_bytes()
    chance = random.Random(4)
    read = refused = 0

    async def use() -> None:
        async with Ledger(path) as ledger, ledger.lease("0123456789abcdef"):
            await ledger.next_open(TrackState.WAITING, 0, 100)
            await ledger.claim([*TrackState], 100)
            await ledger.claim_unsaved(100)
            await ledger.count()

    for _ in range(80):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 40))):
            damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        for attempt in (lambda: ids(path), lambda: asyncio.run(use())):
            try:
                attempt()
                read += 1
            except LedgerError:
                refused += 1
        for leftover in ("-wal", "-shm"):
            Path(f"{path}{leftover}").unlink(missing_ok=True)

    assert read > 10
    assert refused > 10


def test_an_entry_that_no_longer_makes_sense_is_named(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE tracks SET names = '{\"Song' WHERE number = 2")

    async def find() -> None:
        async with Ledger(path) as ledger:
            await ledger.next_open(TrackState.WAITING, 0, 100)

    with pytest.raises(LedgerError, match="entry 2 is damaged"):
        ids(path)
    with pytest.raises(LedgerError, match="entry 2 is damaged"):
        asyncio.run(find())


@pytest.mark.parametrize("state", ["unknown", "", "SAVED", 7])
@pytest.mark.parametrize("is_checked", [True, False])
def test_an_entry_in_a_state_that_nobody_knows_is_not_left_out_of_the_count(
    tmp_path: Path, state: object, *, is_checked: bool
) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        if not is_checked:
            database.execute("PRAGMA writable_schema = ON")
            database.execute(
                "UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (', 'CHECK (1 OR ')"
            )
        database.execute("UPDATE tracks SET state = ? WHERE number = 2", (state,))

    for read in (totals, ids):
        with pytest.raises(LedgerError, match="is damaged" if is_checked else "entry 2 is damaged"):
            read(path)


@pytest.mark.parametrize("names", ['{"Song', "[" * 5_000, "5", '{"Song": null}'])
def test_a_catalog_is_not_taken_in_over_a_damaged_entry(tmp_path: Path, names: str) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        (known,) = database.execute("SELECT music_task_id FROM tracks WHERE number = 2").fetchone()
        database.execute("UPDATE tracks SET names = ? WHERE number = 2", (names,))

    async def take_in() -> None:
        async with Ledger(path) as ledger:
            await ledger.take_in([Track(known, title="Another name")])

    with pytest.raises(LedgerError, match="entry 2 is damaged"):
        asyncio.run(take_in())


@pytest.mark.parametrize(
    "wreck",
    [
        "DELETE FROM ledger",
        "INSERT INTO ledger VALUES (NULL, NULL, 0)",
        *(f"DROP TABLE {table}" for table in ("ledger", "base_urls", "runs", "tracks", "choices")),
        "PRAGMA user_version = 0",
    ],
)
def test_a_ledger_in_which_something_is_missing_is_refused(tmp_path: Path, wreck: str) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(wreck)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damaged = path.read_bytes()

    assert "is damaged" in refusal(path)
    with pytest.raises(LedgerError, match="is damaged"):
        ids(path)
    assert path.read_bytes() == damaged
