"""WAV: chunks of other programs, odd sizes, and the ID3 tag."""

import io
from pathlib import Path
from typing import Any

import pytest
from mutagen import id3, wave

from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.artwork.audio.id3 import Tag
from suno_cover_async.artwork.audio.pictures import read_picture
from suno_cover_async.artwork.audio.wav import wav_has, write_wav
from tests.support.audio_files import chunk, decoded, picture, riff, seen_by_ffprobe, sound

WAVE: Any = wave  # mutagen has no types for it
ID3: Any = id3
RED, BLUE = picture("red"), picture("blue", "PNG", 80)
SOUND = bytes(range(256)) * 40
FORMAT = chunk(b"fmt ", b"\1\0\1\0" + (8000).to_bytes(4, "little") * 2 + b"\1\0\x08\0")
LIST = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Blue\0"))


def written(content: bytes, image: bytes = RED) -> bytes:
    target = io.BytesIO()
    write_wav(io.BytesIO(content), target, read_picture(image))
    assert wav_has(target, image)
    return target.getvalue()


def tag(image: bytes) -> bytes:
    return Tag().with_front(read_picture(image)).to_bytes()


def test_a_new_tag_of_version_2_3_is_the_last_chunk_and_the_others_stay() -> None:
    chunks = [chunk(b"bext", b"of a recorder"), FORMAT, LIST, chunk(b"data", SOUND)]
    chunks.append(chunk(b"cue ", b"odd"))

    assert written(riff(*chunks)) == riff(*chunks, chunk(b"id3 ", tag(RED)))


@pytest.mark.parametrize("name", [b"id3 ", b"ID3 "])
def test_a_tag_is_replaced_where_it_is(name: bytes) -> None:
    before, after = [FORMAT, LIST], [chunk(b"data", SOUND[:-1]), chunk(b"cue ", b"odd")]
    old = riff(*before, chunk(name, tag(BLUE)), *after)

    assert written(old) == riff(*before, chunk(name, tag(RED)), *after)
    assert written(written(old, BLUE), RED) == written(old)


def test_sound_of_an_odd_size_whose_last_byte_is_missing_is_filled_up() -> None:
    whole = riff(FORMAT, chunk(b"data", SOUND[:-1]))
    end = chunk(b"id3 ", tag(RED))
    size = (len(whole) - 9).to_bytes(4, "little")

    assert written(whole[:-1]) == riff(FORMAT, chunk(b"data", SOUND[:-1]), end)
    assert written(b"RIFF" + size + whole[8:-1]) == written(whole)


def test_what_follows_the_last_chunk_stays() -> None:
    behind = b"TAG" + bytes(125)

    whole = riff(FORMAT, chunk(b"data", SOUND))

    assert written(whole + behind) == written(whole) + behind


def test_an_empty_tag_chunk_is_filled() -> None:
    old = riff(FORMAT, chunk(b"id3 ", b""), chunk(b"data", SOUND))

    assert written(old) == riff(FORMAT, chunk(b"id3 ", tag(RED)), chunk(b"data", SOUND))


@pytest.mark.parametrize(
    "content",
    [
        riff(FORMAT),
        riff(chunk(b"data", SOUND)),
        riff(FORMAT, chunk(b"data", SOUND))[:-2],
        b"RIFF\0\0\0\0WAVE" + FORMAT + chunk(b"data", SOUND),
        riff(FORMAT, b"data\xff\xff\xff\xff" + SOUND),
        riff(FORMAT, chunk(b"data", SOUND), chunk(b"id3 ", tag(RED)[:40]) + bytes(700)),
    ],
)
def test_wrong_sizes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"it is cut off|it has no sound|its ID3 tag is longer"):
        written(content)


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
