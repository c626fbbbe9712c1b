"""`mcp`: its options and help; `actions/mcp.py` does what it says."""

from typing import Any

import click

from suno_cover_async.cli.ledger_path import LEDGER
from suno_cover_async.cli.options import connected, image_folder
from suno_cover_async.cli.sections import SectionCommand


@click.command("mcp", cls=SectionCommand, short_help="Let an agent make covers (MCP, on stdio).")
@click.option(
    "--ledger",
    "ledger_path",
    type=LEDGER,
    metavar="FILE",
    default="covers.db",
    show_default=True,
    help="The file that records each song, and counts the covers.",
)
@image_folder("covers", "Where to save the images.")
@click.option(
    "--max-covers",
    type=click.IntRange(min=0),
    metavar="N",
    help="Submit at most N songs in the life of the ledger. Required.",
)
@connected
def command(**given: Any) -> int:
    """Let an agent make covers, by the Model Context Protocol on standard input and output.

    A program that runs agents starts this command; docs/how-to/agents.md has the settings. The
    agent gets three tools: cover, status and credits. It can spend up to --max-covers, which counts
    over all runs of the ledger; a song that it asks for twice is paid once.

    Tracks of a catalog that wait in the ledger are dropped, since the agent did not ask for them;
    suno-cover batch adds them again. Better use a ledger of its own.

    It ends when standard input is closed, or by SIGTERM: a submit that was sent is finished first.
    """
    from suno_cover_async.cli.actions.mcp import perform

    return perform(**given)
