"""`doctor`: its arguments, options and help; `actions/doctor.py` does what it says."""

from pathlib import Path
from typing import Any

import click

from suno_cover_async.cli.ledger_path import LEDGER
from suno_cover_async.cli.options import connected_without_profile, with_json
from suno_cover_async.cli.sections import SectionCommand


@click.command(
    "doctor", cls=SectionCommand, short_help="Check key, host, network, disk and ledger."
)
@click.option(
    "--out",
    "into",
    type=click.Path(path_type=Path),
    default="covers",
    show_default=True,
    help="The folder for images to check; it is not made.",
)
@click.option(
    "--ledger",
    "ledger_path",
    type=LEDGER,
    metavar="LEDGER",
    help="A ledger to check: a file, or the URL of a PostgreSQL database.",
)
@with_json
@connected_without_profile
def command(**given: Any) -> int:
    """Check what covers need, one line each, and say what to do about each fault.

    It checks versions, the config file, the key, the host, the network, the clock, the disk and a
    ledger. It submits nothing, and asks the API once, for the balance, which is free. The key is
    never shown. A check that takes longer than 10 s is a fault.
    """
    from suno_cover_async.cli.actions.doctor import perform

    return perform(**given)
