"""JSON text: an object or None, whatever comes, at most 100 levels deep on every Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.common.json_text import MOST_LEVELS, json_object
from tests.support.cpu_time import effort


@given(text=st.text(max_size=200) | st.from_regex(r"[\[\]{}\",:0-9eEnulNaIfity.\\-]{0,80}"))
def test_any_text_is_a_json_object_or_none(text: str) -> None:
    body = json_object(text)

    assert body is None or isinstance(body, dict)


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"a":' * 200_000, "9" * 10_000, '{"a":NaN}', "\ud800", '"\ud800"', ""]
)
def test_hostile_json_is_no_answer_and_no_crash(text: str) -> None:
    assert json_object(text) is None


@pytest.mark.parametrize("text", ['{"a":1}', ' \t\r\n{"a":1}\n'])
def test_blanks_around_an_object_are_nothing(text: str) -> None:
    assert json_object(text) == {"a": 1}


@pytest.mark.parametrize("text", ['{"a":1}x', '{"a":1}{}', '\ufeff{"a":1}', '\xa0{"a":1}'])
def test_anything_else_around_an_object_makes_it_none(text: str) -> None:
    assert json_object(text) is None


def nested(levels: int, kinds: str) -> str:
    """Write an object so many levels deep, of lists and objects in turn, beside shallow ones."""
    text = "0"
    for level in range(levels - 1):
        text = f"[{text}]" if kinds[level % len(kinds)] == "[" else f'{{"a":{text}}}'
    return f'{{"before":[{{}},[]],"a":{text},"after":[]}}'


@pytest.mark.parametrize("kinds", ["[", "{", "[{", "{[["])
def test_json_is_read_at_100_levels_and_not_at_101(kinds: str) -> None:
    assert MOST_LEVELS == 100
    for levels in (2, 51, 99, 100):
        assert json_object(nested(levels, kinds)) is not None
    for levels in (101, 102, 200, 500, 990, 1_000, 5_000):
        assert json_object(nested(levels, kinds)) is None


@pytest.mark.parametrize("keys", [True, False])
def test_whoever_refuses_duplicate_keys_reads_as_deep(*, keys: bool) -> None:
    assert json_object(nested(100, "[{"), allow_duplicate_keys=keys) is not None
    assert json_object(nested(101, "[{"), allow_duplicate_keys=keys) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"' + "[{" * 500 + '"}',
        '{"' + "[" * 500 + '":{}}',
        '{"a":"\\"' + "[" * 500 + '","b":[]}',
        '{"a":"\\\\","b":["' + "[" * 500 + '\\\\\\"[",[]]}',
        '{"a":[' + "[]," * 500 + "{}]}",
        '{"a":[' + '{"b":[{}]},' * 500 + "0]}",
    ],
)
def test_brackets_in_texts_and_beside_each_other_are_no_depth(text: str) -> None:
    assert json_object(text) is not None


@pytest.mark.parametrize("hidden", ['"]"', '"]]}}"', '"\\"]]"', '"]\\\\"'])
def test_closing_brackets_in_texts_hide_no_depth(hidden: str) -> None:
    def text(levels: int) -> str:
        inner = f"[{hidden},"
        return '{"a":' + inner * (levels - 1) + "0" + "]" * (levels - 1) + "}"

    assert json_object(text(100)) is not None
    assert json_object(text(101)) is None


@pytest.mark.parametrize("piece", ['"\\', "\\", '"', '\\"', "[", "[]", '[{"a":"\\""}],', '["'])
def test_the_depth_is_measured_in_time_that_grows_with_the_length(piece: str) -> None:
    """As a measure serves a walk over the text; a search that backtracks takes 1,000 times that."""
    hostile = '{"a":[' + "[]," * 101 + piece * (262_144 // len(piece))

    measured = effort(lambda: json_object(hostile))
    walked = effort(lambda: sum(character.isspace() for character in hostile))

    assert measured < 100 * walked
