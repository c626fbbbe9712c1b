"""Whole catalogs on the command line: real processes, terminals and signals, and a real sandbox.

What it shares with `test_cli.py` is imported from there.
"""

import asyncio
import csv
import json
import os
import shlex
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from conftest import Run, billed, connect, read_now, until
from rich.console import Console
from test_cli import (
    FULL,
    PATIENCE,
    a_free_port,
    at,
    emptied,
    environment,
    finish,
    has_billed,
    line_with,
    names,
    needs_full,
    needs_posix,
    on_a_terminal,
    read_all,
    redirected,
    sandbox_with,
    start,
)
from test_progress import console, said
from virtual_time import run as in_virtual_time

from suno_cover_async import (
    CoverDetails,
    CoverStatus,
    CoverTask,
    Ledger,
    Progress,
    ServerError,
    Track,
    TrackState,
    read_catalog,
)
from suno_cover_async.cli.commands.catalog_run import Batch
from suno_cover_async.cli.commands.credits_used import CreditsUsed
from suno_cover_async.cli.commands.ledger import show_to_people
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.export import as_csv, guarded
from suno_cover_async.cli.output.follow_up import Command, LedgerFollowUp
from suno_cover_async.cli.output.results import Results, When
from suno_cover_async.sandbox import Kind, Reply, Sandbox, Scenario

QUICK = Scenario(seconds=0.02, image_size=16)
SLOW_SUBMITS = Scenario(seconds=60, image_size=16, slow=1.0, slow_seconds=0.5, faults_on={"submit"})
HOSTILE = [
    "\x1b[2J\x1b]0;pwned\x07",
    "=cmd|' /C calc'!A0",
    "[red]markup[/red] :smile:",
    "\u202egnp.exe",
    "two\nlines\r\tand a tab",
]

needs_prlimit = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with sandbox_with(QUICK) as sandbox:
        yield sandbox


def catalog(folder: Path, ids: Sequence[str], titles: Sequence[str] = ()) -> None:
    """Write catalog.csv."""
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["music_task_id", "title"])
        writer.writerows(zip(ids, titles or [f"Song {one}" for one in ids], strict=True))


def batch(sandbox: Sandbox, *more: str) -> tuple[str, ...]:
    return ("batch", "catalog.csv", *at(sandbox), *more)


def command_of(err: str, word: str) -> list[str]:
    """Find the command to be copied that has this word in it."""
    [line] = [line for line in err.splitlines() if line.startswith("  suno-cover") and word in line]
    return shlex.split(line)[1:]


def states(ledger: Path) -> Counter[str]:
    return Counter(entry.state.value for entry in read_now(ledger))


# a run


async def test_a_batch_saves_every_image_and_says_what_became_of_all(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(["a", "b", "c"]))

    ended = await run(*batch(sandbox))

    assert ended.code == ExitCode.DONE
    assert sorted(ended.lines) == [f"covers/{name}" for name in names(tmp_path / "covers")]
    assert names(tmp_path / "covers")[:2] == ["Song a a-1.png", "Song a a-2.png"]
    assert billed(sandbox) == Counter(["a", "b", "c"])
    assert "saved 3 of 3 tracks in covers" in ended.err
    assert "billed 3, adopted 0, possibly billed 0, failed 0, left 0, credits used 3" in ended.err
    assert "suno-cover" not in ended.err  # there is nothing to do next


async def test_with_nothing_left_to_do_nothing_is_asked(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(["a"]))
    await run(*batch(sandbox))
    arrivals = len(sandbox.journal.arrivals)

    again = await run(*batch(sandbox))

    assert (again.code, again.out) == (ExitCode.DONE, "")
    assert again.err == "nothing left to do: 1 of 1 track is saved\n"
    assert len(sandbox.journal.arrivals) == arrivals


async def test_json_is_an_object_for_each_outcome_and_a_summary(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["good"])
    sandbox.add_music(["doomed"], fails=True)
    catalog(tmp_path, ["good", "doomed"])
    with (tmp_path / "catalog.csv").open("a") as file:
        file.write("not an id,\n")

    ended = await run(*batch(sandbox, "--json", "--skip-bad"))

    *outcomes, last = map(json.loads, ended.lines)
    found = {one["music_task_id"]: one for one in outcomes}
    tasks = {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}
    assert {one: facts["cover_task_id"] for one, facts in found.items()} == tasks
    assert found["good"]["files"] == ["covers/Song good good-1.png", "covers/Song good good-2.png"]
    assert (found["good"]["state"], found["good"]["title"]) == ("saved", "Song good")
    assert len(found["good"]["images"]) == 2
    assert found["doomed"]["state"] == "failed"
    assert found["doomed"]["error"]["type"] == "CoverFailedError"
    assert found["doomed"]["error"]["retryable"] is False
    assert last["summary"] == {
        "billed": 2,
        "adopted": 0,
        "possibly_billed": 0,
        "failed": 1,
        "left": 0,
        "done": 1,
        "total": 2,
        "credits_used": 2.0,
        "stopped_by": None,
        "bad_lines": 1,
    }


