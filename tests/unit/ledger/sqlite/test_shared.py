"""A ledger used beside the process that holds it: durable, and never in its way."""

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Decision, Track
from tests.support.bad_disk import child, line, start, strace
from tests.support.ledger_files import HOLD
from tests.support.old_ledgers import OLD_LEDGERS, old_ledger, version
from tests.support.runs import read_now
from tests.support.saved_covers import save_covers

# A script: it decides about the first cover each time that it gets a line, and says so.
CHOOSE = """
    from suno_cover_async.models import Decision

    async def main():
        async with Ledger(sys.argv[1]).choices() as choices:
            say("open")
            for revision in range(int(sys.argv[2])):
                await asyncio.to_thread(sys.stdin.readline)
                await choices.choose(1, Decision.LATER, revision=revision, by="Ann")
                say("chosen")

    asyncio.run(main())
"""


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "covers.db"
    await save_covers(path, [Track("m1", title="Song")])
    return path


def go_on(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def traced(path: Path, log: Path, *options: str, choices: int = 1) -> "subprocess.Popen[str]":
    """Start the script under strace, which watches the file of commits."""
    prefix = strace(*options, "-P", f"{path}-wal", log=log)
    return subprocess.Popen(  # noqa: S603
        child(CHOOSE, path, choices, prefix=prefix),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_what_was_decided_is_there_after_a_kill(path: Path) -> None:
    process = start(CHOOSE, path, 2)
    assert line(process) == "open"
    go_on(process)
    assert line(process) == "chosen"
    process.kill()
    process.communicate()

    assert read_now(path)[0].choice.decision is Decision.LATER


def test_a_decision_is_synced_before_it_is_answered_and_not_while_it_holds_the_file(
    path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "strace"
    process = traced(path, log, "-e", "trace=fsync,fdatasync,pwrite64", choices=3)
    assert line(process) == "open"
    go_on(process)
    assert line(process) == "chosen"
    first = len(log.read_text())  # SQLite syncs what begins a new file of commits, once
    go_on(process)
    assert line(process) == "chosen"
    calls = re.findall(r"(\w+)\(", log.read_text()[first:])
    go_on(process)  # it waited, so that the log had nothing of its end, when SQLite syncs as well
    process.communicate()

    assert len(calls) > 1
    assert calls == [*["pwrite64"] * (len(calls) - 1), "fsync"]  # SQLite's own are fdatasync


def test_a_process_that_is_stopped_at_its_sync_is_in_nobodys_way(
    path: Path, tmp_path: Path
) -> None:
    log = tmp_path / "strace"
    process = traced(path, log, "-e", "trace=fsync", "-e", "inject=fsync:signal=SIGSTOP:when=1")
    assert line(process) == "open"
    go_on(process)
    try:
        while "stopped by SIGSTOP" not in log.read_text():
            assert process.poll() is None
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as batch:
            for account in range(100):
                batch.execute("UPDATE ledger SET account = ?", (str(account),))
    finally:
        os.killpg(process.pid, signal.SIGCONT)
    assert line(process) == "chosen"
    process.communicate()


async def test_it_needs_no_lock_and_takes_none(path: Path) -> None:
    async with Ledger(path) as holder, Ledger(path).choices() as choices:
        await choices.choose(1, Decision.LATER, revision=0)
        await holder.take_in([Track("m2")])
        await choices.choose(1, Decision.NEITHER, revision=1)

    assert [entry.music_task_id for entry in read_now(path)] == ["m1", "m2"]
    assert read_now(path)[0].choice.decision is Decision.NEITHER


async def test_it_sees_what_the_holder_writes_meanwhile(path: Path) -> None:
    async with Ledger(path).choices() as choices:
        assert len(await choices.page()) == 1
        await save_covers(path, [Track("m1", title="Song"), Track("m2", title="Other")])
        assert len(await choices.page()) == 2


async def test_a_reader_that_stays_open_does_not_keep_the_log_from_being_emptied(
    path: Path,
) -> None:
    async with Ledger(path).choices() as choices:
        await choices.page()
        with contextlib.closing(sqlite3.connect(path, timeout=0)) as other:
            busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0


async def test_a_ledger_that_is_busy_for_too_long_says_so_and_can_be_tried_again(
    path: Path,
) -> None:
    async with Ledger(path).choices() as choices:
        access = choices._access
        await access.read(lambda there: there.submits())
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await asyncio.to_thread(access._database.execute, "PRAGMA busy_timeout = 0")  # type: ignore[attr-defined]
            with pytest.raises(LedgerError, match=r"is busy: .* try again"):
                await choices.choose(1, Decision.LATER, revision=0)
            other.execute("ROLLBACK")
        assert (await choices.choose(1, Decision.LATER, revision=0)).revision == 1


async def test_a_ledger_that_was_replaced_meanwhile_is_not_written(
    path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "covers.db"
    other.parent.mkdir()
    await save_covers(other, [Track("m1", title="Song")])
    async with Ledger(path).choices() as choices:
        other.rename(path)
        with pytest.raises(LedgerError, match="was replaced by another file"):
            await choices.choose(1, Decision.LATER, revision=0)
        path.unlink()
        with pytest.raises(LedgerError, match="cannot be used"):
            await choices.choose(1, Decision.LATER, revision=0)


@pytest.mark.parametrize("name", OLD_LEDGERS)
async def test_an_old_ledger_is_migrated_first(tmp_path: Path, name: str) -> None:
    path = old_ledger(tmp_path / "covers.db", OLD_LEDGERS[name])
    before = read_now(path)
    async with Ledger(path).choices() as choices:
        saved = await choices.page()
        for entry in saved:
            await choices.choose(entry.number, Decision.LATER, revision=0)

    assert saved
    assert version(path) == 3
    assert [entry.music_task_id for entry in read_now(path)] == [
        entry.music_task_id for entry in before
    ]
    assert {entry.choice.revision for entry in read_now(path)} == {0, 1}


def test_an_old_ledger_that_is_in_use_is_refused(tmp_path: Path) -> None:
    path = old_ledger(tmp_path / "covers.db")
    holder = start(HOLD, path)
    assert line(holder) == "held"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 2")  # as older software that holds it

    async def open_it() -> None:
        async with Ledger(path).choices():
            pass

    with pytest.raises(LedgerError, match="is in use by process"):
        asyncio.run(open_it())
    holder.communicate()


async def test_there_must_be_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger at"):
        async with Ledger(tmp_path / "covers.db").choices():
            pass
    (tmp_path / "text").write_text("text" * 999)
    with pytest.raises(LedgerError, match="is no ledger"):
        async with Ledger(tmp_path / "text").choices():
            pass
    assert {file.name for file in tmp_path.iterdir()} == {"text"}


async def test_a_closed_one_can_not_be_used(path: Path) -> None:
    async with Ledger(path).choices() as choices:
        pass
    with pytest.raises(LedgerError, match="was closed"):
        await choices.page()


async def test_a_damaged_choice_is_an_error_that_says_what_to_do(path: Path) -> None:
    async with Ledger(path).choices() as choices:
        await choices.choose(1, Decision.LATER, revision=0)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute("UPDATE choices SET decision = 'perhaps'")
        database.commit()

    async with Ledger(path).choices() as choices:
        for read in (choices.page, choices.counts):
            with pytest.raises(LedgerError, match="entry 1 is damaged"):
                await read()
