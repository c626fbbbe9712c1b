"""Values as plain data: what is written is read back, and nothing else is read."""

import enum
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.common.records import JSON_TEXT, make_converter

EPOCH = datetime.fromtimestamp(0, UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen(kw_only=True)
class Record:
    text: str
    number: int
    share: float
    is_true: bool
    colour: Colour
    moment: datetime
    place: Path
    maybe: str | None
    places: tuple[Path, ...]
    texts: Annotated[tuple[str, ...], JSON_TEXT]
    anything: Annotated[dict[str, dict[str, object]], JSON_TEXT]


RECORDS = st.builds(
    Record,
    share=st.floats(allow_nan=False),
    moment=st.integers(0, 10**15).map(lambda us: EPOCH + timedelta(microseconds=us)),
    place=st.just(Path("covers/Söng.png")),
    places=st.lists(st.builds(Path, st.sampled_from("abc"))).map(tuple),
    anything=st.dictionaries(st.text(), st.dictionaries(st.text(), JSON, max_size=2), max_size=2),
)
WRITTEN = {
    "text": "a",
    "number": 1,
    "share": 0.5,
    "is_true": True,
    "colour": "red",
    "moment": "2026-05-01T12:00:00+00:00",
    "place": "covers/a.png",
    "maybe": None,
    "places": ["a", "b"],
    "texts": '["a", "b"]',
    "anything": '{"a": {"b": [1, null]}}',
}
ISO, SECONDS = make_converter(datetimes="ISO 8601"), make_converter(datetimes="seconds")


@given(record=RECORDS)
@pytest.mark.parametrize("datetimes", ["ISO 8601", "seconds"])
def test_what_is_written_is_read_back(
    datetimes: Literal["ISO 8601", "seconds"], record: Record
) -> None:
    converter = make_converter(datetimes=datetimes)
    written = converter.unstructure(record)
    again = converter.structure(written, Record)

    assert attrs.evolve(again, moment=record.moment) == record
    assert abs(again.moment - record.moment) < timedelta(milliseconds=1)


def test_a_record_is_plain_data_that_json_knows() -> None:
    written = ISO.unstructure(ISO.structure(WRITTEN, Record))

    assert written == WRITTEN
    assert json.loads(json.dumps(written)) == written


NONSENSE: dict[str, list[object]] = {
    "text": [None, 5, b"a", ["a"], True],
    "number": [None, "1", 1.0, True],
    "share": [None, "1", True],
    "is_true": [None, 2, -1, "true", 1.0, []],
    "colour": [None, "green", 1, []],
    "moment": [None, "", "today", "2026-05-01T12:00:00", 1.5],
    "place": [None, 5, "a\0b"],
    "places": [None, "ab", {"a": 1}, [None], [5]],
    "texts": [None, ["a"], "", "null", '"ab"', "{}", "[1]", "[null]", "[" * 5_000],
    "anything": [None, {}, "[]", "null", '{"a": 1}', '{"a": [1]}'],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, some in NONSENSE.items() for value in some]
)
def test_nothing_is_read_that_was_not_written_so(field: str, value: object) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError, RecursionError)):
        ISO.structure(WRITTEN | {field: value}, Record)


@pytest.mark.parametrize("seconds", ["1.5", None, True, 1e300, float("nan"), float("inf")])
def test_seconds_are_a_number_that_a_datetime_can_have(seconds: object) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        SECONDS.structure(seconds, datetime)


def test_a_whole_number_is_a_number_and_0_and_1_are_false_and_true() -> None:
    assert SECONDS.structure(2, datetime) == datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC)
    assert ISO.structure(2, float) == 2.0
    assert [ISO.structure(number, bool) for number in (0, 1)] == [False, True]


def test_a_datetime_is_read_in_utc_whatever_its_zone() -> None:
    east = datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    again = ISO.structure(ISO.unstructure(east), datetime)

    assert (again, again.tzinfo) == (east, UTC)


@pytest.mark.parametrize("value", [{1}, b"bytes", object(), Path("x"), datetime.now(UTC)])
def test_what_should_be_json_already_is_not_made_json(value: Any) -> None:
    with pytest.raises(TypeError):
        ISO.get_unstructure_hook(attrs.fields(Record).anything.type)({"a": {"b": value}})


def test_json_is_written_up_to_200_levels_deep() -> None:
    """Deeper text may be written by one version of Python and not be read by another."""
    converter = make_converter(datetimes="seconds")
    kind = Annotated[dict[str, object], JSON_TEXT]
    write = converter.get_unstructure_hook(kind)
    value: object = "["
    for _ in range(199):
        value = [value]

    assert json.loads(write({"deepest": value})) == {"deepest": value}
    for deeper in ([value], {"one": value}):
        with pytest.raises(RecursionError):
            write({"too deep": deeper})
