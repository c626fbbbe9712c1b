"""Define the commands for a ledger: `show`, `export`, `forget-account`, `init` and `release`.

It knows click. `ledger_show.py` and `output/export.py` write what a ledger has.
"""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from suno_cover_async import Ledger, LedgerError, TrackState
from suno_cover_async.cli.commands.ledger_show import holder_in_words, show
from suno_cover_async.cli.commands.question import YES, can_ask
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.ledger_path import LEDGER, LedgerPath
from suno_cover_async.cli.output.console import answer_to, result, say, stderr
from suno_cover_async.cli.output.export import ExportFormat, export
from suno_cover_async.cli.process import run
from suno_cover_async.postgres.url import DatabaseUrl

_STATES = {state.name.lower(): state for state in TrackState}


_ledger_path = click.argument("path", metavar="LEDGER", type=LEDGER)
_database = click.argument("path", metavar="URL", type=LEDGER)
_states = click.option(
    "--state",
    "names",
    multiple=True,
    type=click.Choice(tuple(_STATES)),
    help="Only tracks in this state; may be given several times.",
)


@click.group("ledger", short_help="Show a ledger, or export it.")
def ledger() -> None:
    """Show or export a ledger, also while batches are running, or make one in a database."""


@ledger.command("show", short_help="Count tracks by state, and list what failed.")
@_ledger_path
@_states
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many tracks to list at most.",
)
def _show(path: LedgerPath, names: tuple[str, ...], limit: int) -> int:
    """Count the tracks of LEDGER by state, and list those that failed or need attention.

    LEDGER is a file or the URL of a database. Of a database it also tells which runs hold tracks,
    since when, when each was last heard of, and its submits per minute.
    """
    states = [_STATES[name] for name in names] or [TrackState.FAILED, TrackState.ATTENTION]
    return run(_done(show(path, states, limit=limit)))


@ledger.command("export", short_help="Write a row for each track, as CSV or JSON.")
@_ledger_path
@click.option(
    "--format",
    "kind",
    type=click.Choice(("csv", "jsonl")),
    help="csv for spreadsheets, with a BOM, and a ' before formulas; jsonl is exact. "
    "[default: by the suffix of --out]",
)
@_states
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to FILE, whole or not at all. [default: -]",
)
def _export(
    path: LedgerPath, kind: ExportFormat | None, names: tuple[str, ...], out: Path | None
) -> int:
    """Write a row for each track of LEDGER: its state, its files, the catalog's own columns.

    The output can be read as a catalog again.
    """
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


@ledger.command("forget-account", short_help="Clear a ledger's account, for a new key.")
@_ledger_path
def _forget_account(path: LedgerPath) -> int:
    """Clear the account of LEDGER; the next batch records the account that it uses.

    A ledger belongs to one account, identified by a fingerprint of host and key. Use this when
    that account only got a new key; with another account, what was paid for would not be found.
    In a database each track belongs to an account; this clears them all.
    """
    return run(_done(forget_account(path)))


@ledger.command("init", short_help="Make a ledger in a PostgreSQL database.")
@_database
def _init(path: LedgerPath) -> int:
    """Make a ledger's tables in the PostgreSQL database of URL, or move them on to this version.

    They are made in the schema suno_cover, or that of ?schema=NAME in the URL. To standard output
    it writes the statements that give another role the rights that a run needs, and no more. ROLE
    stands for its name; `suno-cover ledger init URL | sed s/ROLE/name/ | psql URL` grants them.
    """
    return run(_done(init(path)))


@ledger.command("release", short_help="Give the tracks of a dead run to others.")
@_database
@click.argument("number", metavar="RUN", type=click.IntRange(min=1))
@click.option("-y", "--yes", is_flag=True, help="Do it without asking first, on a terminal.")
def _release(path: LedgerPath, number: int, yes: bool) -> int:
    """Give RUN up for dead at once: other runs take its tracks, and it stops at its next step.

    RUN is the number that suno-cover ledger show lists. A run that is silent for 40 s is given up
    without this; use it where nobody should wait, as after a machine was taken away.
    """
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
