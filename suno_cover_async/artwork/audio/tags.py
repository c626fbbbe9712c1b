"""The format, the tags and the front cover of an audio file, which mutagen reads and writes.

It owns which tag holds the cover, and what mutagen would lose. `embed.py` gives it copies.
"""

import base64
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

from suno_cover_async.artwork.audio.pictures import Picture

try:
    import mutagen
    from mutagen import flac, id3, mp3, mp4, ogg, oggopus, oggvorbis, wave
except ImportError as _error:
    raise ModuleNotFoundError(
        "embedding covers needs mutagen: pip install 'suno-cover-async[audio]'", name="mutagen"
    ) from _error

# mutagen has no types for what is used here.
_FLAC: Any = flac
_ID3: Any = id3
_MP3: Any = mp3.MP3
_MP4: Any = mp4
_PAGE: Any = ogg.OggPage
_WAVE: Any = wave
_FRONT_COVER = 3
_PADDING = 1  # the code of such blocks in FLAC
_LAYER_III = 3
_SYNC = 0xFFE0  # eleven bits, with which each frame of an MP3 begins
_RAW: Any = {"translate": False, "load_v1": False}  # ID3 tags as they are in the file
_FORMATS = {"image/jpeg": mp4.AtomDataType.JPEG, "image/png": mp4.AtomDataType.PNG}
_ENCODING = re.compile(r"encoding=<[^>]*>")
_PICTURE = "METADATA_BLOCK_PICTURE"
_BEHIND = 256  # zeros behind a file, while mutagen writes its tag
_MIME_OF_2_2 = {"JPG": "image/jpeg", "PNG": "image/png"}
_NO_TEXT = b"\0\1\2\3\xfe\xff"
_ABBREVIATED = 2  # the version whose frames have names of three letters
_UNSYNCHRONISED = 4  # the version in which frames say by themselves that they are
_SILENT = "it has no sound"


class AudioTags(ABC):
    """One place of an audio file that holds a front cover.

    Attributes:
        fronts: The images of its front covers; there should be one at most.
    """

    fronts: list[bytes]

    @abstractmethod
    def others(self) -> object:
        """Return all other tags and pictures, and what is known of the sound, to be compared.

        Raises:
            ValueError: mutagen would lose some of them.
        """

    @abstractmethod
    def embed(self, file: BinaryIO, picture: Picture) -> None:
        """Make a picture the only front cover of a file, from which the tags were read."""


class _NoneKnown(frozenset[str]):
    """The names of ID3 frames, none of which mutagen is to parse."""

    def __getitem__(self, name: str) -> None:
        raise KeyError(name)


class _Id3(AudioTags):
    """An ID3 tag. mutagen writes no version 2.2, which becomes 2.3; a new tag is 2.3 too."""

    def __init__(self, file: BinaryIO, tags: Any, sound: object = None) -> None:
        self._tags, self._sound, self.size = tags, sound, tags.size
        self._version, self._names = 3, Counter[str]()
        if tags.size:
            file.seek(0)
            raw = type(tags)(file, known_frames=_NoneKnown(_ID3.Frames), **_RAW).unknown_frames
            head = 6 if tags.version[1] == _ABBREVIATED else 10
            self._names.update(_name(one) for one in raw if one[head:].strip(_NO_TEXT))
            self._version = max(tags.version[1], self._version)
        for one in tags.getall("APIC"):
            one.mime = _MIME_OF_2_2.get(one.mime, one.mime)
        self.fronts = [bytes(one.data) for one in tags.getall("APIC") if _is_front(one)]

    def others(self) -> object:
        frames, unknown = self._tags.values(), self._tags.unknown_frames
        # mutagen merges texts of one name. Of other frames that are alike it keeps the last, and it
        # leaves out what it cannot read.
        read = Counter([frame.FrameID for frame in frames] + [_name(raw) for raw in unknown])
        for name, count in self._names.items():
            if read[name] < (1 if name.startswith("T") else count):
                raise ValueError(f"a frame {name} of its ID3 tag would be lost")
        # It writes frames that it does not know as they are, also where the header of the old tag
        # says that all are unsynchronised, as that of a new one does not.
        is_wrong = bool(unknown) and self._tags.f_unsynch and self._version == _UNSYNCHRONISED
        # It writes frames in an order of its own, and no empty texts.
        kept = [frame for frame in frames if not _is_front(frame) and _is_written(frame)]
        texts = sorted(_ENCODING.sub("", repr(frame)) for frame in kept)
        return self._sound, self._version, texts, unknown, is_wrong

    def embed(self, file: BinaryIO, picture: Picture) -> None:
        front = _ID3.APIC(0, picture.mime, _FRONT_COVER, picture.description, picture.data)
        others = [one for one in self._tags.getall("APIC") if not _is_front(one)]
        while front.HashKey in {one.HashKey for one in others}:
            front.desc += " "  # two of the same would be one
        self._tags.setall("APIC", [front, *others])
        # mutagen writes an ID3v1 tag anew if it finds one in the last bytes of the file.
        file.seek(0, 2)
        file.write(bytes(_BEHIND))
        file.seek(0)
        self._tags.save(file, v2_version=self._version, v23_sep=None)
        file.truncate(file.seek(-_BEHIND, 2))


