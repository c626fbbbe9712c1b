"""`generate`: its arguments, options and help; `actions/generate.py` does what it says."""

from typing import Any

import click

from suno_cover_async.cli.options import connected, image_folder, with_json, with_listener
from suno_cover_async.cli.sections import SectionCommand


@click.command("generate", cls=SectionCommand, short_help="Cover songs and save the images.")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@image_folder("covers", "Where to save the images.")
@click.option("--title", metavar="TEXT", help="The song's title, for messages and file names.")
@click.option(
    "--name", metavar="NAME", help="Save NAME-1.png, NAME-2.png. [default: title and id, or the id]"
)
@with_json
@with_listener
@connected
def command(**given: Any) -> int:
    """Cover songs and save their images, many at once.

    ID is the id of a music task; - reads ids from standard input, one per line. The paths of saved
    images go to standard output, or with --json an object for each song and a summary; everything
    else goes to standard error. A song that fails does not stop the others.

    With one ID, --title names the song and its files, and --name the files alone; files of the same
    name are replaced.

    Ctrl-C finishes what is paid for; Ctrl-C again stops now. The same command continues, and never
    pays twice.

    With --listen and --public-url the API's callbacks end the waits. Their URLs are signed with
    SUNO_CALLBACK_SECRET, or with a secret made for this run; kie.ai's own signature is checked as
    well if SUNO_CALLBACK_HMAC_KEY is set.
    """
    from suno_cover_async.cli.actions.generate import perform

    return perform(**given)
