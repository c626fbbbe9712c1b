"""Put a cover into one audio file; a kill at any moment leaves the old file or the new one.

It owns how a file is replaced. What is in a file is known by `tags.py`.
"""

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import BinaryIO

from suno_cover_async.artwork.audio.parts import part_file, sweep
from suno_cover_async.artwork.audio.pictures import Picture, read_picture
from suno_cover_async.artwork.audio.tags import AudioTags, read_tags
from suno_cover_async.common.disk import sync_directory
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError

_WRITABLE = 0o222


def embed_cover(audio: str | Path, image: bytes | str | Path, *, dry_run: bool = False) -> bool:
    """Make an image the front cover of an audio file: MP3, FLAC, M4A, Ogg Vorbis, Opus or WAV.

    The format is told by the content. A front cover that is there is replaced. mutagen changes a
    copy, which is read again: the sound, all other tags and pictures stay, or else the file does.
    So does the version of an ID3 tag, but 2.2 becomes 2.3, which a new tag has too. In a chained
    Ogg file the first stream gets the cover. The file's mode, its extended attributes and, where
    the system allows it, its owner stay. A symbolic link stays, and the file
    that it leads to is replaced; of several hard links, the others keep the old file. A file
    without write permission stays as it is. The call blocks: make it in a thread.

    Args:
        audio: The audio file.
        image: The bytes of a JPEG or PNG of at most 16,000,000 bytes, or the path of its file.
        dry_run: Write nothing.

    Returns:
        Whether the file changed, or would in a dry run; it does not if the same image is its front
        cover already.

    Raises:
        ArtworkError: The file is none of these, is damaged, has tags that mutagen would change or
            lose, or cannot be read or replaced. It stays as it is.
        ValueError: The image is neither a JPEG nor a PNG, is damaged, or is too large.
        OSError: The image's file cannot be read.
    """
    picture = read_picture(image)
    path = Path(os.path.realpath(audio))
    try:
        return _embed(path, picture, dry_run=dry_run)
    except Exception as error:  # a decoder may raise anything on garbage
        raise ArtworkError(
            f"{printable(str(path))} gets no cover and stays as it is: {_reason(error)}"
        ) from error


def _embed(path: Path, picture: Picture, *, dry_run: bool) -> bool:
    if path.exists() and not path.is_file():  # opening a pipe would wait for its other end
        raise ValueError("it is no file")
    with path.open("rb") as source:
        status = os.fstat(source.fileno())
        before = _known_tags(source)
        if all(tags.fronts == [picture.data] for tags in before):
            return False
        if not (status.st_mode & _WRITABLE and os.access(path, os.W_OK)):
            raise ValueError("it is read-only; allow writing to it, then run the command again")
        others = [tags.others() for tags in before]
        if dry_run:
            return True
        sweep(path.parent)
        with part_file(path.parent) as (part, target):
            source.seek(0)
            shutil.copyfileobj(source, target)
            source.close()
            for tags in _known_tags(target):
                tags.embed(target, picture)
            target.flush()
            check_copy(part, others, picture)
            _keep_attributes(path, status, part)
            os.fsync(target.fileno())
            if sys.platform == "win32":  # elsewhere it is locked until it has its name
                target.close()
            _replace(path, status, part)
    return True


def _reason(error: Exception) -> str:
    text = printable(str(error))
    for one in (error, error.__context__):  # mutagen has errors of its own for those of the disk
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
    if type(error) is ValueError:  # raised here, in words for people
        return text
    return f"it is damaged ({text or type(error).__name__})"


def _known_tags(file: BinaryIO) -> list[AudioTags]:
    tags = read_tags(file)
    if not tags:
        raise ValueError("it is no MP3, FLAC, M4A, Ogg Vorbis, Opus or WAV file")
    return tags


def check_copy(part: Path, others: list[object], picture: Picture) -> None:
    """Read the new file; raise ValueError if the cover is not there, or anything else changed."""
    with part.open("rb") as file:
        after = read_tags(file)
    if not after or any(tags.fronts != [picture.data] for tags in after):
        raise ValueError("the cover could not be read back")
    if [tags.others() for tags in after] != others:
        raise ValueError("its other tags would not stay as they are")


def _keep_attributes(path: Path, before: os.stat_result, part: Path) -> None:
    if sys.platform != "win32":
        for owner in (before.st_uid, -1):  # only the administrator may give a file away
            with contextlib.suppress(OSError):
                os.chown(part, owner, before.st_gid)
                break
    shutil.copystat(path, part)  # the mode and the extended attributes
    os.utime(part)  # players look for new covers in files that changed


def _replace(path: Path, before: os.stat_result, part: Path) -> None:
    now = path.stat()
    if not os.path.samestat(now, before) or now.st_mtime_ns != before.st_mtime_ns:
        raise ValueError("another program changed it meanwhile; run the command again")
    # The bytes are synced before the rename, and the folder after it: a power cut leaves a whole
    # file under the name.
    part.replace(path)
    sync_directory(path.parent)
