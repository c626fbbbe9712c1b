"""The help of a command with options in sections."""

import click
from click.testing import CliRunner

from suno_cover_async.cli.sections import SectionCommand, SectionOption


def test_options_with_a_section_stand_under_its_title_after_the_commands_own() -> None:
    @click.command(cls=SectionCommand)
    @click.argument("song")
    @click.option("--far", cls=SectionOption, section="Connection", help="How far.")
    @click.option("--own", help="Own.")
    @click.option("--hidden", cls=SectionOption, section="Nothing", hidden=True)
    def command(**_: object) -> None:
        """Do it."""

    shown = CliRunner().invoke(command, ["--help"]).output

    own, connection = shown.partition("\nOptions:\n")[2].split("\n\nConnection:\n")
    assert [line.split()[0] for line in own.splitlines()] == ["--own", "--help"]
    assert [line.split()[0] for line in connection.splitlines()] == ["--far"]
    assert "Nothing" not in shown
