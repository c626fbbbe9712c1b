"""`review`: its arguments, options and help; `actions/review.py` does what it says."""

from typing import Any

import click

from suno_cover_async.cli.ledger_path import LEDGER


@click.command("review", short_help="Choose one image of each cover, in a browser.")
@click.argument("ledger_path", metavar="LEDGER", type=LEDGER)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; others than this machine's own are for trusted networks.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8485,
    show_default=True,
    help="Where to listen; 0 takes a free one.",
)
@click.option(
    "--as",
    "people",
    metavar="NAME",
    multiple=True,
    help="Who chooses, recorded with each choice; repeat it for several people. "
    "[default: your login name]",
)
@click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="A host name by which browsers call this page, besides localhost; repeatable.",
)
@click.option("--open/--no-open", "opens", default=False, help="Open the page in your browser.")
def command(**given: Any) -> int:
    """Serve a page on this machine where you choose one of the images of each cover.

    It prints a URL for each person; each is good for one browser, and a new one is printed once it
    was used. Choices are kept in the ledger, and a batch may run meanwhile: new covers appear by
    themselves. Start it in the folder where the batch ran, so that it finds the images.

    Ctrl-C ends it.
    """
    from suno_cover_async.cli.actions.review import perform

    return perform(**given)
