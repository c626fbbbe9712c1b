"""MP4 and M4A: where the index is, tags of every kind, and several covers."""

from pathlib import Path
from typing import Any

import pytest
from mutagen import mp4

from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.errors import ArtworkError
from tests.support.audio_files import (
    audio_file,
    decoded,
    packets,
    picture,
    seen_by_ffprobe,
    seen_by_tinytag,
)

MP4: Any = mp4  # mutagen has no types for it
RED, BLUE = picture("red"), picture("blue", "PNG", 80)


def boxes(content: bytes) -> list[bytes]:
    """The names of the outermost boxes."""
    found: list[bytes] = []
    place = 0
    while place < len(content):
        found.append(content[place + 4 : place + 8])
        place += int.from_bytes(content[place : place + 4])
    return found


@pytest.mark.parametrize("flags", ["+faststart", "0"])
@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_the_sound_is_found_whether_the_index_is_before_or_behind_it(
    tmp_path: Path, flags: str, codec: str
) -> None:
    song = audio_file(tmp_path, "m4a", "-movflags", flags, "-c:a", codec)
    before = decoded(song), packets(song)
    order = [box for box in boxes(song.read_bytes()) if box in (b"moov", b"mdat")]
    assert order == ([b"moov", b"mdat"] if flags == "+faststart" else [b"mdat", b"moov"])

    for image in (RED, picture("green", side=1000), BLUE):
        assert embed_cover(song, image)
        assert (decoded(song), packets(song)) == before

    assert [box for box in boxes(song.read_bytes()) if box in (b"moov", b"mdat")] == order
    assert seen_by_tinytag(song) == (BLUE, "Blue Moon", "Ann")


def test_tags_of_every_kind_stay(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "m4a")
    edited = MP4.MP4(song)
    edited["\xa9ART"] = ["Ann", "Ben"]
    edited["trkn"], edited["disk"] = [(1, 9)], [(1, 2)]
    edited["cpil"], edited["tmpo"], edited["\xa9lyr"] = True, [120], ["la la"]
    edited["----:com.apple.iTunes:MOOD"] = [MP4.MP4FreeForm(b"calm"), MP4.MP4FreeForm(b"sad")]
    edited["covr"] = [MP4.MP4Cover(b"front"), MP4.MP4Cover(b"second")]
    edited.save()
    before = dict(MP4.MP4(song).tags)

    embed_cover(song, BLUE)

    after = dict(MP4.MP4(song).tags)
    covers = after.pop("covr")
    assert [bytes(cover) for cover in covers] == [BLUE, b"second"]
    assert covers[0].imageformat == MP4.AtomDataType.PNG
    del before["covr"]
    assert after == before


def test_a_video_with_sound_gets_a_cover(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "mp4", "-f", "mp4")
    before = decoded(song)

    assert embed_cover(song, RED)

    assert seen_by_ffprobe(song)[0] == [("mjpeg", 64, "")]
    assert decoded(song) == before


def test_a_box_of_64_bits_and_one_to_the_end_are_read(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "m4a", "-movflags", "faststart")
    content = song.read_bytes()
    place = content.index(b"mdat") - 4
    song.write_bytes(content[:place] + bytes(4) + content[place + 4 :])
    before = decoded(song)
    assert embed_cover(song, RED)
    assert decoded(song) == before

    free = b"\0\0\0\1free" + (24).to_bytes(8) + bytes(8)
    song.write_bytes(content + free)
    assert embed_cover(song, RED)
    assert decoded(song) == before


def test_a_file_that_ends_in_a_box_is_refused(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "m4a")
    content = song.read_bytes()
    for end in (b"\0\0\0\x09free", b"\0\0\0\x04free"):
        song.write_bytes(content + end)

        with pytest.raises(ArtworkError, match="damaged"):
            embed_cover(song, RED)
