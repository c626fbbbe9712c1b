"""Folders that can be written, and what hinders; nothing is left behind."""

import os
from pathlib import Path

import pytest

from suno_cover_async.cli.doctor.disk import check_folder
from suno_cover_async.cli.doctor.finding import State


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_folder_is_written_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")

    found, *_ = check_folder("images folder", tmp_path)

    assert found.state in (State.OK, State.WARNING)
    assert f"{tmp_path} is writable, " in found.message
    assert "GB free" in found.message
    assert listing(tmp_path) == ["a.png"]


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    found, *_ = check_folder("images folder", tmp_path / "covers" / "new")

    assert "does not exist yet" in found.message
    assert f"{tmp_path}, where it would be made, is writable" in found.message
    assert listing(tmp_path) == []


@pytest.mark.parametrize("below", ["", "covers"])
def test_a_file_in_place_of_a_folder_is_a_fault(below: str, tmp_path: Path) -> None:
    (tmp_path / "covers").write_text("")

    (found,) = check_folder("images folder", tmp_path / "covers" / below)

    assert found.state is State.FAULT
    assert "is a file, not a folder" in found.message
    assert found.advice


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a folder nobody can write to")
def test_a_folder_in_which_no_file_can_be_made_is_a_fault() -> None:
    (found,) = check_folder("images folder", Path("/proc/self"))

    assert found.state is State.FAULT
    assert "cannot be written: " in found.message


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)

    (found,) = check_folder("images folder", tmp_path / "closed" / "covers")

    assert found.state is State.FAULT
    assert "permission denied" in found.message


def test_a_path_that_cannot_be_is_a_fault() -> None:
    (found,) = check_folder("images folder", Path("/tmp/a\0b"))  # noqa: S108

    assert found.state is State.FAULT
