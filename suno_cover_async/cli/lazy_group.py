"""A group of commands that loads a command's module when the command is used, and not before.

It knows click and the table it is given; it knows no command. The group's help and the completion
of its commands come from the table.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, cast

import click
from click.shell_completion import CompletionItem

Table = Mapping[str, Mapping[str, str]]
"""Titles of sections, with the name and the one-line help of each command."""


class LazyGroup(click.Group):
    """Commands in sections; the command NAME is `command` of the module NAME in a package."""

    def __init__(self, *arguments: Any, package: str, table: Table, **more: Any) -> None:
        """Load nothing.

        Args:
            arguments: Passed to click.
            package: The name of the package with the modules.
            table: The commands.
            more: Passed to click.
        """
        super().__init__(*arguments, **more)
        self._package = package
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Return the names of all commands, in the table's order."""
        return [name for name, _ in self._rows()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load and return a command; None if there is no such command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return cast("click.Command", import_module(f"{self._package}.{cmd_name}").command)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, and then the few options of the group itself."""
        self.format_commands(ctx, formatter)
        click.Command.format_options(self, ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of commands."""
        width = max(map(len, self.list_commands(ctx)))
        for title, rows in self._table.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), words) for name, words in rows.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and the group's own options that begin like this."""
        found = [
            CompletionItem(name, help=words)
            for name, words in self._rows()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def _rows(self) -> Iterator[tuple[str, str]]:
        for rows in self._table.values():
            yield from rows.items()
