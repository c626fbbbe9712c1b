"""The table of commands, and the commands that it names."""

from pathlib import Path

import click
import pytest

from suno_cover_async.cli import commands as folder
from suno_cover_async.cli.app import TABLE, commands
from tests.support.command_tree import commands_of
from tests.support.commands import Run

ROWS = {name: words for rows in TABLE.values() for name, words in rows.items()}


def test_each_module_of_a_command_has_its_row_and_no_row_is_without_one() -> None:
    modules = {file.stem for file in Path(*folder.__path__).glob("*.py")} - {"__init__"}

    assert modules == set(ROWS)
    assert sum(map(len, TABLE.values())) == len(ROWS)  # none in two sections


@pytest.mark.parametrize("name", ROWS)
def test_a_rows_help_is_the_commands_own(name: str) -> None:
    command = commands.get_command(click.Context(commands), name)

    assert command is not None
    assert (command.name, command.short_help) == (name, ROWS[name])
    assert command.get_short_help_str(limit=100) == ROWS[name]


async def test_help_has_a_section_for_what_a_person_wants_to_do(run: Run) -> None:
    ended = await run("--help")

    lines = ended.out.splitlines()
    for title, rows in TABLE.items():
        start = lines.index(f"{title}:") + 1
        shown = [line.split(maxsplit=1) for line in lines[start : start + len(rows)]]
        assert shown == [[name, words] for name, words in rows.items()]


def test_a_command_that_is_no_row_does_not_exist() -> None:
    assert commands.get_command(click.Context(commands), "__init__") is None


@pytest.mark.parametrize("name", [name for name, _ in commands_of(commands)])
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = dict(commands_of(commands))[name]

    assert command.help
    assert command.short_help
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name
