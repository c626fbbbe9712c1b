"""Saved images in a notebook: inside the HTML, small, or a line that says why not."""

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async.images.inline import gallery
from tests.support.odd_images import png_that_claims


def uris(page: str) -> list[str]:
    return re.findall(r'src="([^"]*)"', page)


def inlined(page: str) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) for uri in uris(page)]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
def test_an_image_is_inside_the_html_as_a_thumbnail(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "cover.bin"
    Image.new("RGB", (1600, 800), "#ff0000").save(file, kind)

    page = gallery([file])

    [shown] = inlined(page)
    assert shown.size == (320, 160)
    assert [uri.partition(",")[0] for uri in uris(page)] == ["data:image/jpeg;base64"]
    assert "cover.bin" in page


def test_transparent_parts_stay_transparent(tmp_path: Path) -> None:
    file = tmp_path / "clear.png"
    Image.new("RGBA", (600, 600), (255, 0, 0, 0)).save(file)

    [shown] = inlined(gallery([file]))

    assert shown.getchannel("A").getextrema() == (0, 0)


def test_what_cannot_be_shown_is_a_line_that_says_why(tmp_path: Path) -> None:
    odd = {
        "missing.png": None,
        "torn.png": b"\x89PNG\r\n\x1a\n" + bytes(40),
        "damaged.png": png_that_claims(80, 80),
        "bomb.png": png_that_claims(50_000, 50_000),
        "large.png": png_that_claims(9_000, 9_000),
        "svg.png": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
        "empty.png": b"",
    }
    for name, data in odd.items():
        if data is not None:
            (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.png").mkdir()
    files = [tmp_path / name for name in (*odd, "folder.png", "nul\0.png", "<b>&.png")]

    page = gallery(files)

    assert uris(page) == []
    assert page.count("<p>") == len(files)
    reasons = ("missing", "incomplete", "damaged", "too large", "no PNG, JPEG", "cannot be read")
    for words in reasons:
        assert words in page
    assert "<b>" not in page


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_is_a_line_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")

    assert "it is no regular file" in gallery([tmp_path / "pipe.png"])


def test_an_output_has_a_bounded_number_of_images(tmp_path: Path) -> None:
    file = tmp_path / "cover.png"
    Image.new("RGB", (32, 32)).save(file)

    page = gallery([file] * 100)

    assert len(uris(page)) == 32
    assert "and 68 more files" in page


@pytest.mark.parametrize(("side", "shown"), [(64, 2), (1500, 1)])
def test_without_pillow_files_are_shown_as_they_are_up_to_a_bound(
    tmp_path: Path, side: int, shown: int
) -> None:
    file = tmp_path / "cover.png"
    Image.frombytes("RGB", (side, side), os.urandom(3 * side * side)).save(file)
    code = (
        "import sys; sys.modules['PIL'] = None; from suno_cover_async import SavedImages\n"
        "from pathlib import Path; print(SavedImages([Path(sys.argv[1])] * 2)._repr_html_())"
    )

    command = [sys.executable, "-c", code, str(file)]
    page = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603

    assert [image.size for image in inlined(page)] == [(side, side)] * shown
    assert page.count("pip install &#x27;suno-cover-async[artwork]") == 2 - shown
