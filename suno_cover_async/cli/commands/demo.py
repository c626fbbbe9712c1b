"""`demo`: its arguments, options and help; `actions/demo.py` does what it says."""

from typing import Any

import click

from suno_cover_async.cli.options import image_folder


@click.command("demo", short_help="See a dozen covers made: no account, about ten seconds.")
@image_folder("suno-cover-demo", "Where to save the images.")
def command(**given: Any) -> int:
    """Cover a dozen made-up songs in a sandbox on this machine, in about ten seconds.

    It needs no account, no key and no network. It leaves 24 images, one contact sheet, and a ledger
    for the next step, suno-cover review. A further run in the same folder covers nothing again.
    """
    from suno_cover_async.cli.actions.demo import perform

    return perform(**given)
