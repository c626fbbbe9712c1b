"""`generate`, run as people run it: a process with pipes, and a real sandbox."""

import asyncio
import json
import os
import shlex
from pathlib import Path

import pytest

from suno_cover_async import PollPolicy, SunoCoverClient
from suno_cover_async.cli.actions.generate import generate
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import DuplicateId, Kind, Sandbox, Scenario
from tests.support import virtual_time
from tests.support.commands import (
    FULL,
    PIPE,
    Run,
    a_free_port,
    at,
    finish,
    names,
    needs_full,
    needs_posix,
    redirected,
    sandbox_with,
    start,
)


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


async def test_a_taken_port_is_named_before_anything_is_paid(run: Run, sandbox: Sandbox) -> None:
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


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--public-url https://me.example", "belong together"),
        ("--listen a:0 --public-url https://me.example", "--listen must be HOST:PORT"),
        ("--listen a:1 --public-url https://me.example/?x", "--public-url must have no query"),
    ],
)
@pytest.mark.parametrize("command", ["generate", "batch"])
async def test_a_wrong_listen_option_is_named_before_anything_is_paid(
    run: Run, sandbox: Sandbox, tmp_path: Path, *, command: str, options: str, why: str
) -> None:
    sandbox.add_music(["song"])
    (tmp_path / "song").write_text("song\n")  # a catalog for `batch`
    kind = ["--format", "txt"] if command == "batch" else []

    ended = await run(command, "song", *kind, *at(sandbox), *options.split())

    assert ended.code == ExitCode.USAGE
    assert why in ended.err
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
        _, *longer = shlex.split(late.err.splitlines()[-1])
        again = await run("generate", "slow", *at(sandbox))

        assert late.code == ExitCode.TIMED_OUT
        assert f"cover task {sandbox.journal.bills[0].cover_task_id}" in late.err
        assert f"suno-cover generate --out covers --base-url {sandbox.url}" in late.err
        assert longer[longer.index("--timeout") + 1] == "0.2"
        assert again.code == ExitCode.DONE
        assert len(sandbox.journal.bills) == 1


@pytest.mark.parametrize(
    ("options", "files"),
    [
        (("--title", "My: Song"), "My_ Song song-668abfb064"),
        (("--name", "front"), "front"),
        (("--name", "../up", "--title", "x"), "_up-8c722b8ae2"),
    ],
)
async def test_a_title_or_a_name_is_in_the_names_of_the_files(
    options: tuple[str, ...], files: str, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["song"])

    ended = await run("generate", "song", *options, *at(sandbox))

    assert ended.code == ExitCode.DONE
    stems = {name.rpartition("-")[0] for name in names(tmp_path / "covers")}
    assert len(stems) == 1
    assert stems == {files}


async def test_a_title_is_shown_in_messages_and_both_are_in_the_command_that_continues(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(polls=6, image_size=16)
    sandbox.add_music(["song"])
    given = ("--title", "My Song", "--name", "a b", "--timeout", "0.1")

    late = await run("generate", "song", *given, *at(sandbox))
    _, *longer = shlex.split(late.err.splitlines()[-1])
    longer[longer.index("0.2")] = "60"
    again = await run(*longer)

    assert "left for now: My Song: " in late.err
    assert longer[:7] == ["generate", "--out", "covers", *given[:4]]
    assert again.code == ExitCode.DONE
    assert names(tmp_path / "covers") == ["a b-1.png", "a b-2.png"]


@pytest.mark.parametrize("option", ["--title", "--name"])
async def test_a_title_or_a_name_for_several_ids_is_refused_before_any_request(
    option: str, run: Run, sandbox: Sandbox
) -> None:
    several = await run("generate", "a", "b", option, "x", *at(sandbox))
    blank = await run("generate", "a", option, " ", *at(sandbox))
    twice = await run("generate", *sandbox.add_music(["a"]) * 2, option, "x", *at(sandbox))

    assert (several.code, blank.code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert f"{option} names one song, and there are 2 ids" in several.err
    assert f"{option} is blank" in blank.err
    assert twice.code == ExitCode.DONE
    assert len(sandbox.journal.of("submit")) == 1


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


async def test_ids_are_read_from_standard_input_without_quotes_and_byte_order_marks(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["one", "two"])
    process = await start("generate", "-", *at(sandbox), cwd=tmp_path)

    ended = await finish(process, b'\xef\xbb\xbf\xef\xbb\xbf"one"\r\n\n  two\n')

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
