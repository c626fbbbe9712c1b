"""Text of others is one line of visible characters."""

import pytest

from suno_cover_async.common.text import is_seen, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Blue Moon", "Blue Moon"),
        ("夜に駆ける é 🎵", "夜に駆ける é 🎵"),
        ("two\nlines\tand\x1b[2J", "two?lines?and?[2J"),
        ("\u202egnp.exe", "?gnp.exe"),
        ("a\u3164b\u2800c", "a?b?c"),
    ],
)
def test_what_is_not_visible_becomes_a_question_mark(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_text_is_cut_at_300_characters_or_where_it_is_told() -> None:
    assert printable("x" * 301) == "x" * 300
    assert printable("abcdef", longest=3) == "abc"


def test_a_space_is_seen_and_a_line_end_is_not() -> None:
    assert is_seen(" ")
    assert not is_seen("\n")
