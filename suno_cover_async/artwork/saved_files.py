"""Find the files of images that a batch saved.

It owns where a file is searched for, and what is said when it is not there.
"""

import os
import platform
from pathlib import Path

from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.models import Track


def file_of(entry: LedgerEntry, track: Track, image: int) -> Path:
    """Return the file of an image as the ledger has it.

    Raises:
        ArtworkError: The ledger names no such file.
    """
    files = entry.files_of(track)
    if not 0 < image <= len(files):
        raise ArtworkError(f"the ledger has no file of image {image}")
    return files[image - 1]


def find(file: Path, entry: LedgerEntry, ledger: Path | None) -> Path:
    """Return where the file of an image is: as the ledger has it, else beside the ledger.

    A batch records its files as its `--out` was, often relative to the folder where it ran.

    Args:
        file: The file as the ledger has it.
        entry: Its cover.
        ledger: The ledger's own file.

    Raises:
        ArtworkError: It is at neither place; the message names the machine that saved it, if that
            is another one, or else the folder where it is missing.
    """
    places = [file] if ledger is None else [file, ledger.parent / file]
    for place in places:
        if os.path.lexists(place):
            return place
    words = f"the file is missing: {printable(str(file))}"
    if entry.saved_on and entry.saved_on != platform.node():
        machine = printable(entry.saved_on, 80)
        words += f"; it was saved on {machine}: run this command there, or copy its folder here"
    elif not file.is_absolute():
        folders = dict.fromkeys(printable(str(place.absolute().parent)) for place in places)
        words += f"; it is not in {' or '.join(folders)}: run this command where the batch ran"
    raise ArtworkError(words)
