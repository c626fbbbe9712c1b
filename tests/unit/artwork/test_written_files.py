import os
import sys
import unicodedata
from pathlib import Path, PurePath

import pytest

from suno_cover_async.artwork.convert import Converted
from suno_cover_async.artwork.presets import PRESETS
from suno_cover_async.artwork.written_files import NAME, WrittenFile, WrittenFiles
from suno_cover_async.errors import ArtworkError

CONVERTED = Converted(
    width=1, height=1, source_width=2, source_height=2, sha256="aa", source_sha256="bb"
)


def a_file(folder: Path, file: str, song: str) -> WrittenFile:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(b"x")
    return WrittenFile(
        file=file, music_task_id=song, preset=PRESETS["store"], upscale=True, converted=CONVERTED
    )


def opened(folder: Path, *, read_only: bool = False) -> WrittenFiles:
    return WrittenFiles(folder, read_only=read_only)


def test_what_was_written_is_known_to_the_next_run(tmp_path: Path) -> None:
    files = opened(tmp_path)
    first, last = a_file(tmp_path, "a/x.jpg", "s1"), a_file(tmp_path, "a/x.jpg", "s1")
    files.add(first)
    files.add(last)
    files.close()

    again = opened(tmp_path)

    assert again.find(PurePath("a/x.jpg")) == last
    assert again.wrote(PurePath("a/X.jpg"), "aa")
    assert not again.wrote(PurePath("a/x.jpg"), "bb")
    assert again.find(PurePath("a/y.jpg")) is None
    again.close()


def test_a_file_that_was_removed_is_forgotten(tmp_path: Path) -> None:
    files = opened(tmp_path)
    files.add(a_file(tmp_path, "x.jpg", "s1"))
    files.close()
    (tmp_path / "x.jpg").unlink()

    again = opened(tmp_path)

    assert again.find(PurePath("x.jpg")) is None
    again.claim(PurePath("x.jpg"), "s2")
    again.close()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("x.jpg", "x.jpg"),
        ("Song.jpg", "SONG.jpg"),
        ("Straße.jpg", "STRASSE.jpg"),
        ("Café.jpg", unicodedata.normalize("NFD", "Café.jpg")),
        ("a/x.jpg", "A/x.jpg"),
    ],
)
def test_names_that_are_one_on_some_file_system_are_the_first_songs(
    tmp_path: Path, name: str, other: str
) -> None:
    files = opened(tmp_path)
    files.claim(PurePath(name), "s1")

    with pytest.raises(
        ArtworkError, match=r"which is that of music task s1; add \{music_task_id\}"
    ):
        files.claim(PurePath(other), "s2")
    files.claim(PurePath(other), "s1")
    files.close()


def test_a_file_of_an_earlier_run_stays_its_songs(tmp_path: Path) -> None:
    files = opened(tmp_path)
    files.add(a_file(tmp_path, "x.jpg", "s2"))
    files.close()

    again = opened(tmp_path)

    with pytest.raises(ArtworkError, match="music task s2"):
        again.claim(PurePath("x.jpg"), "s1")
    again.close()


def test_lines_that_were_cut_off_or_are_foreign_are_left_out(tmp_path: Path) -> None:
    files = opened(tmp_path)
    files.add(a_file(tmp_path, "x.jpg", "s1"))
    files.close()
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(b'\xff\n[]\n{"file": 1}\n' + whole + whole[:40])

    again = opened(tmp_path)
    again.add(a_file(tmp_path, "y.jpg", "s2"))
    again.close()

    last = opened(tmp_path, read_only=True)
    assert last.find(PurePath("x.jpg")) is not None
    assert last.find(PurePath("y.jpg")) is not None


def test_read_only_makes_nothing(tmp_path: Path) -> None:
    files = opened(tmp_path / "new", read_only=True)
    files.add(a_file(tmp_path, "x.jpg", "s1"))
    files.close()

    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_a_line_that_a_full_disk_cuts_off_is_an_error_and_harms_no_other(tmp_path: Path) -> None:
    import resource  # noqa: PLC0415 - Windows has none

    files = opened(tmp_path)
    files.add(a_file(tmp_path, "x.jpg", "s1"))
    full = a_file(tmp_path, "y.jpg", "s2")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / NAME).stat().st_size + 40, hard))
    try:
        for _ in range(2):
            with pytest.raises(OSError, match=r"No space left|File too large"):
                files.add(full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files.find(PurePath("y.jpg")) is None
    files.add(a_file(tmp_path, "z.jpg", "s3"))
    files.close()

    again = opened(tmp_path, read_only=True)
    found = [again.find(PurePath(f"{name}.jpg")) is not None for name in "xyz"]
    assert found == [True, False, True]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("read_only", [True, False])
def test_a_record_that_is_a_pipe_is_refused_at_once(tmp_path: Path, read_only: bool) -> None:
    os.mkfifo(tmp_path / NAME)

    with pytest.raises(ArtworkError, match="is no regular file; remove it"):
        opened(tmp_path, read_only=read_only)


def test_a_record_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "other").write_bytes(b"keep")
    (tmp_path / "out" / NAME).symlink_to(tmp_path / "other")

    with pytest.raises(ArtworkError, match="is a link; remove it"):
        opened(tmp_path / "out")
    assert (tmp_path / "other").read_bytes() == b"keep"
