"""Find the audio file of each track of a ledger; what is not certain is left, with the reason.

It owns the order in which columns, names and tags are asked. `folder.py` knows the files.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from suno_cover_async.artwork.audio.folder import SUFFIXES, AudioFolder
from suno_cover_async.batch.columns import folded
from suno_cover_async.common.text import printable, trimmed
from suno_cover_async.errors import ArtworkError
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.models import Track

COLUMN_HELP = "--audio-column (in code: audio_column)"

# In order of preference; compared without case, white space, - and _.
_COLUMNS = ("audiofile", "file", "filename", "path", "audio")


@attrs.frozen(kw_only=True)
class AudioMatch:
    """What was found for one track.

    Attributes:
        entry: Its entry in the ledger.
        track: The track.
        file: Its audio file, with links resolved; None if that is not certain.
        reason: Why there is none.
    """

    entry: LedgerEntry
    track: Track
    file: Path | None = None
    reason: str | None = None


def match_audio(
    entries: Iterable[LedgerEntry], folder: AudioFolder, *, column: str | None = None
) -> list[AudioMatch]:
    """Find the audio file of each track.

    It is the first of these that there is:

    1. what a column names: `column`, or one called file, filename, path, audio or audio_file that
       holds the name of an audio file. A file that is not there, or is outside, is an error.
    2. a file whose name without its suffix is the title or the music task id: in Unicode's form C
       as it is, else in any letter case.
    3. a file with that title in its tags.

    Two files for a track, and two songs for a file, are left: it is not certain which is meant.
    It blocks: call it in a thread.

    Args:
        entries: All entries of a ledger, also those without a choice: a file that could be theirs
            is not certain.
        folder: The audio files.
        column: The name of the column, in any letter case, with or without spaces, - and _.

    Raises:
        ArtworkError: No track has the column.
    """
    tracks = [(entry, track) for entry in entries for track in entry.tracks]
    _check(column, [track for _, track in tracks])
    matches = [_match(entry, track, folder, column) for entry, track in tracks]
    songs = defaultdict[Path, set[str]](set)
    for match in matches:
        if match.file is not None:
            songs[match.file].add(match.entry.music_task_id)
    return [_only(match, songs, folder) for match in matches]


def _check(column: str | None, tracks: Sequence[Track]) -> None:
    names = {name for track in tracks for name in track.columns}
    if column is not None and folded(column) not in {folded(name) for name in names}:
        seen = printable(", ".join(sorted(names))) or "nothing"
        raise ArtworkError(f"no column {printable(column, 80)}, but: {seen}; see {COLUMN_HELP}")


def _match(entry: LedgerEntry, track: Track, folder: AudioFolder, column: str | None) -> AudioMatch:
    try:
        if value := _value(track, column):
            return AudioMatch(entry=entry, track=track, file=folder.named(value))
    except ArtworkError as error:
        return AudioMatch(entry=entry, track=track, reason=error.message)
    found = folder.with_stem([track.title, track.music_task_id])
    found = found or folder.with_title(track.title)
    if len(found) == 1:
        return AudioMatch(entry=entry, track=track, file=found.pop())
    reason = "no audio file has its title or its id as name, or its title in the tags"
    if found:
        first, second, *_ = sorted(map(folder.shown, found))
        reason = f"{len(found)} audio files may be its own, such as {first} and {second}"
    return AudioMatch(entry=entry, track=track, reason=f"{reason}; name its file in a column")


def _value(track: Track, column: str | None) -> str | None:
    """Return the path that a column of a track names, if any."""
    values = {folded(name): value for name, value in track.columns.items()}
    for name in _COLUMNS if column is None else (folded(column),):
        value = values.get(name)
        if isinstance(value, str) and trimmed(value) and (column or _names_audio(value)):
            return trimmed(value)
    return None


def _names_audio(value: str) -> bool:
    """Whether a text is the name of an audio file, and not a URL or something else."""
    return "://" not in value and Path(trimmed(value)).suffix.lower() in SUFFIXES


def _only(match: AudioMatch, songs: defaultdict[Path, set[str]], folder: AudioFolder) -> AudioMatch:
    if match.file is None or len(songs[match.file]) == 1:
        return match
    other = next(iter(sorted(songs[match.file] - {match.entry.music_task_id})))
    reason = f"{folder.shown(match.file)} may also be that of music task {other}"
    return attrs.evolve(match, file=None, reason=f"{reason}; name the file of each in a column")
