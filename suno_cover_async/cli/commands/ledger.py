"""`ledger` and its commands: arguments, options and help; `actions/ledger.py` does the work."""

from pathlib import Path
from typing import Any

import click

from suno_cover_async.cli.ledger_path import LEDGER

STATES = ("waiting", "submitting", "submitted", "covered", "saved", "failed", "attention")
"""The states of a track as `--state` takes them: the names of `TrackState`."""


_ledger_path = click.argument("path", metavar="LEDGER", type=LEDGER)
_database = click.argument("path", metavar="URL", type=LEDGER)
_states = click.option(
    "--state",
    "names",
    multiple=True,
    type=click.Choice(STATES),
    help="Only tracks in this state; may be given several times.",
)


@click.group("ledger", short_help="Show a ledger, or export it.")
def command() -> None:
    """Show or export a ledger, also while batches are running, or make one in a database."""


@command.command("show", short_help="Count tracks by state, and list what failed.")
@_ledger_path
@_states
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="How many tracks to list at most.",
)
def _show(**given: Any) -> int:
    """Count the tracks of LEDGER by state, and list those that failed or need attention.

    LEDGER is a file or the URL of a database. Of a database it also tells which runs hold tracks,
    since when, when each was last heard of, and its submits per minute.
    """
    from suno_cover_async.cli.actions.ledger import perform_show

    return perform_show(**given)


@command.command("export", short_help="Write a row for each track, as CSV or JSON.")
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
def _export(**given: Any) -> int:
    """Write a row for each track of LEDGER: its state, its files, the catalog's own columns.

    The output can be read as a catalog again.
    """
    from suno_cover_async.cli.actions.ledger import perform_export

    return perform_export(**given)


@command.command("forget-account", short_help="Clear a ledger's account, for a new key.")
@_ledger_path
def _forget_account(**given: Any) -> int:
    """Clear the account of LEDGER; the next batch records the account that it uses.

    A ledger belongs to one account, identified by a fingerprint of host and key. Use this when
    that account only got a new key; with another account, what was paid for would not be found.
    In a database each track belongs to an account; this clears them all.
    """
    from suno_cover_async.cli.actions.ledger import perform_forget_account

    return perform_forget_account(**given)


@command.command("init", short_help="Make a ledger in a PostgreSQL database.")
@_database
def _init(**given: Any) -> int:
    """Make a ledger's tables in the PostgreSQL database of URL, or move them on to this version.

    They are made in the schema suno_cover, or that of ?schema=NAME in the URL. To standard output
    it writes the statements that give another role the rights that a run needs, and no more. ROLE
    stands for its name; `suno-cover ledger init URL | sed s/ROLE/name/ | psql URL` grants them.
    """
    from suno_cover_async.cli.actions.ledger import perform_init

    return perform_init(**given)


@command.command("release", short_help="Give the tracks of a dead run to others.")
@_database
@click.argument("number", metavar="RUN", type=click.IntRange(min=1))
@click.option("-y", "--yes", is_flag=True, help="Do it without asking first, on a terminal.")
def _release(**given: Any) -> int:
    """Give RUN up for dead at once: other runs take its tracks, and it stops at its next step.

    RUN is the number that suno-cover ledger show lists. A run that is silent for 40 s is given up
    without this; use it where nobody should wait, as after a machine was taken away.
    """
    from suno_cover_async.cli.actions.ledger import perform_release

    return perform_release(**given)
