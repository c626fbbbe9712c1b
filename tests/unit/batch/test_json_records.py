"""JSON arrays: their elements, what is wrong with each, and what is no whole array."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.batch.catalog import read_catalog
from suno_cover_async.batch.json_records import MOST_ARRAY_BYTES
from suno_cover_async.models import Track
from tests.support.catalog_files import MIB, ONE, TWO, ids, judged, numbers, rows, stream, tracks

OBJECTS = [{"music_task_id": ONE, "title": "Love", "year": 1999}, {"taskId": TWO}]
READ = [Track(ONE, title="Love", columns={"year": 1999}), Track(TWO)]


@pytest.mark.parametrize("indent", [None, 0, 2, "\t"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.JSON"])
def test_an_array_of_objects_is_read_on_one_line_or_on_many(
    tmp_path: Path, name: str, indent: int | str | None
) -> None:
    path = tmp_path / name
    path.write_text(f"\n {json.dumps(OBJECTS, indent=indent)}\n\n")

    assert [*read_catalog(path)] == READ
    assert tracks(path.read_bytes()) == READ
    assert tracks(b"\xef\xbb\xbf" + path.read_bytes()) == READ


def test_a_json_file_may_have_an_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("".join(json.dumps(one) + "\n" for one in OBJECTS))

    assert [*read_catalog(path)] == READ


@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_may_hold_ids(indent: int | None) -> None:
    assert tracks(json.dumps([ONE, f" {TWO}"], indent=indent)) == [Track(ONE), Track(TWO)]


@pytest.mark.parametrize("text", ["[]", " [ ]\n", "[\n\n]"])
def test_an_empty_array_has_no_tracks(text: str) -> None:
    assert judged(text) == ([], [])


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        ("5", "must be a JSON object, each key once"),
        ("null", "must be a JSON object"),
        ("[]", "must be a JSON object"),
        ("NaN", "must be a JSON object"),
        ('"null"', "names no song"),
        ('"taskId"', "the name of its column"),
        ('"a\\u0000b"', "printable ASCII"),
        ('"\\ud800"', "printable ASCII"),
        ('""', "must not be empty"),
        (f'{{"taskId": "{ONE}", "taskId": "{TWO}"}}', "each key once"),
        ('{"taskId": 5}', "taskId must be a text in quotes, not int"),
        (f'{{"taskId": "{ONE}", "x": {"[" * 100}{"]" * 100}}}', "has more than 100 levels"),
        (f'{{"taskId": "{ONE}", "x": "{"x" * MIB}"}}', "longer than 1 MiB"),
    ],
)
def test_an_element_that_names_no_track_is_told_by_its_number(element: str, reason: str) -> None:
    text = f'["{ONE}",\n{element},\n\n"{TWO}"]'
    if "levels" in reason:
        with pytest.raises(ValueError, match=reason):
            judged(text)
        return

    found, bad = judged(text)

    assert ids(found) == [ONE, TWO]
    assert numbers(bad) == [2]
    assert reason in bad[0].reason
    assert str(bad[0]).startswith("element 2: ")
    with pytest.raises(ValueError, match=r"^the stream, element 2: "):
        tracks(text)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("", "neither a comma nor a ] after element 2"),
        (",", "element 3 is no JSON, or breaks off"),
        (",]", "element 3 is no JSON"),
        (', {"taskId": "', "element 3 is no JSON, or breaks off"),
        (' "a"]', "neither a comma nor a ] after element 2"),
        (', {"a": 1,}]', "element 3 is no JSON"),
        ("] x", "there is more after its end"),
        ("]\n[]", "there is more after its end"),
        ("]]", "there is more after its end"),
    ],
)
def test_an_array_that_breaks_off_is_an_error_before_its_first_track(end: str, reason: str) -> None:
    text = f'["{ONE}", "{TWO}"{end}'
    catalog = read_catalog(io.BytesIO(text.encode()), on_bad=print)

    with pytest.raises(ValueError, match=f"^the stream is no JSON array: .*{reason}"):
        next(iter(catalog))


def test_an_array_that_is_not_utf_8_is_an_error() -> None:
    with pytest.raises(ValueError, match="the stream is not UTF-8; save the catalog as UTF-8"):
        judged(f'["{ONE}", "caf'.encode() + b'\xe9"]')


def test_an_array_of_more_than_64_mib_is_refused_and_says_what_to_do() -> None:
    padding = b" " * 2**16
    pieces = [b"[", *[padding] * (MOST_ARRAY_BYTES // 2**16), b'"', ONE.encode(), b'"]']

    with pytest.raises(ValueError, match="64 MiB; write one object a line"):
        list(read_catalog(stream(*pieces)))


@pytest.mark.parametrize("piece", [2**16, 2**16 - 1, 1000])
def test_an_array_on_one_line_of_several_mebibytes_is_read_whole(piece: int) -> None:
    text = json.dumps([f"{number:032x}" for number in range(100_000)]).encode()
    pieces = [text[start : start + piece] for start in range(0, len(text), piece)]

    found = ids([*read_catalog(stream(*pieces))])

    assert found == [f"{number:032x}" for number in range(100_000)]


@given(rows=rows, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_an_array_is_read_as_the_same_objects_on_lines(
    rows: list[tuple[str, str, str]], *, indent: int | None, ascii_only: bool
) -> None:
    records = [{"title": title, "music_task_id": one, "x": more} for one, title, more in rows]
    lines = "".join(json.dumps(record) + "\n" for record in records)

    array = json.dumps(records, indent=indent, ensure_ascii=ascii_only)

    assert tracks(array, "jsonl") == tracks(lines, "jsonl")
