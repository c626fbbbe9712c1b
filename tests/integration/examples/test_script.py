"""The plain script, by its own commands, in a process."""

import re
import signal
import sys
from pathlib import Path

import attrs
import pytest

from suno_cover_async.sandbox import Fault, Sandbox
from tests.support.canary import API_KEY, Search
from tests.support.canary_calls import word
from tests.support.commands import Ended, finish, needs_posix, start
from tests.support.job_engines import printed_commands
from tests.support.waiting import until
from tests.support.web_examples import FINISHED, UNSEEN, Example, prepared

README_SONG = "73d6128b3523a0079df10da9471017c8"


def script(folder: Path, sandbox: Sandbox) -> Example:
    return prepared("script.py", "python", folder, sandbox)


async def run(example: Example, *arguments: str) -> Ended:
    program = (sys.executable, "examples/script.py", *arguments)
    return await finish(await start(program=program, cwd=example.folder, env=example.environment))


@pytest.mark.parametrize("number", [0, 1], ids=["an id", "a catalog"])
async def test_a_printed_command_makes_the_covers_and_run_again_pays_nothing(
    number: int, tmp_path: Path
) -> None:
    async with Sandbox(FINISHED) as sandbox:
        sandbox.add_music([README_SONG])
        example = script(tmp_path, sandbox)
        (tmp_path / "catalog.csv").write_text(f"music_task_id,title\n{README_SONG},Harbour\n")
        words = printed_commands("script.py", "python")[number]
        assert words[:2] == ["python", "examples/script.py"]

        first = await run(example, *words[2:])
        asked = len(sandbox.journal.arrivals)
        again = await run(example, *words[2:])

        assert first.code == again.code == 0, first
        assert re.match(r"\[1/1\] covers/.+-1\.png covers/.+-2\.png", first.lines[0])
        assert first.lines[-1] == "1 covered, 0 failed, 0 left; 1 billed"
        assert again.lines == ["1 covered, 0 failed, 0 left; 0 billed"]
        assert len(example.saved) == 2
        assert len(sandbox.journal.bills) == 1
        assert len(sandbox.journal.arrivals) == asked


async def test_a_song_that_fails_is_a_line_and_the_others_get_their_covers(
    tmp_path: Path,
) -> None:
    async with Sandbox(FINISHED) as sandbox:
        songs = sandbox.add_music(2)
        (broken,) = sandbox.add_music(fails=True)

        ended = await run(script(tmp_path, sandbox), songs[0], "unknown", broken, songs[1])

        assert ended.code == 1
        assert len([line for line in ended.lines if "covers/" in line]) == 2
        assert {
            word for line in ended.err.splitlines() for word in ("unknown", broken) if word in line
        } == {"unknown", broken}
        assert "Traceback" not in ended.err
        assert sorted(bill.music_task_id for bill in sandbox.journal.bills) == sorted(
            [*songs, broken]
        )


@needs_posix
@pytest.mark.parametrize("moment", ["submit", "wait"])
async def test_ctrl_c_says_what_to_do_and_the_same_command_pays_nothing_twice(
    moment: str, tmp_path: Path
) -> None:
    async with Sandbox(UNSEEN) as sandbox:
        (song,) = sandbox.add_music()
        example = script(tmp_path, sandbox)
        if moment == "submit":
            sandbox.scenario = attrs.evolve(UNSEEN, slow_seconds=0.5)
            sandbox.script("submit", Fault.SLOW)
        program = (sys.executable, "examples/script.py", song)
        process = await start(program=program, cwd=tmp_path, env=example.environment)
        kind = "submit" if moment == "submit" else "details"
        await until(lambda: sandbox.journal.of(kind), every=0.01)  # type: ignore[arg-type]
        process.send_signal(signal.SIGINT)
        stopped = await finish(process)
        sandbox.scenario = FINISHED

        again = await run(example, song)

        assert stopped.code == 130
        assert stopped.err.splitlines() == [
            "stopped; run the same command again: nothing is paid twice"
        ]
        assert again.code == 0, again
        assert len(sandbox.journal.bills) == 1
        assert len(sandbox.journal.of("submit")) == 1  # its answer was awaited and recorded


async def test_bad_input_is_one_line_and_nothing_is_sent(tmp_path: Path) -> None:
    async with Sandbox(FINISHED) as sandbox:
        example = script(tmp_path, sandbox)
        (tmp_path / "bad.csv").write_text("music_task_id\na\x1b[31m b\n")
        (tmp_path / "sheet.xlsx").write_bytes(b"PK\x03\x04")
        inputs = [[], ["no such.csv"], ["bad.csv"], ["sheet.xlsx"], ["a b"], [""], ["\x1b[31m"]]

        ended = [await run(example, *arguments) for arguments in inputs]

        assert [one.code for one in ended] == [2] * 7
        for one in ended:
            assert one.out == ""
            assert len(one.err.splitlines()) == 1
            assert one.err.strip().isprintable()
        assert sandbox.journal.arrivals == []


async def test_no_title_reaches_the_terminal_as_control_characters(tmp_path: Path) -> None:
    async with Sandbox(FINISHED) as sandbox:
        (song,) = sandbox.add_music()
        title = "\x1b[31mred\u202etxt\x07"
        (tmp_path / "catalog.csv").write_text(f"music_task_id,title\n{song},{title}\n")

        ended = await run(script(tmp_path, sandbox), "catalog.csv")

        assert ended.code == 0
        assert "red" in ended.out
        assert all(line.isprintable() for line in ended.lines)


async def test_the_key_is_in_no_output_and_no_file(tmp_path: Path) -> None:
    search = Search(API_KEY)
    async with Sandbox(FINISHED, api_key=API_KEY) as sandbox:
        songs = sandbox.add_music(2)
        sandbox.script("submit", word(422))  # a host that shows the key
        example = script(tmp_path, sandbox)

        ended = await run(example, *songs)
        sandbox.script("details", word(401))
        other = await run(example, *sandbox.add_music(1))

        search.text("output", ended.out + ended.err + other.out + other.err)
        search.folder(tmp_path / "covers")
        search.text("ledger", (tmp_path / "covers.db").read_bytes())
        assert ended.code == 1
        assert "[key]" in ended.err
        assert not search.hits
