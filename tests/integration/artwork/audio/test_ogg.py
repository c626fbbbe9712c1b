"""Ogg Vorbis and Opus: comments, chains of streams, and comments that mutagen would change."""

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from mutagen import flac, ogg, oggopus, oggvorbis

from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.artwork.audio.tags import read_tags
from suno_cover_async.errors import ArtworkError
from tests.support.audio_files import (
    audio_file,
    decoded,
    packets,
    picture,
    seen_by_tinytag,
    sound,
)

OGG: Any = ogg  # mutagen has no types for these
FLAC: Any = flac
OPENERS: dict[str, Any] = {"ogg": oggvorbis.OggVorbis, "opus": oggopus.OggOpus}
RED, BLUE = picture("red"), picture("blue", "PNG", 80)
LARGE = picture("red", "PNG", 2000) + bytes(200_000)

both = pytest.mark.parametrize("suffix", ["ogg", "opus"])


def pages(content: bytes) -> list[Any]:
    file = io.BytesIO(content)
    found: list[Any] = []
    while file.tell() < len(content):
        found.append(OGG.OggPage(file))
    return found


def block(kind: int, data: bytes) -> str:
    found = FLAC.Picture()
    found.type, found.mime, found.data = kind, "image/jpeg", data
    return base64.b64encode(found.write()).decode()


@both
def test_comments_of_every_kind_stay_in_their_order(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix)
    edited = OPENERS[suffix](song)
    edited.tags[:] = [
        ("TITLE", "Blue"),
        ("artist", "Ann"),
        ("Artist", "Ben"),
        ("metadata_block_picture", block(4, b"back")),
        ("METADATA_BLOCK_PICTURE", block(3, b"old")),
        ("METADATA_BLOCK_PICTURE", "no base64"),
        ("METADATA_BLOCK_PICTURE", "eHg="),
        ("LYRICS", "la\nla"),
    ]
    edited.save()
    before = list(edited.tags)
    vendor = edited.tags.vendor

    embed_cover(song, RED)

    tags = OPENERS[suffix](song).tags
    now = list(tags)
    name, front = now[3]
    shown = FLAC.Picture(base64.b64decode(front))
    assert (name, shown.data) == ("METADATA_BLOCK_PICTURE", RED)
    assert (shown.type, shown.mime, shown.width, shown.depth) == (3, "image/jpeg", 64, 24)
    assert [*now[:3], *now[4:]] == [*before[:4], *before[5:]]
    assert tags.vendor == vendor


@both
def test_pages_are_numbered_anew_and_the_packets_stay(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix)
    before = pages(song.read_bytes())

    for image in (LARGE, RED, BLUE):
        embed_cover(song, image)

        after = pages(song.read_bytes())
        assert [page.sequence for page in after] == list(range(len(after)))
        assert [page.position for page in after[-2:]] == [page.position for page in before[-2:]]
        old, new = OGG.OggPage.to_packets(before), OGG.OggPage.to_packets(after)
        assert (old[0], old[2:]) == (new[0], new[2:])


@both
@pytest.mark.parametrize("serial", ["the same", "another"])
@pytest.mark.parametrize("has_end", [True, False])
def test_the_first_stream_of_a_chain_gets_the_cover_and_the_others_stay(
    tmp_path: Path, suffix: str, serial: str, *, has_end: bool
) -> None:
    first, second = pages(sound(suffix)), pages(sound(suffix, title="Other"))
    for page in second:
        page.serial = first[0].serial + (serial == "another")
    first[-1].last = has_end
    end = b"".join(page.write() for page in second)
    song = tmp_path / f"song.{suffix}"
    song.write_bytes(b"".join(page.write() for page in first) + end)
    before = decoded(song, may_warn=True), packets(song, may_warn=True)

    assert embed_cover(song, LARGE)
    assert embed_cover(song, RED)

    # Where all streams have one serial number, which none may, mutagen numbers their pages on.
    assert song.read_bytes().endswith(end) is (serial == "another")
    assert (decoded(song, may_warn=True), packets(song, may_warn=True)) == before
    assert seen_by_tinytag(song)[:2] == (RED, "Blue Moon")


