"""The question before a batch submits anything new, on a pseudo terminal."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from suno_cover_async import CoverTask, Ledger, Track, TrackState
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Sandbox
from tests.support.batch_commands import batch, catalog, states
from tests.support.commands import PIPE, names, needs_posix, read_all, start
from tests.support.runs import billed
from tests.support.talking import ASKED, talk

pytestmark = needs_posix

CTRL_D = b"\x04"


@pytest.mark.parametrize("typed", [b"y\n", b"Yes\n", b" y \n"])
async def test_yes_submits(typed: bytes, sandbox: Sandbox, tmp_path: Path) -> None:
    catalog(tmp_path, sandbox.add_music(2))

    ended = await talk(*batch(sandbox), cwd=tmp_path, typed=typed)

    assert ended.code == ExitCode.DONE
    assert billed(sandbox).total() == 2
    assert "saved 2 of 2 tracks" in ended.drawn


async def test_before_the_question_the_facts_are_said_in_two_lines(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(5))

    ended = await talk(*batch(sandbox), cwd=tmp_path, typed=b"n\n")

    facts, balance, question, *_ = ended.drawn.splitlines()
    assert facts.startswith("5 new, 0 resumed, 0 done; time: about 5 s at the limit of 20 requests")
    assert balance.startswith("credits at hand: 1,000,000; cost: unknown, since the price is not")
    assert question.startswith(f"submit 5 new tracks? {ASKED}")


@pytest.mark.parametrize("typed", [b"n\n", b"\n", b"yesterday\n", b"Y N\n", CTRL_D, signal.SIGINT])
async def test_anything_but_yes_sends_nothing_and_says_how_to_go_on(
    typed: bytes | signal.Signals, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(5))

    ended = await talk(*batch(sandbox), cwd=tmp_path, typed=typed)

    assert ended.code == ExitCode.INTERRUPTED
    assert [arrival.kind for arrival in sandbox.journal.arrivals] == ["credits"]
    assert "nothing was sent" in ended.drawn
    assert "to make a few covers first, and see them and what they cost:" in ended.drawn
    assert "--max-covers 3" in ended.drawn
    assert "to submit without a question, add --yes" in ended.drawn
    assert "Traceback" not in ended.drawn
    assert names(tmp_path) == ["catalog.csv", "covers"]


async def test_what_was_typed_before_the_question_is_no_answer(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(2))

    ended = await talk(*batch(sandbox), cwd=tmp_path, typed_before=b"y\n" * 3, typed=b"n\n")

    assert ended.code == ExitCode.INTERRUPTED
    assert sandbox.journal.of("submit") == []


async def test_no_leaves_what_is_paid_for_and_names_the_command_that_finishes_it(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    songs = sandbox.add_music(3)
    catalog(tmp_path, songs)
    async with Ledger(tmp_path / "covers.db") as ledger:
        await ledger.take_in(list(map(Track, songs)))
        [entry] = await ledger.next_open(TrackState.WAITING, 0, 1)
        await ledger.submitted(entry, CoverTask(cover_task_id="c", music_task_id=songs[0]))

    ended = await talk(*batch(sandbox), cwd=tmp_path, typed=b"n\n")

    assert "1 track is paid for, or possibly billed; to finish these, and submit" in ended.drawn
    assert "--max-covers 0" in ended.drawn
    assert states(tmp_path / "covers.db") == {"submitted": 1, "waiting": 2}
    assert sandbox.journal.of("submit") == []


async def test_with_yes_there_is_no_question(sandbox: Sandbox, tmp_path: Path) -> None:
    catalog(tmp_path, sandbox.add_music(2))

    ended = await talk(*batch(sandbox, "--yes"), cwd=tmp_path)

    assert ended.code == ExitCode.DONE
    assert ASKED not in ended.drawn
    assert billed(sandbox).total() == 2


async def test_where_nothing_is_new_there_is_no_question_and_no_request(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(2))
    await talk(*batch(sandbox), cwd=tmp_path, typed=b"y\n")
    arrivals = len(sandbox.journal.arrivals)

    ended = await talk(*batch(sandbox), cwd=tmp_path)

    assert ended.code == ExitCode.DONE
    assert ASKED not in ended.drawn
    assert "nothing left to do" in ended.drawn
    assert len(sandbox.journal.arrivals) == arrivals


async def test_a_limit_that_allows_nothing_new_asks_nothing(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(2))

    ended = await talk(*batch(sandbox, "--max-covers", "0"), cwd=tmp_path)

    assert ended.code == ExitCode.DONE
    assert ASKED not in ended.drawn
    assert "--max-covers 0 is reached: 2 tracks wait" in ended.drawn


async def test_the_question_is_about_what_the_limit_allows(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(5))

    ended = await talk(*batch(sandbox, "--max-covers", "1"), cwd=tmp_path, typed=b"y\n")

    assert f"submit 1 new track? {ASKED}" in ended.drawn
    assert billed(sandbox).total() == 1


async def test_the_question_is_no_part_of_the_results(sandbox: Sandbox, tmp_path: Path) -> None:
    catalog(tmp_path, sandbox.add_music(["a"]))
    reading, writing = os.pipe()

    ended = await talk(*batch(sandbox), cwd=tmp_path, typed=b"y\n", stdout=writing)

    os.close(writing)
    with open(reading, encoding="utf-8") as results:  # noqa: ASYNC230, PTH123 - a pipe that is full
        assert results.read() == "covers/Song a a-1.png\ncovers/Song a a-2.png\n"
    assert ASKED in ended.drawn


@pytest.mark.parametrize("streams", ["stdin", "stderr"])
async def test_without_a_terminal_for_both_there_is_no_question(
    streams: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(2))
    ours, its = os.openpty()
    stdin, err = (PIPE, its) if streams == "stdin" else (its, PIPE)
    process = await start(*batch(sandbox), cwd=tmp_path, stdin=stdin, stdout=its, stderr=err)
    os.close(its)
    drawing = asyncio.create_task(asyncio.to_thread(read_all, ours))
    _, said = await process.communicate(b"" if streams == "stdin" else None)
    drawn = await drawing + (said or b"").decode()
    os.close(ours)

    assert process.returncode == ExitCode.DONE
    assert ASKED not in drawn
    assert billed(sandbox).total() == 2


async def test_a_catalog_that_can_be_read_once_is_asked_about_and_covered(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    songs = sandbox.add_music(2)
    os.mkfifo(tmp_path / "songs.txt")
    writing = asyncio.create_task(
        asyncio.to_thread((tmp_path / "songs.txt").write_text, "\n".join(songs))
    )
    arguments = ("batch", "songs.txt", *batch(sandbox)[2:])

    ended = await talk(*arguments, cwd=tmp_path, typed=b"y\n")
    await writing

    assert ended.code == ExitCode.DONE
    assert billed(sandbox).total() == 2
