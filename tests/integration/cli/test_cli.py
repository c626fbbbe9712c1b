"""The command line, run as people run it: a process with a terminal or pipes, and a real sandbox.

Commands that need no process of their own run in a thread, so that the sandbox keeps answering.
"""

import asyncio
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async import PollPolicy, SunoCoverClient, errors
from suno_cover_async import cli as package
from suno_cover_async.cli.commands.generate import generate
from suno_cover_async.cli.exit_codes import ExitCode, advise, exit_code, explain
from suno_cover_async.sandbox import DuplicateId, Kind, Reply, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.commands import (
    FULL,
    KEY,
    PATIENCE,
    PIPE,
    Run,
    a_free_port,
    at,
    emptied,
    environment,
    finish,
    has_billed,
    interrupt,
    line_with,
    names,
    needs_full,
    needs_posix,
    on_a_terminal,
    redirected,
    sandbox_with,
    start,
)

ERASED, COLOUR, CURSOR = r"\x1b\[2K", r"\x1b\[\d+m", r"\x1b\[\?25h"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(Scenario(seconds=0.02)) as sandbox:
        yield sandbox


# generate


async def test_generate_saves_both_images_and_writes_their_paths(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    one, two = sandbox.add_music(["one", "two"])

    ended = await run("generate", one, two, one, "--out", "art", *at(sandbox))

    assert ended.code == ExitCode.DONE
    assert sorted(ended.lines) == sorted(f"art/{name}" for name in names(tmp_path / "art"))
    assert names(tmp_path / "art") == ["one-1.png", "one-2.png", "two-1.png", "two-2.png"]
    assert [bill.music_task_id for bill in sandbox.journal.bills] == ["one", "two"]
    assert "saved 2 of 2 songs in art" in ended.err


async def test_generate_may_listen_for_callbacks_in_place_of_looking(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_CALLBACK_SECRET", "callback-secret-of-mine")
    here = f"127.0.0.1:{a_free_port()}"
    async with sandbox_with(Scenario(seconds=0.2)) as sandbox:
        songs = sandbox.add_music(3)

        ended = await run(
            *("generate", *songs, "--base-url", sandbox.url),
            *("--listen", here, "--public-url", f"http://{here}/suno", "-vv"),
        )

        assert ended.code == ExitCode.DONE
        assert len(ended.lines) == 6
        assert f"listening for callbacks on {here.replace(':', ' port ')}" in ended.err
        assert [call.status for call in sandbox.journal.callbacks] == [200] * 3
        assert len(sandbox.journal.of("details")) == 3
        assert "callback-secret-of-mine" not in ended.err + ended.out


async def test_whoever_listens_in_vain_is_told(run: Run) -> None:
    here = f"127.0.0.1:{a_free_port()}"
    async with sandbox_with(Scenario(seconds=0.02, lost_callbacks=1.0)) as sandbox:
        songs = sandbox.add_music(1)

        ended = await run(
            *("generate", *songs, *at(sandbox), "--timeout", "3"),
            *("--listen", here, "--public-url", f"http://{here}/suno"),
        )

        assert ended.code == ExitCode.DONE
        assert f"no callback came to http://{here}/suno" in ended.err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--listen 127.0.0.1:8481", "belong together"),
        ("--public-url https://me.example", "belong together"),
        ("--listen 8481 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:0 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:99999 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:\uff11 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:1 --public-url me.example", "--public-url must be a URL"),
        ("--listen a:1 --public-url https://me.example/?x", "--public-url must have no query"),
    ],
)
async def test_a_door_that_makes_no_sense_is_named_before_anything_is_paid(
    run: Run, sandbox: Sandbox, options: str, why: str
) -> None:
    sandbox.add_music(["song"])

    ended = await run("generate", "song", *at(sandbox), *options.split())

    assert ended.code == ExitCode.USAGE
    assert why in ended.err
    assert not sandbox.journal.arrivals


