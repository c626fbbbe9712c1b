"""Covers in audio files of every format, as ffmpeg, ffprobe and tinytag read them."""

import os
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from suno_cover_async.artwork.audio.embed import check_copy, embed_cover
from suno_cover_async.artwork.audio.pictures import read_picture
from suno_cover_async.errors import ArtworkError
from tests.support.audio_files import (
    FORMATS,
    audio_file,
    chunk,
    decoded,
    packets,
    picture,
    riff,
    seen_by_ffprobe,
    seen_by_tinytag,
    sound,
)

every_format = pytest.mark.parametrize("suffix", FORMATS)
RED, BLUE = picture("red"), picture("blue", "PNG", 80)


def alone(folder: Path) -> list[str]:
    """The names of all files in a folder, unfinished ones included."""
    return sorted(file.name for file in folder.iterdir())


@every_format
def test_the_cover_is_what_other_programs_read(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix)

    assert embed_cover(song, RED) is True

    (shown,), tags = seen_by_ffprobe(song)
    assert shown[:2] == ("mjpeg", 64)
    assert suffix == "m4a" or shown[2] == "Cover (front)"
    assert {name.lower(): value for name, value in tags.items()}["title"] == "Blue Moon"
    assert seen_by_tinytag(song) == (RED, "Blue Moon", "Ann")
    assert alone(tmp_path) == [song.name]


@every_format
def test_the_sound_is_untouched(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix)
    before = decoded(song), packets(song)

    for image in (RED, BLUE, picture("green", side=900)):
        assert embed_cover(song, image)
        assert (decoded(song), packets(song)) == before


@every_format
def test_a_front_cover_is_replaced_and_the_tags_stay(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix)
    embed_cover(song, RED)
    _, tags = seen_by_ffprobe(song)

    embed_cover(song, BLUE)

    (shown,), now = seen_by_ffprobe(song)
    assert (shown[:2], now) == (("png", 80), tags)
    assert seen_by_tinytag(song) == (BLUE, "Blue Moon", "Ann")


@every_format
def test_twice_is_once(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix)
    embed_cover(song, RED)
    os.utime(song, (1, 1))
    before = song.stat()

    assert embed_cover(song, RED) is False

    after = song.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )


@every_format
def test_a_file_without_any_tag_gets_a_cover_too(tmp_path: Path, suffix: str) -> None:
    song = tmp_path / f"song.{suffix}"
    bare = ("-map_metadata", "-1", "-id3v2_version", "0", "-write_xing", "0")
    song.write_bytes(sound(suffix, *(bare if suffix == "mp3" else bare[:2]), title=None))
    before = decoded(song)

    assert embed_cover(song, RED)

    assert seen_by_tinytag(song) == (RED, None, None)
    assert decoded(song) == before


@every_format
def test_the_format_is_told_by_the_content(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix).rename(tmp_path / "song.jpg")

    assert embed_cover(str(song), RED)

    song = song.rename(tmp_path / f"song.{suffix}")
    assert seen_by_tinytag(song)[0] == RED


@every_format
def test_an_image_may_be_a_file(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix)
    image = tmp_path / "cover.png"
    image.write_bytes(BLUE)

    assert embed_cover(song, image)
    assert not embed_cover(song, str(image))

    assert seen_by_tinytag(song)[0] == BLUE


