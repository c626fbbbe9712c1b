"""ID3v2 tags of every version: the front cover changes, and no other byte of a frame does."""

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutagen import id3

from suno_cover_async.artwork.audio.id3 import Tag, read_tag
from suno_cover_async.artwork.audio.pictures import read_picture
from tests.support.audio_files import picture

ID3: Any = id3  # mutagen has no types for it
RED, BLUE = picture("red"), picture("blue", "PNG", 80)

every_version = pytest.mark.parametrize("version", [2, 3, 4])


def synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(version: int, name: str, body: bytes, flags: bytes = b"\0\0") -> bytes:
    """A frame, named as in version 2.4."""
    old = {"TIT2": "TT2", "TPE1": "TP1", "APIC": "PIC", "TXXX": "TXX", "COMM": "COM", "TYER": "TYE"}
    if version == 2:
        return old[name].encode() + struct.pack(">I", len(body))[1:] + body
    size = synchsafe(len(body)) if version == 4 else struct.pack(">I", len(body))
    return name.encode() + size + flags + body


def apic(version: int, kind: int, image: bytes, text: bytes = b"") -> bytes:
    mime = b"JPG" if version == 2 else b"image/jpeg\0"
    return frame(version, "APIC", b"\0" + mime + bytes((kind,)) + text + b"\0" + image)


def tag(version: int, *frames: bytes, flags: int = 0, before: bytes = b"") -> bytes:
    content = before + b"".join(frames)
    return b"ID3" + bytes((version, 0, flags)) + synchsafe(len(content)) + content


def read(content: bytes, start: int = 0) -> Tag:
    found = read_tag(io.BytesIO(content), start)
    assert found is not None
    return found


def embedded(content: bytes, image: bytes = RED) -> bytes:
    return read(content).with_front(read_picture(image)).to_bytes()


def as_mutagen_reads(content: bytes) -> Any:
    found = ID3.ID3()
    found.load(io.BytesIO(content), translate=False, load_v1=False)
    return found


def song(version: int) -> list[bytes]:
    """Frames of all kinds, some of which mutagen changes when it saves them."""
    frames = [
        frame(version, "TIT2", b"\3Blue Moon"),
        frame(version, "TPE1", b"\1" + "Ann\0Ben".encode("utf-16")),
        frame(version, "TXXX", b"\0mood\0calm"),
        frame(version, "TXXX", b"\0mood\0sad"),
        frame(version, "COMM", b"\0engID3v1 Comment\0text"),
    ]
    if version > 2:
        frames += [
            frame(version, "TYER", b"\x002026"),
            frame(version, "TDAT", b"\x002711"),
            frame(version, "XOWN", b"of some program"),
            frame(version, "PRIV", b"owner\0\xff\xe0\xff\0"),
            frame(version, "TCON", b"\0(17)"),
            frame(version, "TALB", b"\x80" + b"x" * 40, b"\0\x08" if version == 4 else b"\0\x80"),
            frame(version, "TSOP", b""),
        ]
    return frames


@every_version
def test_no_other_frame_changes_a_byte_and_the_version_is_kept(version: int) -> None:
    frames = song(version)

    written = embedded(tag(version, *frames))

    others = [one for one in frames if not one.startswith(b"TSOP")]  # which is empty
    assert written == tag(version, *others, apic(version, 3, RED, b"Front cover"))
    assert as_mutagen_reads(written).version == (2, version, 0)


@every_version
def test_the_front_cover_is_replaced_before_all_other_pictures(version: int) -> None:
    back, artist = apic(version, 4, b"back"), apic(version, 8, b"artist")
    fronts = apic(version, 3, b"old"), apic(version, 3, b"older", b"text")
    title, artist_name = frame(version, "TIT2", b"\3Blue"), frame(version, "TPE1", b"\3Ann")

    written = embedded(tag(version, title, back, fronts[0], artist_name, artist, fronts[1]))

    front = apic(version, 3, RED, b"Front cover")
    assert written == tag(version, title, front, back, artist_name, artist)
    assert read(written).fronts == [RED]


@every_version
def test_pictures_are_read_as_mutagen_reads_them(version: int) -> None:
    written = embedded(tag(version, apic(version, 4, b"back")), BLUE)

    pictures = as_mutagen_reads(written).getall("APIC")
    mime = "PNG" if version == 2 else "image/png"
    assert [(one.type, one.mime, one.desc, one.data) for one in pictures] == [
        (3, mime, "Front cover", BLUE),
        (4, "JPG" if version == 2 else "image/jpeg", "", b"back"),
    ]


