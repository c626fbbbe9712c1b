"""Covers in audio files, killed at any call or moment, stopped, or out of space."""

import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import suno_cover_async
from suno_cover_async.artwork.audio.embed import embed_cover
from tests.support.audio_files import FORMATS, audio_file, decoded, picture, seen_by_tinytag
from tests.support.bad_disk import disk_of_its_own, strace

PACKAGE = str(Path(suno_cover_async.__file__).parent)
RED, BLUE = picture("red", side=400), picture("blue", "PNG", 900)
# The packages' own `__init__` would import the client, which takes longer than all the rest.
CHILD = """
import sys, types
for name in ("suno_cover_async", "suno_cover_async.artwork", "suno_cover_async.artwork.audio"):
    package = types.ModuleType(name)
    package.__path__ = ["/".join([sys.argv[1], *name.split(".")[1:]])]
    sys.modules[name] = package
from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.errors import ArtworkError
song, *images = sys.argv[2:]
images = [open(image, "rb").read() for image in images]
print("ready", flush=True)
for image in images if len(images) == 1 else images * 1000:
    try:
        print(embed_cover(song, image), flush=True)
    except ArtworkError as error:
        print(error, flush=True)
"""


def child(*words: object, prefix: list[str] | None = None) -> list[str]:
    return [*(prefix or []), sys.executable, "-c", CHILD, PACKAGE, *map(str, words)]


def images(folder: Path) -> tuple[Path, Path]:
    red, blue = folder / "red", folder / "blue"
    red.write_bytes(RED)
    blue.write_bytes(BLUE)
    return red, blue


def is_whole(song: Path, *covers: bytes | None) -> None:
    """Assert that a file has one of these covers, and its sound."""
    assert seen_by_tinytag(song)[0] in covers
    assert len(decoded(song)) == len("MD5=") + 32 + len("\n")


@pytest.mark.parametrize(
    ("call", "suffix"),
    [
        *(("write", "mp3"), ("write", "m4a"), ("write", "wav")),
        *(("fsync", "flac"), ("fsync", "ogg"), ("rename", "opus"), ("rename", "mp3")),
    ],
)
def test_killed_at_any_call_the_old_file_or_the_new_one_is_there(
    tmp_path: Path, call: str, suffix: str
) -> None:
    red, _ = images(tmp_path)
    music = tmp_path / "music"
    music.mkdir()
    song = audio_file(music, suffix, "-t", "0.5")  # few calls write it
    old, sound = song.read_bytes(), decoded(song)
    kills = 0
    while True:
        song.write_bytes(old)
        kill = f"inject={call}:signal=SIGKILL:when={kills + 1}"
        trace = strace("-e", f"trace={call}", "-e", kill)
        code = subprocess.run(  # noqa: S603
            child(song, red, prefix=trace), capture_output=True, check=False
        ).returncode
        if song.read_bytes() != old:
            is_whole(song, RED)
            assert decoded(song) == sound
        if code != -signal.SIGKILL:
            break
        embed_cover(song, RED)
        assert [file.name for file in music.iterdir()] == [song.name]
        kills += 1

    assert code == 0
    assert kills >= {"write": 3, "fsync": 1, "rename": 1}[call]
    assert seen_by_tinytag(song)[0] == RED


def test_killed_at_random_moments_a_file_is_whole_and_the_next_run_leaves_nothing(
    tmp_path: Path,
) -> None:
    dice = random.Random(16)
    music = tmp_path / "music"
    music.mkdir()
    pair = images(tmp_path)
    left = 0
    for number in range(12):
        song = audio_file(music, FORMATS[number % len(FORMATS)])
        sound = decoded(song)
        with subprocess.Popen(  # noqa: S603
            child(song, *pair), stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(dice.randrange(1, 12)):
                assert process.stdout.readline().strip() in {"ready", "True"}
            for _ in range(dice.randrange(200_000)):  # some moment between two lines
                pass
            process.kill()
        is_whole(song, None, RED, BLUE)
        assert decoded(song) == sound
        parts = [file for file in music.iterdir() if file.suffix == ".part"]
        left += len(parts)
        embed_cover(song, BLUE if seen_by_tinytag(song)[0] == RED else RED)
        assert [file.name for file in music.iterdir()] == [song.name]
        song.unlink()

    assert left  # so many kills came in the middle of a file


def test_a_file_that_another_program_changes_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    red, _ = images(tmp_path)
    song = audio_file(tmp_path, "mp3")
    stop = strace("-e", "trace=fsync", "-e", "inject=fsync:signal=SIGSTOP:when=1")
    with subprocess.Popen(  # noqa: S603
        child(song, red, prefix=stop), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        part = unfinished(tmp_path)
        song.write_bytes(b"another program's")
        (stopped,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        while not select.select([process.stdout], [], [], 0.05)[0]:
            os.kill(int(stopped), signal.SIGCONT)  # it may not be stopped yet
        said = process.stdout.readline()

    assert "another program changed it meanwhile; run the command again" in said
    assert song.read_bytes() == b"another program's"
    assert not part.exists()


def unfinished(folder: Path) -> Path:
    """Wait until a process has begun to write an unfinished file, and return that."""
    while True:
        for part in folder.glob("*.part"):
            return part


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_leaves_the_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    red, blue = images(tmp_path)
    song = audio_file(tmp_path, suffix)
    old = tmp_path / "old"
    old.write_bytes(song.read_bytes())
    blue.write_bytes(BLUE + bytes(2_000_000))
    music = tmp_path / "music"
    music.mkdir()
    disk = disk_of_its_own("1M", music)
    target = music / song.name
    script = 'cp "$1" "$2"; shift 2; "$@"; ls -A "$(dirname "$0")"; cmp "$0" ' + str(old)
    command = [*disk, "sh", "-c", script, str(target), str(old), str(target)]

    ended = subprocess.run(  # noqa: S603
        [*command, *child(target, blue)], capture_output=True, text=True, check=False
    )

    assert red.exists()
    lines = ended.stdout.splitlines()
    assert lines[0] == "ready"
    assert lines[1].endswith("stays as it is: No space left on device")
    assert (lines[2:], ended.returncode) == ([song.name], 0)
