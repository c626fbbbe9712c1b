"""What `batch` shows while it runs: a bar, and lines for a log."""

import asyncio
import os
import signal
from pathlib import Path

import attrs
import pytest

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.sandbox import Kind, Sandbox, Scenario
from tests.support.batch_commands import QUICK, batch, catalog
from tests.support.commands import (
    PATIENCE,
    Run,
    environment,
    finish,
    line_with,
    names,
    needs_posix,
    on_a_terminal,
    read_all,
    start,
)


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

    screen = await on_a_terminal(*batch(sandbox, "--yes", "--poll", "0.6"), cwd=tmp_path)

    assert "━" in screen
    assert "0 of 2" in screen
    assert "2 in flight" in screen
    assert "failed: ?[2Jdoomed: music task doomed: cover task" in screen
    assert "saved 1 of 2 tracks in covers" in screen
    assert "-1.png" not in screen
    assert "\x1b[2J" not in screen
    assert len(names(tmp_path / "covers")) == 2


@needs_posix
@pytest.mark.parametrize(
    ("kind", "what"),
    [("submit", "the API's submit endpoint"), ("details", "the API"), ("image", "the image host")],
)
async def test_on_a_terminal_an_outage_is_in_place_of_the_notes(
    kind: Kind, what: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    closed, cut = (0.0, 1.0) if kind == "image" else (1.0, 0.0)
    sandbox.scenario = attrs.evolve(QUICK, faults_on={kind}, maintenance=closed, lost_requests=cut)
    catalog(tmp_path, sandbox.add_music(3))

    screen = await terminated_at(f"{what} paused since", *batch(sandbox, "--yes"), cwd=tmp_path)

    assert "probing: " in screen
    assert "3 tracks are left" in screen


@needs_posix
async def test_on_a_terminal_queued_tracks_are_told_apart_until_the_run_only_finishes(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.scenario = Scenario(seconds=3600)
    catalog(tmp_path, sandbox.add_music(60))

    screen = await terminated_at(
        *("queued: the account's limit of 20 requests in 10 s", *batch(sandbox, "--yes")),
        cwd=tmp_path,
        then="finishing\x1b[0m",
    )

    finishing = screen.partition("finishing\x1b[0m")[2]
    assert " queued" in screen
    assert "in flight" in finishing
    assert "queued" not in finishing.partition("interrupted")[0]


async def terminated_at(words: str, *arguments: str, cwd: Path, then: str = "") -> str:
    """Run a command on a pseudo terminal until it draws these words; return all it drew.

    With `then`, Ctrl-C comes first, and those words are waited for as well.
    """
    ours, its = os.openpty()
    environ = environment(TERM="xterm", COLUMNS="80", LINES="40")
    process = await start(*arguments, cwd=cwd, env=environ, stdin=its, stdout=its, stderr=its)
    os.close(its)
    drawn = ""
    async with asyncio.timeout(PATIENCE):
        while words not in drawn:
            drawn += await some(ours)
        if then:
            process.send_signal(signal.SIGINT)
        while then not in drawn:
            drawn += await some(ours)
    process.send_signal(signal.SIGTERM)
    drawn += await asyncio.to_thread(read_all, ours)
    await process.wait()
    os.close(ours)
    return drawn


async def some(terminal: int) -> str:
    """Read what is drawn next."""
    return (await asyncio.to_thread(os.read, terminal, 65_536)).decode(errors="replace")


@needs_posix
async def test_json_on_a_terminal_leaves_no_space_for_a_bar(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    catalog(tmp_path, sandbox.add_music(["good"]))

    screen = await on_a_terminal(*batch(sandbox, "--yes", "--json"), cwd=tmp_path)

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
    assert len(rest) == 4  # the counts, and the next step
