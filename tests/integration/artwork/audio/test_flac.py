"""FLAC: blocks, padding, pictures of other kinds, and an ID3 tag in front."""

import io
from pathlib import Path
from typing import Any

import pytest
from mutagen import flac, id3

from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.errors import ArtworkError
from tests.support.audio_files import audio_file, decoded, picture, seen_by_ffprobe, sound

FLAC: Any = flac  # mutagen has no types for it
ID3: Any = id3
RED, BLUE = picture("red"), picture("blue", "PNG", 80)


def blocks(content: bytes, start: int = 0) -> list[tuple[int, bytes]]:
    """The blocks of a file, and all that follows as a block of kind 127."""
    found: list[tuple[int, bytes]] = []
    place, last = start + 4, False
    while not last:
        kind, size = content[place], int.from_bytes(content[place + 1 : place + 4])
        last = kind > 127
        found.append((kind & 127, content[place + 4 : place + 4 + size]))
        place += 4 + size
    return [*found, (127, content[place:])]


def no_padding(_: object) -> int:
    return 0


def of_another_kind(kind: int, data: bytes) -> Any:
    found = FLAC.Picture()
    found.type, found.mime, found.data = kind, "image/jpeg", data
    return found


def test_every_other_block_stays(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "flac", "-metadata", "LYRICS=la la", "-metadata", "ARTIST=Ben")
    before = [block for block in blocks(song.read_bytes()) if block[0] != 1]

    embed_cover(song, RED)

    after = [block for block in blocks(song.read_bytes()) if block[0] != 1]
    assert [block for block in after if block[0] != 6] == before
    assert [block[0] for block in after].count(6) == 1


def test_pictures_of_other_kinds_stay_behind_the_new_front_cover(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "flac")
    edited = FLAC.FLAC(song)
    for kind, data in ((4, b"back"), (3, b"old"), (8, b"artist"), (3, b"older")):
        edited.add_picture(of_another_kind(kind, data))
    edited.save()
    tags = dict(edited.tags)

    embed_cover(song, BLUE)

    now = FLAC.FLAC(song)
    assert [(one.type, one.data) for one in now.pictures] == [
        (3, BLUE),
        (4, b"back"),
        (8, b"artist"),
    ]
    (front, *_) = now.pictures
    assert (front.mime, front.width, front.height, front.depth) == ("image/png", 80, 80, 24)
    assert dict(now.tags) == tags


@pytest.mark.parametrize("has_front", [False, True])
def test_an_id3_tag_in_front_stays_and_its_front_cover_is_replaced(
    tmp_path: Path, *, has_front: bool
) -> None:
    song = tmp_path / "song.flac"
    tag = ID3.ID3()
    tag.add(ID3.TIT2(text=["Blue"]))
    tag.add(ID3.APIC(mime="image/jpeg", type=3 if has_front else 4, data=b"old"))
    file = io.BytesIO()
    tag.save(file)
    song.write_bytes(file.getvalue() + sound("flac"))
    before = decoded(song)

    assert embed_cover(song, RED)
    assert not embed_cover(song, RED)

    content = song.read_bytes()
    assert content.startswith(file.getvalue()) is not has_front
    now = ID3.ID3(song)
    assert now["TIT2"].text == ["Blue"]
    assert [one.data for one in now.getall("APIC")] == [RED if has_front else b"old"]
    assert [one.data for one in FLAC.FLAC(song).pictures] == [RED]
    assert decoded(song) == before


def test_a_front_cover_in_the_id3_tag_alone_is_no_reason_to_write_none(tmp_path: Path) -> None:
    song = tmp_path / "song.flac"
    tag = ID3.ID3()
    tag.add(ID3.APIC(mime="image/jpeg", type=3, data=RED))
    file = io.BytesIO()
    tag.save(file)
    song.write_bytes(file.getvalue() + sound("flac"))

    assert embed_cover(song, RED)

    assert [one.data for one in FLAC.FLAC(song).pictures] == [RED]
    assert not embed_cover(song, RED)


def test_another_front_cover_in_the_id3_tag_alone_is_replaced(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "flac")
    embed_cover(song, RED)
    tag = ID3.ID3()
    tag.add(ID3.APIC(mime="image/jpeg", type=3, data=b"old"))
    file = io.BytesIO()
    tag.save(file)
    song.write_bytes(file.getvalue() + song.read_bytes())

    assert embed_cover(song, RED)

    assert [one.data for one in ID3.ID3(song).getall("APIC")] == [RED]


def test_a_file_without_padding_or_with_the_picture_last_gets_its_cover(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "flac")
    edited = FLAC.FLAC(song)
    edited.save(padding=no_padding)
    content = song.read_bytes()
    found = blocks(content)
    assert found[-2] == (1, b"")
    bare = b"fLaC" + b"".join(
        bytes((kind | (128 if n == len(found) - 3 else 0),)) + len(text).to_bytes(3) + text
        for n, (kind, text) in enumerate(found[:-2])
    )
    song.write_bytes(bare + found[-1][1])
    before = decoded(song)

    for image in (RED, BLUE):
        assert embed_cover(song, image)

    assert decoded(song) == before
    assert seen_by_ffprobe(song)[0][0][:2] == ("png", 80)


def test_a_block_that_cannot_be_read_or_a_comment_that_would_be_lost_is_a_reason_to_leave_the_file(
    tmp_path: Path,
) -> None:
    content = sound("flac")
    song = tmp_path / "song.flac"
    wrong = b"\4\0\0\0mine\1\0\0\0\x07\0\0\0TITLE=\xff"
    for block, words in (
        (b"\x06\0\0\x02xx", "it is damaged"),
        (b"\x04\0\0" + bytes((len(wrong),)) + wrong, "tags that are not written as they should"),
    ):
        song.write_bytes(content[:42] + block + content[42:])

        with pytest.raises(ArtworkError, match=words):
            embed_cover(song, RED)


def test_a_picture_between_other_blocks_keeps_its_place(tmp_path: Path) -> None:
    content = sound("flac")
    back = of_another_kind(4, b"back").write()
    song = tmp_path / "song.flac"
    song.write_bytes(content[:42] + b"\6" + len(back).to_bytes(3) + back + content[42:])

    for image in (RED, BLUE):
        assert embed_cover(song, image)

        assert [kind for kind, _ in blocks(song.read_bytes())][:4] == [0, 6, 6, 4]
        assert [one.data for one in FLAC.FLAC(song).pictures] == [image, b"back"]