async def test_a_door_that_is_taken_is_said_before_anything_is_paid(
    run: Run, sandbox: Sandbox
) -> None:
    sandbox.add_music(["song"])
    taken = sandbox.url.removeprefix("http://")

    ended = await run(
        *("generate", "song", *at(sandbox)),
        *("--listen", taken, "--public-url", "https://me.example"),
    )

    assert ended.code == ExitCode.FAILED
    assert "address already in use" in ended.err
    assert "next: listen elsewhere" in ended.err
    assert not sandbox.journal.arrivals


async def test_a_song_that_fails_stops_no_other(run: Run, sandbox: Sandbox) -> None:
    sandbox.add_music(["good", "also-good"])
    sandbox.add_music(["doomed"], fails=True)

    ended = await run(
        "generate", "good", "doomed", "unknown", "not an id", "also-good", *at(sandbox)
    )

    assert ended.code == ExitCode.FAILED
    assert len(ended.lines) == 4
    assert "2 songs failed" in ended.err
    assert "1 id names no song:" in ended.err
    assert "music_task_id" in ended.err
    assert "Internal error" in ended.err
    assert "next: generate the music again" in ended.err
    assert "Traceback" not in ended.err


async def test_json_is_one_object_for_each_song_and_a_summary(run: Run, sandbox: Sandbox) -> None:
    sandbox.add_music(["good"])
    sandbox.add_music(["doomed"], fails=True)

    ended = await run("generate", "good", "no id", "doomed", "--json", *at(sandbox))

    *songs, last = map(json.loads, ended.lines)
    found = {one["music_task_id"]: one for one in songs}
    assert found["good"]["state"] == "saved"
    assert found["good"]["files"] == ["covers/good-1.png", "covers/good-2.png"]
    assert found["doomed"]["state"] == "failed"
    assert found["doomed"]["error"]["type"] == "CoverFailedError"
    refused = found.pop("no id")
    assert (refused["state"], refused["error"]["type"]) == ("failed", "ValueError")
    bills = {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}
    assert {one: of["cover_task_id"] for one, of in found.items()} == bills
    summary = last["summary"]
    assert (summary["done"], summary["failed"], summary["total"]) == (1, 1, 2)
    assert (summary["billed"], summary["bad_lines"]) == (2, 1)
    assert not sandbox.journal.of("credits")


async def test_ids_of_no_song_alone_are_a_usage_error_and_nothing_is_asked(
    run: Run, sandbox: Sandbox
) -> None:
    ended = await run("generate", "no id", "nor this", *at(sandbox))

    assert ended.code == ExitCode.USAGE
    assert "2 ids name no song:\n  'no id'\n" in ended.err
    assert "saved" not in ended.err
    assert not sandbox.journal.arrivals


async def test_a_timeout_says_how_to_go_on_and_going_on_pays_nothing(run: Run) -> None:
    async with sandbox_with(Scenario(polls=6)) as sandbox:
        sandbox.add_music(["slow"])

        late = await run("generate", "slow", "--timeout", "0.1", *at(sandbox))
        again = await run("generate", "slow", *at(sandbox))

        assert late.code == ExitCode.TIMED_OUT
        assert f"cover task {sandbox.journal.bills[0].cover_task_id}" in late.err
        assert f"suno-cover generate --out covers --base-url {sandbox.url}" in late.err
        assert again.code == ExitCode.DONE
        assert len(sandbox.journal.bills) == 1