def others() -> dict[str, bytes]:
    """Files that hold no sound, or sound of another format."""
    return {
        "empty": b"",
        "short": b"\xff",
        "text": b"These are the words of a song.\n" * 100,
        "zeros": bytes(5000),
        "ID3 alone": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10),
        "ID3 cut off": b"ID3\x04\0\0\0\0\x7f\x7f" + bytes(10),
        "ID3 of 2.9": b"ID3\x09\0\0\0\0\0\x0a" + bytes(10) + sound("mp3")[-5000:],
        "JPEG": picture(),
        "PNG": picture("red", "PNG"),
        "AVIF": picture("red", "AVIF"),
        "WebP": picture("red", "WEBP"),
        "AAC": sound("aac"),
        "AC-3": sound("ac3"),
        "AIFF": sound("aiff"),
        "MP2": sound("mp2"),
        "AVI with MP3": sound("avi", "-c:a", "libmp3lame"),
        "Matroska": sound("mka"),
        "Ogg FLAC": sound("oga", "-c:a", "flac"),
        "FLAC in its header": sound("flac")[:50],
        "Ogg in its header": sound("ogg")[:70],
        "Ogg in its sound": sound("ogg")[:-100],
        "Opus in its sound": sound("opus")[:-100],
        "MP4 in its sound": sound("m4a", "-movflags", "faststart")[:-100],
        "MP4 without its end": sound("m4a")[:-100],
        "MP4 without boxes": b"\0\0\0\x10ftypM4A \0\0\0\0",
        "MP4 of fragments": sound("m4a", "-movflags", "frag_keyframe+empty_moov"),
        "WAV in its header": sound("wav")[:30],
        "WAV in its sound": sound("wav")[:-1000],
        "WAV of a stream": b"RIFF\xff\xff\xff\xffWAVE"
        + chunk(b"fmt ", sound("wav")[20:36])
        + b"data\xff\xff\xff\xff"
        + bytes(5000),
        "WAV without sound": riff(chunk(b"fmt ", bytes(16))),
    }


def test_what_is_no_audio_or_damaged_is_an_error_that_says_so_and_stays(tmp_path: Path) -> None:
    for name, content in others().items():
        song = tmp_path / f"{name}.mp3"
        song.write_bytes(content)

        with pytest.raises(ArtworkError, match=r"gets no cover and stays as it is: .") as caught:
            embed_cover(song, RED)

        assert str(song) in str(caught.value)
        assert song.read_bytes() == content, name
    assert len(alone(tmp_path)) == len(others())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text", "it is no MP3, FLAC, M4A, Ogg Vorbis, Opus or WAV file"),
        ("empty", "it is no MP3, FLAC, M4A, Ogg Vorbis, Opus or WAV file"),
        ("FLAC in its header", "it is damaged (file said 13 bytes, read 0 bytes)"),
        ("Ogg in its sound", "it is damaged (unable to read full data)"),
        ("AVIF", "it has no sound"),
        ("WAV of a stream", "it is cut off, or was written as a stream, without its size"),
        ("MP4 in its sound", "it is cut off or damaged"),
        ("MP4 of fragments", "it is a stream of fragments; make it one file (ffmpeg -c copy)"),
        ("WAV in its sound", "it is cut off, or was written as a stream, without its size"),
        ("WAV without sound", "it has no sound"),
    ],
)
def test_an_error_says_what_is_wrong(tmp_path: Path, name: str, words: str) -> None:
    song = tmp_path / "song"
    song.write_bytes(others()[name])

    with pytest.raises(ArtworkError) as caught:
        embed_cover(song, RED)

    assert caught.value.message == f"{song} gets no cover and stays as it is: {words}"


