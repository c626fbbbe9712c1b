"""Which images may be covers in audio files."""

from pathlib import Path

import pytest

from suno_cover_async.artwork.audio.pictures import LARGEST, read_picture
from tests.support.audio_files import picture


@pytest.mark.parametrize(("kind", "mime"), [("JPEG", "image/jpeg"), ("PNG", "image/png")])
def test_a_jpeg_or_png_is_read_from_bytes_or_a_file(tmp_path: Path, kind: str, mime: str) -> None:
    data = picture("red", kind, 70)
    file = tmp_path / "cover.webp"
    file.write_bytes(data)

    found = read_picture(data)

    assert (found.data, found.mime, found.width, found.height, found.depth) == (
        data,
        mime,
        70,
        70,
        24,
    )
    assert read_picture(file) == read_picture(str(file)) == found


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "AVIF", "BMP"])
def test_no_other_image_may_go_into_audio_files(kind: str) -> None:
    with pytest.raises(ValueError, match="JPEG or PNG only; convert the image first"):
        read_picture(picture("red", kind))


def test_an_image_without_its_size_is_damaged() -> None:
    for kind in ("JPEG", "PNG"):
        with pytest.raises(ValueError, match="the image is damaged"):
            read_picture(picture("red", kind)[:20])


def test_an_image_that_flac_has_no_space_for_is_refused() -> None:
    largest = picture() + bytes(LARGEST - len(picture()))

    assert read_picture(largest).data == largest
    with pytest.raises(ValueError, match="16,000,001 bytes, and a cover at most 16,000,000"):
        read_picture(largest + b"\0")