async def test_a_failure_is_said_as_it_comes_with_what_to_do_next(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["doomed"], fails=True)
    catalog(tmp_path, ["doomed"])

    ended = await run(*batch(sandbox))
    show = await run(*command_of(ended.err, "show"))
    again = await run(*command_of(ended.err, "--retry-failed"))

    assert ended.code == ExitCode.FAILED
    assert "failed: Song doomed: cover task" in ended.err
    assert "a cover that failed may be billed again" in ended.err
    assert "Song doomed\tdoomed\tfailed" in show.out
    assert len(sandbox.journal.of("submit")) == 2
    assert "--retry-failed" not in command_of(ended.err, "show")
    assert again.code == ExitCode.FAILED


async def test_covers_whose_images_are_gone_are_named_in_the_end(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(["a"]))
    async with connect(sandbox) as client:
        details = await client.generate("a")
    task = CoverTask(cover_task_id=details.cover_task_id, music_task_id="a")
    old = attrs.evolve(details, completed_at=datetime.now(UTC) - timedelta(days=20))
    async with Ledger(tmp_path / "covers.db") as ledger:
        await ledger.take_in([Track("a", title="Song a")])
        [entry] = await ledger.next_open(TrackState.WAITING, 0, 1)
        await ledger.submitted(entry, task)
        await ledger.covered(entry, old)
    sandbox.expire_images()

    ended = await run(*batch(sandbox))

    assert ended.code == ExitCode.FAILED
    assert "billed 0, adopted 0, possibly billed 0, failed 1, left 0" in ended.err
    assert "1 cover expired: the images are gone for good" in ended.err
    assert "\n  Song a\n" in ended.err
    assert len(sandbox.journal.of("submit")) == 1
    assert not sandbox.journal.of("credits")


async def test_no_credits_has_a_code_and_the_same_command_goes_on(run: Run, tmp_path: Path) -> None:
    async with sandbox_with(Scenario(seconds=0.02, credits=1, image_size=16)) as sandbox:
        catalog(tmp_path, sandbox.add_music(["a", "b", "c"]))

        options = ("--json", "--concurrency", "1", "--ledger", "x.db", "--out", "art")
        ended = await run(*batch(sandbox, *options))
        again = await run(*command_of(ended.err, "batch"))

        summary = json.loads(ended.lines[-1])["summary"]
        assert (ended.code, again.code) == (ExitCode.CREDITS, ExitCode.CREDITS)
        assert summary["stopped_by"] == "InsufficientCreditsError"
        assert (summary["done"], summary["left"]) == (1, 2)
        assert "Error: " in ended.err
        assert "2 tracks are left; the same command continues" in ended.err
        assert summary["credits_used"] == 1.0
        assert "saved 1 of 3 tracks in art" in again.err
        assert not (tmp_path / "covers.db").exists()
        assert billed(sandbox) == Counter(["a"])


async def test_covers_that_all_take_too_long_have_a_code_unless_others_failed(
    run: Run, tmp_path: Path
) -> None:
    async with sandbox_with(Scenario(seconds=60, image_size=16)) as sandbox:
        catalog(tmp_path, sandbox.add_music(["a", "b"]))
        late = await run(*batch(sandbox, "--timeout", "0.1", "--json"))
        catalog(tmp_path, ["a", "b", "unknown"])
        failed = await run(*batch(sandbox, "--timeout", "0.1"))

        assert late.code == ExitCode.TIMED_OUT
        *outcomes, _ = map(json.loads, late.lines)
        assert {(one["state"], one["error"]["type"]) for one in outcomes} == {
            ("left", "CoverTimeoutError")
        }
        assert "2 tracks are left" in late.err
        assert failed.code == ExitCode.FAILED
        assert billed(sandbox) == Counter(["a", "b"])


