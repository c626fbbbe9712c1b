"""A ledger killed or out of space while it is made: whole, or not there."""

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest

from tests.support.bad_disk import OPEN, run, strace
from tests.support.ledger_files import (
    fill,
    ids,
)


def opens_after_all(path: Path) -> None:
    """Assert that a ledger can be used whatever was left of making it, and that no more is left."""
    fill(path)
    assert ids(path) == ["m0", "m1", "m2"]
    left = {file.name.removeprefix(path.name) for file in path.parent.iterdir()}
    assert left <= {"", ".lock", "-wal", "-shm"}
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("call", ["fdatasync", "fsync", "rename", "unlink"])
def test_killed_at_any_sync_while_it_is_made_a_ledger_is_whole_or_not_there(
    tmp_path: Path, call: str
) -> None:
    code, kills = -9, 0
    while code == -9:
        path = tmp_path / str(kills) / "covers.db"
        path.parent.mkdir()
        kill = f"inject={call}:signal=SIGKILL:when={kills + 1}"
        code, said = run(OPEN, path, prefix=strace("-e", f"trace={call}", "-e", kill))
        opens_after_all(path)
        kills += code == -9

    assert said == ["opened"]
    assert kills >= {"fdatasync": 4, "fsync": 1, "rename": 1, "unlink": 2}[call]


@pytest.mark.parametrize("lasting", ["", "+"], ids=["for a moment", "from then on"])
def test_a_disk_that_fills_while_a_ledger_is_made_leaves_none_that_is_half_made(
    tmp_path: Path, lasting: str
) -> None:
    refused = 0
    for write in range(1, 80, 5):
        path = tmp_path / str(write) / "covers.db"
        path.parent.mkdir()
        full = f"inject=pwrite64:error=ENOSPC:when={write}{lasting}"
        code, said = run(OPEN, path, prefix=strace("-e", "trace=pwrite64", "-e", full))
        opens_after_all(path)
        assert code == 0
        if said == ["opened"] and lasting:
            break
        refused += said[0].startswith("the ledger ")

    assert refused >= 6


def test_a_new_ledgers_name_is_on_the_disk_before_it_is_used(tmp_path: Path) -> None:
    log, path = tmp_path / "log", tmp_path / "covers.db"
    code, said = run(OPEN, path, prefix=strace("-e", "trace=rename,fsync,fdatasync", log=log))
    calls = [text.split(maxsplit=1)[1] for text in log.read_text().splitlines()]
    of_ours = ("rename(", "covers.db")  # and not of whoever measures coverage
    (renamed,) = [n for n, call in enumerate(calls) if all(word in call for word in of_ours)]

    assert (code, said) == (0, ["opened"])
    assert "covers.db.new>)" in calls[renamed - 1]
    assert re.match(rf"fsync\(\d+<{re.escape(str(tmp_path))}>\)", calls[renamed + 1])


FILL = """
    async def main():
        async with Ledger(sys.argv[1]) as ledger:
            await ledger.take_in([Track(f"m{n}") for n in range(500)])
            say("written")

    asyncio.run(main())
"""


@pytest.mark.parametrize("fault", ["signal=SIGKILL", "error=ENOSPC"])
def test_stopped_while_it_is_tidied_up_a_ledger_is_whole(tmp_path: Path, fault: str) -> None:
    """In a checkpoint the file itself is torn for a while; the WAL makes up for it."""
    for write in (1, 2, 3, 9):
        path = tmp_path / str(write) / "covers.db"
        path.parent.mkdir()
        fill(path, tracks=1)
        stop = f"inject=pwrite64:{fault}:when={write}+"
        prefix = strace("-P", str(path), "-e", "trace=pwrite64", "-e", stop)
        code, said = run(FILL, path, prefix=prefix)

        assert (code, said) == (-9 if "KILL" in fault else 0, ["written"])
        assert path.with_name("covers.db-wal").stat().st_size
        assert len(ids(path)) == 500
        fill(path, tracks=1)
        assert len(ids(path)) == 500
