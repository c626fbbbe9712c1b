"""The blocks before the sound of a FLAC file, and pictures as such blocks, which Ogg uses too.

A file may begin with an ID3 tag, which some programs put there. Then come "fLaC", blocks, and
frames of sound (RFC 9639). A block is its kind (and 0x80 in the last one) in a byte, its size in
three, and its content.
"""

import shutil
from typing import Any, BinaryIO

import attrs

from suno_cover_async.artwork.audio.id3 import Tag, read_tag
from suno_cover_async.artwork.audio.pictures import FRONT_COVER, MUTAGEN, Picture

try:
    from mutagen import MutagenError, flac
except ImportError as _error:
    raise ImportError(MUTAGEN) from _error

_FLAC_PICTURE: Any = flac.Picture  # mutagen has no types for it

_STREAMINFO, _PADDING, _PICTURE, _LAST = 0, 1, 6, 0x80
_SYNCS = (b"\xff\xf8", b"\xff\xf9")


@attrs.frozen
class _Header:
    tag: Tag
    blocks: list[tuple[int, bytes]]
    sound: int


def front_in(block: bytes) -> bytes | None:
    """Return the image in the content of a picture block; None if it is no front cover."""
    try:
        picture = _FLAC_PICTURE(block)
    except MutagenError:
        return None
    return bytes(picture.data) if picture.type == FRONT_COVER else None


def picture_block(picture: Picture) -> bytes:
    """Return the content of the block that holds a front cover."""
    block = _FLAC_PICTURE()
    block.type = FRONT_COVER
    block.mime, block.desc, block.data = picture.mime, picture.description, picture.data
    block.width, block.height, block.depth = picture.width, picture.height, picture.depth
    written: bytes = block.write()
    return written


def flac_has(file: BinaryIO, image: bytes) -> bool:
    """Return whether the image is the only front cover, also of an ID3 tag that has any.

    Raises:
        ValueError: The file is damaged.
        MutagenError: Its ID3 tag is damaged.
    """
    header = _read(file)
    fronts = [front_in(content) for kind, content in header.blocks if kind == _PICTURE]
    in_blocks = [front for front in fronts if front is not None]
    return in_blocks == [image] and header.tag.fronts in ([], [image])


def write_flac(source: BinaryIO, target: BinaryIO, picture: Picture) -> None:
    """Write a copy with another front cover. An ID3 tag gets it only in place of its own.

    Raises:
        ValueError: The file is damaged.
        MutagenError: Its ID3 tag is damaged.
    """
    header = _read(source)
    if header.tag.fronts:  # some players show it
        target.write(header.tag.with_front(picture).to_bytes())
    elif header.tag.length:
        source.seek(0)
        target.write(source.read(header.tag.length))
    target.write(b"fLaC")
    blocks = _with_front(header.blocks, picture)
    for number, (kind, content) in enumerate(blocks, 1):
        last = _LAST if number == len(blocks) else 0
        target.write(bytes((kind | last,)) + len(content).to_bytes(3) + content)
    source.seek(header.sound)
    shutil.copyfileobj(source, target)


def _with_front(blocks: list[tuple[int, bytes]], picture: Picture) -> list[tuple[int, bytes]]:
    """Put the picture before all others, or else before the padding, which is kept."""
    kinds = [kind for kind, _ in blocks]
    found = [kinds.index(kind) for kind in (_PICTURE, _PADDING) if kind in kinds]
    place = found[0] if found else len(blocks)
    rest = [
        (kind, content)
        for kind, content in blocks[place:]
        if kind != _PICTURE or front_in(content) is None
    ]
    return [*blocks[:place], (_PICTURE, picture_block(picture)), *rest]


def _read(file: BinaryIO) -> _Header:
    tag = read_tag(file, 0) or Tag()
    file.seek(tag.length + len(b"fLaC"))
    blocks: list[tuple[int, bytes]] = []
    is_last = False
    while not is_last:
        start = file.read(4)
        size = int.from_bytes(start[1:])
        content = file.read(size)
        if len(start) + len(content) != 4 + size:
            raise ValueError("it ends within its header")
        is_last = bool(start[0] & _LAST)
        blocks.append((start[0] & ~_LAST, content))
    sound = file.tell()
    # Some programs wrote wrong sizes of blocks. Then no frame is where the blocks seem to end.
    if blocks[0][0] != _STREAMINFO or file.read(2) not in _SYNCS:
        raise ValueError("no sound follows its header")
    return _Header(tag, blocks, sound)
