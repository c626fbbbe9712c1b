"""`ledger`: show, export or make one, clear its account, and release the tracks of a run.

`ledger_show.py` and `output/export.py` write what a ledger has.
"""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from suno_cover_async import Ledger, LedgerError, TrackState
from suno_cover_async.cli.actions.ledger_show import holder_in_words, show
from suno_cover_async.cli.actions.question import YES, can_ask
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LedgerPath
from suno_cover_async.cli.output.console import answer_to, result, say, stderr
from suno_cover_async.cli.output.export import ExportFormat, export
from suno_cover_async.cli.process import run
from suno_cover_async.postgres.url import DatabaseUrl

_STATES = {state.name.lower(): state for state in TrackState}


def perform_show(*, path: LedgerPath, names: tuple[str, ...], limit: int) -> int:
    """Show a ledger, and return the exit code."""
    states = [_STATES[name] for name in names] or [TrackState.FAILED, TrackState.ATTENTION]
    return run(_done(show(path, states, limit=limit)))


def perform_export(
    *, path: LedgerPath, kind: ExportFormat | None, names: tuple[str, ...], out: Path | None
) -> int:
    """Write a row for each track, and return the exit code."""
    kind = kind or _format_of(out)
    states = [_STATES[name] for name in names]
    return run(_done(export(Ledger(path), states, kind, out=out)))


def _format_of(out: Path | None) -> ExportFormat:
    """Return the format that a file's suffix names."""
    suffix = "" if out is None else out.suffix.lower()
    if suffix == ".csv":
        return "csv"
    if suffix == ".jsonl":
        return "jsonl"
    advice = "pass --format csv or --format jsonl, or --out FILE.csv or FILE.jsonl"
    if out is None:
        raise click.UsageError(advice)
    raise click.UsageError(f"{str(out)!r} does not end in .csv or .jsonl: {advice}")


def perform_forget_account(*, path: LedgerPath) -> int:
    """Clear the account of a ledger, and return the exit code."""
    return run(_done(forget_account(path)))


def perform_init(*, path: LedgerPath) -> int:
    """Make the tables of a ledger, and return the exit code."""
    return run(_done(init(path)))


def perform_release(*, path: LedgerPath, number: int, yes: bool) -> int:
    """Give a run up, after a question on a terminal, and return the exit code."""
    database = Ledger(path)
    if not yes and can_ask():
        run(_done(introduce(database, number)))
        if answer_to(f"release run {number}? [y/N] ").lower() not in YES:
            say(stderr(), "nothing was changed")
            return ExitCode.INTERRUPTED
    return run(_done(release(database, number)))


async def forget_account(path: LedgerPath) -> None:
    """Clear the account of a ledger.

    Raises:
        LedgerError: There is no ledger, or it cannot be written.
    """
    cleared = Ledger(path)
    await cleared.totals()  # raises if there is none; opening it for writing would create one
    async with cleared:
        await cleared.forget_account()
    what = "belongs" if cleared.path is not None else "and all its tracks belong"
    say(stderr(), f"{cleared.name} {what} to no account now; the next batch records its account")


async def init(path: LedgerPath) -> None:
    """Make the tables of a ledger, or move them on; write the statements for another role.

    Raises:
        LedgerError: It is a file, has a newer version, or cannot be made.
    """
    made = Ledger(path)
    before = await made.init()
    from suno_cover_async.ledger.postgres.tables import VERSION  # noqa: PLC0415 - an extra

    if not before:
        what = f"made the tables of a ledger, version {VERSION}, in"
    elif before < VERSION:
        what = f"moved the tables of the ledger from version {before} to {VERSION} in"
    else:
        what = f"nothing to do: the tables of a ledger, version {VERSION}, are there already in"
    say(stderr(), f"{what} {made.name}", "green")
    say(stderr(), "what another role needs for its runs; write that role's name in place of ROLE:")
    schema = DatabaseUrl.parse(str(path)).schema
    result(f'GRANT USAGE ON SCHEMA "{schema}" TO ROLE;')
    rights = "SELECT, INSERT, UPDATE, DELETE"
    result(f'GRANT {rights}\nON ALL TABLES IN SCHEMA "{schema}" TO ROLE;')


async def introduce(database: Ledger, number: int) -> None:
    """Say what a run holds, and what happens when it is released.

    Raises:
        LedgerError: There is no such run at work, or the ledger cannot be read.
    """
    for holder in await database.holders():
        if holder.run == number:
            say(stderr(), holder_in_words(holder))
            break
    else:
        raise LedgerError(f"no run {number} is at work with the ledger {database.name}")
    say(
        stderr(),
        "others take its tracks at once, and it changes nothing more and stops at its next step. "
        "If it is alive after all and a submit of it is on its way, another run may repeat that "
        "too soon: release only what certainly works no more",
        "yellow",
    )


async def release(database: Ledger, number: int) -> None:
    """Give a run up for dead; raises as `Ledger.give_up` does."""
    await database.give_up(number)
    say(stderr(), f"run {number} is given up: other runs take its tracks, and it stops if it lives")


async def _done(work: Coroutine[Any, Any, None]) -> int:
    await work
    return ExitCode.DONE
