"""`sandbox`: its arguments, options and help; `actions/sandbox.py` does what it says."""

from pathlib import Path
from typing import Any

import click

from suno_cover_async.cli.options import Seconds


@click.command("sandbox", short_help="Run a simulated API on this machine.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8480,
    show_default=True,
    help="Where to listen; 0 takes a free one.",
)
@click.option(
    "--seconds",
    type=Seconds(0),
    default=5.0,
    show_default=True,
    help="How long a cover takes.",
)
@click.option(
    "--music",
    type=click.IntRange(0, 1_000_000),
    default=12,
    show_default=True,
    help="How many finished songs there are, README's among them.",
)
@click.option(
    "--catalog",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the songs there as a .csv, for suno-cover batch.",
)
def command(**given: Any) -> int:
    """Run a simulated API on this machine until Ctrl-C, to try the client without an account.

    Every request is shown as it arrives.
    """
    from suno_cover_async.cli.actions.sandbox import perform

    return perform(**given)