async def test_a_refused_key_has_a_code(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUNO_API_KEY", "sk-refused")
    catalog(tmp_path, sandbox.add_music(3))

    ended = await run(*batch(sandbox))

    assert ended.code == ExitCode.KEY
    assert "saved 0 of 3 tracks" in ended.err
    assert "credits used" not in ended.err
    assert "sk-refused" not in ended.err + ended.out


async def test_a_balance_that_cannot_be_asked_for_is_no_trouble(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(seconds=0.02, image_size=16, garbage=1.0, faults_on={"credits"})
    catalog(tmp_path, sandbox.add_music(1))

    ended = await run(*batch(sandbox, "--json"))

    assert ended.code == ExitCode.DONE
    assert json.loads(ended.lines[-1])["summary"]["credits_used"] is None
    assert "credits used" not in ended.err


async def test_a_submit_without_an_answer_is_possibly_billed_and_the_next_run_finds_out(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(["a"]))
    async with Ledger(tmp_path / "covers.db") as ledger:
        await ledger.take_in([Track("a")])
        [entry] = await ledger.next_open(TrackState.WAITING, 0, 1)
        await ledger.submitting(entry)
    sandbox.scenario = Scenario(credits=0)

    stopped = await run(*batch(sandbox))
    sandbox.scenario = QUICK
    shown = await run("ledger", "show", "covers.db", "--state", "submitting")

    assert "possibly billed 1, failed 0, left 1" in stopped.err
    assert "possibly billed: the next run finds out, and never pays twice" in stopped.err
    assert "\ta\tsubmitting\t" in shown.out


async def test_a_retry_after_of_ten_minutes_is_obeyed(sandbox: Sandbox, tmp_path: Path) -> None:
    catalog(tmp_path, sandbox.add_music(1))
    sandbox.script("submit", Reply(status=429, headers={"Retry-After": "600"}))

    process = await start(*batch(sandbox), cwd=tmp_path)
    line = await line_with(process.stderr, "called too often")
    process.send_signal(signal.SIGTERM)
    await finish(process)

    assert "everybody waits 60" in line or "everybody waits 59" in line


async def test_a_batch_keeps_no_more_covers_in_flight_than_it_is_told(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(3))

    await run(*batch(sandbox, "--concurrency", "1"))

    kinds = [arrival.kind for arrival in sandbox.journal.arrivals]
    asked = [kind for kind in kinds if kind in {"submit", "details"}]
    pairs = "".join("s" if kind == "submit" else "d" for kind in asked)
    assert "ss" not in pairs


async def test_callbacks_end_the_waits_of_a_batch(run: Run, tmp_path: Path) -> None:
    here = f"127.0.0.1:{a_free_port()}"
    door = ("--listen", here, "--public-url", f"http://{here}/suno")
    async with sandbox_with(Scenario(seconds=0.2, image_size=16)) as sandbox:
        catalog(tmp_path, sandbox.add_music(2))

        ended = await run("batch", "catalog.csv", "--base-url", sandbox.url, *door)
        idle = await run("batch", "catalog.csv", "--base-url", sandbox.url, *door)

        assert (ended.code, idle.code) == (ExitCode.DONE, ExitCode.DONE)
        assert [call.status for call in sandbox.journal.callbacks] == [200] * 2
        assert "no callback came" not in idle.err


@needs_full
async def test_results_that_cannot_be_written_lose_no_cover(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(2))

    process = await start(*batch(sandbox), program=redirected(f">{FULL}"), cwd=tmp_path)
    ended = await finish(process)

    assert ended.code == ExitCode.FAILED
    assert ended.err.count("standard output cannot be written") == 1
    assert len(names(tmp_path / "covers")) == 4


# the catalog


async def test_bad_lines_are_all_found_before_anything_is_asked(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, [*sandbox.add_music(["a"]), *(f"no id {n}" for n in range(23))])

    ended = await run(*batch(sandbox))

    assert ended.code == ExitCode.USAGE
    assert "Error: catalog.csv has 23 lines that name no track; nothing was submitted" in ended.err
    assert ended.err.count("catalog.csv, line ") == 20
    assert "and 3 more" in ended.err
    assert "--skip-bad" in ended.err
    assert not sandbox.journal.arrivals
    assert not (tmp_path / "covers.db").exists()


async def test_bad_lines_that_are_left_out_are_named_and_counted(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, [*sandbox.add_music(["a"]), "no id"])

    ended = await run(*batch(sandbox, "--skip-bad"))
    again = await run(*batch(sandbox, "--skip-bad"))
    strict = await run(*batch(sandbox))

    assert (ended.code, again.code, strict.code) == (ExitCode.DONE, ExitCode.DONE, ExitCode.USAGE)
    assert "catalog.csv, line 3: " in ended.err
    assert "left out: 1 line of the catalog without a track" in ended.err
    assert "catalog.csv, line 3: " in again.err
    assert billed(sandbox) == Counter(["a"])


async def test_a_catalog_comes_from_standard_input_as_well(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    a, b = sandbox.add_music(["a", "b"])
    ended = await finish(
        await start("batch", "-", *at(sandbox), cwd=tmp_path), f"{a}\n\n{b}\n".encode()
    )

    assert ended.code == ExitCode.DONE
    assert len(ended.lines) == 4
    assert billed(sandbox) == Counter(["a", "b"])


@needs_posix
async def test_waiting_for_a_catalog_can_be_interrupted(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"song\n" * 3)
    process = await start("batch", "-", cwd=tmp_path, stdin=reader)
    await emptied(reader)
    process.send_signal(signal.SIGINT)

    ended = await finish(process)
    os.close(reader)
    os.close(writer)

    assert ended.code == ExitCode.INTERRUPTED
    assert "Traceback" not in ended.err


async def test_one_standard_input_holds_one_thing(run: Run) -> None:
    ended = await run("batch", "-", "--key-file", "-")

    assert ended.code == ExitCode.USAGE
    assert "cannot hold both" in ended.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"music_task_id\n", "there are no tracks in catalog.csv"),
        (b"title,artist\nx,y\n", "catalog.csv has no column music_task_id"),
        (None, "does not exist"),
    ],
)
async def test_what_is_no_catalog_is_said_and_nothing_is_begun(
    text: bytes | None, said: str, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "catalog.csv").write_bytes(text)

    ended = await run(*batch(sandbox))

    assert ended.code == ExitCode.USAGE
    assert said in ended.err
    assert not (tmp_path / "covers.db").exists()


