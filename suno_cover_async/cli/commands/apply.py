"""`apply`: its arguments, options and help; `actions/apply.py` does what it says."""

from pathlib import Path
from typing import Any

import click

from suno_cover_async.cli.ledger_path import LEDGER
from suno_cover_async.cli.options import with_json

PRESETS = ("original", "store", "web", "player")
"""The names in `artwork.PRESETS`, which needs Pillow."""


@click.command("apply", short_help="Write the chosen images, for stores and players.")
@click.argument("path", metavar="LEDGER", type=LEDGER)
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder to write into.",
)
@click.option(
    "--embed",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="AUDIO_DIR",
    help="The folder with the songs: their own audio files get the images (MP3, FLAC, M4A, Ogg "
    "Vorbis, Opus, WAV). Needs mutagen (the extra `audio`).",
)
@click.option(
    "--audio-column",
    metavar="NAME",
    help="The column of the catalog that names each song's file in AUDIO_DIR. [default: file, "
    "filename, path, audio or audio_file; else by the title, the id or the tags]",
)
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    help="original copies the images; store writes 3000 × 3000 JPEG, web 1200 × 1200 WebP, player "
    "1000 × 1000 JPEG, none enlarged. [default: original with --into, player with --embed]",
)
@click.option(
    "--name",
    metavar="PATTERN",
    help="Names of the files, such as '{artist} - {title}.{ext}': columns of the catalog, title, "
    "music_task_id, cover_task_id, number, image, ext; / begins a folder. "
    "[default: like the saved images, without their number]",
)
@click.option("--upscale", is_flag=True, help="Enlarge images that are smaller than the preset.")
@click.option("--sidecar", is_flag=True, help="Write a JSON file beside each image.")
@click.option(
    "--default",
    type=click.Choice(("first",)),
    help="Take the first image of covers that nobody decided about. [default: leave them alone]",
)
@click.option("--dry-run", is_flag=True, help="Write nothing, and tell what would be written.")
@with_json
def command(**given: Any) -> int:
    """Write the images that were chosen in LEDGER into a folder, or into the songs' audio files.

    A second run writes what is new or was chosen anew, and leaves the rest. No file of another song
    or program is replaced, and none is removed. It may run beside a batch.

    All presets but original write square RGB images in sRGB, with transparent parts on white.

    The paths go to standard output, or with --json an object for each title and a summary. A
    terminal shows progress in place of paths.
    """
    from suno_cover_async.cli.actions.apply import perform

    return perform(**given)
