"""The cover of an MP4 or M4A file, whose boxes are read and moved by mutagen."""

import shutil
from collections.abc import Iterator
from typing import Any, BinaryIO

from suno_cover_async.artwork.audio.pictures import MUTAGEN, Picture

try:
    from mutagen import mp4
except ImportError as _error:
    raise ImportError(MUTAGEN) from _error

# mutagen has no types for these.
_MP4: Any = mp4.MP4
_COVER: Any = mp4.MP4Cover

_COVERS = "covr"
_LONG = 1  # a size that says that the real one follows, in eight bytes
_TO_THE_END = 0
_FORMATS = {"image/jpeg": mp4.AtomDataType.JPEG, "image/png": mp4.AtomDataType.PNG}


def mp4_has(file: BinaryIO, image: bytes) -> bool:
    """Return whether the image is the first cover of the file, which is the one that players show.

    Raises:
        ValueError: The file is cut off, has no sound, or is a stream of fragments.
        MutagenError: The file is damaged.
    """
    return [bytes(cover) for cover in _covers(_opened(file))[:1]] == [image]


def write_mp4(source: BinaryIO, target: BinaryIO, picture: Picture) -> None:
    """Write a copy with another first cover. A genre by number becomes its name.

    Raises:
        ValueError: The file is cut off, has no sound, or is a stream of fragments.
        MutagenError: The file is damaged.
    """
    source.seek(0)
    shutil.copyfileobj(source, target)
    audio = _opened(target)
    if audio.tags is None:
        audio.add_tags()
    cover = _COVER(picture.data, _FORMATS[picture.mime])
    audio[_COVERS] = [cover, *_covers(audio)[1:]]
    target.seek(0)
    audio.save(target)


def _opened(file: BinaryIO) -> Any:
    names = list(_boxes(file))
    if b"moof" in names:
        raise ValueError("it is a stream of fragments; make it one file (ffmpeg -c copy)")
    file.seek(0)
    audio = _MP4(file) if b"moov" in names else None
    if audio is None or not audio.info.codec:
        raise ValueError("it has no sound")
    return audio


def _boxes(file: BinaryIO) -> Iterator[bytes]:
    """Return the names of the outermost boxes.

    Raises:
        ValueError: The file ends within one of them.
    """
    length = file.seek(0, 2)
    place = 0
    while place < length:
        file.seek(place)
        size, name = int.from_bytes(file.read(4)), file.read(4)
        if size == _LONG:
            size = int.from_bytes(file.read(8))
        elif size == _TO_THE_END:
            size = length - place
        place += size
        if place > length or size < len(b"sizename"):
            raise ValueError("it is cut off or damaged")
        yield name


def _covers(audio: Any) -> list[Any]:
    if audio.tags is None:
        return []
    covers: list[Any] = audio.tags.get(_COVERS, [])
    return covers