async def test_a_catalog_of_any_name_has_the_format_it_is_given(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "-songs").write_text("\n".join(sandbox.add_music(["a"])))
    sandbox.scenario = Scenario(credits=0)

    unknown = await run("batch", *at(sandbox), "--", "-songs")
    known = await run("batch", *at(sandbox), "--format", "txt", "--", "-songs")
    sandbox.scenario = Scenario(credits=0)
    again = await run(*command_of(known.err, "batch"))

    assert unknown.code == ExitCode.USAGE
    assert "--format" in unknown.err
    assert (known.code, again.code) == (ExitCode.CREDITS, ExitCode.CREDITS)


async def test_strangers_titles_do_nothing_to_a_terminal_or_a_log(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    ids = [f"song{number}" for number in range(len(HOSTILE))]
    sandbox.add_music(ids, fails=True)
    catalog(tmp_path, ids, HOSTILE)

    ended = await run(*batch(sandbox))
    shown = await run("ledger", "show", "covers.db")

    said = ended.err + shown.out
    assert all(c.isprintable() or c in "\n\t" for c in said)
    assert "failed: [red]markup[/red] :smile:: cover task" in ended.err
    assert "failed: two?lines??and a tab: cover task" in ended.err
    assert len(shown.out.splitlines()) == len(TrackState) + len(["run", ""]) + len(HOSTILE)


# interruptions


@needs_posix
async def test_ctrl_c_finishes_what_is_paid_for_and_the_same_command_goes_on(
    tmp_path: Path,
) -> None:
    async with sandbox_with(Scenario(seconds=0.5, image_size=16)) as sandbox:
        catalog(tmp_path, sandbox.add_music(["a", "b", "c"]))
        process = await start(*batch(sandbox, "--concurrency", "1"), cwd=tmp_path)
        await has_billed(sandbox)
        process.send_signal(signal.SIGINT)
        said = await line_with(process.stderr, "finishing")

        ended = await finish(process)
        paid = billed(sandbox)
        sandbox.scenario = QUICK
        again = await finish(await start(*command_of(ended.err, "batch"), cwd=tmp_path))

        assert ended.code == ExitCode.INTERRUPTED
        assert "Ctrl-C again stops now, nothing is lost: the same command continues" in said
        assert paid == Counter(["a"])
        assert len(ended.lines) == 2
        assert "saved 1 of 3 tracks" in ended.err
        assert "2 tracks are left; the same command continues" in ended.err
        assert again.code == ExitCode.DONE
        assert billed(sandbox) == Counter(["a", "b", "c"])
        assert "billed 2" in again.err


@needs_posix
async def test_ctrl_c_says_how_many_covers_are_being_finished(tmp_path: Path) -> None:
    async with sandbox_with(Scenario(seconds=60)) as sandbox:
        catalog(tmp_path, sandbox.add_music(3))
        process = await start(*batch(sandbox), cwd=tmp_path)
        await asyncio.to_thread(all_submitted, tmp_path / "covers.db", 3)
        process.send_signal(signal.SIGINT)

        said = await line_with(process.stderr, "finishing")
        process.send_signal(signal.SIGTERM)
        ended = await finish(process)

        assert said.startswith("finishing 3 covers that are paid for; ")
        assert ended.code == ExitCode.TERMINATED


def all_submitted(ledger: Path, many: int) -> None:
    """Return once the ledger has so many cover tasks to wait for."""
    while not (ledger.exists() and states(ledger).get("submitted") == many):
        pass


@needs_posix
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGINT, signal.SIGINT], ExitCode.INTERRUPTED),
        ([signal.SIGTERM], ExitCode.TERMINATED),
    ],
)
async def test_stopping_now_keeps_what_is_on_the_wire(
    signals: list[signal.Signals], code: int, tmp_path: Path
) -> None:
    async with sandbox_with(SLOW_SUBMITS) as sandbox:
        catalog(tmp_path, sandbox.add_music(["a", "b"]))
        process = await start(*batch(sandbox, "--concurrency", "1", "--json"), cwd=tmp_path)
        await has_billed(sandbox)
        for number, signal_ in enumerate(signals):
            if number:
                await line_with(process.stderr, "finishing")
            process.send_signal(signal_)

        ended = await finish(process)

        assert ended.code == code
        assert states(tmp_path / "covers.db") == {"waiting": 1, "submitted": 1}
        assert billed(sandbox) == Counter(["a"])
        assert "interrupted" in ended.err
        assert "2 tracks are left; the same command continues" in ended.err
        summary = json.loads(ended.lines[-1])["summary"]
        assert (summary["billed"], summary["left"], summary["stopped_by"]) == (1, 2, None)
        assert "Traceback" not in ended.err