@every_format
def test_a_file_that_is_cut_anywhere_gets_a_cover_or_stays_and_leaves_nothing(
    tmp_path: Path, suffix: str
) -> None:
    whole = sound(suffix)
    song = tmp_path / "song"
    for end in [*range(0, 200, 7), *range(200, len(whole), len(whole) // 40)]:
        song.write_bytes(whole[:end])
        try:
            assert embed_cover(song, RED)
        except ArtworkError:
            assert song.read_bytes() == whole[:end]
        assert alone(tmp_path) == ["song"]


@every_format
def test_a_file_with_any_wrong_byte_gets_a_cover_or_stays_and_leaves_nothing(
    tmp_path: Path, suffix: str
) -> None:
    whole = sound(suffix)
    song = tmp_path / "song"
    for place in [*range(0, 300, 3), *range(300, len(whole), len(whole) // 60)]:
        for wrong in (0x00, 0xFF):
            damaged = whole[:place] + bytes((wrong,)) + whole[place + 1 :]
            song.write_bytes(damaged)
            try:
                embed_cover(song, RED)
            except ArtworkError:
                assert song.read_bytes() == damaged
            assert alone(tmp_path) == ["song"]


@pytest.mark.parametrize("image", [b"", b"text", picture("red", "WEBP"), picture("red", "GIF")])
def test_an_image_that_is_no_jpeg_or_png_is_refused_and_no_file_is_opened(
    tmp_path: Path, image: bytes
) -> None:
    with pytest.raises(ValueError, match="audio files hold JPEG or PNG only"):
        embed_cover(tmp_path / "absent.mp3", image)


def test_a_file_that_is_absent_a_folder_or_a_pipe_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in (
        ("absent.mp3", "No such file"),
        (".", "it is no file"),
        ("pipe", "it is no file"),
    ):
        with pytest.raises(ArtworkError, match=words):
            embed_cover(tmp_path / name, RED)


def test_a_copy_whose_cover_cannot_be_read_back_is_refused(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "mp3")

    with pytest.raises(ValueError, match="the cover could not be read back"):
        check_copy(song, [], read_picture(RED))


def test_a_read_only_file_stays(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "mp3")
    song.chmod(0o444)

    with pytest.raises(ArtworkError, match="it is read-only; allow writing to it"):
        embed_cover(song, RED)

    assert song.read_bytes() == sound("mp3")


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    song = audio_file(folder, "mp3")
    link = tmp_path / "link.mp3"
    link.symlink_to(song)

    assert embed_cover(link, RED)

    assert link.is_symlink()
    assert seen_by_tinytag(song)[0] == RED
    assert (alone(folder), alone(tmp_path)) == (["song.mp3"], ["link.mp3", "music"])


def test_the_other_names_of_a_file_keep_the_old_one(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "mp3")
    other = tmp_path / "backup.mp3"
    other.hardlink_to(song)

    assert embed_cover(song, RED)

    assert other.read_bytes() == sound("mp3")
    assert seen_by_tinytag(song)[0] == RED


def test_the_mode_the_owner_and_the_attributes_stay_and_the_time_is_new(tmp_path: Path) -> None:
    song = audio_file(tmp_path, "mp3")
    song.chmod(0o640)
    if os.getuid() == 0:
        os.chown(song, 1234, 5678)
    os.setxattr(song, "user.mood", b"calm")
    os.utime(song, (1, 1))
    before = song.stat()

    embed_cover(song, RED)

    after = song.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert os.getxattr(song, "user.mood") == b"calm"
    assert after.st_mtime > 1_000_000


def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    size = 256 * 2**20
    song.write_bytes(riff(chunk(b"fmt ", sound("wav")[20:36]), b""))
    with song.open("rb+") as file:
        file.seek(0, 2)
        file.write(b"data" + size.to_bytes(4, "little"))
        file.truncate(44 + size)
        file.seek(4)
        file.write((36 + size).to_bytes(4, "little"))
    tracemalloc.start()
    try:
        assert embed_cover(song, RED)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * 2**20
    assert song.stat().st_size > size


def test_a_cover_of_16_mb_fits_the_formats_with_the_narrowest_bounds(tmp_path: Path) -> None:
    large = RED + bytes(16_000_000 - len(RED))
    for suffix in ("flac", "opus"):  # a block has 24 bits for its size, a page of Ogg 64 KiB
        song = audio_file(tmp_path, suffix)
        before = decoded(song)

        assert embed_cover(song, large)

        assert seen_by_tinytag(song)[0] == large
        assert decoded(song) == before


def test_many_threads_embed_into_files_of_one_folder(tmp_path: Path) -> None:
    """Each sweeps the folder, and none removes what another has just begun."""
    songs = [audio_file(tmp_path, "mp3", stem=str(number)) for number in range(12)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(6) as threads:
            for image in (RED, BLUE) * 15:
                embed = partial(embed_cover, image=image)
                assert all(threads.map(embed, songs))
    finally:
        sys.setswitchinterval(interval)

    assert len(alone(tmp_path)) == 12
