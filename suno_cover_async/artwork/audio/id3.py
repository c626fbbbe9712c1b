"""Read an ID3v2 tag as frames, and replace its front cover; every other frame stays as it is.

It knows tags of version 2.2, 2.3 and 2.4 at a place in a file, and not which file holds them.
"""

import io
from typing import Any, BinaryIO

import attrs

from suno_cover_async.artwork.audio.pictures import FRONT_COVER, MUTAGEN, Picture

try:
    from mutagen import id3
except ImportError as _error:
    raise ImportError(MUTAGEN) from _error

_ID3: Any = id3  # mutagen has no types for it

_NEW_TAG = 3  # what most players read
_ABBREVIATED = 2  # the version whose frames have names of three letters
_SYNCHSAFE = 4  # the version whose frames have sizes of 7 bits a byte
_FOOTER = 10
_LARGEST_TAG = (1 << 28) - 1
_UNSYNCHRONISED = 0x02  # in the second byte of a frame's flags


class _Opaque(frozenset[str]):
    """The names of frames, none of which mutagen is to parse."""

    def __getitem__(self, name: str) -> None:
        raise KeyError(name)


@attrs.frozen
class Frame:
    """One frame: its name, its two flags (none in version 2.2) and all that comes after them."""

    name: bytes
    flags: bytes
    body: bytes


@attrs.frozen(kw_only=True)
class Tag:
    """An ID3v2 tag.

    Attributes:
        version: 2, 3 or 4, for 2.2, 2.3 and 2.4.
        frames: Its frames.
        length: Bytes that it takes in its file; 0 for a tag that is not in a file yet.
    """

    version: int = _NEW_TAG
    frames: tuple[Frame, ...] = ()
    length: int = 0

    @property
    def fronts(self) -> list[bytes]:
        """Return the images of its front covers; a tag should have one at most."""
        pictures = (picture for frame in self.frames for picture in self._pictures(frame))
        return [bytes(picture.data) for picture in pictures if picture.type == FRONT_COVER]

    def with_front(self, picture: Picture) -> "Tag":
        """Return the tag with this picture as its only front cover, before all other pictures."""
        images = [place for place, frame in enumerate(self.frames) if self._pictures(frame)]
        place = images[0] if images else len(self.frames)
        others = [
            frame
            for frame in self.frames[place:]
            if all(one.type != FRONT_COVER for one in self._pictures(frame))
        ]
        frames = (*self.frames[:place], self._frame_of(picture), *others)
        return attrs.evolve(self, frames=frames)

    def to_bytes(self) -> bytes:
        """Return the tag as a file holds it: without padding, extended header or footer.

        Raises:
            ValueError: The tag is larger than 256 MiB.
        """
        body = b"".join(self._written(frame) for frame in self.frames)
        if len(body) > _LARGEST_TAG:
            raise ValueError("its tag would be larger than 256 MiB")
        return b"ID3" + bytes((self.version, 0, 0)) + _synchsafe(len(body)) + body

    def _frame_of(self, picture: Picture) -> Frame:
        name, kind = b"APIC", picture.mime.encode() + b"\0"
        if self.version == _ABBREVIATED:
            name, kind = b"PIC", {"image/jpeg": b"JPG", "image/png": b"PNG"}[picture.mime]
        flags = b"" if self.version == _ABBREVIATED else b"\0\0"
        start = b"\0" + kind + bytes((FRONT_COVER,)) + picture.description.encode("latin-1")
        return Frame(name, flags, start + b"\0" + picture.data)

    def _written(self, frame: Frame) -> bytes:
        size = len(frame.body)
        if self.version == _ABBREVIATED:
            length = size.to_bytes(3)
        else:
            length = _synchsafe(size) if self.version == _SYNCHSAFE else size.to_bytes(4)
        return frame.name + length + frame.flags + frame.body

    def _pictures(self, frame: Frame) -> list[Any]:
        """Return the picture in a frame as mutagen reads it; nothing for any other frame."""
        if frame.name not in (b"APIC", b"PIC"):
            return []
        alone = io.BytesIO(Tag(version=self.version, frames=(frame,)).to_bytes())
        tag = _ID3.ID3()
        tag.load(alone, translate=False, load_v1=False)
        pictures: list[Any] = tag.getall("APIC")
        return pictures


def read_tag(file: BinaryIO, start: int) -> Tag | None:
    """Read the tag that begins at `start` of a file; None if there is none.

    Raises:
        MutagenError: The tag is damaged, or of a version that is not known.
    """
    file.seek(start)
    if file.read(3) != b"ID3":
        return None
    file.seek(start)
    # mutagen keeps each frame that it does not know as bytes. It is told to know none: it would
    # rename frames of older versions, merge those that look alike, and add those of an ID3v1 tag.
    tag = _ID3.ID3()
    tag.load(file, known_frames=_Opaque(_ID3.Frames), translate=False, load_v1=False)
    version: int = tag.version[1]
    has_footer: bool = tag._header.f_footer  # noqa: SLF001 - it has no public name
    raw: list[bytes] = tag.unknown_frames
    # A tag of version 2.4 may say once that all its frames are unsynchronised. The new header says
    # nothing, so each frame says it. (mutagen undoes it in tags of older versions.)
    flag = _UNSYNCHRONISED if version == _SYNCHSAFE and tag.f_unsynch else 0
    return Tag(
        version=version,
        frames=tuple(_frame(version, frame, flag) for frame in raw),
        length=tag.size + _FOOTER * has_footer,
    )


def _frame(version: int, raw: bytes, flag: int) -> Frame:
    """Split a frame. Its size is not read: some programs wrote it wrongly, and mutagen corrects."""
    if version == _ABBREVIATED:
        return Frame(raw[:3], b"", raw[6:])
    return Frame(raw[:4], bytes((raw[8], raw[9] | flag)), raw[10:])


def _synchsafe(number: int) -> bytes:
    """Write a number of up to 28 bits in four bytes, seven bits in each."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