@needs_posix
async def test_a_third_ctrl_c_does_not_wait_for_an_answer(tmp_path: Path) -> None:
    slow = Scenario(slow=1.0, slow_seconds=60, faults_on={"submit"})
    async with sandbox_with(slow) as sandbox:
        catalog(tmp_path, sandbox.add_music(["a"]))
        process = await start(*batch(sandbox), cwd=tmp_path)
        await has_billed(sandbox)
        process.send_signal(signal.SIGINT)
        await line_with(process.stderr, "finishing what is under way")
        process.send_signal(signal.SIGINT)
        await line_with(process.stderr, "stopping: waiting for an answer that may cost money")
        process.send_signal(signal.SIGINT)

        ended = await finish(process)

        assert ended.code == ExitCode.INTERRUPTED
        assert states(tmp_path / "covers.db") == {"submitting": 1}
        assert "possibly billed 1, failed 0, left 1" in ended.err
        assert "1 track is left" in ended.err
        assert "Traceback" not in ended.err


async def test_what_ended_while_a_run_was_being_stopped_is_heard_of(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog(tmp_path, sandbox.add_music(["a"]))
    command = Command(catalog="catalog.csv", ledger="covers.db", options=())
    act = Batch(
        client=connect(sandbox),
        tracks=read_catalog(tmp_path / "catalog.csv"),
        ledger_path=tmp_path / "covers.db",
        into=tmp_path / "covers",
        results=Results(with_json=False, when=When.NOW),
        follow_up=LedgerFollowUp(Console(stderr=True), command),
    )
    task = asyncio.create_task(act.run())
    await until(lambda: act._run is not None and act._run.progress.done)
    task.cancel()  # its outcome is there, and nobody has heard of it yet
    with pytest.raises(asyncio.CancelledError):
        await task

    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "saved 1 of 1 track" in err


@needs_prlimit
async def test_what_the_ledger_cannot_note_is_named(tmp_path: Path) -> None:
    import resource  # noqa: PLC0415 - not on Windows

    async with sandbox_with(SLOW_SUBMITS) as sandbox:
        catalog(tmp_path, sandbox.add_music(["a"]))
        process = await start(*batch(sandbox, "--json"), cwd=tmp_path)
        await has_billed(sandbox)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))

        ended = await finish(process)

        assert ended.code == ExitCode.FAILED
        assert "Error: the ledger covers.db cannot be written" in ended.err
        task = sandbox.journal.bills[0].cover_task_id
        assert f"\n  music task a: cover task {task}\n" in ended.err
        assert json.loads(ended.lines[-1])["summary"]["stopped_by"] == "LedgerError"


async def test_a_ledger_that_somebody_has_is_not_shared(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(1))

    async with Ledger(tmp_path / "covers.db"):
        ended = await run(*batch(sandbox))

    assert ended.code == ExitCode.FAILED
    assert "is in use by process" in ended.err
    assert not sandbox.journal.arrivals


# progress


