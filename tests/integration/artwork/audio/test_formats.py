"""Formats are told by content; what follows the sound of an MP3 stays."""

import io
from typing import Any

import pytest
from mutagen import apev2, id3

from suno_cover_async.artwork.audio.formats import format_of
from suno_cover_async.artwork.audio.id3 import Tag, read_tag
from suno_cover_async.artwork.audio.pictures import read_picture
from tests.support.audio_files import FORMATS, picture, sound

APE: Any = apev2  # mutagen has no types for these
ID3: Any = id3
RED = picture("red")
MPEG = ("-id3v2_version", "0", "-write_xing", "0", "-map_metadata", "-1")


def named(content: bytes) -> str | None:
    found = format_of(io.BytesIO(content))
    return found.name if found else None


def written(content: bytes) -> bytes:
    target = io.BytesIO()
    found = format_of(io.BytesIO(content))
    assert found is not None
    found.write(io.BytesIO(content), target, read_picture(RED))
    assert found.has(target, RED)
    return target.getvalue()


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_is_known_by_its_first_bytes(suffix: str) -> None:
    names = {"ogg": "Ogg", "opus": "Ogg", "m4a": "MP4"}

    assert named(sound(suffix)) == names.get(suffix, suffix.upper())


def test_an_mp3_without_a_tag_or_with_bytes_behind_its_tag_is_known() -> None:
    bare = sound("mp3", *MPEG, title=None)
    tag = Tag().with_front(read_picture(RED)).to_bytes()

    assert bare[0] == 0xFF
    assert named(bare) == "MP3"
    assert named(tag + bytes(2000) + bare) == "MP3"
    assert named(tag + tag + bare) == "MP3"
    assert named(tag) is None


def test_a_file_that_only_holds_mp3_somewhere_is_none() -> None:
    bare = sound("mp3", *MPEG, title=None)

    assert named(b"words" + bare) is None
    assert named(b"\xff\xfb" + bytes(5000)) is None
    assert named(b"\xff\xe0") is None


def test_a_few_bytes_that_happen_to_be_like_frames_are_none() -> None:
    frame = b"\xff\xfb\x90\x00".ljust(417, b"\0")
    tag = Tag().with_front(read_picture(RED)).to_bytes()

    assert named(tag + frame * 2 + b"words") is None
    assert named(tag + frame * 6) == "MP3"


def test_id3v1_apev2_and_the_sound_of_an_mp3_stay_byte_by_byte() -> None:
    """mutagen would write an ID3v1 tag anew, from the other tag."""
    bare = sound("mp3", *MPEG, title=None)
    v1 = b"TAG" + b"An old title".ljust(30, b" ") + b"\xff" * 94 + b"\0"
    file = io.BytesIO(bare)
    ape = APE.APEv2()
    ape["Title"], ape["Cover Art (Front)"] = "Of APE", b"cover.jpg\0old"
    ape.save(file)
    content = file.getvalue() + v1

    found = written(content)

    tag = read_tag(io.BytesIO(found), 0)
    assert tag is not None
    assert (tag.version, len(tag.frames)) == (3, 1)
    assert found[tag.length :] == content


@pytest.mark.parametrize("version", [3, 4])
def test_the_tag_of_an_mp3_keeps_its_version_and_its_id3v1_apart(version: int) -> None:
    tag = ID3.ID3()
    tag.add(ID3.TPE1(text=["Ann", "Ben"]))
    tag.add(ID3.TDRC(text=["2026-11-27"]))
    file = io.BytesIO()
    tag.save(file, v2_version=version, v23_sep=None)
    v1 = b"TAG" + b"Another title".ljust(30, b"\0") + bytes(95)
    content = file.getvalue() + sound("mp3", *MPEG, title=None) + v1

    found = written(content)

    now = ID3.ID3()
    now.load(io.BytesIO(found), translate=False, load_v1=False)
    assert (now.version, now["TPE1"].text) == ((2, version, 0), ["Ann", "Ben"])
    assert set(now) == {"TPE1", "TDRC", "APIC:Front cover"}
    assert found.endswith(v1)
