"""`apply`: write the chosen images of a ledger as stores and players want them.

It knows click and the outcomes; `artwork/` does the work.
"""

import contextlib
import warnings
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from suno_cover_async import Ledger, TrackState
from suno_cover_async.artwork import PRESETS, ApplyOutcome, apply_choices
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.options import EPILOG, with_json
from suno_cover_async.cli.output.apply_report import ApplyReport
from suno_cover_async.cli.output.console import as_path, is_live, stderr
from suno_cover_async.cli.output.results import When, is_watched
from suno_cover_async.cli.process import run


@click.command(
    "apply", short_help="Write the chosen images, for stores and players.", epilog=EPILOG
)
@click.argument("path", metavar="LEDGER", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    required=True,
    help="The folder to write into.",
)
@click.option(
    "--preset",
    type=click.Choice(tuple(PRESETS)),
    default="original",
    show_default=True,
    help="original copies the images; store writes 3000 × 3000 JPEG, web 1200 × 1200 WebP, player "
    "1000 × 1000 JPEG, none enlarged.",
)
@click.option(
    "--name",
    metavar="PATTERN",
    help="Names of the files, such as '{artist} - {title}.{ext}': columns of the catalog, title, "
    "music_task_id, cover_task_id, number, image, ext; / begins a folder. "
    "[default: like the saved images, without their number]",
)
@click.option("--upscale", is_flag=True, help="Enlarge images that are smaller than the preset.")
@click.option("--sidecar", is_flag=True, help="Write a JSON file beside each image.")
@click.option(
    "--default",
    type=click.Choice(("first",)),
    help="Take the first image of covers that nobody decided about. [default: leave them alone]",
)
@click.option("--dry-run", is_flag=True, help="Write nothing, and tell what would be written.")
@with_json
def apply(
    *,
    path: Path,
    into: Path,
    preset: str,
    name: str | None,
    upscale: bool,
    sidecar: bool,
    default: Literal["first"] | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Write the images that were chosen in LEDGER into a folder, as stores and players want them.

    A second run writes what is new or was chosen anew, and leaves the rest. No file of another song
    or program is replaced, and none is removed. It may run beside a batch.

    All presets but original write square RGB images in sRGB, with transparent parts on white.

    The paths go to standard output, or with --json an object for each title and a summary. A
    terminal shows progress in place of paths. The exit code is 1 if something failed.
    """
    ledger = Ledger(path)
    report = ApplyReport(
        console=stderr(),
        ledger=as_path(path),
        into=into,
        preset=PRESETS[preset],
        with_json=as_json,
        when=_when(as_json=as_json, dry_run=dry_run),
        dry_run=dry_run,
    )
    outcomes = apply_choices(
        ledger,
        into=into,
        preset=preset,
        name=name,
        upscale=upscale,
        sidecar=sidecar,
        default=default,
        dry_run=dry_run,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")  # of broken EXIF: the image is used
        return run(
            report_all(ledger, outcomes, report), waits_for="the images that are being written"
        )


def _when(*, as_json: bool, dry_run: bool) -> When:
    """Return when results are written: not into a live display, and not there if all are named."""
    if not is_watched():
        return When.NOW
    return When.AT_END if as_json or dry_run else When.NEVER


async def report_all(
    ledger: Ledger, outcomes: AsyncGenerator[ApplyOutcome, None], report: ApplyReport
) -> int:
    """Report outcomes as they arrive, with a bar on a terminal, and return the exit code."""
    try:
        async with contextlib.aclosing(outcomes):
            with _bar(report.console) as bar:
                total = await _titles(ledger) if is_live(report.console) else None
                task = bar.add_task("", total=total)
                async for outcome in outcomes:
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
