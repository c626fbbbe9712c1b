"""The front cover in the comments of an Ogg file of Vorbis or Opus.

A file is a chain of streams, each of numbered pages. The second packet of a stream holds its
comments; a picture is one of them, in base64. Only the first stream of a chain gets the cover.
"""

import base64
import binascii
import shutil
from typing import Any, BinaryIO

import attrs

from suno_cover_async.artwork.audio.flac import front_in, picture_block
from suno_cover_async.artwork.audio.pictures import MUTAGEN, Picture

try:
    from mutagen import flac, ogg
except ImportError as _error:
    raise ImportError(MUTAGEN) from _error

# mutagen has no types for these.
_PAGE: Any = ogg.OggPage
_COMMENTS: Any = flac.VCFLACDict

_PICTURE = "METADATA_BLOCK_PICTURE"
_FIRST_PACKET = 28  # where the first packet of a first page begins
_UNFINISHED = -1
_PAGE_BYTES = 30_000  # mutagen's pages have up to twice as many and 2,048; 65,025 would fit
# How the first and the second packet of a stream begin.
_CODECS = {b"\x01vorbis": b"\x03vorbis", b"OpusHead": b"OpusTags"}


@attrs.frozen(kw_only=True)
class _Header:
    """The beginning of a file.

    Attributes:
        pages: The pages that hold the comments, and perhaps the beginning of the next packet.
        others: The pages of other streams between those.
        packets: The packets in `pages`.
        marker: How the packet with the comments begins.
        comments: The comments as mutagen reads them.
        rest: What follows the comments in their packet.
    """

    pages: list[Any]
    others: list[Any]
    packets: list[bytes]
    marker: bytes
    comments: Any
    rest: bytes


def is_ogg(head: bytes) -> bool:
    """Return whether a file that begins with these 64 bytes is Ogg whose sound is known here."""
    return head[:4] == b"OggS" and _marker(head[_FIRST_PACKET:]) is not None


def ogg_has(file: BinaryIO, image: bytes) -> bool:
    """Return whether the image is the only front cover of the first stream.

    Raises:
        ValueError: The file is cut off, or its comments cannot be read without loss.
        MutagenError: The file is damaged.
    """
    fronts = [_front(*comment) for comment in _read(file).comments]
    return [front for front in fronts if front is not None] == [image]


def write_ogg(source: BinaryIO, target: BinaryIO, picture: Picture) -> None:
    """Write a copy with another front cover in its first stream.

    Raises:
        ValueError: The file is cut off, or its comments cannot be read without loss.
        MutagenError: The file is damaged.
    """
    header = _read(source)
    start = source.tell()
    comments = header.comments
    names = [name.upper() for name, _ in comments]
    place = names.index(_PICTURE) if _PICTURE in names else len(comments)
    kept = [comment for comment in comments[place:] if _front(*comment) is None]
    block = base64.b64encode(picture_block(picture)).decode()
    comments[place:] = [(_PICTURE, block), *kept]
    packet = header.marker + comments.write() + header.rest
    pages = _laid_out([packet, *header.packets[1:]], header.pages)
    source.seek(0)
    first = _PAGE(source)
    target.writelines(page.write() for page in (first, *header.others, *pages))
    source.seek(start)
    _copy_stream(source, target, serial=first.serial, shift=len(pages) - len(header.pages))
    shutil.copyfileobj(source, target)  # the streams that follow in the chain


def _laid_out(packets: list[bytes], old: list[Any]) -> list[Any]:
    """Return the pages that hold the packets in place of the old pages."""
    pages: list[Any] = _PAGE.from_packets(packets, old[0].sequence, _PAGE_BYTES)
    for page in pages:
        page.serial = old[0].serial
    pages[-1].complete = old[-1].complete
    # A page on which no packet ends has no position.
    if not pages[-1].complete and len(pages[-1].packets) == 1:
        pages[-1].position = _UNFINISHED
    return pages


def _copy_stream(source: BinaryIO, target: BinaryIO, *, serial: int, shift: int) -> None:
    """Copy the rest of a stream; its pages are numbered anew.

    Some programs write no last page, and some give the next stream of a chain the same serial
    number, so the first page of any further stream ends it as well.
    """
    while True:
        place = source.tell()
        try:
            page = _PAGE(source)
        except EOFError:
            return
        if page.first:
            source.seek(place)
            return
        if page.serial == serial:
            page.sequence += shift
        target.write(page.write())
        if page.last and page.serial == serial:
            return


def _read(file: BinaryIO) -> _Header:
    file.seek(0)
    pages: list[Any] = []
    others: list[Any] = []
    try:
        first = _PAGE(file)
        while not pages or not (pages[-1].complete or len(pages[-1].packets) > 1):
            page = _PAGE(file)
            (pages if page.serial == first.serial else others).append(page)
    except EOFError:
        raise ValueError("it ends within its header") from None
    packets: list[bytes] = _PAGE.to_packets(pages)
    marker = _marker(first.packets[0])
    if marker is None or not packets[0].startswith(marker):
        raise ValueError("it has no comments where they belong")
    content = packets[0].removeprefix(marker)
    comments = _COMMENTS(content)
    # mutagen replaces what is no UTF-8, and leaves out names that are not allowed. What it would
    # write must be what was read.
    written: bytes = comments.write()
    if not content.startswith(written):
        raise ValueError("it has tags that are not written as they should be, and would be lost")
    return _Header(
        pages=pages,
        others=others,
        packets=packets,
        marker=marker,
        comments=comments,
        rest=content[len(written) :],
    )


def _marker(packet: bytes) -> bytes | None:
    return next((second for first, second in _CODECS.items() if packet.startswith(first)), None)


def _front(name: str, value: str) -> bytes | None:
    """Return the image in a comment that holds a front cover, else None."""
    if name.upper() != _PICTURE:
        return None
    try:
        return front_in(base64.b64decode(value))
    except binascii.Error:
        return None