class _Wav(_Id3):
    """The ID3 tag in a chunk of a WAV file."""

    def __init__(self, file: BinaryIO) -> None:
        length = file.seek(0, 2)
        audio = _WAVE.WAVE(file, **_RAW)
        chunks = _WAVE._WaveFile(file).root.subchunks()  # noqa: SLF001 - it has no public name
        if chunks[-1].data_offset + chunks[-1].data_size > length:
            raise ValueError("it is cut off, or was written as a stream, without its size")
        sizes = [(chunk.id, chunk.data_size) for chunk in chunks if chunk.id != "id3"]
        if "data" not in dict(sizes):
            raise ValueError(_SILENT)
        if audio.tags is None:
            audio.add_tags()
        super().__init__(file, audio.tags, sizes)

    def embed(self, file: BinaryIO, picture: Picture) -> None:
        if file.seek(0, 2) % 2:  # some programs leave out the byte after a last chunk of odd size
            file.write(b"\0")
        super().embed(file, picture)


class _Flac(AudioTags):
    """The blocks before the sound of a FLAC file."""

    def __init__(self, file: BinaryIO) -> None:
        self._audio = audio = _FLAC.FLAC(file)
        self.fronts = [bytes(one.data) for one in audio.pictures if _is_front(one)]

    def others(self) -> object:
        blocks = [one for one in self._audio.metadata_blocks if one.code != _PADDING]
        for block in blocks:
            if isinstance(block, _FLAC.VCFLACDict):
                _check_comments(block, framing=False)
        return [(one.code, one.write()) for one in blocks if not _is_front(one)]

    def embed(self, file: BinaryIO, picture: Picture) -> None:
        blocks = self._audio.metadata_blocks
        place = blocks.index(self._audio.pictures[0]) if self._audio.pictures else len(blocks)
        others = [one for one in blocks[place:] if not _is_front(one)]
        blocks[place:] = [_block(picture), *others]
        file.seek(0)
        self._audio.save(file, deleteid3=False)


class _Ogg(AudioTags):
    """The comments of an Ogg file of Vorbis or Opus; in a chain, those of its first stream."""

    def __init__(self, kind: Any, file: BinaryIO) -> None:
        self._audio = audio = kind(file)
        self._sound: list[object] = []
        file.seek(0)
        with suppress(EOFError):
            while page := _PAGE(file):
                if page.position > 0:  # sound ends on it
                    self._sound.append((page.serial, page.position, page.size))
        fronts = [_front(*comment) for comment in audio.tags]
        self.fronts = [front for front in fronts if front is not None]

    def others(self) -> object:
        tags = self._audio.tags
        _check_comments(tags, framing=isinstance(self._audio, oggvorbis.OggVorbis))
        return self._sound, tags.vendor, [one for one in tags if _front(*one) is None]

    def embed(self, file: BinaryIO, picture: Picture) -> None:
        tags = self._audio.tags
        place = next((n for n, (name, _) in enumerate(tags) if name.upper() == _PICTURE), len(tags))
        others = [comment for comment in tags[place:] if _front(*comment) is None]
        tags[place:] = [(_PICTURE, base64.b64encode(_block(picture).write()).decode()), *others]
        file.seek(0)
        self._audio.save(file)


