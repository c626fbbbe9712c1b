"""Define the command for whole catalogs, `batch`.

It knows click, and the modules beside it that do the work.
"""

from pathlib import Path

import click

from suno_cover_async import RetryPolicy
from suno_cover_async.batch.catalog import Format
from suno_cover_async.cli.commands.catalog_input import Intake, opened
from suno_cover_async.cli.commands.catalog_run import Batch
from suno_cover_async.cli.commands.dry_run import Study, report
from suno_cover_async.cli.commands.listening import CallbackListener, with_listener
from suno_cover_async.cli.commands.question import ask, can_ask
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LEDGER, LedgerPath, is_database
from suno_cover_async.cli.options import (
    CONCURRENCY,
    EPILOG,
    Connection,
    KeyMissingError,
    connected,
    image_folder,
    with_json,
)
from suno_cover_async.cli.output.console import say, stderr
from suno_cover_async.cli.output.follow_up import Command, LedgerFollowUp
from suno_cover_async.cli.output.results import Results, When, is_watched
from suno_cover_async.cli.process import run

_LONGEST_PAUSE = 3600.0  # seconds of a Retry-After: a batch can wait longer than a person


@click.command("batch", short_help="Cover a whole catalog; a new run continues.", epilog=EPILOG)
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
def batch(
    *,
    catalog: str,
    ledger_path: LedgerPath,
    into: Path,
    kind: Format | None,
    id_column: str | None,
    skip_bad: bool,
    retry_failed: bool,
    concurrency: int,
    max_covers: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    connection: Connection,
    listener: CallbackListener | None,
) -> int:
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
    if catalog == "-" and connection.key_file == "-":
        raise click.UsageError("standard input cannot hold both the catalog and the key")
    try:
        client = connection.client(
            None if listener is None else listener.receiver,
            concurrency=concurrency,
            retry=RetryPolicy(max_retry_after=_LONGEST_PAUSE),
        )
    except KeyMissingError:
        if not dry_run:
            raise
        client = None
    options = {
        "--out": str(into),
        "--format": kind,
        "--id-column": id_column,
        "--concurrency": None if concurrency == CONCURRENCY else str(concurrency),
    }
    flags = {"--skip-bad": skip_bad, "--json": as_json}

    def words(connection: Connection) -> list[str]:
        given = [(name, value) for name, value in options.items() if value is not None]
        return [
            *(word for pair in given for word in pair),
            *(flag for flag, is_given in flags.items() if is_given),
            *connection.arguments(),
            *(listener.arguments() if listener else ()),
        ]

    with opened(catalog, kind, id_column) as intake:
        if not _is_usable(intake, skip_bad=skip_bad):
            return ExitCode.USAGE
        command = Command(
            catalog=catalog,
            ledger=str(ledger_path),
            options=words(connection),
            longer=words(connection.longer()),
            max_covers=max_covers,
        )
        study = Study(
            intake=intake,
            ledger_path=ledger_path,
            client=client,
            retry_failed=retry_failed,
            max_covers=max_covers,
        )
        if client is None or dry_run:
            return run(report(study, with_json=as_json, command=command))
        if not yes and can_ask():
            code = ask(study, command)
            if code != ExitCode.DONE:
                return code
        when = When.NEVER if is_watched() and not as_json else When.NOW  # the folder is named
        act = Batch(
            client=client,
            tracks=intake.catalog,
            bad_lines=intake.bad,
            ledger_path=ledger_path,
            into=into,
            results=Results(with_json=as_json, when=when),
            follow_up=LedgerFollowUp(stderr(), command),
            retry_failed=retry_failed,
            max_covers=max_covers,
        )
        work = act.run()
        if listener is not None:
            work = listener.run_while_listening(work, expected=lambda: act.billed > 0)
        leaving = act if is_database(ledger_path) else None
        return run(work, finish=act.finish, leaving=leaving)


def _is_usable(intake: Intake, *, skip_bad: bool) -> bool:
    """Report what is wrong with the catalog; return whether the run can start."""
    console = stderr()
    if intake.bad:
        lines = "1 line that names" if intake.bad == 1 else f"{intake.bad:,} lines that name"
        what = f"{intake.name} has {lines} no track"
        if skip_bad:
            say(console, f"{what}, left out:", "yellow")
        else:
            say(console, f"Error: {what}; nothing was submitted:", "red")
        intake.say_bad(console)
        if not skip_bad:
            advice = "fix these lines, then run the command again, or skip them with --skip-bad"
            say(console, f"next: {advice}")
            return False
    if not intake.tracks:
        say(console, f"Error: there are no tracks in {intake.name}", "red")
        return False
    return True
