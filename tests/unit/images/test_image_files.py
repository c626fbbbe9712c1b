"""What is read of image files, and which are refused, each with a line that says why."""

import os
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.decoding import decode
from suno_cover_async.images.image_files import LARGEST_FILE, read_image, suffix_of_file

RED = (200, 30, 40)


def saved(path: Path, image: Image.Image, kind: str = "PNG") -> Path:
    image.save(path, kind)
    return path


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("GIF", ".gif"), ("AVIF", ".avif")],
)
def test_an_image_is_read_by_its_content_whatever_its_name(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    path = saved(tmp_path / "x.txt", Image.new("RGB", (8, 8), RED), kind)

    file = read_image(path)

    assert (file.suffix, suffix_of_file(path)) == (suffix, suffix)
    decoded = decode(file).convert("RGB").getpixel((0, 0))
    assert isinstance(decoded, tuple)
    assert all(abs(a - b) <= 12 for a, b in zip(decoded, RED, strict=True))


@pytest.mark.parametrize("content", [b"", b"hello", b"<svg/>", b"%PDF-1.7"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.png").write_bytes(content)

    with pytest.raises(ArtworkError, match=r"no PNG, JPEG, WebP, GIF or AVIF image: .*x\.png"):
        read_image(tmp_path / "x.png")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtworkError, match=r"the file is missing: .*x\.png"):
        read_image(tmp_path / "x.png")


def test_a_folder_a_device_and_a_pipe_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path, Path("/dev/zero"), tmp_path / "pipe"):
        with pytest.raises(ArtworkError, match=r"it is no regular file: |Is a directory"):
            read_image(path)


def test_a_file_of_more_than_64_mib_is_refused_unread(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.png", Image.new("RGB", (8, 8)))
    os.truncate(path, LARGEST_FILE + 1)

    with pytest.raises(ArtworkError, match=r"the file has more than 64 MiB: .*x\.png"):
        read_image(path)
