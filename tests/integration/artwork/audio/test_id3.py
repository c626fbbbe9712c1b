"""ID3v2 tags of every version: the front cover changes; no other frame does, or the file stays."""

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutagen import id3

from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.errors import ArtworkError
from tests.support.audio_files import decoded, picture, seen_by_ffprobe, seen_by_tinytag, sound

ID3: Any = id3  # mutagen has no types for it
RED, BLUE = picture("red"), picture("blue", "PNG", 80)
BARE = ("-id3v2_version", "0", "-write_xing", "0", "-map_metadata", "-1")

every_version = pytest.mark.parametrize("version", [2, 3, 4])


def synchsafe(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def frame(version: int, name: str, body: bytes, flags: bytes = b"\0\0") -> bytes:
    """A frame, named as in version 2.4."""
    old = {"TIT2": "TT2", "TPE1": "TP1", "APIC": "PIC", "TXXX": "TXX", "COMM": "COM", "TYER": "TYE"}
    if version == 2:
        return old.get(name, name).encode() + struct.pack(">I", len(body))[1:] + body
    size = synchsafe(len(body)) if version == 4 else struct.pack(">I", len(body))
    return name.encode() + size + flags + body


def compressed(version: int, name: str, body: bytes) -> bytes:
    size = synchsafe(len(body)) if version == 4 else struct.pack(">I", len(body))
    flags = b"\0\x09" if version == 4 else b"\0\x80"
    return frame(version, name, size + zlib.compress(body), flags)


def apic(version: int, kind: int, image: bytes, text: bytes = b"") -> bytes:
    mime = b"JPG" if version == 2 else b"image/jpeg\0"
    return frame(version, "APIC", b"\0" + mime + bytes((kind,)) + text + b"\0" + image)


def tag(version: int, *frames: bytes, flags: int = 0, before: bytes = b"") -> bytes:
    content = before + b"".join(frames)
    return b"ID3" + bytes((version, 0, flags)) + synchsafe(len(content)) + content


def embedded(folder: Path, content: bytes, image: bytes = RED) -> Any:
    """Embed a cover into an MP3 with a tag; return the tag as mutagen reads it."""
    song = folder / "song.mp3"
    song.write_bytes(content + sound("mp3", *BARE, title=None))
    before = decoded(song, may_warn=True)
    assert embed_cover(song, image)
    assert not embed_cover(song, image)
    assert decoded(song, may_warn=True) == before
    return read(song)


def read(song: Path) -> Any:
    found = ID3.ID3()
    found.load(song, translate=False, load_v1=False)
    return found


def song_frames(version: int) -> list[bytes]:
    """Frames of all kinds."""
    frames = [
        frame(version, "TIT2", b"\0Blue Moon"),
        frame(version, "TPE1", b"\1" + "Ann\0Ben".encode("utf-16")),
        frame(version, "TXXX", b"\0mood\0calm"),
        frame(version, "TXXX", b"\0pace\0slow"),
        frame(version, "COMM", b"\0engID3v1 Comment\0text"),
        apic(version, 4, b"back"),
    ]
    if version > 2:
        frames += [
            frame(version, "TYER", b"\x002026"),
            frame(version, "TDAT", b"\x002711"),
            frame(version, "XOWN", b"of some program"),
            frame(version, "PRIV", b"owner\0\xff\xe0\xff\0"),
            frame(version, "TCON", b"\0(17)"),
            compressed(version, "TALB", b"\0" + b"x" * 40),
        ]
    return frames


@every_version
def test_no_other_frame_changes_and_the_version_is_kept_or_2_2_becomes_2_3(
    tmp_path: Path, version: int
) -> None:
    frames = song_frames(version)
    (tmp_path / "before").write_bytes(tag(version, *frames))
    before = read(tmp_path / "before")

    after = embedded(tmp_path, tag(version, *frames))

    assert after.version == (2, max(version, 3), 0)
    assert after.pop("APIC:Front cover").data == RED
    back, old_back = after.pop("APIC:"), before.pop("APIC:")
    assert (back.type, back.data, back.mime) == (old_back.type, old_back.data, "image/jpeg")
    assert {name: repr(one) for name, one in after.items()} == {
        name: repr(one) for name, one in before.items()
    }
    assert after.unknown_frames == before.unknown_frames
    assert len(after) == len(frames) - 1 - len(after.unknown_frames)


@every_version
def test_the_front_cover_is_replaced_before_all_other_pictures(
    tmp_path: Path, version: int
) -> None:
    back, artist = apic(version, 4, b"back", b"Front cover"), apic(version, 8, b"artist")
    fronts = apic(version, 3, b"old"), apic(version, 3, b"older", b"text")

    after = embedded(tmp_path, tag(version, back, fronts[0], artist, fronts[1]), BLUE)

    assert [(one.type, one.mime, one.desc, one.data) for one in after.getall("APIC")] == [
        (3, "image/png", "Front cover ", BLUE),
        (4, "image/jpeg", "Front cover", b"back"),
        (8, "image/jpeg", "", b"artist"),
    ]
    assert seen_by_tinytag(tmp_path / "song.mp3")[0] == BLUE


def test_a_new_tag_has_version_2_3(tmp_path: Path) -> None:
    after = embedded(tmp_path, b"")

    assert after.version == (2, 3, 0)
    assert list(after) == ["APIC:Front cover"]


@pytest.mark.parametrize("version", [3, 4])
def test_several_artists_stay_several(tmp_path: Path, version: int) -> None:
    after = embedded(tmp_path, tag(version, frame(version, "TPE1", b"\0Ann\0Ben\0A/B")))

    assert after["TPE1"].text == ["Ann", "Ben", "A/B"]


def test_frames_whose_encoding_version_2_3_does_not_have_keep_their_text(tmp_path: Path) -> None:
    after = embedded(tmp_path, tag(3, frame(3, "TIT2", b"\3" + "Été".encode())))

    assert after["TIT2"].text == ["Été"]
    assert seen_by_ffprobe(tmp_path / "song.mp3")[1]["title"] == "Été"


def test_unsynchronised_tags_are_read(tmp_path: Path) -> None:
    private = frame(3, "PRIV", b"x\0\xff\xe0\xff\x00")
    stored = (private + apic(3, 3, BLUE)).replace(b"\xff", b"\xff\0")
    after = embedded(tmp_path, tag(3, stored, flags=0x80))
    assert [one.data for one in after.getall("PRIV")] == [b"\xff\xe0\xff\0"]

    private = frame(4, "PRIV", b"x\0\xff\0\xe0\xff\0\0")
    after = embedded(tmp_path, tag(4, private, flags=0x80))
    assert [one.data for one in after.getall("PRIV")] == [b"\xff\xe0\xff\0"]


def test_an_extended_header_a_footer_and_padding_are_passed_over(tmp_path: Path) -> None:
    extended = struct.pack(">IHI", 6, 0, 0)
    title = frame(3, "TIT2", b"\0Blue")
    content = tag(3, title, bytes(500), flags=0x40, before=extended)
    assert embedded(tmp_path, content)["TIT2"].text == ["Blue"]

    content = tag(4, frame(4, "TIT2", b"\3Blue"), flags=0x10)
    assert embedded(tmp_path, content + b"3DI" + content[3:10])["TIT2"].text == ["Blue"]


def test_sizes_that_a_program_wrote_wrongly_are_corrected(tmp_path: Path) -> None:
    """As iTunes did in tags of version 2.4: sizes of eight bits a byte."""
    text = b"\3" + b"x" * 300
    wrong = b"TIT2" + struct.pack(">I", len(text)) + b"\0\0" + text
    wrong += b"TPE1" + struct.pack(">I", len(text)) + b"\0\0" + text

    after = embedded(tmp_path, tag(4, wrong))

    assert (after["TIT2"].text, after["TPE1"].text) == (["x" * 300], ["x" * 300])


def test_a_compressed_front_cover_is_seen(tmp_path: Path) -> None:
    front = compressed(3, "APIC", b"\0image/jpeg\0\3\0" + RED)
    song = tmp_path / "song.mp3"
    song.write_bytes(tag(3, front) + sound("mp3", *BARE, title=None))

    assert not embed_cover(song, RED)


def test_empty_texts_are_no_reason_to_leave_a_file(tmp_path: Path) -> None:
    frames = [frame(4, "TSOP", b""), frame(4, "TIT2", b"\0"), frame(4, "TPE1", b"\0Ann")]

    assert embedded(tmp_path, tag(4, *frames))["TPE1"].text == ["Ann"]


def test_values_of_one_text_in_several_frames_stay(tmp_path: Path) -> None:
    frames = [frame(4, "TXXX", b"\0mood\0calm"), frame(4, "TXXX", b"\0mood\0sad")]

    assert embedded(tmp_path, tag(4, *frames))["TXXX:mood"].text == ["calm", "sad"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (tag(3, *[frame(3, "COMM", b"\0eng\0" + text) for text in (b"one", b"two")]), "COMM"),
        (tag(4, *[frame(4, "UFID", b"owner\0" + text) for text in (b"1", b"2")]), "UFID"),
        (tag(3, frame(3, "APIC", b"\x09image/jpeg\0\4\0back")), "APIC"),
        (tag(4, frame(4, "TIT2", b"\x09Blue")), "TIT2"),
        (tag(2, frame(2, "CRM", b"owner\0\0locked")), "CRM"),
    ],
)
def test_a_frame_that_mutagen_would_lose_is_a_reason_to_leave_the_file(
    tmp_path: Path, content: bytes, name: str
) -> None:
    with pytest.raises(ArtworkError, match=f"a frame {name} of its ID3 tag would be lost"):
        embedded(tmp_path, content)


@pytest.mark.parametrize(
    "content",
    [
        tag(2, frame(2, "XYZ", b"of some program")),
        tag(4, frame(4, "XOWN", b"\xff\0\xe0"), flags=0x80),
    ],
)
def test_a_frame_of_some_program_that_would_change_is_a_reason_to_leave_the_file(
    tmp_path: Path, content: bytes
) -> None:
    with pytest.raises(ArtworkError, match="its other tags would not stay as they are"):
        embedded(tmp_path, content)


@pytest.mark.parametrize("version", [3, 4])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=80))
def test_any_bytes_behind_a_frame_leave_it_or_the_file(
    tmp_path: Path, version: int, data: bytes
) -> None:
    song = tmp_path / "song.mp3"
    content = tag(version, frame(version, "TIT2", b"\0Blue"), data) + sound(
        "mp3", *BARE, title=None
    )
    song.write_bytes(content)
    try:
        embed_cover(song, RED)
    except ArtworkError:
        assert song.read_bytes() == content
    else:
        assert read(song)["TIT2"].text[0] == "Blue"
