"""The ledger's file: whole or not there, held by one process, never another's or a damaged one."""

import asyncio
import contextlib
import os
import random
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from platform import node

import pytest
from bad_disk import OPEN, disk_of_its_own, go_on, line, run, start, strace
from conftest import read_now

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.entry import TrackState
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.ledger.sqlite.database import open_to_write
from suno_cover_async.models import CoverTask, Track

APPLICATION = 0x53434F56


def fill(path: Path | str, tracks: int = 3) -> None:
    """Have a ledger with some tracks there, and close it."""

    async def take_in() -> None:
        async with Ledger(path) as ledger:
            await ledger.take_in([Track(f"m{n}", title=f"Song {n}") for n in range(tracks)])

    asyncio.run(take_in())


def ids(path: Path | str) -> list[str]:
    return [entry.music_task_id for entry in read_now(Path(path))]


def contents(directory: Path) -> dict[str, bytes]:
    """Read all files but the lock, which is taken in any case."""
    files = (path for path in directory.iterdir() if path.is_file() and path.suffix != ".lock")
    return {path.name: path.read_bytes() for path in files}


def refusal(path: Path | str) -> str:
    """Open a ledger, which is refused, and return the reason."""
    with pytest.raises(LedgerError) as refused:
        open_and_close(path)
    return str(refused.value)


def open_and_close(path: Path | str) -> None:
    async def act() -> None:
        async with Ledger(path):
            pass

    with ThreadPoolExecutor(1) as thread:  # where a test's own event loop runs as well
        thread.submit(asyncio.run, act()).result()


def totals(path: Path) -> dict[TrackState, int]:
    return asyncio.run(Ledger(path).totals())


HOLD = """
    async def hold():
        async with Ledger(sys.argv[1]) as ledger:
            say("held")
            sys.stdin.read()
            await ledger.take_in([Track("late")])

    asyncio.run(hold())
"""

# Made whole or not at all


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


# Refused


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
    assert "cannot be used" in refusal(tmp_path / "none" / "covers.db")
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
        database.execute("PRAGMA user_version = 3")
    before = contents(tmp_path)

    assert "has version 3, and this suno_cover_async reads versions up to 2" in refusal(path)
    assert contents(tmp_path) == before
    with pytest.raises(LedgerError, match="has version 3"):
        ids(path)
    with pytest.raises(LedgerError, match="has version 3"):
        totals(path)


def test_a_ledger_says_whose_it_is_and_of_which_version(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path)

    with contextlib.closing(sqlite3.connect(path)) as database:
        pragmas = ("application_id", "user_version", "journal_mode")
        answers = [database.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in pragmas]
    assert answers == [APPLICATION, 2, "wal"]


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


DIE = """
    async def main():
        ledger = await Ledger(sys.argv[1]).__aenter__()
        await ledger.took_in("whole")
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
"""


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
        async with Ledger(path) as ledger:
            await ledger.next_open(TrackState.WAITING, 0, 100)
            await ledger.next_unsaved(100)
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


@pytest.mark.parametrize(
    "wreck",
    [
        *(f"names = '{names}'" for names in ("{}", "[]", '{"Song": null}', '{"Song": 5}', "null")),
        *(f"names = '{names}'" for names in ("[" * 5_000, '{"\\ud800": 5}', '{"Song": [1]}')),
        *(f"images = '{images}'" for images in ("[null]", "[5]", '"ab"', "{}", "[" * 5_000)),
        *(f"files = '{files}'" for files in ("[null]", '["\\u0000"]', '"ab"', "[" * 5_000)),
        *(f"cover_task_id = '{task}'" for task in ("a b", "\x1b[2J", "é", "x" * 129)),
        *(f"completed_at = {seconds}" for seconds in ("1e300", "-1e300", "1e17", "-62135600000")),
        "adopted = 2",
        "retried = 2",
        "music_task_id = 'a b'",
    ],
)
def test_an_entry_of_whatever_nonsense_is_named(tmp_path: Path, wreck: str) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"UPDATE tracks SET {wreck} WHERE number = 2")  # noqa: S608 - ours

    with pytest.raises(LedgerError, match="entry 2 is damaged"):
        ids(path)


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
        "INSERT INTO ledger VALUES (NULL, NULL)",
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


