"""Ledgers of older versions, as the software of their time made them: read, moved on, never lost.

`samples/ledger-v1.sql` is such a ledger, with a track in each state, and `samples/ledger-v1.json`
what that version read in it; `samples/ledger-v2.sql` is one of version 2.
"""

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.run_steps import Intake
from suno_cover_async.ledger.sqlite.tables import VERSION
from tests.support.ledger_files import open_and_close
from tests.support.old_ledgers import (
    EXPECTED,
    OLD_LEDGERS,
    SQL,
    old_ledger,
    version,
)
from tests.support.runs import read_now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return old_ledger(tmp_path / "covers.db")


ROWS = re.compile(r'^INSERT INTO "tracks" .*?\);\n', re.DOTALL | re.MULTILINE)

ACCOUNT = "0123456789abcdef"


def test_the_sample_has_a_track_in_each_state() -> None:
    assert {entry.state for entry in EXPECTED} == {*TrackState}


def test_an_old_ledger_is_read_and_left_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    totals = asyncio.run(Ledger(path).totals())
    read = read_now(path)
    runs = asyncio.run(Ledger(path).runs())

    assert read == EXPECTED
    assert read_now(path, TrackState.SAVED) == [EXPECTED[6]]
    assert sum(totals.values()) == len(EXPECTED)
    assert runs == ()
    assert path.read_bytes() == before


def test_an_old_ledger_that_is_opened_is_a_new_one_with_the_same_entries(path: Path) -> None:
    async def unsaved() -> list[str]:
        async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
            return [entry.music_task_id for entry in await ledger.claim_unsaved(9)]

    async def use() -> tuple[bool, bool, LedgerEntry]:
        async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
            what = await ledger.begin_intake("fingerprint")
            knows_url = await ledger.has_answered("https://api.sunoapi.org")
            (waiting,) = await ledger.next_open(TrackState.WAITING, 0, 9)
            await ledger.submitting(waiting)
            (submitting, *_) = await ledger.next_open(TrackState.SUBMITTING, 0, 9)
            return what is Intake.NONE, knows_url, submitting

    open_and_close(path)
    read = read_now(path)
    again = version(path)
    next_runs = [asyncio.run(unsaved()) for _ in range(3)]
    knows_catalog, knows_url, submitting = asyncio.run(use())

    assert (read, again) == (EXPECTED, VERSION)
    assert (knows_catalog, knows_url) == (True, True)
    assert next_runs == [["covered", "put-off", "saved-and-named-again"]] * 3
    assert (submitting.music_task_id, submitting.submits) == ("waiting", 1)


def test_a_ledger_of_before_base_urls_were_noted_is_moved_on_as_well(tmp_path: Path) -> None:
    sql = "\n".join(line for line in SQL.splitlines() if "answered" not in line)
    path = old_ledger(tmp_path / "covers.db", sql)

    assert read_now(path) == EXPECTED
    open_and_close(path)
    assert (read_now(path), version(path)) == (EXPECTED, VERSION)


def test_an_old_ledger_without_tracks_is_moved_on(tmp_path: Path) -> None:
    path = old_ledger(tmp_path / "covers.db", ROWS.sub("", SQL))

    assert read_now(path) == []
    open_and_close(path)
    assert (read_now(path), version(path)) == ([], VERSION)


def test_what_a_killed_process_left_beside_an_old_ledger_is_read_and_moved_on(
    tmp_path: Path,
) -> None:
    killed = tmp_path / "killed" / "covers.db"
    killed.parent.mkdir()
    path = old_ledger(tmp_path / "covers.db", ROWS.sub("", SQL))
    with closing(sqlite3.connect(path)) as database:
        database.executescript("".join(ROWS.findall(SQL)))
        for suffix in ("", "-wal"):  # as the kill left it, not as closing does
            shutil.copy(f"{path}{suffix}", f"{killed}{suffix}")

    assert Path(f"{killed}-wal").stat().st_size
    assert read_now(killed) == EXPECTED
    open_and_close(killed)
    assert (read_now(killed), version(killed)) == (EXPECTED, VERSION)


def test_a_ledger_of_version_2_is_moved_on_with_all_that_it_knows(tmp_path: Path) -> None:
    path = old_ledger(tmp_path / "covers.db", OLD_LEDGERS["version 2"])
    read = read_now(path)
    (run,) = asyncio.run(Ledger(path).runs())
    open_and_close(path)

    async def submits() -> int:
        async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
            assert await ledger.has_answered("https://api.sunoapi.org")
            return await ledger.submits()

    assert [entry.music_task_id for entry in read] == [f"m{n}" for n in range(1, 9)]
    assert (read_now(path), version(path)) == (read, VERSION)
    assert asyncio.run(Ledger(path).runs()) == (run,)
    assert (run.submitted, run.credits_used) == (7, 12)
    assert asyncio.run(submits()) == 8  # one track of seven was submitted twice


@pytest.mark.parametrize("name", OLD_LEDGERS)
def test_all_versions_are_alike_for_a_ledger_that_is_new(tmp_path: Path, name: str) -> None:
    path = old_ledger(tmp_path / "covers.db", OLD_LEDGERS[name])

    def schema(path: Path) -> set[str]:
        with closing(sqlite3.connect(path)) as database:
            query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"
            return {" ".join(sql.split()) for (sql,) in database.execute(query)}

    open_and_close(path)
    open_and_close(tmp_path / "new.db")

    assert schema(path) == schema(tmp_path / "new.db")


DAMAGE: dict[str, Callable[[sqlite3.Connection], object]] = {
    "a state that nobody knows": lambda db: db.execute("UPDATE tracks SET state = 7"),
    "no count of openings": lambda db: db.execute("DELETE FROM runs"),
    "a count of openings that is no number": lambda db: db.executescript(
        # whoever else writes to it keeps no types
        "DROP TABLE runs; CREATE TABLE runs (number, catalog); INSERT INTO runs VALUES ('7x', NULL)"
    ),
    "no runs": lambda db: db.execute("DROP TABLE runs"),
    "no tracks": lambda db: db.execute("DROP TABLE tracks"),
    "no index": lambda db: db.execute("DROP INDEX tracks_by_age"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_old_ledger_is_refused_and_left_as_it_is(path: Path, damage: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        DAMAGE[damage](database)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()

    for use in (open_and_close, read_now):
        with pytest.raises(LedgerError, match="is damaged"):
            use(path)
    assert path.read_bytes() == before


def test_whichever_page_of_an_old_ledger_is_lost_it_is_refused_and_left_as_it_is(
    path: Path,
) -> None:
    whole = path.read_bytes()
    pages = range(4096, len(whole), 4096)
    for page in pages:
        path.write_bytes(whole[:page] + bytes(4096) + whole[page + 4096 :])
        before = path.read_bytes()
        for use in (open_and_close, read_now):
            with pytest.raises(LedgerError, match="is damaged"):
                use(path)
        for leftover in ("-wal", "-shm"):
            Path(f"{path}{leftover}").unlink(missing_ok=True)  # a reader's

        assert path.read_bytes() == before
    assert len(pages) > 5


def test_an_entry_of_nonsense_in_an_old_ledger_is_named_by_whoever_reads_it(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE tracks SET images = '[5]' WHERE number = 5")

    with pytest.raises(LedgerError, match="entry 5 is damaged"):
        read_now(path)
    open_and_close(path)
    with pytest.raises(LedgerError, match="entry 5 is damaged"):
        read_now(path)
