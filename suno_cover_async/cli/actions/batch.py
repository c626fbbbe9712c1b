"""`batch`: check a catalog, ask where a person is there, and cover it.

The modules beside it do the work.
"""

from pathlib import Path

import click

from suno_cover_async import RetryPolicy
from suno_cover_async.batch.catalog import Format
from suno_cover_async.cli.actions.catalog_input import Intake, opened
from suno_cover_async.cli.actions.catalog_run import Batch
from suno_cover_async.cli.actions.dry_run import Study, report
from suno_cover_async.cli.actions.listening import CallbackListener
from suno_cover_async.cli.actions.question import ask, can_ask
from suno_cover_async.cli.connection import Connection, KeyMissingError
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LedgerPath, is_database
from suno_cover_async.cli.options import CONCURRENCY
from suno_cover_async.cli.output.console import say, stderr
from suno_cover_async.cli.output.follow_up import Command, LedgerFollowUp
from suno_cover_async.cli.output.results import Results, When, is_watched
from suno_cover_async.cli.process import run
from suno_cover_async.client import covers_of

_LONGEST_PAUSE = 3600.0  # seconds of a Retry-After: a batch can wait longer than a person


def perform(
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
    """Cover a catalog as the options say, and return the exit code."""
    if catalog == "-" and connection.key_file == "-":
        raise click.UsageError("standard input cannot hold both the catalog and the key")
    try:
        client = connection.client(
            None if listener is None else listener.receiver,
            concurrency=concurrency,
            retry=RetryPolicy(max_retry_after=_LONGEST_PAUSE),
            ledger=ledger_path,
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

    key = None if client is None else covers_of(client).account.key
    with opened(catalog, kind, id_column, key) as intake:
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
