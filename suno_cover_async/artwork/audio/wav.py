"""The chunks of a WAV file, and the one that holds an ID3 tag.

A file is "RIFF", the size of all that follows, "WAVE", and chunks. A chunk is a name, the size of
its content, the content, and one more byte if the size is odd. Sizes have four bytes.
"""

import shutil
from typing import BinaryIO

import attrs

from suno_cover_async.artwork.audio.id3 import Tag, read_tag
from suno_cover_async.artwork.audio.pictures import Picture, copy_bytes

_HEADER = 12
_CHUNK_HEADER = 8
_LARGEST = 0xFFFFFFFF


@attrs.frozen(kw_only=True)
class _Chunk:
    """A chunk of a file: its name, where its content begins, and the size of that."""

    name: bytes
    start: int
    size: int

    @property
    def holds_tag(self) -> bool:
        return self.name in (b"id3 ", b"ID3 ")

    @property
    def end(self) -> int:
        return self.start + self.size + self.size % 2


def wav_has(file: BinaryIO, image: bytes) -> bool:
    """Return whether the image is the only front cover in the first ID3 tag.

    Raises:
        ValueError: The file is cut off, or its sizes are wrong.
        MutagenError: The tag is damaged.
    """
    tagged = next((chunk for chunk in _chunks(file) if chunk.holds_tag), None)
    return tagged is not None and _tag(file, tagged).fronts == [image]


def write_wav(source: BinaryIO, target: BinaryIO, picture: Picture) -> None:
    """Write a copy with another front cover in its ID3 tag; a new tag is the last chunk.

    Raises:
        ValueError: The file is cut off, its sizes are wrong, or it would exceed 4 GiB.
        MutagenError: The tag is damaged.
    """
    chunks = _chunks(source)
    tagged = next((chunk for chunk in chunks if chunk.holds_tag), None)
    target.write(b"RIFF\0\0\0\0WAVE")
    for chunk in chunks:
        if chunk is tagged:
            _write_tag(target, chunk.name, _tag(source, chunk).with_front(picture))
        else:
            source.seek(chunk.start - _CHUNK_HEADER)
            copy_bytes(source, target, _CHUNK_HEADER + chunk.size)
            target.write(bytes(chunk.size % 2))
    if tagged is None:
        _write_tag(target, b"id3 ", Tag().with_front(picture))
    size = target.tell() - _CHUNK_HEADER
    if size > _LARGEST:
        raise ValueError("a WAV file has 4 GiB at most, and this one would have more")
    source.seek(chunks[-1].end)
    shutil.copyfileobj(source, target)  # what other programs put behind the last chunk
    target.seek(4)
    target.write(size.to_bytes(4, "little"))


def _write_tag(target: BinaryIO, name: bytes, tag: Tag) -> None:
    content = tag.to_bytes()
    target.write(name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2))


def _tag(file: BinaryIO, chunk: _Chunk) -> Tag:
    tag = read_tag(file, chunk.start) or Tag()
    if tag.length > chunk.size:
        raise ValueError("its ID3 tag is longer than the chunk around it")
    return tag


def _chunks(file: BinaryIO) -> list[_Chunk]:
    length = file.seek(0, 2)
    file.seek(4)
    end = _CHUNK_HEADER + int.from_bytes(file.read(4), "little")
    chunks: list[_Chunk] = []
    place = _HEADER
    while place + _CHUNK_HEADER <= min(end, length):
        file.seek(place)
        name, size = file.read(4), int.from_bytes(file.read(4), "little")
        chunks.append(_Chunk(name=name, start=place + _CHUNK_HEADER, size=size))
        place = chunks[-1].end
    # The byte after an odd chunk may be missing at the end of the file, or not be counted.
    if chunks and chunks[-1].start + chunks[-1].size > min(end, length):
        raise ValueError("it is cut off, or was written as a stream, without its size")
    if not {b"fmt ", b"data"} <= {chunk.name for chunk in chunks}:
        raise ValueError("it has no sound")
    return chunks
