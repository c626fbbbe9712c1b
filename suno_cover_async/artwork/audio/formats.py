"""Recognise audio files by their content, and say how the covers of each format are handled.

A copy is written front to back, in pieces: the sound and all other tags are carried over as bytes
(in MP4 files, by mutagen). This module knows MP3; the other formats have modules of their own.
"""

import shutil
from collections.abc import Callable
from typing import Any, BinaryIO

import attrs

from suno_cover_async.artwork.audio.flac import flac_has, write_flac
from suno_cover_async.artwork.audio.id3 import Tag, read_tag
from suno_cover_async.artwork.audio.mp4 import mp4_has, write_mp4
from suno_cover_async.artwork.audio.ogg import is_ogg, ogg_has, write_ogg
from suno_cover_async.artwork.audio.pictures import MUTAGEN, Picture
from suno_cover_async.artwork.audio.wav import wav_has, write_wav

try:
    from mutagen import MutagenError, mp3
except ImportError as _error:
    raise ImportError(MUTAGEN) from _error

_MPEG_INFO: Any = mp3.MPEGInfo  # mutagen has no types for it

_HEAD = 64
_LAYER_III = 3
_SYNC = 0xFFE0  # eleven bits, with which each frame begins


@attrs.frozen
class AudioFormat:
    """One format of audio files.

    Attributes:
        name: Its name, for people.
        has: Returns whether an image is the only front cover of a file.
        write: Writes a copy of the first file to the second, an empty one, with the picture as its
            only front cover.

    Both raise MutagenError or ValueError for a file that is damaged.
    """

    name: str
    has: Callable[[BinaryIO, bytes], bool]
    write: Callable[[BinaryIO, BinaryIO, Picture], None]


def _mp3_has(file: BinaryIO, image: bytes) -> bool:
    return (read_tag(file, 0) or Tag()).fronts == [image]


def _write_mp3(source: BinaryIO, target: BinaryIO, picture: Picture) -> None:
    tag = read_tag(source, 0) or Tag()
    target.write(tag.with_front(picture).to_bytes())
    source.seek(tag.length)
    shutil.copyfileobj(source, target)  # with the tags at its end, ID3v1 and APEv2


_MP3 = AudioFormat("MP3", _mp3_has, _write_mp3)
_FLAC = AudioFormat("FLAC", flac_has, write_flac)
_MP4 = AudioFormat("MP4", mp4_has, write_mp4)
_OGG = AudioFormat("Ogg", ogg_has, write_ogg)
_WAV = AudioFormat("WAV", wav_has, write_wav)


def format_of(file: BinaryIO) -> AudioFormat | None:
    """Return the format of a file by its content; None if it is none of those known here.

    Raises:
        MutagenError: It begins with an ID3 tag that is damaged.
    """
    file.seek(0)
    head = file.read(_HEAD)
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return _WAV
    if head[4:8] == b"ftyp":
        return _MP4
    if is_ogg(head):
        return _OGG
    start = (read_tag(file, 0) or Tag()).length
    file.seek(start)
    if file.read(4) == b"fLaC":
        return _FLAC
    return _MP3 if _is_mp3(file, start) else None


def _is_mp3(file: BinaryIO, start: int) -> bool:
    # mutagen finds frames anywhere in the first MiB, and other files, such as AVI, hold MP3 too. So
    # a file without a tag must begin with a frame.
    file.seek(start)
    first = int.from_bytes(file.read(2))
    if start == 0 and first & _SYNC != _SYNC:
        return False
    try:
        info = _MPEG_INFO(file, start)
    except MutagenError:
        return False
    return info.layer == _LAYER_III and not info.sketchy
