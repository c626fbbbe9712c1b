"""Write a JSON file beside each artwork: the song, the choice, sizes, hashes and times.

It owns the fields, on which users' scripts rely.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import attrs

from suno_cover_async.artwork.written_files import WrittenFile
from suno_cover_async.common.disk import open_regular
from suno_cover_async.common.json_text import json_object
from suno_cover_async.common.records import Record
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.files import PartFile
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.models import Choice, Track


@attrs.frozen(kw_only=True)
class Sidecar(Record):
    """What is written beside an artwork.

    Attributes:
        music_task_id: The song.
        cover_task_id: Its cover task.
        title: Its title.
        columns: The other columns of its catalog.
        choice: What was decided, when, and by whom.
        image: The number of the image that was used, also when nobody decided.
        source: The file of that image.
        written: The artwork, what it was made from, and their sizes and hashes.
        completed_at: When the cover was finished.
        written_at: When the artwork was written.
    """

    music_task_id: str
    cover_task_id: str | None
    title: str
    columns: Mapping[str, object]
    choice: Choice
    image: int
    source: Path
    written: WrittenFile
    completed_at: datetime | None
    written_at: datetime


def sidecar_of(file: Path) -> Path:
    """Return the path of a sidecar: `.json` after the whole name, since suffixes may differ."""
    return file.with_name(f"{file.name}.json")


def read_sidecar(path: Path, track: Track) -> dict[str, object] | None:
    """Return the fields of a song's sidecar; None if there is none.

    Raises:
        ArtworkError: There is a file of that name that is no sidecar of the song.
        OSError: It cannot be read.
    """
    there = _read(path)
    if there is not None and there.get("music_task_id") != track.music_task_id:
        raise ArtworkError(f"{printable(str(path))} is another file; move it away, then run again")
    return there


def write_sidecar(
    path: Path,
    *,
    entry: LedgerEntry,
    track: Track,
    image: int,
    source: Path,
    written: WrittenFile,
    dry_run: bool = False,
) -> bool:
    """Write a sidecar, unless it says the same already; return whether it was written.

    A dry run writes nothing, and returns whether it would be written. Raises as `read_sidecar`
    does, and OSError if it cannot be written.
    """
    there = read_sidecar(path, track)
    fields = Sidecar(
        music_task_id=track.music_task_id,
        cover_task_id=entry.task.cover_task_id if entry.task else None,
        title=track.title,
        columns=track.columns,
        choice=entry.choice,
        image=image,
        source=source,
        written=written,
        completed_at=entry.completed_at,
        written_at=datetime.now(UTC),
    ).to_dict()
    text = json.dumps(fields, ensure_ascii=False, indent=2).encode(errors="replace").decode()
    if there is not None and _timeless(there) == _timeless(json_object(text) or {}):
        return False
    if dry_run:
        return True
    part = PartFile(path.parent)
    try:
        part.write(text.encode(), b"\n")
        part.finish(path, replace=there is not None)
    except BaseException:
        part.discard()
        raise
    return True


def _timeless(fields: Mapping[str, object]) -> dict[str, object]:
    return {**fields, "written_at": None}


def _read(path: Path) -> dict[str, object] | None:
    """Return the fields of a file; {} if it is no JSON object, None if there is no file."""
    try:
        with open_regular(path) as file:
            return json_object(file.read().decode(errors="replace")) or {}
    except FileNotFoundError:
        return None
