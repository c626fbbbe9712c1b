"""`apply`: write the chosen images of a ledger as stores and players want them.

It knows the outcomes; `artwork/` does the work.
"""

import contextlib
import warnings
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from suno_cover_async import Ledger, TrackState
from suno_cover_async.artwork import PRESETS, ApplyOutcome, NotChosen, apply_choices
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LedgerPath
from suno_cover_async.cli.output.apply_report import ApplyReport
from suno_cover_async.cli.output.console import as_path, is_live, say, stderr
from suno_cover_async.cli.output.results import When, is_watched
from suno_cover_async.cli.process import run


def perform(
    *,
    path: LedgerPath,
    into: Path | None,
    embed: Path | None,
    audio_column: str | None,
    preset: str | None,
    name: str | None,
    upscale: bool,
    sidecar: bool,
    default: Literal["first"] | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Write the chosen images as the options say, and return the exit code."""
    _check_options(
        into, embed, name=name, sidecar=sidecar, audio_column=audio_column, preset=preset
    )
    ledger = Ledger(path)
    report = ApplyReport(
        console=stderr(),
        ledger=as_path(path),
        into=" and ".join(str(place) for place in (into, embed) if place),
        preset=PRESETS[preset or ("original" if into else "player")],
        with_json=as_json,
        when=_when(as_json=as_json, dry_run=dry_run),
        dry_run=dry_run,
    )
    targets: list[AsyncGenerator[ApplyOutcome, None]] = []
    if into is not None:
        targets.append(
            apply_choices(
                ledger,
                into=into,
                preset=preset or "original",
                name=name,
                upscale=upscale,
                sidecar=sidecar,
                default=default,
                dry_run=dry_run,
            )
        )
    if embed is not None:
        try:
            from suno_cover_async.artwork.audio import embed_choices  # noqa: PLC0415 - may be missing
        except ImportError as error:
            say(stderr(), f"Error: {error}", "red")
            return ExitCode.NOT_INSTALLED
        targets.append(
            embed_choices(
                ledger,
                audio=embed,
                audio_column=audio_column,
                preset=preset or "player",
                upscale=upscale,
                default=default,
                dry_run=dry_run,
            )
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of broken EXIF: the image is used
        return run(
            report_all(ledger, targets, report), waits_for="the files that are being written"
        )


def _check_options(
    into: Path | None,
    embed: Path | None,
    *,
    name: str | None,
    sidecar: bool,
    audio_column: str | None,
    preset: str | None,
) -> None:
    """Refuse a command without a target, and options of a target that is not given."""
    if into is None and embed is None:
        raise click.UsageError("give --into DIR, --embed AUDIO_DIR, or both")
    if into is None and (name is not None or sidecar):
        raise click.UsageError("--name and --sidecar are for --into DIR; give it as well")
    if embed is None and audio_column is not None:
        raise click.UsageError("--audio-column is for --embed AUDIO_DIR; give it as well")
    if embed is not None and preset is not None and PRESETS[preset].format == "WEBP":
        raise click.UsageError(f"audio files hold no WebP, which --preset {preset} writes")


def _when(*, as_json: bool, dry_run: bool) -> When:
    """Return when results are written: not into a live display, and not there if all are named."""
    if not is_watched():
        return When.NOW
    return When.AT_END if as_json or dry_run else When.NEVER


async def report_all(
    ledger: Ledger, targets: Sequence[AsyncGenerator[ApplyOutcome, None]], report: ApplyReport
) -> int:
    """Report outcomes as they arrive, with a bar on a terminal, and return the exit code.

    A cover without a choice is an outcome of each target, and is reported once.
    """
    try:
        with _bar(report.console) as bar:
            titles = await _titles(ledger) if is_live(report.console) else None
            task = bar.add_task("", total=None if titles is None else titles * len(targets))
            for number, outcomes in enumerate(targets):
                async with contextlib.aclosing(outcomes):
                    async for outcome in outcomes:
                        if number == 0 or not isinstance(outcome, NotChosen):
                            report.add(outcome)
                        bar.advance(task)
    finally:
        if report.has_outcomes:  # also of a run that was interrupted
            report.end()
    return ExitCode.FAILED if report.summary.failed else ExitCode.DONE


def _bar(console: Console) -> Progress:
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not is_live(console),
    )


async def _titles(ledger: Ledger) -> int:
    """Count the titles of the saved covers."""
    titles = 0
    async for entry in ledger.entries(TrackState.SAVED):
        titles += len(entry.tracks)
    return titles
