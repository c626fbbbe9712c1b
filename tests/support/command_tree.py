"""All commands of the command line, with those in groups."""

from collections.abc import Iterator

import click


def commands_of(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """Yield each command and group by its words, such as `ledger show`."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield " ".join([*above, name]), command
        if isinstance(command, click.Group):
            yield from commands_of(command, *above, name)


def leaves(group: click.Group) -> list[str]:
    """Name the commands that do something, which a group does not."""
    return [name for name, one in commands_of(group) if not isinstance(one, click.Group)]
