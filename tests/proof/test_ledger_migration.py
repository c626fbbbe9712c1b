"""A ledger of version 1 killed or out of space while it is moved to this version."""

from pathlib import Path

import pytest

from suno_cover_async.ledger.sqlite.tables import VERSION
from tests.support.bad_disk import OPEN, run, strace
from tests.support.ledger_files import open_and_close
from tests.support.old_ledgers import EXPECTED, old_ledger, version
from tests.support.runs import read_now


@pytest.mark.parametrize(("call", "stride"), [("fdatasync", 1), ("pwrite64", 4)])
def test_killed_at_any_write_a_ledger_is_of_the_old_version_or_of_the_new_and_whole(
    tmp_path: Path, call: str, stride: int
) -> None:
    code, kills, versions = -9, 0, set[int]()
    while code == -9:
        folder = tmp_path / f"{kills}"
        folder.mkdir()
        path = old_ledger(folder / "covers.db")
        kill = f"inject={call}:signal=SIGKILL:when={1 + stride * kills}"
        traced = strace("-P", f"{path}-wal", "-P", str(path), "-e", f"trace={call}", "-e", kill)
        code, _ = run(OPEN, path, prefix=traced)
        read = read_now(path)  # first: whoever reads changes nothing
        versions.add(version(path))
        open_and_close(path)
        kills += code == -9

        assert read == EXPECTED
        assert (read_now(path), version(path)) == (EXPECTED, VERSION)
    assert kills >= {"fdatasync": 2, "pwrite64": 5}[call]
    assert versions == {1, VERSION}


@pytest.mark.parametrize("lasting", ["", "+"], ids=["for a moment", "from then on"])
def test_a_disk_that_fills_meanwhile_leaves_the_old_version(tmp_path: Path, lasting: str) -> None:
    refused = 0
    for write in range(1, 40, 6):
        folder = tmp_path / f"{write}"
        folder.mkdir()
        path = old_ledger(folder / "covers.db")
        full = f"inject=pwrite64:error=ENOSPC:when={write}{lasting}"
        traced = strace("-P", f"{path}-wal", "-e", "trace=pwrite64", "-e", full)
        code, said = run(OPEN, path, prefix=traced)
        refused += "cannot be used" in said[0]

        assert code == 0
        assert read_now(path) == EXPECTED
        assert version(path) == (VERSION if said == ["opened"] else 1)
        open_and_close(path)
        assert (read_now(path), version(path)) == (EXPECTED, VERSION)
    assert refused >= 2
