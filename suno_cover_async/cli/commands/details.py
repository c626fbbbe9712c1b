"""`details`: its arguments, options and help; `actions/details.py` does what it says."""

from typing import Any

import click

from suno_cover_async.cli.options import connected, image_folder, with_json
from suno_cover_async.cli.sections import SectionCommand


@click.command("details", cls=SectionCommand, short_help="Show a cover task.")
@click.argument("cover_task_id")
@click.option("--wait", is_flag=True, help="Wait until it is finished.")
@image_folder(None, "Save the images here, if it is a success.")
@with_json
@connected
def command(**given: Any) -> int:
    """Show a cover task by the id that submitting a song returned.

    Ctrl-C ends a wait, not the cover task, and shows the command that continues.
    """
    from suno_cover_async.cli.actions.details import perform

    return perform(**given)
