import re
import sys
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.artwork.names import NamePattern, usual_path
from suno_cover_async.errors import ArtworkError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.models import CoverTask, Track


def an_entry(track: Track) -> LedgerEntry:
    task = CoverTask(cover_task_id="c0ffee", music_task_id=track.music_task_id)
    return LedgerEntry(number=7, tracks=(track,), state=TrackState.SAVED, task=task)


def name(pattern: str, title: str = "Song", suffix: str = ".jpg", **columns: object) -> str:
    track = Track("abc", title=title, columns=columns)
    return NamePattern.parse(pattern).path(an_entry(track), track, 2, suffix).as_posix()


def test_columns_and_the_title_make_the_name() -> None:
    assert name("{artist} - {title}.{ext}", artist="Ann") == "Ann - Song.jpg"


def test_every_field_of_our_own_has_its_value() -> None:
    pattern = "{title} {music_task_id} {cover_task_id} {number} {image} {ext}.{ext}"

    assert name(pattern) == "Song abc c0ffee 7 2 jpg.jpg"


def test_a_column_that_has_the_name_of_a_field_of_our_own_does_not_replace_it() -> None:
    assert name("{number} {ext} {title}", Number="x", EXT="exe", Title="y") == "7 jpg Song.jpg"


@pytest.mark.parametrize("field", ["album artist", "Album Artist", "album_artist", "ALBUM-ARTIST"])
def test_a_column_is_found_in_any_spelling_that_catalogs_know(field: str) -> None:
    assert name(f"{{{field}}}.{{ext}}", albumArtist="Ann") == "Ann.jpg"
    assert name(f"{{{field}}}.{{ext}}", **{"Album Artist": "Ann"}) == "Ann.jpg"


def test_numbers_are_written_and_white_space_is_made_one_space() -> None:
    assert (
        name("{track} {year} {title}.{ext}", "A\n  B ", track=3, year=1999.5) == "3 1999.5 A B.jpg"
    )


def test_the_suffix_is_added_to_a_pattern_without_one() -> None:
    assert name("{title}") == "Song.jpg"
    assert name("{title}.png", suffix=".webp") == "Song.png.webp"


def test_a_slash_in_the_pattern_makes_folders_and_one_in_a_value_does_not() -> None:
    assert name("{artist}/{title}.{ext}", "A/B", artist="AC/DC") == "AC_DC/A_B.jpg"


@pytest.mark.parametrize("value", [None, "", "  ", "\u200b", [], {}, ["Ann"]])
def test_a_track_without_a_value_has_no_name_and_says_which(value: object) -> None:
    with pytest.raises(ArtworkError, match="it has no artist, which its file's name needs"):
        name("{artist} - {title}.{ext}", artist=value)


def test_a_track_without_the_column_or_the_title_has_no_name() -> None:
    with pytest.raises(ArtworkError, match="it has no artist"):
        name("{artist}.{ext}")
    with pytest.raises(ArtworkError, match="it has no title"):
        name("{title}.{ext}", "")


def test_an_unknown_field_is_refused_with_those_that_are_known() -> None:
    pattern = NamePattern.parse("{artist} {titel}.{ext}")

    with pytest.raises(
        ValueError,
        match=r"no column \{titel\} for a name; there are: title, music_task_id, cover_task_id, "
        r"number, image, ext, Artist, year$",
    ):
        pattern.check(["Artist", "year", "Artist"])


def test_only_some_of_many_columns_are_listed() -> None:
    with pytest.raises(ValueError, match=r"c19 and more$"):
        NamePattern.parse("{x}").check(f"c{n}" for n in range(500))


def test_known_fields_pass() -> None:
    NamePattern.parse("{Artist}/{TITLE} {Music Task ID}.{ext}").check(["artist"])


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/",
        "/{title}",
        "{title}/",
        "a//b",
        "../{title}",
        "{artist}/../{title}",
        "./x",
        "..",
        ".",
    ],
)
def test_a_pattern_that_leaves_the_folder_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="must be one of a file in the folder"):
        NamePattern.parse(pattern)


@pytest.mark.parametrize(
    "pattern", ["C:{title}", "{title}?", "a\\b", "{title}\n", "a\0b", "{a}: b"]
)
def test_a_pattern_with_characters_that_some_system_forbids_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="characters that some system does not allow"):
        NamePattern.parse(pattern)


@pytest.mark.parametrize(
    "pattern", ["{title", "title}", "{title!r}", "{number:04}", "{}", "{{a}} {}"]
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(pattern))):
        NamePattern.parse(pattern)


def test_doubled_braces_are_braces() -> None:
    assert name("{{{title}}}.{ext}") == "{Song}.jpg"


VALUES = st.one_of(
    st.text(min_size=1),
    st.sampled_from(["..", ".", "../..", "/etc/passwd", "C:\\x", "CON", "nul.txt", "a" * 500, "~"]),
)


@given(artist=VALUES, title=VALUES)
def test_no_value_leaves_the_folder_or_makes_a_name_that_a_system_refuses(
    artist: str, title: str
) -> None:
    try:
        path = name("{artist}/{title}.{ext}", title, artist=artist)
    except ArtworkError:
        return  # nothing to be seen in it

    folder, file = path.split("/")
    for part in (folder, file.removesuffix(".jpg")):
        assert not set(part) & set('<>:"/\\|?*\0\r\n')
        assert part not in {".", ".."}
        assert part == part.strip(". ")
        assert 0 < len(part.encode(sys.getfilesystemencoding())) <= 104
        assert not re.fullmatch(r"(con|nul|aux|prn)(\..*)?", part, re.IGNORECASE)


def test_without_a_pattern_a_file_is_named_as_the_saved_images_without_their_number() -> None:
    assert usual_path(Track("abc", title="Song"), ".jpg") == PurePosixPath("Song abc.jpg")
    assert usual_path(Track("abc"), ".png") == PurePosixPath("abc.png")
    assert usual_path(Track("ABC", title="../x"), ".png").parent == PurePosixPath()