@every_version
def test_twice_is_once(version: int) -> None:
    once = embedded(tag(version, *song(version)))

    assert embedded(once) == once


def test_a_new_tag_has_version_2_3() -> None:
    written = Tag().with_front(read_picture(RED)).to_bytes()

    assert written == tag(3, apic(3, 3, RED, b"Front cover"))


def test_several_artists_of_version_2_4_stay_several() -> None:
    written = embedded(tag(4, frame(4, "TPE1", b"\3Ann\0Ben\0A/B")))

    assert as_mutagen_reads(written)["TPE1"].text == ["Ann", "Ben", "A/B"]


def test_an_unsynchronised_tag_of_version_2_3_is_read() -> None:
    private = frame(3, "PRIV", b"x\0\xff\xe0\xff\x00")
    stored = (private + apic(3, 3, RED)).replace(b"\xff", b"\xff\0")

    found = read(tag(3, stored, flags=0x80))

    assert found.fronts == [RED]
    assert found.with_front(read_picture(BLUE)).to_bytes().startswith(tag(3, private)[10:], 10)


def test_an_unsynchronised_tag_of_version_2_4_keeps_its_frames() -> None:
    """Its header says it for all frames; the new header says nothing, so each frame says it."""
    private = frame(4, "PRIV", b"x\0\xff\0\xe0\xff\0\0")

    written = embedded(tag(4, private, flags=0x80))

    assert written.startswith(private[:9] + b"\2" + private[10:], 10)
    assert as_mutagen_reads(written)["PRIV:x:" + "\xff\xe0\xff\x00"].data == b"\xff\xe0\xff\0"


def test_an_extended_header_a_footer_and_padding_are_passed_over() -> None:
    extended = struct.pack(">IHI", 6, 0, 0)
    title = frame(3, "TIT2", b"\3Blue")
    found = read(tag(3, title, bytes(500), flags=0x40, before=extended))
    assert [one.body for one in found.frames] == [b"\3Blue"]
    assert found.length == 10 + len(extended) + len(title) + 500

    title = frame(4, "TIT2", b"\3Blue")
    content = tag(4, title, flags=0x10)
    assert read(content + b"3DI" + content[3:10]).length == len(content) + 10


def test_sizes_that_a_program_wrote_wrongly_are_corrected() -> None:
    """As iTunes did in tags of version 2.4: sizes of eight bits a byte."""
    text = b"\3" + b"x" * 300
    wrong = b"TIT2" + struct.pack(">I", len(text)) + b"\0\0" + text
    wrong += b"TPE1" + struct.pack(">I", len(text)) + b"\0\0" + text

    written = embedded(tag(4, wrong))

    assert as_mutagen_reads(written)["TIT2"].text == ["x" * 300]
    assert as_mutagen_reads(written)["TPE1"].text == ["x" * 300]


def test_wrong_sizes_are_told_by_the_names_of_the_frames() -> None:
    """Read with seven bits a byte, the first frame ends within its zeros, as at the tag's end."""
    body = b"owner\0" + bytes(400)
    wrong = b"PRIV" + struct.pack(">I", len(body)) + b"\0\0" + body

    frames = read(tag(4, wrong, wrong, frame(4, "TIT2", b"\3Blue"))).frames

    assert [one.body for one in frames] == [body, body, b"\3Blue"]


def test_a_compressed_front_cover_is_seen() -> None:
    body = b"\0image/jpeg\0\3\0" + RED
    packed = struct.pack(">I", len(body)) + zlib.compress(body)

    assert read(tag(3, frame(3, "APIC", packed, b"\0\x80"))).fronts == [RED]


def test_where_no_tag_begins_none_is_read() -> None:
    assert read_tag(io.BytesIO(b""), 0) is None
    assert read_tag(io.BytesIO(b"\xff\xfb" + tag(3)), 0) is None
    assert read(b"junk" + tag(3, frame(3, "TIT2", b"\0Blue")), 4).frames[0].body == b"\0Blue"


def test_a_tag_larger_than_256_mib_is_refused() -> None:
    half = apic(4, 4, bytes(1 << 27))
    found = read(tag(4, half))
    assert found.to_bytes()

    with pytest.raises(ValueError, match="larger than 256 MiB"):
        Tag(version=4, frames=found.frames * 2).to_bytes()


@every_version
@given(data=st.binary(max_size=80))
def test_any_bytes_behind_a_frame_leave_it_as_it_is(version: int, data: bytes) -> None:
    written = embedded(tag(version, frame(version, "TIT2", b"\3Blue"), data))

    assert read(written).frames[0].body == b"\3Blue"
    assert read(written).fronts == [RED]
