"""What is plainly an id, what is taken off around it, and what of a title."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.batch.cells import is_sheet_error, plain_id, title_of, without_bom
from tests.support.catalog_files import ONE, texts

UUID = "0b7e9f9a-4f6e-4a7e-9c52-0d6a7b1c2d3e"


@pytest.mark.parametrize("one", [ONE, UUID, UUID.upper(), "7f3a", "task_01JD-x", "a" * 128, "9"])
def test_hex_digits_uuids_and_short_names_are_ids(one: str) -> None:
    assert plain_id(one) == one


@pytest.mark.parametrize(
    "cell",
    [
        f" {ONE}\t",
        f"\u00a0{ONE}\u3000",
        f"\u200b\ufeff{ONE}\u2060\u200f",
        f"\u202a{ONE}\u202c",
        f'="{ONE}"',
        f"'{ONE}",
        f'"{ONE}"',
        f"'{ONE}'",
        f"\u201c{ONE}\u201d",
        f' \'="{ONE}" ',
        f'=" {ONE}\u00a0"',
    ],
)
def test_an_id_is_taken_out_of_what_surrounds_it(cell: str) -> None:
    assert plain_id(cell) == ONE


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("", "must not be empty"),
        ("''", "must not be empty"),
        ('=""', "must not be empty"),
        ("\u200b", "must not be empty"),
        ("https://example.com/song/1", "not a URL"),
        ("a b", "without spaces"),
        ("é1", "printable ASCII"),
        (f"{ONE[:9]}\ufeff{ONE[9:]}", "printable ASCII"),
        ("a" * 129, "1 to 128"),
        ('ab"c', "of letters, digits, - and _"),
        (f'"{ONE}', "of letters, digits, - and _"),
        ("<td>", "of letters, digits"),
        ("a,b", "of letters, digits"),
        ("song.mp3", "of letters, digits"),
        ("-", "begins with a letter or a digit"),
        ("-1", "begins with a letter or a digit"),
        ("=A1", "not a formula: '=A1'; export its value"),
        ('=HYPERLINK("x")', "not a formula"),
        ("7.31E+31", "not a number: '7.31E[+]31'; if a spreadsheet rounded it"),
        ("7,31E+31", "not a number"),
        ("7E+31", "not a number"),
        ("1e-05", "not a number"),
        ("12.0", "not a number"),
        ("2026-11-27", "not a date"),
        ("26-Jan", "not a date"),
        ("1-dec-2026", "not a date"),
        ("Mar-26", "not a date"),
        ("#N/A", "not the error of a spreadsheet: '#N/A'"),
        ("#REF!", "not the error of a spreadsheet"),
        ("#NAME?", "not the error of a spreadsheet"),
        ("#DIV/0!", "not the error of a spreadsheet"),
        *((one, "names no song") for one in ("NULL", "null", "None", "nan", "NaN")),
        *((one, "names no song") for one in ("undefined", "INF", "id", "False")),
        ('="null"', "names no song"),
        ("music_task_id", "not the name of its column; remove the line"),
        ("Task ID", "not the name of its column"),
        ("taskId", "not the name of its column"),
    ],
)
def test_what_is_not_plainly_an_id_is_refused_with_a_reason(cell: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^music_task_id .*{reason}"):
        plain_id(cell)


def test_the_name_of_the_column_that_was_chosen_is_no_id() -> None:
    assert plain_id("Song") == "Song"
    with pytest.raises(ValueError, match="the name of its column"):
        plain_id("Song", " Song")


@pytest.mark.parametrize("end", ["e", "1e"])
def test_an_id_of_hex_digits_that_resembles_a_number_is_an_id(end: str) -> None:
    one = f"{'1' * (32 - len(end) - 1)}{end}7"

    assert plain_id(one) == one


@pytest.mark.parametrize("wrap", ["'", '"', '="', "\u201c"])
def test_a_cell_of_a_mebibyte_of_quotes_is_refused_without_unwrapping(wrap: str) -> None:
    with pytest.raises(ValueError, match="must be 1 to 128"):
        plain_id(wrap * (2**20 // len(wrap)))


@given(texts)
def test_whatever_is_taken_for_an_id_has_its_letters_only(text: str) -> None:
    try:
        one = plain_id(text)
    except ValueError:
        return

    assert one in text
    assert one.isascii()
    assert one.replace("-", "").replace("_", "").isalnum()
    assert plain_id(one) == one


@pytest.mark.parametrize(
    ("cell", "title"),
    [
        ('="Song"', "Song"),
        ('="Say ""hi"""', 'Say "hi"'),
        ("\ufeffSong\ufeff", "Song"),
        (" Song\u00a0", "Song"),
        ("'Song", "'Song"),
        ('"Heroes" (2017)', '"Heroes" (2017)'),
        ("=A1", "=A1"),
        ('="', '="'),
        ("null", "null"),
        ("#1 Crush", "#1 Crush"),
    ],
)
def test_a_title_loses_an_equals_sign_with_quotes_and_nothing_else(cell: str, title: str) -> None:
    assert title_of(cell) == title


@given(st.sampled_from(["Song", "a\ufeffb", " x "]), st.integers(0, 3))
def test_byte_order_marks_are_dropped_at_both_ends_only(text: str, times: int) -> None:
    assert without_bom("\ufeff" * times + text + "\ufeff" * times) == text


def test_a_comment_is_no_error_of_a_spreadsheet() -> None:
    assert is_sheet_error("#VALUE!")
    assert not is_sheet_error("# mine!")
    assert not is_sheet_error("#mine")
