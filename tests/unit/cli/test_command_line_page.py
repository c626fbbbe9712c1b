"""The page of the command line has every command, option, variable and exit code of the code."""

import re
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

import suno_cover_async
from suno_cover_async.cli.app import TABLE, commands
from suno_cover_async.cli.exit_codes import MEANINGS
from suno_cover_async.cli.sections import SectionOption
from tests.support.command_tree import commands_of, leaves

PAGE = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()
PARTS = dict(re.findall(r"^#+ (.+)\n((?:(?!#).*\n)*)", PAGE, re.MULTILINE))
SECTIONS = {"Connection": "Connection options", "Callbacks": "Callback options"}
COMMANDS = {name: command for name, command in commands_of(commands) if name in leaves(commands)}


def rows(title: str) -> list[list[str]]:
    """The cells of a part's table, without its head."""
    lines = [line for line in PARTS[title].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(title: str) -> set[str]:
    """The options in the first column of a part's table."""
    return {name for row in rows(title) for name in re.findall(r"`(-[\w-]+)", row[0])}


def names_of(options: Sequence[click.Option]) -> set[str]:
    return {name for one in options for name in (*one.opts, *one.secondary_opts)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_part_has_its_options_and_no_others(name: str) -> None:
    options = [one for one in COMMANDS[name].params if isinstance(one, click.Option)]
    shown = [one for one in options if not one.hidden]

    own = [one for one in shown if not isinstance(one, SectionOption)]

    assert named(f"suno-cover {name}") == names_of(own)
    for title, part in SECTIONS.items():
        shared = [one for one in shown if isinstance(one, SectionOption) and one.section == title]
        assert not shared or names_of(shared) == named(part)


def test_the_page_has_the_sections_and_the_commands_of_help_and_no_others() -> None:
    titles = [title for title in PARTS if title in TABLE]

    assert titles == list(TABLE)
    assert {name for name in PARTS if name.startswith("suno-cover ")} == {
        f"suno-cover {name}" for name in COMMANDS
    }


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    assert rows("Exit codes") == [[str(code.value), words] for code, words in MEANINGS.items()]


def test_every_variable_of_the_package_is_in_the_table() -> None:
    package = Path(suno_cover_async.__file__).parent
    texts = [file.read_text() for file in package.rglob("*.py")]
    used = {name for text in texts for name in re.findall(r"\"(SUNO_[A-Z_]+)\"", text)}
    told = {
        name for row in rows("Environment variables") for name in re.findall(r"`(\w+)`", row[0])
    }

    assert used
    assert used <= told
