"""WAV: chunks of other programs, odd sizes, and the ID3 tag."""

from pathlib import Path
from typing import Any

import pytest
from mutagen import id3, wave

from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.errors import ArtworkError
from tests.support.audio_files import (
    chunk,
    decoded,
    picture,
    riff,
    seen_by_ffprobe,
    seen_by_tinytag,
    sound,
)

WAVE: Any = wave  # mutagen has no types for it
ID3: Any = id3
RED, BLUE = picture("red"), picture("blue", "PNG", 80)
SOUND = bytes(range(256)) * 40
FORMAT = chunk(b"fmt ", b"\1\0\1\0" + (8000).to_bytes(4, "little") * 2 + b"\1\0\x08\0")
LIST = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Blue\0"))


def embedded(folder: Path, content: bytes, image: bytes = RED) -> bytes:
    """Embed a cover; return the file without its ID3 chunk, and with the size of before."""
    song = folder / "song.wav"
    song.write_bytes(content)
    assert embed_cover(song, image)
    assert not embed_cover(song, image)
    now = song.read_bytes()
    assert seen_by_tinytag(song)[0] == image
    place = now.lower().index(b"id3 ")
    end = place + 8 + int.from_bytes(now[place + 4 : place + 8], "little")
    assert now[place + 8 : place + 12] == b"ID3\3"
    assert image in now[place:end]
    return now[:4] + content[4:8] + now[8:place] + now[end + end % 2 :]


def test_a_new_tag_of_version_2_3_is_the_last_chunk_and_the_others_stay(tmp_path: Path) -> None:
    chunks = [chunk(b"bext", b"of a recorder"), FORMAT, LIST, chunk(b"data", SOUND)]
    whole = riff(*chunks, chunk(b"cue ", b"odd"))

    assert embedded(tmp_path, whole) == whole
    assert (tmp_path / "song.wav").read_bytes().startswith(whole[8:], 8)


@pytest.mark.parametrize("name", [b"id3 ", b"ID3 "])
def test_a_tag_is_replaced_where_it_is(tmp_path: Path, name: bytes) -> None:
    before, after = [FORMAT, LIST], [chunk(b"data", SOUND[:-1]), chunk(b"cue ", b"odd")]
    old = riff(*before, chunk(name, b"ID3\3\0\0\0\0\0\0"), *after)

    for image in (BLUE, RED):
        bare = embedded(tmp_path, old, image)
        old = (tmp_path / "song.wav").read_bytes()

        assert bare[8:] == riff(*before, *after)[8:]


def test_sound_of_an_odd_size_whose_last_byte_is_missing_is_filled_up(tmp_path: Path) -> None:
    whole = riff(FORMAT, chunk(b"data", SOUND[:-1]))
    size = (len(whole) - 9).to_bytes(4, "little")

    for content in (whole, whole[:-1], b"RIFF" + size + whole[8:-1], b"RIFF" + size + whole[8:]):
        assert embedded(tmp_path, content)[8:] == whole[8:]


def test_what_follows_the_last_chunk_stays(tmp_path: Path) -> None:
    whole = riff(FORMAT, chunk(b"data", SOUND)) + b"TAG" + bytes(125)

    assert embedded(tmp_path, whole) == whole


def test_an_empty_tag_chunk_is_filled(tmp_path: Path) -> None:
    old = riff(FORMAT, chunk(b"id3 ", b""), chunk(b"data", SOUND))

    assert embedded(tmp_path, old)[8:] == riff(FORMAT, chunk(b"data", SOUND))[8:]


@pytest.mark.parametrize(
    "content",
    [
        riff(FORMAT),
        riff(chunk(b"data", SOUND)),
        riff(FORMAT, chunk(b"data", SOUND))[:-2],
        b"RIFF\0\0\0\0WAVE" + FORMAT + chunk(b"data", SOUND),
        riff(FORMAT, b"data\xff\xff\xff\xff" + SOUND),
    ],
)
def test_wrong_sizes_are_refused(tmp_path: Path, content: bytes) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(content)

    with pytest.raises(ArtworkError, match=r"it is cut off|it has no sound|it is damaged"):
        embed_cover(song, RED)

    assert song.read_bytes() == content


def test_mutagen_and_ffmpeg_read_the_tag_of_either_version(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    for version in (3, 4):
        song.write_bytes(sound("wav"))
        edited = WAVE.WAVE(song)
        edited.add_tags()
        edited.tags.add(ID3.TPE1(text=["Ann", "Ben"]))
        edited.tags.save(song, v2_version=version, v23_sep=None)
        before = decoded(song)

        assert embed_cover(song, RED)

        now = WAVE.WAVE(song).tags
        assert now.version == (2, version, 0)
        assert now["TPE1"].text == ["Ann", "Ben"]
        assert [(one.type, one.data) for one in now.getall("APIC")] == [(3, RED)]
        assert decoded(song) == before
        assert seen_by_ffprobe(song)[0] == [("mjpeg", 64, "Cover (front)")]
