"""Which images are decoded, and which are refused, each with a line that says why."""

from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.decoding import decode
from suno_cover_async.images.image_files import read_image
from tests.support.odd_images import png_that_claims


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "GIF"])
def test_a_damaged_image_is_an_error_that_names_the_file(tmp_path: Path, kind: str) -> None:
    Image.effect_noise((64, 64), 90).convert("RGB").save(tmp_path / "whole", kind)
    data = (tmp_path / "whole").read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 2])

    with pytest.raises(ArtworkError, match=r"the image is (damaged|incomplete): .*cut"):
        decode(read_image(path))


@pytest.mark.parametrize("side", [8_001, 12_000, 60_000])
def test_an_image_of_over_64_million_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, side: int
) -> None:
    """Warnings are errors here: Pillow's own warning of large images is not raised."""
    (tmp_path / "x.png").write_bytes(png_that_claims(side, 8_000))

    with pytest.raises(ArtworkError, match=rf"too large, {side:,} by 8,000 pixels: .*x\.png"):
        decode(read_image(tmp_path / "x.png"))
