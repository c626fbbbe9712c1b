"""One holder of a ledger at a time, and reading beside it."""

import asyncio
import contextlib
import os
from pathlib import Path
from platform import node

import pytest

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Track
from tests.support.bad_disk import OPEN, go_on, line, run, start
from tests.support.ledger_files import (
    HOLD,
    contents,
    fill,
    ids,
    refusal,
)


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


def test_of_processes_that_start_at_once_one_holds_the_ledger_and_the_others_are_told_which(
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
