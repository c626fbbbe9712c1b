"""`batch` interrupted by signals, and gone on with."""

import asyncio
import json
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from suno_cover_async import (
    Ledger,
    read_catalog,
)
from suno_cover_async.cli.actions.catalog_run import Batch
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.output.follow_up import Command, LedgerFollowUp
from suno_cover_async.cli.output.results import Results, When
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.batch_commands import QUICK, batch, catalog, command_of, states
from tests.support.clients import connect
from tests.support.commands import (
    Run,
    finish,
    has_billed,
    line_with,
    needs_posix,
    sandbox_with,
    start,
)
from tests.support.runs import billed
from tests.support.waiting import until

SLOW_SUBMITS = Scenario(seconds=60, image_size=16, slow=1.0, slow_seconds=0.5, faults_on={"submit"})

needs_prlimit = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")


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
