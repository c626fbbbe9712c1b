"""Formats are told by content; what follows the sound of an MP3 stays."""

import io
from pathlib import Path
from typing import Any

import pytest
from mutagen import apev2, id3

from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.artwork.audio.tags import read_tags
from tests.support.audio_files import FORMATS, picture, sound

APE: Any = apev2  # mutagen has no types for these
ID3: Any = id3
RED = picture("red")
BARE = ("-id3v2_version", "0", "-write_xing", "0", "-map_metadata", "-1")


def known(content: bytes) -> bool:
    return bool(read_tags(io.BytesIO(content)))


def tag() -> bytes:
    return b"ID3\4" + bytes(6)


@pytest.mark.parametrize("suffix", FORMATS)
def test_each_format_is_known_by_its_first_bytes(suffix: str) -> None:
    kinds = {"ogg": "_Ogg", "opus": "_Ogg", "m4a": "_Mp4", "mp3": "_Id3"}

    (found,) = read_tags(io.BytesIO(sound(suffix)))

    assert type(found).__name__ == kinds.get(suffix, f"_{suffix.title()}")
    assert found.fronts == []


def test_an_mp3_without_a_tag_or_with_bytes_behind_its_tag_is_known() -> None:
    bare = sound("mp3", *BARE, title=None)

    assert bare[0] == 0xFF
    assert known(bare)
    assert known(tag() + bytes(2000) + bare)
    assert known(tag() + tag() + bare)
    assert not known(tag())


def test_a_file_that_only_holds_mp3_somewhere_is_none() -> None:
    bare = sound("mp3", *BARE, title=None)

    assert not known(b"words" + bare)
    assert not known(b"\xff\xfb" + bytes(5000))
    assert not known(b"\xff\xe0")


def test_a_few_bytes_that_happen_to_be_like_frames_are_none() -> None:
    frame = b"\xff\xfb\x90\x00".ljust(417, b"\0")

    assert not known(tag() + frame * 2 + b"words")
    assert known(tag() + frame * 6)


@pytest.mark.parametrize("length", [124, 127, 128, 131, 256])
def test_id3v1_apev2_and_the_sound_of_an_mp3_stay_byte_by_byte(tmp_path: Path, length: int) -> None:
    """mutagen would write an ID3v1 tag anew, from the other tag; some programs wrote odd ones."""
    bare = sound("mp3", *BARE, title=None)
    v1 = (b"TAG" + b"An old title".ljust(30, b" ") + b"\xff" * 94).ljust(length, b"\0")
    file = io.BytesIO(bare)
    ape = APE.APEv2()
    ape["Title"], ape["Cover Art (Front)"] = "Of APE", b"cover.jpg\0old"
    ape.save(file)
    song = tmp_path / "song.mp3"
    song.write_bytes(file.getvalue() + v1)

    assert embed_cover(song, RED)

    now = ID3.ID3()
    now.load(song, translate=False, load_v1=False)
    assert (now.version, list(now)) == ((2, 3, 0), ["APIC:Front cover"])
    assert song.read_bytes()[now.size :] == file.getvalue() + v1


@pytest.mark.parametrize("version", [3, 4])
def test_the_tag_of_an_mp3_keeps_its_version_and_its_id3v1_apart(
    tmp_path: Path, version: int
) -> None:
    old = ID3.ID3()
    old.add(ID3.TPE1(text=["Ann", "Ben"]))
    old.add(ID3.TDRC(text=["2026-11-27"]))
    song = tmp_path / "song.mp3"
    v1 = b"TAG" + b"Another title".ljust(30, b"\0") + bytes(95)
    song.write_bytes(sound("mp3", *BARE, title=None) + v1)
    old.save(song, v2_version=version, v23_sep=None)
    song.write_bytes(song.read_bytes()[:-128] + v1)

    assert embed_cover(song, RED)

    now = ID3.ID3()
    now.load(song, translate=False, load_v1=False)
    assert (now.version, now["TPE1"].text) == ((2, version, 0), ["Ann", "Ben"])
    assert set(now) == {"TPE1", "TDRC", "APIC:Front cover"}
    assert song.read_bytes().endswith(v1)
