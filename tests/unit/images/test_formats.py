"""Formats by their first bytes."""

import pytest

from suno_cover_async.images.formats import SIGNATURE_BYTES, suffix_of


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\r", ".png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", ".jpg"),
        (b"GIF89a\1\0\1\0\0\0", ".gif"),
        (b"RIFF\n\0\r\nWEBP", ".webp"),
        (b"\0\0\0\x1cftypavif", ".avif"),
        (b"\0\0\0\x1cftypavis", ".avif"),
    ],
)
def test_twelve_bytes_tell_the_format(head: bytes, suffix: str) -> None:
    assert len(head) == SIGNATURE_BYTES
    assert suffix_of(head) == suffix


@pytest.mark.parametrize(
    "head", [b"", b"\x89PNG", b"<!doctype html", b"RIFF\0\0\0\0WAVE", b"\0" * 12]
)
def test_anything_else_is_no_image(head: bytes) -> None:
    assert suffix_of(head) is None
