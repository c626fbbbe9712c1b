"""Commands whose help shows some of their options under titles of their own.

It knows click alone.
"""

from collections.abc import Sequence
from typing import Any

import click


class SectionOption(click.Option):
    """An option that a `SectionCommand` shows under the title `section`."""

    def __init__(self, declarations: Sequence[str], section: str, **more: Any) -> None:
        """Pass all but the title to click."""
        super().__init__(declarations, **more)
        self.section = section


class SectionCommand(click.Command):
    """A command that shows its own options first, and then each section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of options for each title."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            shown = parameter.get_help_record(ctx)
            if shown is not None and isinstance(parameter, click.Option):
                title = parameter.section if isinstance(parameter, SectionOption) else "Options"
                sections.setdefault(title, []).append(shown)
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