@both
def test_other_bytes_behind_the_last_page_are_a_reason_to_leave_the_file(
    tmp_path: Path, suffix: str
) -> None:
    song = audio_file(tmp_path, suffix)
    song.write_bytes(song.read_bytes() + b"TAG" + bytes(125))

    with pytest.raises(ArtworkError, match="it is damaged"):
        embed_cover(song, LARGE)


def test_pages_of_another_stream_beside_it_stay(tmp_path: Path) -> None:
    song = tmp_path / "song.ogg"
    first, second = pages(sound("ogg")), pages(sound("ogg", title="Other"))
    for page in second:
        page.serial = first[0].serial + 1
    mixed = [first[0], second[0]]
    for one, other in zip(first[1:], second[1:], strict=False):
        mixed += [one, other]
    song.write_bytes(b"".join(page.write() for page in mixed))

    embed_cover(song, LARGE)

    after = pages(song.read_bytes())
    others = [page.write() for page in after if page.serial != first[0].serial]
    assert others == [page.write() for page in mixed if page.serial != first[0].serial]
    own = [page.sequence for page in after if page.serial == first[0].serial]
    assert own == list(range(len(own)))


def with_comments(suffix: str, comments: bytes) -> bytes:
    """A file with these bytes in place of its comments."""
    found = pages(sound(suffix))
    marker = {"ogg": b"\x03vorbis", "opus": b"OpusTags"}[suffix]
    old, *rest = OGG.OggPage.to_packets(found[1:2])
    new = OGG.OggPage.from_packets([marker + comments, *rest], 1)
    assert (len(new), old.startswith(marker)) == (1, True)
    new[0].serial, new[0].complete = found[0].serial, found[1].complete
    return b"".join(page.write() for page in (found[0], *new, *found[2:]))


def comments(*texts: bytes) -> bytes:
    vendor, count = b"\x04\0\0\0mine", len(texts).to_bytes(4, "little")
    return vendor + count + b"".join(len(text).to_bytes(4, "little") + text for text in texts)


@both
@pytest.mark.parametrize("comment", [b"TITLE=\xff\xfe", b"no sign", b"T\xc3\xa4G=x", b"=x"])
def test_comments_that_would_be_lost_are_a_reason_to_leave_the_file(
    tmp_path: Path, suffix: str, comment: bytes
) -> None:
    song = tmp_path / "song"
    song.write_bytes(with_comments(suffix, comments(b"ARTIST=Ann", comment) + b"\x01"))

    with pytest.raises(ArtworkError, match="tags that are not written as they should be"):
        embed_cover(song, RED)


def test_what_follows_the_comments_of_opus_stays(tmp_path: Path) -> None:
    """Bytes that begin with an odd one are to be kept (RFC 7845, 5.2); others are padding."""
    song = tmp_path / "song.opus"
    for behind in (b"\x01of a program", bytes(100), b""):
        song.write_bytes(with_comments("opus", comments(b"TITLE=x") + behind))

        assert embed_cover(song, RED)

        packet = OGG.OggPage.to_packets(pages(song.read_bytes())[1:2])[0]
        assert packet.rstrip(b"\0").endswith(behind.rstrip(b"\0"))
        assert OPENERS["opus"](song).tags["title"] == ["x"]


def test_ogg_of_other_codecs_is_not_known() -> None:
    assert read_tags(io.BytesIO(sound("ogg")))
    assert not read_tags(io.BytesIO(sound("oga", "-c:a", "flac")))
    assert not read_tags(io.BytesIO(b"OggS"))
    with pytest.raises(OGG.error):
        read_tags(io.BytesIO(b"OggX" + sound("ogg")[4:]))
