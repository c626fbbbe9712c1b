"""Text of others is one line of visible characters."""

import sys

import pytest

from suno_cover_async.common.text import in_one_line, is_seen, printable, trimmed


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


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "Connection refused\n\tIs the server running?",
            "Connection refused. Is the server running?",
        ),
        ('no table "x"\nLINE 1: SELECT\n  ^\n', 'no table "x". LINE 1: SELECT ^'),
        ("it failed.\nAgain", "it failed. Again"),
        ("failures were:\n- host: a\n- host: b", "failures were: - host: a - host: b"),
        ("a\n\tb  c\n", "a b c"),
        ("a\n\nB", "a. B"),
        ("A B\t C", "A B C"),
    ],
)
def test_lines_become_one_with_a_full_stop_between_sentences(text: str, line: str) -> None:
    assert in_one_line(text) == line


def test_a_space_is_seen_and_a_line_end_is_not() -> None:
    assert is_seen(" ")
    assert not is_seen("\n")


def test_white_space_and_invisible_characters_are_trimmed_at_both_ends_only() -> None:
    around = " \t\r\n\u00a0\u3000\u2028\ufeff\u200b\u200e\u202e\u2066\u2060"

    assert trimmed(f"{around}a{around}b{around}") == f"a{around}b"
    assert trimmed(around) == ""
    assert all(trimmed(chr(n)) == "" for n in range(sys.maxunicode) if chr(n).isspace())
