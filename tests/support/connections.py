"""The connection that a command gets from its options."""

import click

from suno_cover_async.cli.connection import Connection
from suno_cover_async.cli.options import connected


def given(*arguments: str) -> Connection:
    """Parse the options of a command that calls the API."""
    seen: list[Connection] = []

    @connected
    def keep(connection: Connection) -> None:
        seen.append(connection)

    click.command()(keep).main([*arguments], standalone_mode=False)
    return seen[0]
