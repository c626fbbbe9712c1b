"""What is read of image files, and which files are refused, each with a line that says why."""

import os
import threading
from pathlib import Path

import pytest
from PIL import Image

from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.image_files import read_image
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.models import Track
from suno_cover_async.review.image_facts import ImageFacts, ImageFiles
from suno_cover_async.sandbox.images import draw
from tests.support.commands import needs_posix
from tests.support.odd_images import HTML, SVG, png_that_claims


def problem_of(path: Path) -> str:
    problem = ImageFiles().facts(path).problem
    assert problem is not None
    return problem


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        ("png", "PNG"),
        ("jpg", "JPEG"),
        ("gif", "GIF"),
        ("webp", "WEBP"),
    ],
)
def test_the_type_is_that_of_the_first_bytes_and_never_of_the_name(
    suffix: str, kind: str, tmp_path: Path
) -> None:
    for name in (f"cover.{suffix}", "cover.html", "cover"):
        Image.new("RGB", (30, 20), "red").save(tmp_path / name, kind)

        file = read_image(tmp_path / name)

        assert file.data == (tmp_path / name).read_bytes()
        assert file.suffix == f".{suffix}"
        facts = ImageFiles().facts(tmp_path / name)
        assert (facts.width, facts.height, facts.problem) == (30, 20, None)


@pytest.mark.parametrize("content", [HTML, SVG, b"", b"\x89PN", b"RIFF1234WAVE" * 9])
def test_what_is_no_image_is_never_read_whatever_its_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cover.png"
    path.write_bytes(content)

    with pytest.raises(
        ArtworkError, match=r"is no PNG, JPEG, WebP, GIF or AVIF image: .*cover\.png"
    ):
        read_image(path)
    assert problem_of(path).startswith("the file is no PNG, JPEG, WebP, GIF or AVIF image: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "x-1.png", tmp_path / "file" / "x-1.png"):
        assert problem_of(path) == f"the file is missing: {path}"
        with pytest.raises(ArtworkError, match="the file is missing: "):
            read_image(path)


def test_a_path_is_shown_without_control_characters() -> None:
    assert problem_of(Path("a\x1b[2J\u202e.png")) == "the file is missing: a?[2J?.png"


def test_a_path_that_no_system_has_is_a_problem_and_no_error() -> None:
    assert "the file cannot be read: a?b" in problem_of(Path("a\0b"))
    assert "the file cannot be read: " in problem_of(Path("a" * 5000))


def test_a_folder_is_no_regular_file(tmp_path: Path) -> None:
    assert "regular file" in problem_of(tmp_path) or "cannot be read" in problem_of(tmp_path)


@needs_posix
def test_a_pipe_and_a_device_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero.png").symlink_to("/dev/zero")

    for name in ("pipe", "zero.png"):
        assert problem_of(tmp_path / name) == f"it is no regular file: {tmp_path / name}"


def test_a_file_of_more_than_64_mib_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with path.open("wb") as file:
        file.write(draw("x", 1, 16))
        file.truncate((64 << 20) + 1)

    assert problem_of(path) == f"the file has more than 64 MiB: {path}"


def test_an_incomplete_png_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(draw("x", 1, 64)[:-12])

    assert problem_of(path) == f"the image is incomplete: {path}"


def test_a_png_that_a_tool_added_bytes_to_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(draw("x", 1, 64) + b"\n" * 100)

    assert ImageFiles().facts(path).problem is None


def test_a_damaged_header_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"\xff\xd8\xff" + b"nonsense" * 100)

    assert problem_of(path) == f"the image is damaged: {path}"


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [
        (8_001, 8_000, "too large, 8,001 by 8,000 pixels"),
        (12_000, 10_000, "too large, 12,000 by 10,000 pixels"),
        (30_000, 30_000, "too large, 30,000 by 30,000 pixels"),
    ],
)
def test_an_image_of_more_than_64_million_pixels_is_a_problem_and_no_warning(
    width: int, height: int, shown: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_that_claims(width, height))

    assert problem_of(path) == f"the image is {shown}: {path}"
    assert list(recwarn) == []


def test_facts_are_read_again_only_when_the_file_changed(tmp_path: Path) -> None:
    path, files = tmp_path / "x.png", ImageFiles()
    path.write_bytes(draw("x", 1, 16))
    first = files.facts(path)
    files.note(ImageFacts(first.version, problem="noted"))

    assert files.facts(path).problem == "noted"
    path.write_bytes(draw("x", 1, 32))
    changed = files.facts(path)
    assert changed.version != first.version
    assert (changed.width, changed.problem) == (32, None)


@needs_posix
def test_a_problem_that_passes_is_not_remembered(tmp_path: Path) -> None:
    import resource  # noqa: PLC0415 - Windows has none

    path, files = tmp_path / "x.png", ImageFiles()
    path.write_bytes(draw("x", 1, 16))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        without_descriptors = files.facts(path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert "Too many open files" in (without_descriptors.problem or "")
    assert without_descriptors.version == ""
    assert files.facts(path).problem is None


def test_files_of_equal_bytes_and_times_have_versions_of_their_own(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in paths:
        path.write_bytes(draw("x", 1, 16))
        os.utime(path, ns=(1, 1))

    first, second = (ImageFiles().facts(path).version for path in paths)
    assert first != second


def test_many_threads_may_ask_at_once(tmp_path: Path) -> None:
    files = ImageFiles()
    for number in range(20):
        (tmp_path / f"{number}.png").write_bytes(draw("x", number, 16))
    found: list[ImageFacts] = []

    def ask() -> None:
        found.extend(files.facts(tmp_path / f"{number}.png") for number in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 160
    assert all(facts.width == 16 and facts.problem is None for facts in found)


def test_a_file_is_found_beside_the_ledger_too_and_the_machine_that_saved_it_is_named(
    tmp_path: Path,
) -> None:
    (tmp_path / "covers").mkdir()
    (tmp_path / "covers/1.png").write_bytes(draw("x", 1, 16))
    entry = LedgerEntry(
        number=1,
        tracks=(Track("m"),),
        state=TrackState.SAVED,
        images=("https://x.example/1.png", "https://x.example/2.png"),
        files=(Path("covers/1.png"), Path("covers/2.png")),
        saved_on="studio",
    )
    files = ImageFiles(tmp_path / "covers.db")

    found, missing, none = (files.facts_of(entry, entry.tracks[0], n) for n in (1, 2, 3))
    assert (found.path, found.problem) == (tmp_path / "covers/1.png", None)
    assert missing.problem is not None
    assert missing.problem.startswith("the file is missing: covers/2.png; it was saved on studio: ")
    assert none.problem == "the ledger has no file of image 3"
