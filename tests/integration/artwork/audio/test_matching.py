"""Which audio file is a track's: by a column, by its name, by its tags, or not for certain."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from suno_cover_async.artwork.audio.folder import AudioFolder
from suno_cover_async.artwork.audio.matching import match_audio
from suno_cover_async.errors import ArtworkError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.models import Track
from tests.support.audio_files import sound


def entry(number: int, *titles: str, **columns: object) -> LedgerEntry:
    tracks = tuple(Track(f"s{number}", title=title, columns=columns) for title in titles)
    return LedgerEntry(number=number, tracks=tracks, state=TrackState.SAVED)


def folder_of(path: Path, *names: str) -> AudioFolder:
    for name in names:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(b"")
    return AudioFolder(path)


def matched(
    entries: list[LedgerEntry], folder: AudioFolder, column: str | None = None
) -> list[str]:
    """The path of each track's file, or the reason why it has none."""
    return [
        folder.shown(match.file) if match.file else str(match.reason)
        for match in match_audio(entries, folder, column=column)
    ]


@pytest.mark.parametrize(
    "name",
    ["file", "filename", "File Name", "path", "audio", "audio_file", "Audio-File", "AUDIOFILE"],
)
def test_a_column_names_the_file_before_all_else(tmp_path: Path, name: str) -> None:
    folder = folder_of(tmp_path, "a/1.mp3", "Blue.mp3")

    assert matched([entry(1, "Blue", **{name: " a/1.mp3 "})], folder) == ["a/1.mp3"]


@pytest.mark.parametrize("column", ["song path", "SONG_PATH", "Song-Path"])
def test_another_column_may_be_named(tmp_path: Path, column: str) -> None:
    folder = folder_of(tmp_path, "1.mp3", "Blue.mp3")
    columns = {"song_path": "1.mp3", "file": "Blue.mp3"}

    assert matched([entry(1, "Blue", **columns)], folder, column) == ["1.mp3"]


def test_a_column_that_no_track_has_is_an_error_that_lists_those_there_are(
    tmp_path: Path,
) -> None:
    folder = folder_of(tmp_path)
    with pytest.raises(ArtworkError, match=r"no column where, but: artist, file; see --audio-col"):
        match_audio([entry(1, "Blue", file="1.mp3", artist="Ann")], folder, column="where")
    with pytest.raises(ArtworkError, match="no column where, but: nothing"):
        match_audio([], folder, column="where")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("2.mp3", "2.mp3 is not in the folder"),
        ("../2.mp3", "../2.mp3 is outside the folder"),
        ("/etc/2.mp3", "/etc/2.mp3 is outside the folder"),
    ],
)
def test_a_named_file_that_is_not_there_or_outside_is_not_replaced_by_another(
    tmp_path: Path, value: str, words: str
) -> None:
    folder = folder_of(tmp_path, "Blue.mp3")

    assert matched([entry(1, "Blue", file=value)], folder) == [words]


@pytest.mark.parametrize("value", ["", " ", None, 7, "https://x.example/1.mp3", "songs/7", "x.png"])
def test_a_column_that_names_no_audio_file_says_nothing(tmp_path: Path, value: object) -> None:
    folder = folder_of(tmp_path, "Blue.mp3")

    assert matched([entry(1, "Blue", path=value)], folder) == ["Blue.mp3"]


def test_a_name_is_that_of_the_title_or_of_the_id(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "Blue.mp3", "a/s2.flac", "RED.mp3")

    found = matched([entry(1, "Blue"), entry(2, "Grey"), entry(3, "Red")], folder)

    assert found == ["Blue.mp3", "a/s2.flac", "RED.mp3"]


def test_the_title_in_the_tags_is_asked_last(tmp_path: Path) -> None:
    (tmp_path / "001.mp3").write_bytes(sound("mp3"))
    folder = folder_of(tmp_path, "s2.mp3")

    assert matched([entry(1, "Blue Moon"), entry(2, "Other")], folder) == ["001.mp3", "s2.mp3"]


def test_a_track_without_a_file_is_left_with_the_reason(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "Red.mp3", "Blue.txt")

    reason = "no audio file has its title or its id as name, or its title in the tags"
    found = matched([entry(1, "Blue"), entry(2, "")], folder)

    assert found == [f"{reason}; name its file in a column"] * 2


def test_two_files_for_a_track_are_left(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "Blue.mp3", "a/Blue.wav", "s2.mp3", "Grey.mp3")

    assert matched([entry(1, "Blue"), entry(2, "Grey")], folder) == [
        "2 audio files may be its own, such as Blue.mp3 and a/Blue.wav; name its file in a column",
        "2 audio files may be its own, such as Grey.mp3 and s2.mp3; name its file in a column",
    ]


def test_two_songs_for_a_file_are_left_also_if_one_was_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "Blue.mp3", "Red.mp3")
    entries = [entry(1, "Blue"), entry(2, "BLUE"), entry(3, "Red")]
    entries.append(entry(4, "Other", file="Red.mp3"))

    found = matched(entries, folder)

    more = "; name the file of each in a column"
    assert found == [
        f"Blue.mp3 may also be that of music task s2{more}",
        f"Blue.mp3 may also be that of music task s1{more}",
        f"Red.mp3 may also be that of music task s4{more}",
        f"Red.mp3 may also be that of music task s3{more}",
    ]


def test_two_titles_of_one_song_may_have_one_file_or_two(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "s1.mp3", "Red.mp3", "Rot.mp3")

    assert matched([entry(1, "A", "B"), entry(2, "Red", "Rot")], folder) == [
        "s1.mp3",
        "s1.mp3",
        "Red.mp3",
        "Rot.mp3",
    ]


def test_reasons_are_one_line_of_visible_characters(tmp_path: Path) -> None:
    columns: Mapping[str, object] = {"file": "a\x1b[31m\n.mp3"}
    (reason,) = matched([entry(1, "Blue", **columns)], folder_of(tmp_path))

    assert reason.isprintable()
