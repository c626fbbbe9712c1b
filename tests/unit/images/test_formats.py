"""Formats by their first bytes."""

import pytest

from suno_cover_async.images.formats import bytes_needed, suffix_of


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\r", ".png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", ".jpg"),
        (b"GIF89a\1\0\1\0\0\0", ".gif"),
        (b"RIFF\n\0\r\nWEBP", ".webp"),
    ],
)
def test_twelve_bytes_tell_the_format(head: bytes, suffix: str) -> None:
    assert len(head) == bytes_needed(b"") == bytes_needed(head)
    assert suffix_of(head) == suffix


@pytest.mark.parametrize(
    "head", [b"", b"\x89PNG", b"<!doctype html", b"RIFF\0\0\0\0WAVE", b"\0" * 12]
)
def test_anything_else_is_no_image(head: bytes) -> None:
    assert suffix_of(head) is None


def ftyp(*brands: bytes, size: int | None = None) -> bytes:
    """A `ftyp` box with a major brand, version 0 and compatible brands, and a box behind it."""
    box = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    length = len(box) + 4 if size is None else size
    return length.to_bytes(4, "big") + box + b"\0\0\0\x10metaavifavis"


@pytest.mark.parametrize(
    "head",
    [
        ftyp(b"avif"),
        ftyp(b"avis", b"msf1"),
        ftyp(b"mif1", b"miaf", b"avif"),
        ftyp(b"msf1", b"avis"),
        ftyp(b"mif1", *[b"miaf"] * 249, b"avif")[:1024],
    ],
)
def test_avif_is_told_by_its_major_or_any_compatible_brand(head: bytes) -> None:
    assert suffix_of(head) == ".avif"


@pytest.mark.parametrize(
    "head",
    [
        ftyp(b"heic", b"mif1", b"heic"),
        ftyp(b"mif1"),
        ftyp(b"isom", b"mp41"),
        ftyp(b"mif1", b"xavi", b"fxxx"),  # across two brands
        ftyp(b"mif1", b"avif", size=16),  # behind the end of the box
        ftyp(b"mif1", *[b"miaf"] * 260, b"avif"),  # behind the bound
        b"\0\0\0\x18ftypmif1avif",  # the version, not a brand
    ],
)
def test_heic_and_other_boxes_are_no_avif(head: bytes) -> None:
    assert suffix_of(head) is None


@pytest.mark.parametrize(
    ("size", "needed"), [(24, 24), (0, 12), (1, 12), (2**32 - 1, 1024), (1024, 1024), (1025, 1024)]
)
def test_a_ftyp_box_is_read_to_its_end_but_no_further_than_1024_bytes(
    size: int, needed: int
) -> None:
    assert bytes_needed(ftyp(b"mif1", size=size)) == needed
