"""`batch --dry-run`: counts, time, balance and cost before anything is paid for."""

import json
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from suno_cover_async import CoverTask, Ledger, Track, TrackState
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Fault, Sandbox
from tests.support.batch_commands import QUICK, batch, catalog, command_of, states
from tests.support.commands import Run, finish, names, sandbox_with, start
from tests.support.ledger_files import contents
from tests.support.runs import billed


def kinds(sandbox: Sandbox) -> list[str]:
    """Return what arrived, one word a request."""
    return [arrival.kind for arrival in sandbox.journal.arrivals]


async def test_a_dry_run_says_what_is_new_and_requests_nothing_but_the_balance(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(5))

    ended = await run(*batch(sandbox, "--dry-run"))

    assert ended.code == ExitCode.DONE
    assert ended.lines == [
        "          5  new",
        "to submit: 5 tracks",
        "time: about 5 s at the limit of 20 requests in 10 s, and the last cover's own time",
        "credits at hand: 1,000,000",
        "cost: unknown, since the price is not published and this ledger has not measured it yet",
    ]
    assert kinds(sandbox) == ["credits"]


async def test_a_dry_run_makes_no_ledger_no_lock_and_no_folder(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(2))

    await run(*batch(sandbox, "--dry-run"))

    assert names(tmp_path) == ["catalog.csv"]


