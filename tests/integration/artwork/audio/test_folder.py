"""Files of a folder by path, name and title; nothing outside it is found."""

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from mutagen import id3, wave

from suno_cover_async.artwork.audio.folder import AudioFolder
from suno_cover_async.errors import ArtworkError
from tests.support.audio_files import FORMATS, audio_file, picture, sound

ID3: Any = id3  # mutagen has no types for these
WAVE: Any = wave


def put(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def shown(folder: AudioFolder, found: set[Path]) -> list[str]:
    return sorted(folder.shown(path) for path in found)


@pytest.mark.parametrize(
    "name", ["a/Song.mp3", "a\\Song.mp3", "./a/../a/Song.mp3", "a//Song.mp3", "{here}/a/Song.mp3"]
)
def test_a_file_is_found_by_its_path_in_any_spelling(tmp_path: Path, name: str) -> None:
    song = put(tmp_path / "a/Song.mp3")

    assert AudioFolder(tmp_path).named(name.format(here=tmp_path)) == song


def test_a_path_in_another_form_of_unicode_is_found(tmp_path: Path) -> None:
    song = put(tmp_path / unicodedata.normalize("NFD", "Été/É.mp3"))

    assert AudioFolder(tmp_path).named("Été/É.mp3") == song


@pytest.mark.parametrize(
    "name", ["../out.mp3", "..\\out.mp3", "a/../../out.mp3", "{there}/out.mp3", "link.mp3", "in/x"]
)
def test_no_path_leaves_the_folder(tmp_path: Path, name: str) -> None:
    put(tmp_path / "out.mp3")
    put(tmp_path / "other/x")
    music = tmp_path / "music"
    (music / "a").mkdir(parents=True)
    (music / "link.mp3").symlink_to(tmp_path / "out.mp3")
    (music / "in").symlink_to(tmp_path / "other")

    with pytest.raises(ArtworkError, match="is outside the folder"):
        AudioFolder(music).named(name.format(there=tmp_path))


@pytest.mark.parametrize("name", ["b.mp3", "a", ".", "a.MP3", "x" * 300, "a\0b", "a/b" * 3000])
def test_a_path_without_a_file_is_an_error(tmp_path: Path, name: str) -> None:
    put(tmp_path / "a.mp3/b.mp3")

    with pytest.raises(ArtworkError, match="is not in the folder"):
        AudioFolder(tmp_path).named(name)


def test_files_are_found_by_their_name_without_its_suffix_in_all_folders(tmp_path: Path) -> None:
    for name in ("Blue.mp3", "a/b/Blue.flac", "blue.ogg", "Blue 2.mp3", "Blue.v1.mp3"):
        put(tmp_path / name)
    folder = AudioFolder(tmp_path)

    assert shown(folder, folder.with_stem(["Blue"])) == ["Blue.mp3", "a/b/Blue.flac"]
    assert shown(folder, folder.with_stem(["blue"])) == ["blue.ogg"]
    assert shown(folder, folder.with_stem(["BLUE 2", "other"])) == ["Blue 2.mp3"]
    assert shown(folder, folder.with_stem(["BLUE"])) == ["Blue.mp3", "a/b/Blue.flac", "blue.ogg"]
    assert folder.with_stem(["", " "]) == set()


def test_names_are_compared_in_one_form_of_unicode(tmp_path: Path) -> None:
    put(tmp_path / unicodedata.normalize("NFD", "Été.mp3"))
    folder = AudioFolder(tmp_path)

    assert len(folder.with_stem(["Été"])) == len(folder.with_stem(["ÉTÉ"])) == 1


def test_files_that_are_no_audio_are_not_found_by_name_and_audio_of_any_name_is(
    tmp_path: Path,
) -> None:
    put(tmp_path / "Blue.jpg", picture())
    put(tmp_path / "Blue.txt", b"words")
    put(tmp_path / "Blue.wav", b"damaged")
    put(tmp_path / "Blue.bin", sound("mp3"))
    put(tmp_path / "Blue", sound("flac"))
    folder = AudioFolder(tmp_path)

    assert shown(folder, folder.with_stem(["Blue"])) == ["Blue", "Blue.bin", "Blue.wav"]


def test_hidden_and_unfinished_files_are_left_out(tmp_path: Path) -> None:
    for name in (".Blue.mp3", ".trash/Blue.mp3", "audio-0123456789abcdef.part", "Blue.part"):
        put(tmp_path / name, sound("mp3"))
    folder = AudioFolder(tmp_path)

    assert folder.with_stem(["Blue", ".Blue", "audio-0123456789abcdef"]) == set()
    assert folder.with_title("Blue Moon") == set()


def test_links_are_the_files_that_they_lead_to_and_those_to_outside_are_left_out(
    tmp_path: Path,
) -> None:
    outside = put(tmp_path / "outside/Far.mp3")
    music = tmp_path / "music"
    song = put(music / "001.mp3")
    (music / "Near.mp3").symlink_to(song)
    (music / "Out.mp3").symlink_to(outside)
    (music / "Gone.mp3").symlink_to(music / "absent")
    (music / "far").symlink_to(outside.parent)
    (music / "loop").symlink_to(music)
    folder = AudioFolder(music)

    assert folder.with_stem(["Near"]) == folder.with_stem(["001"]) == {song}
    assert folder.with_stem(["Near", "001"]) == {song}
    assert folder.with_stem(["Out", "Gone", "Far"]) == set()


def test_a_folder_that_is_a_link_is_read(tmp_path: Path) -> None:
    song = put(tmp_path / "music/Blue.mp3")
    (tmp_path / "link").symlink_to(tmp_path / "music")

    assert AudioFolder(tmp_path / "link").with_stem(["Blue"]) == {song}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_is_found_by_the_title_in_its_tags(tmp_path: Path, suffix: str) -> None:
    song = audio_file(tmp_path, suffix, stem="001")
    if suffix == "wav":  # its LIST chunk is not read
        edited = WAVE.WAVE(song)
        edited.add_tags()
        edited.tags.add(ID3.TIT2(text=["Blue Moon"]))
        edited.save()
    put(tmp_path / "damaged.mp3", b"damaged")
    put(tmp_path / "bare.flac", sound("flac", "-map_metadata", "-1", title=None))
    folder = AudioFolder(tmp_path)

    assert folder.with_title("Blue Moon") == folder.with_title(" blue moon ") == {song}
    assert folder.with_title("Blue") == folder.with_title("") == set()


def test_what_is_no_folder_is_an_error(tmp_path: Path) -> None:
    file = put(tmp_path / "file")
    for path in (tmp_path / "absent", file):
        with pytest.raises(ArtworkError, match="cannot read the folder"):
            AudioFolder(path)


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "Blue.mp3")
    folder = AudioFolder(tmp_path)

    assert folder.with_stem(["Blue"]) == folder.with_title("Blue") == set()
