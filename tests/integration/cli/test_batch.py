"""Whole catalogs on the command line: real processes, terminals and signals, and a real sandbox.

Other tests of commands share the helpers in `support/commands.py` and `batch_commands.py`.
"""

import json
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from suno_cover_async import (
    CoverTask,
    Ledger,
    Track,
    TrackState,
    read_catalog,
)
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Reply, Sandbox, Scenario
from tests.support.batch_commands import HOSTILE, QUICK, batch, catalog, command_of
from tests.support.clients import connect
from tests.support.commands import (
    FULL,
    Run,
    a_free_port,
    at,
    emptied,
    finish,
    line_with,
    names,
    needs_full,
    needs_posix,
    redirected,
    sandbox_with,
    start,
)
from tests.support.runs import billed


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
    assert ended.err.endswith("\n  suno-cover review covers.db\n")
    assert ended.err.count("suno-cover") == 1


async def test_with_nothing_left_to_do_nothing_is_asked(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(["a"]))
    await run(*batch(sandbox))
    arrivals = len(sandbox.journal.arrivals)

    again = await run(*batch(sandbox))

    assert (again.code, again.out) == (ExitCode.DONE, "")
    assert again.err.startswith("nothing left to do: 1 of 1 track is saved\nnext, choose one image")
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
        "other_runs": 0,
        "failed": 1,
        "left": 0,
        "waiting": 0,
        "done": 1,
        "total": 2,
        "credits_used": 2.0,
        "stopped_by": None,
        "bad_lines": 1,
        "outdated_since": None,
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
    assert "failed: Song doomed: music task doomed: cover task" in ended.err
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
        assert "2 tracks are left; waiting longer, this command continues" in late.err
        assert " --timeout 0.2 " in late.err
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

    assert "all requests paused for 60" in line or "everybody waits 59" in line


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


async def test_the_column_that_id_column_names_is_covered_also_by_the_next_command(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["a", "b"])
    (tmp_path / "catalog.csv").write_text("Id,title\na,One\nb,Two\n")
    sandbox.scenario = Scenario(credits=1)

    unknown = await run(*batch(sandbox))
    wrong = await run(*batch(sandbox, "--id-column", "song"))
    known = await run(*batch(sandbox, "--id-column", "id"))
    sandbox.scenario = Scenario()
    again = await run(*command_of(known.err, "batch"))

    assert (unknown.code, wrong.code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "--id-column Id" in unknown.err
    assert "no column song, but: Id, title" in wrong.err
    assert (known.code, again.code) == (ExitCode.CREDITS, ExitCode.DONE)
    assert billed(sandbox) == Counter(["a", "b"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b'music_task_id,title\na,\n"=""b""",\nnull,\n', "a.csv, line 4: "),
        ("a.json", b'["a", "b", "=C1"]', "a.json, element 3: "),
        ("a.json", b'["a", "b"', "a.json is no JSON array: "),
        ("a.txt", b"a\n7.31E+31\n", "a.txt, line 2: "),
        ("a.tsv", b"\xff\xfea\0\n\0", "a.tsv is UTF-16; save it as UTF-8"),
        ("a.xlsx", b"PK\x03\x04", "a.xlsx is a spreadsheet"),
        ("a.xls", b"<html><table>", "a.xls is HTML or XML"),
    ],
)
async def test_what_is_not_plainly_an_id_or_a_catalog_is_told_before_anything_is_sent(
    *, name: str, content: bytes, said: str, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["a", "b"])
    (tmp_path / name).write_bytes(content)

    ended = await run("batch", name, *at(sandbox))

    assert ended.code == ExitCode.USAGE
    assert said in ended.err
    assert not sandbox.journal.arrivals
    assert not (tmp_path / "covers.db").exists()


async def test_titles_of_others_do_nothing_to_a_terminal_or_a_log(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    ids = [f"song{number}" for number in range(len(HOSTILE))]
    sandbox.add_music(ids, fails=True)
    catalog(tmp_path, ids, HOSTILE)

    ended = await run(*batch(sandbox))
    shown = await run("ledger", "show", "covers.db")

    said = ended.err + shown.out
    assert all(c.isprintable() or c in "\n\t" for c in said)
    assert "failed: [red]markup[/red] :smile:: music task song" in ended.err
    assert "failed: two?lines??and a tab: music task song" in ended.err
    others = ["run", "unsaved", ""]
    assert len(shown.out.splitlines()) == len(TrackState) + len(others) + len(HOSTILE)


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