class _Mp4(AudioTags):
    """The tags of an MP4 or M4A file; the first of its covers is the front cover."""

    def __init__(self, file: BinaryIO) -> None:
        length = file.seek(0, 2)
        boxes = _MP4.Atoms(file).atoms
        names = {box.name for box in boxes}
        if b"moof" in names:
            raise ValueError("it is a stream of fragments; make it one file (ffmpeg -c copy)")
        if boxes[-1].offset + boxes[-1].length > length:
            raise ValueError("it is cut off or damaged")
        file.seek(0)
        self._audio: Any = _MP4.MP4(file) if b"moov" in names else None
        if self._audio is None or not self._audio.info.codec:
            raise ValueError(_SILENT)
        if self._audio.tags is None:
            self._audio.add_tags()
        self._covers: list[Any] = self._audio.get("covr", [])
        self.fronts = [bytes(cover) for cover in self._covers[:1]]

    def others(self) -> object:
        tags = {name: values for name, values in self._audio.tags.items() if name != "covr"}
        unread = self._audio.tags._failed_atoms  # noqa: SLF001 - it has no public name
        return _sound(self._audio), tags, self._covers[1:], unread

    def embed(self, file: BinaryIO, picture: Picture) -> None:
        cover = _MP4.MP4Cover(picture.data, _FORMATS[picture.mime])
        self._audio["covr"] = [cover, *self._covers[1:]]
        file.seek(0)
        self._audio.save(file)


def _sound(audio: Any) -> object:
    return audio.info.length, audio.info.channels


def _name(frame: bytes) -> str:
    """Return the name of a frame as version 2.3 has it; those of 2.2 have three letters."""
    if frame[3:4].isalnum():
        return frame[:4].decode()
    name = frame[:3].decode()
    known = _ID3.Frames_2_2.get(name)
    return known.__base__.__name__ if known and known.__base__ is not _ID3.Frame else name


def _is_front(picture: Any) -> bool:
    """Whether a frame of ID3 or a block of FLAC is a front cover."""
    return isinstance(picture, _ID3.APIC | _FLAC.Picture) and picture.type == _FRONT_COVER


def _is_written(frame: Any) -> bool:
    return not isinstance(frame, _ID3.TextFrame) or bool(str(frame))


def _block(picture: Picture) -> Any:
    """Return a front cover as a block of FLAC."""
    block = _FLAC.Picture()
    block.type = _FRONT_COVER
    block.mime, block.desc, block.data = picture.mime, picture.description, picture.data
    block.width, block.height, block.depth = picture.width, picture.height, picture.depth
    return block


def _front(name: str, value: str) -> bytes | None:
    """Return the image in a comment that holds a front cover, else None."""
    with suppress(ValueError, mutagen.MutagenError):
        block: Any = name.upper() == _PICTURE and _FLAC.Picture(base64.b64decode(value))
        return bytes(block.data) if _is_front(block) else None
    return None


def _check_comments(comments: Any, *, framing: bool) -> None:
    """Raise ValueError if mutagen replaced or left out a part of the comments.

    It does with what is no UTF-8, and with names that are not allowed.
    """
    if len(comments.write(framing=framing)) != comments._size:  # noqa: SLF001 - no public name
        raise ValueError("it has tags that are not written as they should be, and would be lost")


_SIGNS: tuple[tuple[int, bytes, Callable[[BinaryIO], AudioTags]], ...] = (
    (0, b"fLaC", _Flac),
    (4, b"ftyp", _Mp4),
    (8, b"WAVE", _Wav),
    (28, b"\x01vorbis", partial(_Ogg, oggvorbis.OggVorbis)),
    (28, b"OpusHead", partial(_Ogg, oggopus.OggOpus)),
)
"""The place and the bytes by which a format is known."""


def read_tags(file: BinaryIO) -> list[AudioTags]:
    """Return the tags of a file that hold its front cover; none if it is of no known format.

    Raises:
        MutagenError: The file is damaged.
        ValueError: It has no sound, is cut off, or is of a kind that mutagen would damage.
    """
    file.seek(0)
    head = file.read(64)
    file.seek(0)
    for place, sign, kind in _SIGNS:
        if head[place:].startswith(sign):
            return [kind(file)]
    if head.startswith(b"ID3"):
        tag = _Id3(file, _ID3.ID3(file, **_RAW))
        file.seek(tag.size)
        if file.read(4) == b"fLaC":  # some programs put a tag in front, whose cover players show
            file.seek(0)
            return [_Flac(file), tag] if tag.fronts else [_Flac(file)]
    # mutagen would find frames further on, and other files, such as AVI, hold MP3 too.
    elif int.from_bytes(head[:2]) & _SYNC != _SYNC:
        return []
    with suppress(mp3.HeaderNotFoundError):
        file.seek(0)
        audio = _MP3(file, **_RAW)
        if audio.info.layer == _LAYER_III and not audio.info.sketchy:
            tags = _ID3.ID3() if audio.tags is None else audio.tags
            return [_Id3(file, tags, _sound(audio))]
    return []
