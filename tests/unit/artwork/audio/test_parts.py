"""Unfinished files: locked by their process, removed at its end, swept after its death."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from suno_cover_async.artwork.audio.parts import SUFFIX, part_file, sweep

CHILD = """
import sys, time
from pathlib import Path
from suno_cover_async.artwork.audio.parts import part_file

with part_file(Path(sys.argv[1])) as (path, file):
    file.write(b"half")
    file.flush()
    print(path.name, flush=True)
    sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_part_is_read_and_written_and_removed_at_the_end(tmp_path: Path) -> None:
    with part_file(tmp_path) as (path, file):
        file.write(b"sound")
        file.seek(0)
        assert (file.read(), path.suffix, path.parent) == (b"sound", SUFFIX, tmp_path)

    assert names(tmp_path) == []


def test_a_part_that_got_its_final_name_stays(tmp_path: Path) -> None:
    with part_file(tmp_path) as (path, file):
        file.close()
        path.replace(tmp_path / "song.mp3")

    assert names(tmp_path) == ["song.mp3"]


def test_after_an_error_no_part_is_left(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), part_file(tmp_path):
        raise ZeroDivisionError

    assert names(tmp_path) == []


def test_a_part_in_use_is_not_swept_and_that_of_a_killed_process_is(tmp_path: Path) -> None:
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", CHILD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        sweep(tmp_path)
        assert names(tmp_path) == [name]

        child.send_signal(signal.SIGKILL)
        child.wait()

        assert names(tmp_path) == [name]
        sweep(tmp_path)
        assert names(tmp_path) == []


def test_a_part_of_another_thread_is_not_swept(tmp_path: Path) -> None:
    with part_file(tmp_path) as (path, _):
        sweep(tmp_path)

        assert path.exists()


def test_no_other_file_is_swept(tmp_path: Path) -> None:
    others = [
        "audio-book.part",
        "audio-0123456789abcdef.part.mp3",
        "my-audio-0123456789abcdef.part",
        "cover-0123456789abcdef.part",
        "audio-0123456789abcdeF.part",
    ]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "audio-0000000000000000.part").mkdir()

    sweep(tmp_path)
    sweep(tmp_path / "absent")

    assert names(tmp_path) == sorted([*others, "audio-0000000000000000.part"])


def test_where_no_file_can_be_made_it_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), part_file(tmp_path / "absent"):
        pass


def test_two_parts_of_one_folder_have_names_of_their_own(tmp_path: Path) -> None:
    with part_file(tmp_path) as (one, _), part_file(tmp_path) as (other, _):
        assert not one.samefile(other)
