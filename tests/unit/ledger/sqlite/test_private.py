"""Ledgers without a file of their own, and copies that change nothing of the file."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from suno_cover_async import Ledger, Track, TrackState
from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.sqlite import tables
from suno_cover_async.ledger.sqlite.private import open_copy, open_privately
from tests.support.ledger_files import contents, fill, ids
from tests.support.old_ledgers import EXPECTED, old_ledger, version


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covers.db"


def rows(database: sqlite3.Connection) -> list[str]:
    return [row for (row,) in database.execute("SELECT music_task_id FROM tracks ORDER BY number")]


def test_a_private_ledger_has_tables_and_no_file(tmp_path: Path) -> None:
    with contextlib.closing(open_privately()) as database:
        assert rows(database) == []
        assert tables.version_of(database) == tables.VERSION
    assert list(tmp_path.iterdir()) == []


def test_a_copy_of_no_ledger_is_empty_and_makes_nothing(path: Path) -> None:
    with contextlib.closing(open_copy(path)) as database:
        assert rows(database) == []
    assert list(path.parent.iterdir()) == []


async def test_what_is_done_to_a_copy_is_not_done_to_the_file_nor_is_it_locked(path: Path) -> None:
    async with Ledger(path) as writer:  # as a running batch has it
        await writer.take_in([Track("m0"), Track("m1")])
        async with Ledger.copy_of(path) as copy:
            assert copy.name == str(path)
            await copy.take_in([Track("new")])
            await copy.forget_waiting()
            await writer.take_in([Track("m2")])
            assert await copy.next_open(TrackState.WAITING, 0, 9) == []

    assert ids(path) == ["m0", "m1", "m2"]


def test_a_copy_needs_no_lock_file_and_leaves_the_ledger_as_it_is(path: Path) -> None:
    fill(path)
    path.with_name("covers.db.lock").unlink()
    before = contents(path.parent)

    with contextlib.closing(open_copy(path)) as database:
        assert rows(database) == ["m0", "m1", "m2"]
        database.execute("DELETE FROM tracks")

    assert before.items() <= contents(path.parent).items()
    assert not path.with_name("covers.db.lock").exists()
    assert ids(path) == ["m0", "m1", "m2"]


def test_a_copy_of_an_older_version_has_this_version_and_the_file_keeps_its_own(
    path: Path,
) -> None:
    old_ledger(path)

    with contextlib.closing(open_copy(path)) as database:
        assert rows(database) == [entry.music_task_id for entry in EXPECTED]
        assert tables.version_of(database) == tables.VERSION

    assert version(path) == 1


def test_what_is_no_ledger_is_refused_as_for_reading(path: Path) -> None:
    path.write_bytes(b"no database" * 100)
    with pytest.raises(LedgerError, match="is no ledger"):
        open_copy(path)

    with pytest.raises(LedgerError, match=r"there is no folder .*; make it first"):
        open_copy(path.parent / "nowhere" / "covers.db")
    with pytest.raises(LedgerError, match="is a folder"):
        open_copy(path.parent)