@needs_posix
async def test_an_outage_is_said_and_its_end_and_costs_no_track(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(maintenance=1.0, image_size=16)
    catalog(tmp_path, sandbox.add_music(3))
    process = await start(*batch(sandbox), cwd=tmp_path)
    await line_with(process.stderr, "is in trouble (")
    sandbox.scenario = QUICK

    ended = await finish(process)

    assert ended.code == ExitCode.DONE
    assert "answers again after" in ended.err
    assert len(sandbox.journal.bills) == 3


@needs_posix
async def test_on_a_terminal_there_is_a_bar_and_no_path(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.add_music(["doomed"], fails=True)
    sandbox.scenario = Scenario(seconds=0.5, image_size=16)
    catalog(tmp_path, [*sandbox.add_music(["good"]), "doomed"], ["\x1b[2Jgood", "\x1b[2Jdoomed"])

    screen = await on_a_terminal(*batch(sandbox, "--poll", "0.6"), cwd=tmp_path)

    assert "━" in screen
    assert "0 of 2" in screen
    assert "2 in flight" in screen
    assert "failed: ?[2Jdoomed: cover task" in screen
    assert "saved 1 of 2 tracks in covers" in screen
    assert "-1.png" not in screen
    assert "\x1b[2J" not in screen
    assert len(names(tmp_path / "covers")) == 2


@needs_posix
@pytest.mark.parametrize(
    ("kind", "what"),
    [("submit", "submitting"), ("details", "the API"), ("image", "the image host")],
)
async def test_on_a_terminal_an_outage_is_in_place_of_the_notes(
    kind: Kind, what: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    closed, cut = (0.0, 1.0) if kind == "image" else (1.0, 0.0)
    sandbox.scenario = attrs.evolve(QUICK, faults_on={kind}, maintenance=closed, lost_requests=cut)
    catalog(tmp_path, sandbox.add_music(3))

    screen = await terminated_at(f"{what} paused since", *batch(sandbox), cwd=tmp_path)

    assert "probing: " in screen
    assert "3 tracks are left" in screen


async def terminated_at(words: str, *arguments: str, cwd: Path) -> str:
    """Run a command on a pseudo terminal until it draws these words; return all it drew."""
    ours, its = os.openpty()
    environ = environment(TERM="xterm", COLUMNS="80", LINES="40")
    process = await start(*arguments, cwd=cwd, env=environ, stdin=its, stdout=its, stderr=its)
    os.close(its)
    drawn = ""
    async with asyncio.timeout(PATIENCE):
        while words not in drawn:
            drawn += (await asyncio.to_thread(os.read, ours, 65_536)).decode(errors="replace")
    process.send_signal(signal.SIGTERM)
    drawn += await asyncio.to_thread(read_all, ours)
    await process.wait()
    os.close(ours)
    return drawn


@needs_posix
async def test_json_on_a_terminal_leaves_no_space_for_a_bar(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(["good"]))

    screen = await on_a_terminal(*batch(sandbox, "--json"), cwd=tmp_path)

    assert '"state": "saved"' in screen
    assert '{"summary": {' in screen
    assert "━" not in screen


async def test_a_log_has_one_line_of_progress_at_first(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(4))

    ended = await run(*batch(sandbox))

    first, *rest = ended.err.splitlines()
    assert first.endswith(" 0 of 4")
    assert len(rest) == 2


def test_the_balance_is_asked_for_at_first_once_a_minute_and_in_the_end(tmp_path: Path) -> None:
    asked: list[float] = []
    numbers = Progress()

    async def ask() -> float:
        asked.append(asyncio.get_running_loop().time())
        return 100.0 - numbers.billed

    async def work() -> tuple[float | None, float | None]:
        async with Ledger(path) as ledger, ledger.lease("account"):
            spent = CreditsUsed(ask, numbers, ledger)
            async with spent.watched():
                await asyncio.sleep(30)
                numbers.billed = 3
                await asyncio.sleep(200)
                meanwhile = spent.used
                numbers.billed = 4
            return meanwhile, spent.used

    path = tmp_path / "covers.db"

    assert in_virtual_time(work()) == (3.0, 4.0)
    (run,) = asyncio.run(Ledger(path).runs())
    assert (run.balance_before, run.balance_after, run.credits_used) == (100.0, 96.0, 4.0)
    assert asked == [0.0, 60.0, 230.0]


@pytest.mark.parametrize("fails", [0, 1])
def test_credits_are_unknown_where_a_balance_is(fails: int, tmp_path: Path) -> None:
    asked: list[int] = []

    async def ask() -> float:
        asked.append(len(asked))
        if asked[-1] == fails:
            raise ServerError("x")
        return 7.0

    async def work() -> float | None:
        async with Ledger(tmp_path / "covers.db") as ledger, ledger.lease("account"):
            spent = CreditsUsed(ask, Progress(), ledger)
            async with spent.watched():
                await asyncio.sleep(1)
            return spent.used

    assert in_virtual_time(work()) is None


# what a ledger knows


async def a_ledger(path: Path) -> None:
    """Make one with a track in each of several states, with hostile words in it."""
    hostile = ServerError("=1+1\x1b[2J")
    tracks = [
        Track("saved", title="Twice", columns={"artist": "Ann", "year": 1999, "state": "WA"}),
        Track("saved", title='Once more, "twice"', columns={"tags": ["a", "b"]}),
        Track("failed", title=HOSTILE[1], columns={"=artist": "@x", "Artist": None}),
        Track("waiting", title="two\r\nlines"),
    ]
    async with Ledger(path) as ledger:
        await ledger.take_in(tracks)
        saved, failed, _ = await ledger.next_open(TrackState.WAITING, 0, 9)
        for entry in (saved, failed):
            task = CoverTask(cover_task_id=f"c-{entry.music_task_id}", music_task_id="x")
            await ledger.submitted(entry, task)
        images = ("https://x/1.png", "https://x/2.png")
        details = CoverDetails(
            cover_task_id="c-saved",
            status=CoverStatus.SUCCESS,
            images=images,
            completed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        )
        await ledger.covered(saved, details)
        files = [Path(f"covers/{name}.png") for name in ("t-1", "t-2", "o-1", "o-2")]
        await ledger.saved(saved, files)
        await ledger.ended(failed, TrackState.FAILED, hostile)


async def test_show_counts_and_lists_what_failed(run: Run, tmp_path: Path) -> None:
    await a_ledger(tmp_path / "covers.db")

    async with Ledger(tmp_path / "covers.db"):  # as a batch has it
        shown = await run("ledger", "show", "covers.db")
    others = await run(
        "ledger", "show", "covers.db", "--state", "saved", "--state", "waiting", "--limit", "1"
    )

    assert shown.code == ExitCode.DONE
    assert "saved\t1\n" in shown.out
    assert "waiting\t1\n" in shown.out
    *_, last = shown.lines
    assert last == f"{HOSTILE[1]}\tfailed\tfailed\tc-failed\t=1+1?[2J"
    assert others.lines[-1].startswith('Twice, Once more, "twice"\tsaved\tsaved\tc-saved')
    assert "and 1 more" in others.err


@needs_posix
async def test_show_on_a_terminal_is_a_table(tmp_path: Path) -> None:
    await a_ledger(tmp_path / "covers.db")

    screen = await on_a_terminal("ledger", "show", "covers.db", cwd=tmp_path)

    assert "covers.db: 3 tracks" in screen
    assert "music task, cover task" in screen
    assert "=cmd|' /C calc'!A0" in screen
    assert "\x1b[2J" not in screen


@pytest.mark.parametrize("width", [40, 80, 120])
async def test_ids_are_shown_whole_whatever_the_width(width: int, tmp_path: Path) -> None:
    ids = [f"{number:032x}" for number in range(2)]
    async with Ledger(tmp_path / "covers.db") as ledger:
        await ledger.take_in([Track(one, title="A long title, " * 9) for one in ids])
        for entry in await ledger.next_open(TrackState.WAITING, 0, 9):
            task = CoverTask(cover_task_id="c" * 32, music_task_id=entry.music_task_id)
            await ledger.submitted(entry, task)
            await ledger.ended(entry, TrackState.FAILED, ServerError("reason " * 20))
    there = console(width)

    ledger = Ledger(tmp_path / "covers.db")
    show_to_people(there, ledger.name, await ledger.totals(), (), read_now(ledger))

    assert all(one in said(there) for one in ids)
    assert said(there).count("c" * 32) == 2


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_an_export_has_a_row_for_each_track_and_is_a_catalog(
    kind: str, run: Run, tmp_path: Path
) -> None:
    await a_ledger(tmp_path / "covers.db")

    async with Ledger(tmp_path / "covers.db"):
        ended = await run(
            *("ledger", "export", "covers.db", "--format", kind, "--out", f"out.{kind}")
        )
    piped = await run("ledger", "export", "covers.db", "--format", kind)

    rows = [(track, dict(track.columns)) for track in read_catalog(tmp_path / f"out.{kind}")]
    (one, first), (two, second), (bad, third), (last, fourth) = rows
    assert (ended.code, ended.out) == (ExitCode.DONE, "")
    written = (tmp_path / f"out.{kind}").read_bytes().decode()
    assert piped.out.replace("\r\n", "\n") == written.replace("\r\n", "\n")
    ids = [track.music_task_id for track, _ in rows]
    assert ids == ["saved", "saved", "failed", "waiting"]
    assert (one.title, two.title) == ("Twice", 'Once more, "twice"')
    assert first["completed_at"] == "2026-01-02T03:04:05+00:00"
    assert (first["catalog.state"], first["artist"]) == ("WA", "Ann")
    assert third["cover_task_id"] == "c-failed"
    assert third["error"] == "ServerError"
    assert {fourth["cover_task_id"], fourth["adopted"]} <= {None, ""}
    if kind == "csv":
        assert written.startswith("\ufeffmusic_task_id,title,state,cover_task_id,adopted,images,")
        assert first["files"] == "covers/t-1.png\ncovers/t-2.png"
        assert second["files"] == "covers/o-1.png\ncovers/o-2.png"
        assert (first["year"], second["tags"], first["adopted"]) == ("1999", "a\nb", "false")
        assert bad.title == "'" + HOSTILE[1]
        assert third["reason"] == "'=1+1?[2J"
        assert third["'=artist"] == "'@x"
        assert last.title == "two\r\nlines"
    else:
        assert first["files"] == ["covers/t-1.png", "covers/t-2.png"]
        assert (first["year"], second["tags"]) == (1999, ["a", "b"])
        assert bad.title == HOSTILE[1]
        assert third["=artist"] == "@x"
        assert last.title == "two\r\nlines"


async def test_an_export_that_the_ledger_outgrows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "covers.db"
    await a_ledger(path)
    lines = as_csv(Ledger(path), [])
    await anext(lines)

    async with Ledger(path) as ledger:
        await ledger.take_in([Track("new", columns={"new": 1})])

    with pytest.raises(ValueError, match="export it again"):
        [line async for line in lines]


async def test_an_export_may_be_of_some_states(run: Run, tmp_path: Path) -> None:
    await a_ledger(tmp_path / "covers.db")

    ended = await run(*("ledger", "export", "covers.db", "--format", "jsonl", "--state", "failed"))

    assert [json.loads(line)["music_task_id"] for line in ended.lines] == ["failed"]


@pytest.mark.parametrize(
    "cell",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t1", "\r1", "\n1", "\0=1", "  =1", "\u00a0=1"),
        *("\uff1d1", "\uff0b1", "\uff0d1", "\uff201", "\ufe661", "\u22121", "\u200b=1", "\ufeff=1"),
    ],
)
def test_a_cell_that_a_spreadsheet_would_run_gets_a_quote(cell: str) -> None:
    assert guarded(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["", " ", "a=1", "1-1", "'=1", "été", "\u4f60", "(=1)"])
def test_any_other_cell_is_left_alone(cell: str) -> None:
    assert guarded(cell) == cell


async def test_an_export_is_there_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    await a_ledger(tmp_path / "covers.db")
    (tmp_path / "out.csv").write_text("what was there")
    with sqlite3.connect(tmp_path / "covers.db") as database:
        database.execute("UPDATE tracks SET images = '{' WHERE music_task_id = 'failed'")
    database.close()

    ended = await run("ledger", "export", "covers.db", "--format", "jsonl", "--out", "out.csv")

    assert ended.code == ExitCode.FAILED
    assert "is damaged" in ended.err
    assert (tmp_path / "out.csv").read_text() == "what was there"
    assert not list(tmp_path.glob("*.part"))


@needs_posix
@pytest.mark.parametrize("out", ["covers.db", "./covers.db", "covers.db-wal", "link", "/dev/null"])
async def test_an_export_is_never_written_over_the_ledger_or_a_device(
    out: str, run: Run, tmp_path: Path
) -> None:
    await a_ledger(tmp_path / "covers.db")
    (tmp_path / "link").symlink_to("covers.db")
    before = (tmp_path / "covers.db").read_bytes()

    ended = await run("ledger", "export", "covers.db", "--format", "csv", "--out", out)

    assert ended.code == ExitCode.USAGE
    assert "--out" in ended.err
    assert (tmp_path / "covers.db").read_bytes() == before
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("what", ["show", "export"])
async def test_what_is_no_ledger_is_named(what: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "foreign").write_text("no database" * 100)
    more = ("--format", "csv") if what == "export" else ()

    missing = await run("ledger", what, "covers.db", *more)
    foreign = await run("ledger", what, "foreign", *more)

    assert (missing.code, foreign.code) == (ExitCode.FAILED, ExitCode.FAILED)
    assert "Error: there is no ledger at" in missing.err
    assert "foreign is no ledger" in foreign.err
    assert missing.out + foreign.out == ""


async def test_the_sandbox_writes_a_catalog_and_says_how_to_cover_it(tmp_path: Path) -> None:
    process = await start(
        "sandbox", "--port", "0", "--music", "3", "--catalog", "c.csv", cwd=tmp_path
    )
    said = await line_with(process.stdout, "suno-cover batch c.csv --poll 1 --base-url http")
    process.terminate()
    await finish(process)

    assert said
    assert len({track.title for track in read_catalog(tmp_path / "c.csv")}) == 3


async def test_another_catalog_on_the_same_ledger_says_what_it_drops(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    songs = sandbox.add_music(3)
    async with Ledger(tmp_path / "covers.db") as ledger:
        await ledger.take_in([Track(song) for song in songs])
    catalog(tmp_path, songs[:1])

    ended = await run(*batch(sandbox))

    assert "3 of its tracks that were not submitted are dropped" in ended.err
    assert billed(sandbox) == Counter(songs[:1])