@pytest.mark.parametrize(
    ("kind", "code", "most"),
    [("submit", ExitCode.FAILED, 300), ("details", ExitCode.TIMED_OUT, 301)],
)
def test_an_outage_is_waited_out_no_longer_than_a_person_waits(
    kind: Kind, code: int, most: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario() -> tuple[int, float]:
        clock = asyncio.get_running_loop().time
        down = Scenario(seconds=30, maintenance=1.0, faults_on={kind})
        async with Sandbox(down, clock=clock) as sandbox:
            client = SunoCoverClient(
                sandbox.api_key, base_url=sandbox.url, poll=PollPolicy(timeout=300)
            )
            songs = sandbox.add_music(2)
            act = generate(client, songs, into=tmp_path, with_json=False, options=[])
            return await act.run(), clock()

    ended, seconds = virtual_time.run(scenario())

    assert ended == code
    assert seconds <= most
    assert "2 songs are left:" in capsys.readouterr().err


async def test_the_command_to_go_on_with_takes_any_id(run: Run) -> None:
    async with sandbox_with(Scenario(seconds=60)) as sandbox:
        sandbox.add_music(["-slow", "--json"])

        late = await run("generate", "--timeout", "0.1", *at(sandbox), "--", "-slow", "--json")
        _, *command = shlex.split(late.err.splitlines()[-1])
        again = await run(*command)

        assert command[-3:] == ["--", "-slow", "--json"]
        assert again.code == ExitCode.TIMED_OUT
        assert len(sandbox.journal.bills) == 2


async def test_a_duplicate_without_its_id_says_what_to_search_for(run: Run) -> None:
    async with sandbox_with(Scenario(duplicate_id=DuplicateId.ABSENT)) as sandbox:
        sandbox.add_music(["song"])
        await run("generate", "song", *at(sandbox))

        again = await run("generate", "song", *at(sandbox))

        assert again.code == ExitCode.FAILED
        assert "suno-cover details COVER_TASK_ID --out DIR" in again.err


async def test_no_credits_has_a_code_of_its_own_and_keeps_what_is_paid_for(run: Run) -> None:
    async with sandbox_with(Scenario(seconds=0.02, credits=2)) as sandbox:
        ids = sandbox.add_music(3)

        ended = await run("generate", *ids, *at(sandbox))

        assert ended.code == ExitCode.CREDITS
        assert len(ended.lines) == 4
        assert len(sandbox.journal.bills) == 2


async def test_a_refused_key_stops_further_submits(
    run: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", "sk-refused")
    ids = sandbox.add_music(120)

    ended = await run("generate", *ids, *at(sandbox))

    assert ended.code == ExitCode.KEY
    assert len(sandbox.journal.of("submit")) <= 20  # as many as go out at once
    assert not sandbox.journal.bills
    assert "sk-refused" not in ended.err + ended.out


async def test_a_folder_that_cannot_be_written_is_noticed_before_anything_is_paid_for(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    ids = sandbox.add_music(1)

    ended = await run("generate", *ids, "--out", "file/art", *at(sandbox))

    assert ended.code == ExitCode.USAGE
    assert not sandbox.journal.arrivals


async def test_ids_are_read_from_standard_input(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_music(["one", "two"])
    process = await start("generate", "-", *at(sandbox), cwd=tmp_path)

    ended = await finish(process, b"\xef\xbb\xbfone\r\n\n  two\n")

    assert ended.code == ExitCode.DONE
    assert len(ended.lines) == 4
    assert len(sandbox.journal.bills) == 2


@pytest.mark.parametrize("typed", [b"", b"\n \r\n"])
async def test_no_ids_on_standard_input_is_said(typed: bytes, tmp_path: Path) -> None:
    ended = await finish(await start("generate", "-", cwd=tmp_path), typed)

    assert ended.code == ExitCode.USAGE
    assert "no ids on standard input" in ended.err


async def test_standard_input_holds_either_ids_or_the_key(run: Run) -> None:
    ended = await run("generate", "-", "--key-file", "-")

    assert ended.code == ExitCode.USAGE
    assert "cannot hold both" in ended.err


@needs_posix
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_whoever_closes_a_pipe_early_loses_no_cover(
    stream: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    ids = sandbox.add_music(3)
    reader, unread = os.pipe()
    os.close(reader)
    out, err = (unread, PIPE) if stream == "stdout" else (PIPE, unread)

    process = await start("generate", *ids, *at(sandbox), cwd=tmp_path, stdout=out, stderr=err)
    ended = await finish(process)
    os.close(unread)

    assert ended.code == ExitCode.DONE
    assert len(names(tmp_path / "covers")) == 6
    assert "Broken" not in ended.err + ended.out


@needs_full
@pytest.mark.parametrize("stream", [1, 2])
async def test_a_stream_that_cannot_be_written_loses_no_cover(
    stream: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    ids = sandbox.add_music(3)
    program = redirected(f"{stream}>{FULL}")
    ended = await finish(await start("generate", *ids, *at(sandbox), program=program, cwd=tmp_path))

    assert len(names(tmp_path / "covers")) == 6
    if stream == 1:
        assert ended.code == ExitCode.FAILED
        assert ended.err.count("Error: standard output cannot be written: No space left") == 1
    else:
        assert ended.code == ExitCode.DONE
        assert len(ended.lines) == 6


@needs_full
async def test_a_poll_that_cannot_be_written_is_a_failure(sandbox: Sandbox) -> None:
    ended = await finish(await start("credits", *at(sandbox), program=redirected(f">{FULL}")))

    assert ended.code == ExitCode.FAILED
    assert ended.err == "Error: standard output cannot be written: No space left on device\n"


@needs_posix
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
async def test_closed_streams_are_as_good_as_none(
    closed: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    ids = sandbox.add_music(2)
    program = redirected(closed)
    ended = await finish(await start("generate", *ids, *at(sandbox), program=program, cwd=tmp_path))

    assert ended.code == ExitCode.DONE
    assert len(ended.lines) == (0 if ">&-" in closed.split() else 4)
    assert len(names(tmp_path / "covers")) == 4


@needs_posix
@pytest.mark.parametrize(
    ("command", "said"),
    [("generate -", "no ids on standard input"), ("credits --key-file -", "input is empty")],
)
async def test_a_closed_standard_input_is_an_empty_one(
    command: str, said: str, tmp_path: Path
) -> None:
    process = await start(*command.split(), program=redirected("<&-"), cwd=tmp_path)
    ended = await finish(process)

    assert ended.code in {ExitCode.USAGE, ExitCode.KEY}
    assert said in ended.err


# interruption


@needs_posix
@pytest.mark.parametrize("command", ["generate -", "credits --key-file -"])
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, -signal.SIGTERM)],  # a shell's 143
)
async def test_waiting_for_standard_input_can_be_interrupted(
    command: str, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"song")
    process = await start(*command.split(), cwd=tmp_path, stdin=reader)
    await emptied(reader)
    process.send_signal(number)

    ended = await finish(process)
    os.close(reader)
    os.close(writer)

    assert ended.code == code
    assert "Traceback" not in ended.err


async def is_waited_for(sandbox: Sandbox) -> None:
    """Return once a client asks for the details of a cover, whose cover task it knows by then."""
    async with asyncio.timeout(PATIENCE):
        while not sandbox.journal.of("details"):  # noqa: ASYNC110 - nothing tells of a request
            await asyncio.sleep(0.01)


STOPS = [
    ([signal.SIGINT, signal.SIGINT], ExitCode.INTERRUPTED),
    ([signal.SIGTERM], ExitCode.TERMINATED),
]


@needs_posix
async def test_ctrl_c_finishes_the_songs_that_are_paid_for(tmp_path: Path) -> None:
    async with sandbox_with(Scenario(seconds=0.5)) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", *at(sandbox), cwd=tmp_path)
        await is_waited_for(sandbox)
        process.send_signal(signal.SIGINT)

        said = await line_with(process.stderr, "finishing 1 cover that is paid for")
        ended = await finish(process)

        assert "Ctrl-C again stops now, nothing is lost" in said
        assert ended.code == ExitCode.INTERRUPTED
        assert len(ended.lines) == 2
        assert "saved 1 of 1 song" in ended.err
        assert "suno-cover generate" not in ended.err  # there is nothing to go on with


@needs_posix
@pytest.mark.parametrize(("signals", "code"), STOPS)
async def test_an_interruption_names_what_was_paid_for_and_how_to_go_on(
    signals: list[signal.Signals], code: int, tmp_path: Path
) -> None:
    async with sandbox_with(Scenario(seconds=1.0)) as sandbox:
        sandbox.add_music(["song"])
        place = at(sandbox)
        process = await start("generate", "song", *place, cwd=tmp_path)
        await is_waited_for(sandbox)
        await interrupt(process, *signals)

        ended = await finish(process)
        again = await finish(await start("generate", "song", *place, cwd=tmp_path))

        assert ended.code == code
        assert "interrupted" in ended.err
        assert "1 song is paid for and not finished" in ended.err
        assert f"song: cover task {sandbox.journal.bills[0].cover_task_id}" in ended.err
        assert f"suno-cover generate --out covers --base-url {sandbox.url}" in ended.err
        assert "Traceback" not in ended.err
        assert KEY not in ended.err + ended.out
        assert again.code == ExitCode.DONE
        assert len(sandbox.journal.bills) == 1


@needs_posix
async def test_an_interruption_while_images_are_saved_names_their_cover_task(
    tmp_path: Path,
) -> None:
    slow = Scenario(seconds=0.02, slow=1.0, slow_seconds=60, faults_on={"image"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", "--json", *at(sandbox), cwd=tmp_path)
        async with asyncio.timeout(PATIENCE):
            while not sandbox.journal.of("image"):  # noqa: ASYNC110 - nothing tells of a request
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)

        ended = await finish(process)

        task = sandbox.journal.bills[0].cover_task_id
        assert f"song: cover task {task}" in ended.err
        found = json.loads(ended.lines[0])
        assert (found["state"], found["cover_task_id"]) == ("unfinished", task)
        assert len(found["images"]) == 2


@needs_posix
@pytest.mark.parametrize(("signals", "code"), STOPS)
async def test_a_submit_on_its_way_is_awaited_and_its_cover_task_is_named(
    signals: list[signal.Signals], code: int, tmp_path: Path
) -> None:
    slow = Scenario(seconds=60, slow=1.0, slow_seconds=0.5, faults_on={"submit"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", *at(sandbox), cwd=tmp_path)
        await has_billed(sandbox)
        await interrupt(process, *signals)

        ended = await finish(process)

        assert ended.code == code
        assert f"song: cover task {sandbox.journal.bills[0].cover_task_id}" in ended.err


@needs_posix
async def test_a_third_interruption_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    slow = Scenario(slow=1.0, slow_seconds=60, faults_on={"submit"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", "--json", *at(sandbox), cwd=tmp_path)
        await has_billed(sandbox)
        await interrupt(process, signal.SIGINT, signal.SIGINT, signal.SIGINT)

        ended = await finish(process)

        assert ended.code == ExitCode.INTERRUPTED
        assert json.loads(ended.lines[0])["state"] == "unfinished"
        assert "1 song possibly billed:\n  song\n" in ended.err
        assert ended.err.rstrip().endswith("-- song")
        assert "Traceback" not in ended.err


@needs_posix
async def test_an_interrupted_run_tells_programs_what_is_unfinished(tmp_path: Path) -> None:
    async with sandbox_with(Scenario(seconds=60)) as sandbox:
        sandbox.add_music(["song"])
        process = await start("generate", "song", "--json", *at(sandbox), cwd=tmp_path)
        await is_waited_for(sandbox)
        process.send_signal(signal.SIGTERM)

        found, last = map(json.loads, (await finish(process)).lines)

        assert found["state"] == "unfinished"
        assert found["cover_task_id"] == sandbox.journal.bills[0].cover_task_id
        assert (last["summary"]["left"], last["summary"]["billed"]) == (1, 1)


# the key


@pytest.mark.parametrize("option", ["--api-key", "--key", "--token"])
@pytest.mark.parametrize("before", [(), ("credits",), ("generate", "song")])
async def test_a_key_as_an_argument_is_refused_and_not_repeated(
    option: str, before: tuple[str, ...], run: Run
) -> None:
    apart = await run(*before, option, "sk-typed")
    joined = await run(*before, f"{option}=sk-typed")

    assert (apart.code, joined.code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "SUNO_API_KEY" in apart.err
    assert "--key-file" in joined.err
    assert "sk-typed" not in apart.err + joined.err


async def test_without_a_key_the_ways_to_give_one_are_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUNO_API_KEY")

    ended = await run("credits")

    assert ended.code == ExitCode.KEY
    assert "SUNO_API_KEY" in ended.err
    assert "--key-file" in ended.err


async def test_the_key_comes_from_a_file_less_one_newline(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUNO_API_KEY")
    (tmp_path / "key").write_bytes(f"{KEY}\r\n".encode())
    (tmp_path / "two-newlines").write_bytes(f"{KEY}\n\n".encode())

    good = await run("credits", "--key-file", "key", *at(sandbox))
    bad = await run("credits", "--key-file", "two-newlines", *at(sandbox))

    assert (good.code, good.out) == (ExitCode.DONE, "1000000\n")
    assert bad.code == ExitCode.USAGE
    assert KEY not in bad.err


async def test_an_empty_key_file_is_said_to_be_empty(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")

    file = await run("credits", "--key-file", "key")
    nothing = await finish(await start("credits", "--key-file", "-"))
    nameless = await run("credits", "--key-file", "")

    assert (file.code, nothing.code) == (ExitCode.KEY, ExitCode.KEY)
    assert "the key file is empty" in file.err
    assert "standard input is empty" in nothing.err
    assert nameless.code == ExitCode.USAGE


@pytest.mark.parametrize("odd", [f" {KEY}", f"{KEY}\r\n\n", f"{KEY}\u200b", f"{KEY}\t"])
async def test_a_key_with_odd_characters_is_not_shown_but_its_source_is(
    odd: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", odd)
    (tmp_path / "key").write_text(odd, "utf-8", newline="")

    environ = await run("credits")
    file = await run("credits", "--key-file", "key")
    piped = await finish(await start("credits", "--key-file", "-"), odd.encode())

    assert {environ.code, file.code, piped.code} == {ExitCode.USAGE}
    assert "the API key from SUNO_API_KEY has characters" in environ.err
    assert "the API key from the key file has characters" in file.err
    assert "the API key from standard input has characters" in piped.err
    assert "a space or a line end" in environ.err
    assert KEY not in environ.err + file.err + piped.err


async def test_the_key_comes_from_standard_input(sandbox: Sandbox) -> None:
    process = await start(
        "credits", "--key-file", "-", *at(sandbox), env=environment(SUNO_API_KEY="")
    )

    ended = await finish(process, f"{KEY}\n".encode())

    assert (ended.code, ended.out) == (ExitCode.DONE, "1000000\n")


@pytest.mark.parametrize("name", ["sk-typed", "sk-typed\0", "."])
async def test_a_key_file_that_cannot_be_read_is_not_named(name: str, run: Run) -> None:
    ended = await run("credits", "--key-file", name)

    assert ended.code == ExitCode.USAGE
    assert "--key-file" in ended.err
    assert "sk-typed" not in ended.err


async def test_no_log_however_verbose_holds_the_key(run: Run, sandbox: Sandbox) -> None:
    sandbox.scenario = Scenario(seconds=0.02, html=0.5, lost_answers=0.2)
    ids = sandbox.add_music(2)

    ended = await run("generate", *ids, "-vv", *at(sandbox))

    assert ended.code == ExitCode.DONE
    assert "DEBUG" in ended.err
    assert KEY not in ended.err + ended.out


# looks


async def test_credits_are_a_bare_number_or_json(run: Run) -> None:
    async with sandbox_with(Scenario(credits=1025.6)) as sandbox:
        plain = await run("credits", *at(sandbox))
        programs = await run("credits", "--json", "--host", "kie", *at(sandbox))

        assert (plain.code, plain.out) == (ExitCode.DONE, "1025.6\n")
        assert json.loads(programs.out) == {"credits": 1025.6}


async def test_details_can_wait_and_save_by_the_cover_task_id_alone(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(polls=6)
    sandbox.add_music(["song"])
    await run("generate", "song", "--timeout", "0.1", *at(sandbox))
    task = sandbox.journal.bills[0].cover_task_id

    poll = await run("details", task, "--json", *at(sandbox))
    ended = await run("details", task, "--wait", "--out", "art", *at(sandbox))

    assert json.loads(poll.out)["status"] in {"PENDING", "GENERATING"}
    assert ended.code == ExitCode.DONE
    assert "SUCCESS" in ended.out
    assert names(tmp_path / "art") == ["song-1.png", "song-2.png"]


async def test_details_of_an_unknown_cover_task_fail(run: Run, sandbox: Sandbox) -> None:
    ended = await run("details", "unknown", *at(sandbox))

    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith("Error: the API knows no cover task unknown")
    assert "next: is it a music task's id? then: suno-cover generate ID" in ended.err


async def test_a_strangers_text_is_neither_markup_nor_control_characters(
    run: Run, sandbox: Sandbox
) -> None:
    message = "[bold red]boo[/bold red] \x1b[31m :smile:"
    body = json.dumps({"code": 422, "msg": message, "data": None}).encode()
    sandbox.script("credits", Reply(body=body))

    ended = await run("credits", *at(sandbox))

    assert ended.code == ExitCode.FAILED
    assert "[bold red]boo[/bold red]" in ended.err
    assert ":smile:" in ended.err
    assert "\x1b" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("credits", "--base-url", "http://example.com"),
        ("credits", "--timeout", "nan"),
        ("credits", "--timeout", "-1"),
        ("credits", "--poll", "0"),
        ("credits", "--host", "other"),
        ("details", "a b"),
        ("generate",),
        ("sandbox", "--port", "70000"),
        ("nonsense",),
    ],
)
async def test_nonsense_is_one_clear_refusal(arguments: tuple[str, ...], run: Run) -> None:
    ended = await run(*arguments)

    assert ended.code == ExitCode.USAGE
    assert "Error: " in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("credits", "--base-url", ""),
        ("credits", "--base-url", "http://example.com"),
        ("generate song", "--poll", "nan"),
        ("generate song", "--poll", "inf"),
        ("details task", "--timeout", "0"),
        ("sandbox", "--seconds", "nan"),
    ],
)
async def test_a_value_that_is_refused_is_named_by_its_option(
    command: str, option: str, value: str, run: Run
) -> None:
    ended = await run(*command.split(), option, value)

    assert ended.code == ExitCode.USAGE
    assert option in ended.err.splitlines()[-1]


async def test_help_names_every_exit_code(run: Run) -> None:
    ended = await run("--help")

    assert ended.code == ExitCode.DONE
    for code in ExitCode:
        assert f"\n    {code.value:<6}" in ended.out
        assert f"\n{code.value:<6}" in (package.__doc__ or "")


# on a terminal


@needs_posix
async def test_on_a_terminal_progress_is_redrawn_and_paths_come_last(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["one", "two"])

    screen = await on_a_terminal("generate", "one", "two", *at(sandbox), cwd=tmp_path)

    assert "2 of 2" in screen
    assert "saved 2 of 2 songs" in screen
    drawn, _, _ = screen.partition("saved 2 of 2 songs")
    assert drawn.index("covers/one-1.png") > drawn.rindex("2 of 2")


@needs_posix
async def test_many_songs_on_a_terminal_are_one_bar(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.scenario = Scenario(rate_limit=None, failures=1.0)
    ids = [f"unknown-{number}" for number in range(18)]

    screen = await on_a_terminal("generate", *ids, *at(sandbox), cwd=tmp_path, LINES="12")

    drawn, _, said = screen.partition("songs failed")
    assert "18 failed" in drawn
    assert "unknown-3" not in drawn
    assert "unknown-3" in said


@needs_posix
@pytest.mark.parametrize(
    ("seconds", "number", "explanation"),
    [
        (0.5, signal.SIGINT, rf"{ERASED}({COLOUR})?finishing what is under way"),
        (60, signal.SIGTERM, rf"{CURSOR}({COLOUR})?stopping: waiting for an answer"),
    ],
)
async def test_on_a_terminal_an_interruption_is_explained_beside_the_display(
    seconds: float, number: signal.Signals, explanation: str, tmp_path: Path
) -> None:
    slow = Scenario(seconds=seconds, slow=1.0, slow_seconds=0.8, faults_on={"submit"})
    async with sandbox_with(slow) as sandbox:
        sandbox.add_music(["song"])

        async def interrupt(process: asyncio.subprocess.Process) -> None:
            await has_billed(sandbox)
            process.send_signal(number)

        command = ("generate", "song", *at(sandbox))
        screen = await on_a_terminal(*command, cwd=tmp_path, meanwhile=interrupt)

        assert re.search(explanation, screen)
        ended = f"cover task {sandbox.journal.bills[0].cover_task_id}"
        assert (ended if number is signal.SIGTERM else "saved 1 of 1 song") in screen


# sandbox and demo


@needs_posix
async def test_the_sandbox_command_serves_what_it_says_until_it_is_ended(tmp_path: Path) -> None:
    process = await start("sandbox", "--port", "0", "--seconds", "0", "--music", "3")
    await line_with(process.stdout, "export SUNO_API_KEY=")
    *_, url = (await line_with(process.stdout, "suno-cover credits")).split()
    *_, song, _, _, _, _ = (await line_with(process.stdout, "suno-cover generate")).split()
    environ = environment(SUNO_API_KEY="sandbox-key")
    options = ("--poll", "0.05", "--base-url", url)

    covered = await finish(await start("generate", song, *options, cwd=tmp_path, env=environ))
    shown = await line_with(process.stderr, "POST")
    process.send_signal(signal.SIGINT)
    ended = await finish(process)

    assert covered.code == ExitCode.DONE
    assert "/api/v1/suno/cover/generate  200  (1 billed so far)" in shown
    assert ended.code == ExitCode.DONE
    assert "Traceback" not in ended.err


async def test_the_sandbox_command_says_what_to_do_when_its_port_is_taken(
    run: Run, sandbox: Sandbox
) -> None:
    ended = await run("sandbox", "--port", sandbox.url.rpartition(":")[2])

    assert ended.code == ExitCode.FAILED
    assert "next: give another --port; 0 takes a free one" in ended.err


async def test_the_demo_covers_a_dozen_tracks_and_pays_for_each_once(tmp_path: Path) -> None:
    keyless = {name: value for name, value in os.environ.items() if name != "SUNO_API_KEY"}

    ended = await finish(await start("demo", cwd=tmp_path, env=keyless))

    files = names(tmp_path / "suno-cover-demo")
    sheet = tmp_path / "suno-cover-demo" / "contact-sheet.png"
    assert ended.code == ExitCode.DONE
    assert len(files) == 25
    assert "12 covers for 12 songs" in ended.err
    assert str(sheet.relative_to(tmp_path)) in ended.out
    with Image.open(sheet) as image:
        assert image.width > 1000


# what is missing, and how errors end


@pytest.mark.parametrize(
    ("library", "name"), [("click", "click"), ("rich", "rich"), ("PIL", "pillow")]
)
async def test_a_missing_library_is_named_with_its_cure(library: str, name: str) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from suno_cover_async.__main__ import main; sys.exit(main())"
    )

    ended = await finish(await start("--help", program=(sys.executable, "-c", code)))

    assert ended.code == ExitCode.NOT_INSTALLED
    assert f"needs {name}," in ended.err
    assert "pip install click pillow rich" in ended.err
    assert "Traceback" not in ended.err


def test_the_weightiest_failure_decides_the_exit_code() -> None:
    key, credits_ = errors.AuthenticationError("x"), errors.InsufficientCreditsError("x")
    late, other = errors.CoverTimeoutError("x"), errors.TransportError("x")

    assert exit_code([]) == ExitCode.DONE
    assert exit_code([other, credits_, key]) == ExitCode.KEY
    assert exit_code([other, credits_]) == ExitCode.CREDITS
    assert exit_code([late, late]) == ExitCode.TIMED_OUT
    assert exit_code([late, other]) == ExitCode.FAILED
    assert exit_code([ValueError("x")]) == ExitCode.USAGE


def test_every_error_is_one_printable_line_and_retryable_ones_have_advice() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    plain = [
        kind("two\nlines\x1b[0m")
        for kind in kinds
        if issubclass(kind, errors.SunoCoverError)
        and kind not in {errors.CoverFailedError, errors.MusicFailedError}
    ]

    assert len(plain) > 10
    assert all(explain(error).isprintable() for error in plain)
    assert all(advise(error) for error in plain if error.retryable)


def test_what_waiting_cannot_mend_is_not_advised_and_money_only_where_it_is_spent() -> None:
    gone = advise(errors.CoverExpiredError("x"))
    unreachable = advise(errors.TransportError("x"))

    assert gone is not None
    assert "no second cover set" in gone
    assert "again" not in gone
    assert unreachable is not None
    assert "--base-url or --host" in unreachable
    assert "pays" not in unreachable