async def test_where_no_cost_is_known_a_dry_run_suggests_three_covers_and_they_measure_it(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = attrs.evolve(QUICK, price=2.5)
    catalog(tmp_path, sandbox.add_music(10))

    first = await run(*batch(sandbox, "--dry-run"))
    trial = await run(*command_of(first.err, "--max-covers"))
    second = await run(*batch(sandbox, "--dry-run"))

    assert command_of(first.err, "--max-covers")[-2:] == ["--max-covers", "3"]
    assert trial.code == ExitCode.DONE
    assert billed(sandbox).total() == 3
    assert "          3  done" in second.lines
    assert second.lines[-1].startswith(
        "cost: about 17.50 credits: 2.50 a cover, as measured over 3 covers of this ledger"
    )
    assert "--max-covers" not in second.err
    assert command_of(second.err, "batch")[:2] == ["batch", "catalog.csv"]


async def test_a_dry_run_names_each_state_and_changes_nothing(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    found = ("submitting", "submitted", "failed", "waiting")
    async with Ledger(tmp_path / "covers.db") as ledger:
        await ledger.take_in(list(map(Track, found)))
        submitting, submitted, failed, _ = await ledger.next_open(TrackState.WAITING, 0, 9)
        await ledger.submitting(submitting)
        await ledger.submitted(submitted, CoverTask(cover_task_id="c", music_task_id="submitted"))
        await ledger.ended(failed, TrackState.FAILED, ValueError("x"))
    catalog(tmp_path, [*found, "more"])
    before = contents(tmp_path)

    async with Ledger(tmp_path / "covers.db"):  # as another batch has it
        ended = await run(*batch(sandbox, "--dry-run"))
        retried = await run(*batch(sandbox, "--dry-run", "--retry-failed"))

    assert ended.lines[:5] == [
        "          2  new",
        "          1  possibly billed: submitted again, which never pays twice",
        "          1  submitted before: paid for, their covers are waited for",
        "          1  failed before: left as they are, without --retry-failed",
        "          1  of another catalog that wait in the ledger: dropped, unless in this one",
    ]
    assert retried.lines[0] == "          3  new"
    assert "          1  failed before: start again, by --retry-failed" in retried.lines
    assert "--retry-failed" in command_of(retried.err, "batch")
    assert "are dropped" not in ended.err  # only a run drops them
    assert before.items() <= contents(tmp_path).items()


@pytest.mark.parametrize("number", [0, 2, 9])
async def test_a_dry_run_with_a_limit_says_what_it_leaves(
    number: int, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(5))
    submitted = min(number, 5)

    ended = await run(*batch(sandbox, "--dry-run", "--max-covers", str(number)))

    limit = f"--max-covers {number}"
    assert ended.lines[1] == f"to submit: {submitted} tracks, and {5 - submitted} wait: {limit}"
    assert kinds(sandbox) == ["credits"]


async def test_a_dry_run_needs_no_key(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog(tmp_path, sandbox.add_music(2))
    monkeypatch.delenv("SUNO_API_KEY")

    ended = await run(*batch(sandbox, "--dry-run"))
    real = await run(*batch(sandbox))

    assert ended.code == ExitCode.DONE
    assert "credits at hand: unknown (no API key)" in ended.lines
    assert real.code == ExitCode.KEY
    assert sandbox.journal.arrivals == []


async def test_a_balance_that_is_refused_is_a_line_and_no_error(
    run: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog(tmp_path, sandbox.add_music(2))
    monkeypatch.setenv("SUNO_API_KEY", "sk-another")

    ended = await run(*batch(sandbox, "--dry-run"))

    assert ended.code == ExitCode.DONE
    [line] = [line for line in ended.lines if line.startswith("credits at hand: unknown (")]
    assert "sk-another" not in ended.out + ended.err
    assert len(line) > len("credits at hand: unknown ()")
    assert sandbox.journal.of("credits")


async def test_a_balance_without_an_answer_is_a_line_and_no_error(run: Run, tmp_path: Path) -> None:
    async with sandbox_with(QUICK) as sandbox:
        catalog(tmp_path, sandbox.add_music(2))
        sandbox.script("credits", *[Fault.LOST_ANSWER] * 20)

        ended = await run(*batch(sandbox, "--dry-run"))

    assert ended.code == ExitCode.DONE
    assert any(line.startswith("credits at hand: unknown (") for line in ended.lines)


async def test_json_is_one_object(run: Run, sandbox: Sandbox, tmp_path: Path) -> None:
    catalog(tmp_path, sandbox.add_music(5))

    ended = await run(*batch(sandbox, "--dry-run", "--json", "--max-covers", "3"))

    [found] = map(json.loads, ended.lines)
    assert (found["new"], found["to_submit"], found["waiting"]) == (5, 3, 2)
    assert (found["credits"], found["cost"], found["bad_lines"]) == (1_000_000.0, None, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("music_task_id\nno id!\n", "1 line that names no track"),
        ("music_task_id\n", "there are no tracks"),
        ("title\nx\n", "music_task_id"),
    ],
)
async def test_a_faulty_catalog_ends_a_dry_run_as_it_ends_a_real_one(
    text: str, words: str, run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "catalog.csv").write_text(text)

    dry = await run(*batch(sandbox, "--dry-run"))
    real = await run(*batch(sandbox))

    assert dry == real
    assert dry.code == ExitCode.USAGE
    assert words in dry.err
    assert sandbox.journal.arrivals == []


async def test_a_ledger_of_another_account_ends_a_dry_run(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(1))
    async with Ledger(tmp_path / "covers.db") as ledger, ledger.lease("another"):
        pass

    ended = await run(*batch(sandbox, "--dry-run"))

    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert "belongs to another account" in ended.err


async def test_a_dry_run_reads_a_catalog_from_standard_input(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    songs = sandbox.add_music(3)
    options = (*batch(sandbox, "--dry-run")[2:], "--format", "txt")

    ended = await finish(await start("batch", "-", *options, cwd=tmp_path), _text(songs))

    assert ended.code == ExitCode.DONE
    assert ended.lines[0] == "          3  new"
    assert kinds(sandbox) == ["credits"]


async def test_max_covers_ends_with_what_waits_and_the_command_that_goes_on(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(8))

    trial = await run(*batch(sandbox, "--max-covers", "3", "--json"))
    again = await run(*batch(sandbox, "--max-covers", "3"))
    rest = await run(*command_of(trial.err, "batch"))

    summary = json.loads(trial.lines[-1])["summary"]
    assert (trial.code, again.code, rest.code) == (ExitCode.DONE,) * 3
    assert (summary["billed"], summary["left"], summary["waiting"]) == (3, 5, 5)
    assert (summary["stopped_by"], summary["done"]) == (None, 3)
    assert "--max-covers 3 is reached: 5 tracks wait; look at the covers" in trial.err
    assert "--max-covers 3 is reached: 5 tracks wait" in again.err
    assert "--max-covers" not in command_of(trial.err, "batch")
    assert billed(sandbox).total() == 8
    assert states(tmp_path / "covers.db") == {"saved": 8}


async def test_a_track_that_fails_beside_the_limit_is_a_failure_still(
    run: Run, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.add_music(["doomed"], fails=True)
    catalog(tmp_path, ["doomed", *sandbox.add_music(3)])

    ended = await run(*batch(sandbox, "--max-covers", "2"))

    assert ended.code == ExitCode.FAILED
    assert "--max-covers 2 is reached: 2 tracks wait" in ended.err
    assert "1 track failed or needs attention" in ended.err
    assert command_of(ended.err, "--retry-failed")[-3:] == ["--max-covers", "2", "--retry-failed"]


def _text(lines: Sequence[str]) -> bytes:
    return "\n".join(lines).encode()