# One holder


def test_the_second_process_is_told_who_holds_the_ledger_and_the_first_is_not_disturbed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    with start(HOLD, path) as first:
        assert line(first) == "held"
        refusals = [refusal(path), refusal(path)]
        go_on(first)

    for reason in refusals:
        assert f"in use by process {first.pid} on {node()} since 2" in reason
    assert first.returncode == 0
    assert ids(path) == ["m0", "m1", "m2", "late"]


def test_after_the_holder_was_killed_the_next_one_gets_in(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    with start(HOLD, path) as first:
        assert line(first) == "held"
        first.kill()
    fill(path)

    assert ids(path) == ["m0", "m1", "m2"]


RACE = """
    from suno_cover_async.ledger.sqlite.lock import FileLock
    say("ready")
    sys.stdin.readline()
    try:
        lock = FileLock(Path(sys.argv[1]))
    except LedgerError as error:
        say(error)
    else:
        say("held")
        sys.stdin.readline()
"""


def test_of_processes_that_start_at_once_exactly_one_gets_in_and_the_others_are_told_which(
    tmp_path: Path,
) -> None:
    for attempt in range(2):
        with contextlib.ExitStack() as stack:
            racers = [
                stack.enter_context(start(RACE, tmp_path / f"{attempt}.db")) for _ in range(5)
            ]
            assert {line(racer) for racer in racers} == {"ready"}
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("\n")
                racer.stdin.flush()
            said = {racer.pid: line(racer) for racer in racers}
            for racer in racers:
                go_on(racer)
        (winner,) = [pid for pid, answer in said.items() if answer == "held"]

        for pid, answer in said.items():
            assert pid == winner or f"in use by process {winner} on" in answer


def test_two_opens_in_one_process_are_refused_and_leave_the_first_in_possession(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"

    async def act() -> list[str]:
        async with Ledger(path) as ledger:
            await ledger.take_in([Track("m0")])
            with pytest.raises(LedgerError, match="is open already"):
                await ledger.__aenter__()
            assert f"in use by process {os.getpid()} on" in refusal(path)
            assert "that is this program" in refusal(path)
            assert ids(path) == ["m0"]
            others = run(OPEN, path)[1]
            await ledger.take_in([Track("m1")])
            return others

    (other,) = asyncio.run(act())

    assert f"in use by process {os.getpid()} on" in other
    assert ids(path) == ["m0", "m1"]


async def test_by_another_name_it_is_the_same_ledger(tmp_path: Path) -> None:
    path, link = tmp_path / "covers.db", tmp_path / "elsewhere" / "link.db"
    link.parent.mkdir()
    link.symlink_to(path)
    await asyncio.to_thread(fill, link)  # made where the link leads
    async with Ledger(path):
        reason = refusal(link)

    assert "in use by process" in reason
    assert link.is_symlink()
    assert (ids(link), ids(path)) == (["m0", "m1", "m2"], ["m0", "m1", "m2"])
    assert [file.name for file in link.parent.iterdir()] == ["link.db"]


def test_a_ledger_is_given_back_when_it_is_closed_or_could_not_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    fill(path)
    fill(path, tracks=4)
    whole = path.read_bytes()
    path.write_bytes(whole[:8192])
    with pytest.raises(LedgerError, match="damaged"):
        fill(path)
    path.write_bytes(whole)
    opened = run(OPEN, path)[1]

    assert opened == ["opened"]


def test_a_lock_that_is_no_lock_is_named(tmp_path: Path) -> None:
    (tmp_path / "covers.db.lock").write_text("somebody's notes " * 50)

    assert "covers.db.lock is no ledger" in refusal(tmp_path / "covers.db")
    assert (tmp_path / "covers.db.lock").read_text() == "somebody's notes " * 50
    assert contents(tmp_path) == {}


# Reading


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


# Paths

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


# Synced


def test_a_ledger_is_opened_with_full_sync(tmp_path: Path) -> None:
    database, lock = open_to_write(tmp_path / "covers.db")
    modes = [
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    ]
    database.close()
    lock.release()

    assert modes == ["wal", 2]  # how it syncs is seen in test_sqlite_store.py


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
