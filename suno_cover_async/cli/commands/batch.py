"""`batch`: its arguments, options and help; `actions/batch.py` does what it says."""

from typing import Any

import click

from suno_cover_async.cli.ledger_path import LEDGER
from suno_cover_async.cli.options import (
    CONCURRENCY,
    connected,
    image_folder,
    with_json,
    with_listener,
)
from suno_cover_async.cli.sections import SectionCommand


@click.command(
    "batch", cls=SectionCommand, short_help="Cover a whole catalog; a new run continues."
)
@click.argument("catalog", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--ledger",
    "ledger_path",
    type=LEDGER,
    metavar="LEDGER",
    default="covers.db",
    show_default=True,
    help="The file that records the state of each track; or the URL of a PostgreSQL database, "
    "which runs on several machines share.",
)
@image_folder("covers", "Where to save the images.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(("csv", "jsonl", "txt")),
    help="The catalog's format. [default: by its suffix; of standard input, by its first line]",
)
@click.option(
    "--id-column",
    metavar="NAME",
    help="The column with the ids. [default: music_task_id or task_id, in any spelling]",
)
@click.option("--skip-bad", is_flag=True, help="Skip lines that name no track.")
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Submit failed tracks again. A cover that failed may be billed again.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=CONCURRENCY,
    show_default=True,
    help="How many covers are in flight at once.",
)
@click.option(
    "--max-covers",
    type=click.IntRange(min=0),
    metavar="N",
    help="Submit at most N tracks in the life of the ledger, then finish them; 0 submits nothing.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    is_eager=True,
    help="Submit nothing: count what is new, the time it takes, and what it may cost.",
)
@click.option("-y", "--yes", is_flag=True, help="Submit without asking first, on a terminal.")
@with_json
@with_listener
@connected
def command(**given: Any) -> int:
    """Cover a whole catalog. A new run continues where the last one stopped, and never pays twice.

    CATALOG is a .csv, .tsv, .jsonl or .json with a music_task_id and optionally a title for each
    track, or a .txt of ids; - reads standard input. It is read to its end before anything is
    submitted.

    On a terminal it says what it would submit, and asks before it submits anything new. --dry-run
    says this alone; --max-covers 3 makes a few covers first.

    The paths of saved images go to standard output, or with --json an object for each track and a
    summary. A terminal shows progress in place of paths.

    Ctrl-C finishes what is paid for; Ctrl-C again stops now.

    With --ledger postgresql://... the same command on several machines shares the catalog: each
    track is worked on by one run, and a run that dies loses its tracks to the others. SIGTERM then
    ends the run within 30 s. Make the tables once, with suno-cover ledger init.
    """
    from suno_cover_async.cli.actions.batch import perform

    return perform(**given)
