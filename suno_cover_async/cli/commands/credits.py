"""`credits`: its arguments, options and help; `actions/credits.py` does what it says."""

from typing import Any

import click

from suno_cover_async.cli.options import connected, with_json
from suno_cover_async.cli.sections import SectionCommand


@click.command("credits", cls=SectionCommand, short_help="Show the account's balance.")
@with_json
@connected
def command(**given: Any) -> int:
    """Show the account's balance."""
    from suno_cover_async.cli.actions.credits import perform

    return perform(**given)
