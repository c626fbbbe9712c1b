"""Ledgers on file systems that refuse locks or shared memory maps, as NFS, SMB and 9p may."""

import shutil
from pathlib import Path

import pytest

from tests.support.bad_disk import OPEN, run, strace
from tests.support.ledger_files import DIE, contents, fill, ids

SUFFIXES = ("", "-wal", "-shm", ".lock", ".new", ".new-wal", ".new-shm")
HERE = "the file system that holds {} "
WHY = "as network file systems (NFS, SMB, 9p) may; put the ledger on a local disk"

READ = """
    try:
        say(*(entry.music_task_id for entry in read(sys.argv[1])))
    except LedgerError as error:
        say(error)
"""

# In the main thread: strace counts the calls of each thread.
OPEN_HERE = """
    from suno_cover_async.ledger.sqlite.database import open_to_write
    say("begins")
    try:
        open_to_write(Path(sys.argv[1]))
    except LedgerError as error:
        say(error)
"""


def refusing(
    call: str, error: str, path: Path, *, suffixes: tuple[str, ...] = SUFFIXES
) -> list[str]:
    """Return the words before a command in which a call fails on the files of a ledger."""
    files = [word for suffix in suffixes for word in ("-P", f"{path}{suffix}")]
    return strace(*files, "-e", f"trace={call}", "-e", f"inject={call}:error={error}")


def names(folder: Path) -> set[str]:
    return {file.name.removeprefix("covers.db") for file in folder.iterdir()}


def assert_refused(said: list[str], path: Path, what: str) -> None:
    (message,) = said
    assert message.startswith(HERE.format(path))
    assert message.endswith(f" refuses {what}, {WHY}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covers.db"


LOCKS = [("fcntl", error, "locks") for error in ("EOPNOTSUPP", "ENOSYS", "EINVAL", "EIO")]
MAPS = [("mmap", error, "shared memory maps") for error in ("EINVAL", "ENODEV")]


@pytest.mark.parametrize(("call", "error", "what"), LOCKS + MAPS)
def test_a_new_ledger_where_locks_or_maps_are_refused_says_so_and_leaves_only_its_lock(
    path: Path, call: str, error: str, what: str
) -> None:
    code, said = run(OPEN, path, prefix=refusing(call, error, path))

    assert code == 0
    assert_refused(said, path, what)
    assert names(path.parent) == {".lock"}
    fill(path)
    assert ids(path) == ["m0", "m1", "m2"]


@pytest.mark.parametrize(("call", "error", "what"), [LOCKS[0], MAPS[0]])
def test_an_existing_ledger_where_locks_or_maps_are_refused_is_left_as_it_is(
    path: Path, call: str, error: str, what: str
) -> None:
    fill(path)
    before = path.read_bytes()
    code, said = run(OPEN, path, prefix=refusing(call, error, path))

    assert code == 0
    assert_refused(said, path, what)
    assert path.read_bytes() == before
    assert names(path.parent) <= {"", ".lock", "-wal", "-shm"}  # the last two as of any reader
    assert ids(path) == ["m0", "m1", "m2"]


@pytest.mark.parametrize(("call", "error", "what"), [LOCKS[0], MAPS[0]])
def test_a_ledger_is_not_left_half_made_if_only_its_own_file_is_refused(
    path: Path, call: str, error: str, what: str
) -> None:
    """Its lock could be taken: then `.new` is there when the refusal comes."""
    without_lock = tuple(suffix for suffix in SUFFIXES if suffix != ".lock")
    code, said = run(OPEN, path, prefix=refusing(call, error, path, suffixes=without_lock))

    assert code == 0
    assert_refused(said, path, what)
    assert names(path.parent) == {".lock"}


@pytest.mark.parametrize(("call", "error", "what"), [LOCKS[0], MAPS[0]])
def test_a_ledger_that_was_closed_is_read_even_where_locks_or_maps_are_refused(
    path: Path, call: str, error: str, what: str
) -> None:
    fill(path)
    before = path.read_bytes()
    for _ in range(2):  # the first reader may leave an empty WAL
        said = run(READ, path, prefix=refusing(call, error, path))
        assert said == (0, ["m0 m1 m2"]), what

    assert path.read_bytes() == before


@pytest.mark.parametrize(("call", "error", "what"), [LOCKS[0], MAPS[0]])
def test_steps_that_are_only_in_the_wal_are_not_left_out_where_locks_or_maps_are_refused(
    path: Path, call: str, error: str, what: str
) -> None:
    fill(path)
    assert run(DIE, path)[0] == -9
    kept = path.with_name("copy")
    kept.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", kept)
    copy = kept / path.name
    before = contents(kept)
    for script in (READ, OPEN):
        code, said = run(script, copy, prefix=refusing(call, error, copy))
        assert code == 0
        assert_refused(said, copy, what)

    after = contents(kept)
    assert {name: after[name] for name in before} == before
    assert ids(copy) == ["m0", "m1", "m2"]


@pytest.mark.parametrize("error", ["ENOLCK", "EPERM", "EACCES"])
@pytest.mark.parametrize("is_new", [True, False])
def test_a_refused_lock_is_not_taken_for_another_process_that_holds_it(
    path: Path, tmp_path: Path, error: str, *, is_new: bool
) -> None:
    """SQLite reports ENOLCK as SQLITE_BUSY: only a file of nobody else shows the difference."""
    if not is_new:
        fill(path)
    log = tmp_path / "log"
    other = tmp_path / "other.db"
    for _ in range(2):  # the first run may compile modules
        run(OPEN_HERE, other, prefix=strace("-e", "trace=fcntl,write", log=log))
    start, _, _ = log.read_text().partition('"begins')
    first = start.count(" fcntl(") + 1
    log.unlink()
    before = names(tmp_path)
    inject = f"inject=fcntl:error={error}:when={first}+"
    code, said = run(OPEN_HERE, path, prefix=strace("-e", "trace=fcntl", "-e", inject))

    assert (code, said[:1]) == (0, ["begins"])
    assert_refused(said[1:], path, "locks")
    assert names(tmp_path) == before | {".lock"}


def test_where_a_folder_cannot_be_synced_a_ledger_is_made(path: Path) -> None:
    prefix = strace("-P", str(path.parent), "-e", "trace=fsync", "-e", "inject=fsync:error=EINVAL")

    assert run(OPEN, path, prefix=prefix) == (0, ["opened"])
    assert names(path.parent) == {"", ".lock"}
