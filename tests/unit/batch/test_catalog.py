"""Catalogs: which lines are tracks, which are bad, and at what cost."""

import codecs
import csv
import errno
import io
import json
import os
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count, islice
from pathlib import Path
from threading import Thread
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from suno_cover_async.batch.catalog import read_catalog
from suno_cover_async.batch.cells import title_of, without_bom
from suno_cover_async.batch.line_reader import BadLine
from suno_cover_async.common.text import trimmed
from suno_cover_async.models import Track
from tests.support.catalog_files import (
    HEADER,
    MIB,
    ONE,
    TWO,
    Source,
    ids,
    judged,
    numbers,
    rows,
    stream,
    texts,
    tracks,
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", f"music_task_id\n{ONE}\n"),
        ("a.CSV", f"title;music_task_id\n;{ONE}\n"),
        ("a.tsv", f"title\tmusic_task_id\n\t{ONE}\n"),
        ("a.jsonl", f'{{"music_task_id": "{ONE}"}}\n'),
        ("a.NDJSON", f'{{"music_task_id": "{ONE}"}}\n'),
        ("a.txt", f"{ONE}\n"),
    ],
)
def test_a_file_is_read_by_its_suffix(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)

    assert [*read_catalog(tmp_path / name)] == [Track(ONE)]
    assert [*read_catalog(str(tmp_path / name))] == [Track(ONE)]


def test_a_format_that_is_given_outweighs_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(ONE)

    assert [*read_catalog(path, format="txt")] == [Track(ONE)]


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\n{TWO}",
        f"\n# mine\n  {ONE}\n{TWO} \n",
        f"music_task_id\n{ONE}\n{TWO}\n",
        f"\n\nname;MUSIC_TASK_ID\n;{ONE}\n;{TWO}",
        f'"x\ny"\t"music_task_id"\n\t{ONE}\n\t{TWO}',
        f'a,"b;music_task_id\n;{ONE}\n;{TWO}',
        f' {{"music_task_id": "{ONE}"}}\n\n{{"music_task_id": "{TWO}"}}',
        f'\n{{"a": "b", "music_task_id": "{ONE}"}}\n{{"music_task_id": "{TWO}"}}\n',
    ],
)
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
def test_a_stream_is_read_by_its_first_line(text: str, bom: bytes) -> None:
    assert ids(tracks(bom + text.encode())) == [ONE, TWO]


@pytest.mark.parametrize("text", ["", "\n", "\r\n \n", "# nothing"])
def test_an_empty_stream_has_no_tracks(text: str) -> None:
    assert judged(text) == ([], [])
    assert judged(codecs.BOM_UTF8 + text.encode()) == ([], [])


def test_columns_are_found_in_any_order_and_case_and_the_others_kept_by_their_own_names() -> None:
    text = f" Genre ,TITLE, Music_Task_ID ,Year\n pop , Love , {ONE} ,1999\n"

    assert tracks(text) == [
        Track(ONE, title="Love", columns={"Genre": " pop ", "Year": "1999"}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_commas_semicolons_tabs_and_pipes_part_the_fields(delimiter: str) -> None:
    rows = [["title", "music_task_id"], ["a, b; c\td | e", ONE]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)

    assert tracks(text.getvalue()) == [Track(ONE, title="a, b; c\td | e")]


def test_commas_come_first() -> None:
    text = f'music_task_id,"a;music_task_id;b"\n{ONE},x\n'

    assert tracks(text) == [Track(ONE, columns={"a;music_task_id;b": "x"})]


def test_what_spreadsheets_leave_behind_is_no_bad_line() -> None:
    text = f"\n,,,,\n,music_task_id,title,genre,,\n0,{ONE},Love,pop,,\n\n ,,\n1,{TWO}\n,,,,,,,,\n"

    assert judged(text, "csv") == (
        [
            Track(ONE, title="Love", columns={"genre": "pop"}),
            Track(TWO, title="", columns={"genre": ""}),
        ],
        [],
    )


def test_a_header_that_comes_again_is_no_track() -> None:
    again = f"{HEADER}{ONE},Love,pop\n" * 2

    assert ids(tracks(again)) == [ONE, ONE]


def test_fields_in_quotes_may_span_lines_and_hold_delimiters() -> None:
    text = f'{HEADER}{ONE},"Love,\n""really""",pop\n{TWO},"",x\n'

    found = tracks(text)

    assert [track.title for track in found] == ['Love,\n"really"', ""]


def test_everything_else_in_an_object_is_kept_as_it_is() -> None:
    more = {"year": 1999, "tags": ["a", None], "deep": {"title": 1.5}, "é": True}
    text = json.dumps({"title": " Love ", "music_task_id": ONE, **more})
    bare = json.dumps({"title": None, "music_task_id": TWO})

    assert tracks(f"{text}\n{bare}") == [Track(ONE, title=" Love ", columns=more), Track(TWO)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not an id", "without spaces, not 'not an id'"),
        ("https://example.com/1", "not a URL: 'https"),
        ("é" * 200, f"'{'é' * 80}'"),
        ("a\x1b[31mb", r"not 'a\x1b[31mb'"),
        ("a" * 129, "1 to 128"),
    ],
)
def test_a_line_that_is_no_id_is_bad(line: str, reason: str) -> None:
    found, bad = judged(f"{ONE}\n\n{line}\n{TWO}", "txt")

    assert ids(found) == [ONE, TWO]
    assert numbers(bad) == [3]
    assert reason in bad[0].reason
    assert str(bad[0]) == f"line 3: {bad[0].reason}"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("not an id,Love,pop", "music_task_id must be 1 to 128"),
        (",Love,pop", "music_task_id must not be empty"),
        (
            f"{ONE},Love, actually,pop",
            "more fields than the header; quote fields that contain commas",
        ),
        (f'{ONE},"Love" actually,pop', "close every quote, and double those within a field"),
        (f"{ONE},{'x' * 200_000},pop", "field larger than field limit"),
    ],
)
def test_a_row_that_names_no_track_is_bad(row: str, reason: str) -> None:
    found, bad = judged(f'{HEADER}{ONE},"a\nb",\n\n{row}\n{TWO},,\n')

    assert ids(found) == [ONE, TWO]
    assert numbers(bad) == [5]
    assert reason in bad[0].reason


def test_a_field_below_nameless_columns_at_the_end_is_one_too_many() -> None:
    found, bad = judged(f"music_task_id,title,,\n{ONE},Love, actually,\n{TWO},Love,,\n")

    assert ids(found) == [TWO]
    assert numbers(bad) == [2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("5", "must be a JSON object, each key once"),
        ("{", "must be a JSON object on one line"),
        (f'{{"music_task_id": "{ONE}"}} x', "must be a JSON object"),
        (f'{{"music_task_id": "{ONE}", "music_task_id": "{TWO}"}}', "each key once"),
        (f'{{"music_task_id": "{ONE}", "x": NaN}}', "must be a JSON object"),
        (f'{{"music_task_id": "{ONE}", "x": {"[" * 200_000}{"]" * 200_000}}}', "JSON object"),
        (f'{{"music_task_id": "{ONE}", "x": {"[" * 100}{"]" * 100}}}', "at most 100 levels deep"),
        (f'{{"music_task_id": "{ONE}", "x": {"9" * 9_000}}}', "JSON object"),
        (f'{{"music_task_id": "{ONE}", "x": 1e999}}', "a number too large"),
        (f'{{"music_task_id": "{ONE}", "title": "\\ud83d"}}', "an unpaired surrogate"),
        (f'{{"music_task_id": "{ONE}", "x": [{{"\\ude00": 1}}]}}', "an unpaired surrogate"),
        ("{}", "music_task_id must not be empty"),
        ('{"music_task_id": null}', "music_task_id must not be empty"),
        ('{"music_task_id": "a b"}', "without spaces, not 'a b'"),
        ('{"music_task_id": 5}', "music_task_id must be a text in quotes, not int"),
        ('{"music_task_id": false}', "music_task_id must be a text in quotes, not bool"),
        (f'{{"music_task_id": "{ONE}", "title": []}}', "title must be a text in quotes, not list"),
    ],
)
def test_an_object_that_names_no_track_is_bad(line: str, reason: str) -> None:
    found, bad = judged(f'\n{line}\n{{"music_task_id": "{TWO}"}}\n', "jsonl")

    assert ids(found) == [TWO]
    assert numbers(bad) == [2]
    assert reason in bad[0].reason


def test_a_column_may_be_so_deep_that_its_line_has_100_levels() -> None:
    found, bad = judged(f'{{"music_task_id": "{ONE}", "x": {"[" * 99}{"]" * 99}}}\n', "jsonl")

    assert ids(found) == [ONE]
    assert not bad


def test_the_first_bad_line_ends_the_reading_unless_somebody_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(f"{ONE}\na b\n{TWO}\nc d\n")
    strict = iter(read_catalog(path))
    bad: list[BadLine] = []

    assert next(strict) == Track(ONE)
    with pytest.raises(ValueError, match=r"mine\.txt, line 2: .*not 'a b'$") as caught:
        next(strict)
    assert str(caught.value).startswith(str(path))
    assert ids([*read_catalog(path, on_bad=bad.append)]) == [ONE, TWO]
    assert numbers(bad) == [2, 4]


def test_an_error_of_who_is_told_passes() -> None:
    def fail(line: BadLine) -> None:
        raise ZeroDivisionError(str(line))

    with pytest.raises(ZeroDivisionError, match="line 1: "):
        list(read_catalog(io.BytesIO(b"a b"), on_bad=fail))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,title\n", "no column music_task_id, but: id, title; .*, pass --id-column id$"),
        ("id;title,x;b\n", "no column music_task_id, but: id, title,x, b; "),
        ("a\x1b\n", r"but: a\?; "),
        ("", "the stream is empty$"),
        ("\n\n", "the stream is empty$"),
        ('"music_task_id\n', 'but: "music_task_id; '),
        (f"{'x,' * MIB}\n", "but: nothing$"),
        (
            "music_task_id,title, Title\n",
            "the stream has two columns, title and Title, may be that of the title",
        ),
        (
            "music_task_id,Music_Task_Id\n",
            "two columns, music_task_id and Music_Task_Id, may be that of the id",
        ),
        ("music_task_id,a,b, a \n", "two columns a;"),
    ],
)
def test_a_header_that_cannot_be_used_is_an_error_whoever_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judged(text, "csv")


def test_a_reason_is_one_printable_line() -> None:
    bad = judged('music_task_id\n"a\nb"\na\x1bb\n')[1]

    assert [line.reason.isprintable() for line in bad] == [True, True]


def test_an_object_of_any_depth_is_a_track_or_a_bad_line() -> None:
    deep = [f'{{"music_task_id": "{ONE}", "x": {"[" * n}{"]" * n}}}\n' for n in range(1, 1200)]

    found, bad = judged("".join(deep))

    assert found  # how deep is too deep differs from one Python to another
    assert len(found) + len(bad) == len(deep)


def test_columns_that_differ_in_case_are_two() -> None:
    assert tracks(f"music_task_id,a,A\n{ONE},1,2\n") == [Track(ONE, columns={"a": "1", "A": "2"})]


@pytest.mark.parametrize(
    ("head", "line"),
    [("", "{:032x}\n"), (HEADER, "{:032x},Love,pop\n"), ("", '{{"music_task_id": "{:032x}"}}\n')],
)
def test_the_first_track_of_an_endless_stream_is_there_at_once(head: str, line: str) -> None:
    lines = (line.format(number).encode() for number in count())

    def pieces() -> Iterator[bytes]:
        yield head.encode()
        yield from lines

    endless = cast("BinaryIO", Source(pieces()))

    assert ids([*islice(read_catalog(endless), 3)]) == [f"{number:032x}" for number in range(3)]
    assert next(lines) < line.format(10).encode()


def test_a_track_is_there_as_soon_as_its_line_is() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb") as there, open(writing, "wb", buffering=0) as here:  # noqa: PTH123
        found = iter(read_catalog(there))
        here.write(f"{ONE}\n{TWO[:5]}".encode())

        assert next(found) == Track(ONE)
        here.write(f"{TWO[5:]}\n".encode())
        assert next(found) == Track(TWO)


@pytest.mark.parametrize(
    ("mebibytes", "pieces"),
    [
        (1, lambda: (f"{number:032x}\n".encode() * 1000 for number in range(50))),
        (8, lambda: (b"x" * 2**16 for _ in range(1024))),
        (4, lambda: (b"\n" * 2**16 for _ in range(5))),
        (8, lambda: iter([HEADER.encode(), b'x,"', *[b"y" * 2**16] * 500])),
        (16, lambda: iter([HEADER.encode(), b'x,"', *[b"y\n" * 2**15] * 3])),
        (40, lambda: iter([HEADER.encode(), *[b'a","\n' * 10_000] * 25])),
    ],
    ids=["ids", "a line", "blanks", "a quote", "a quote over lines", "quotes"],
)
def test_memory_stays_flat(mebibytes: int, pieces: Callable[[], Iterator[bytes]]) -> None:
    catalog = read_catalog(cast("BinaryIO", Source(pieces())), on_bad=lambda _: None)
    tracemalloc.start()
    try:
        for _ in catalog:
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < mebibytes * MIB


def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{ONE}\n")
    catalog = read_catalog(path)
    abandoned = iter(catalog)
    next(abandoned)

    path.write_text(f"{TWO}\n")

    assert catalog.name == str(path)
    assert ids([*catalog]) == ids([*catalog]) == [TWO]


def test_a_stream_is_read_once_and_left_open() -> None:
    source = io.BytesIO(ONE.encode())
    catalog = read_catalog(source)

    assert ids([*catalog]) == [ONE]
    with pytest.raises(ValueError, match="the stream can be read only once; save it to a file"):
        iter(catalog)
    assert not source.closed
    assert catalog.name == "the stream"


def test_standard_input_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a b")))

    with pytest.raises(ValueError, match=r"^standard input, line 1: "):
        list(read_catalog(sys.stdin.buffer))


def test_a_pipe_with_a_name_is_read_and_has_no_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "pipe.txt"
    os.mkfifo(path)
    catalog = read_catalog(path)
    writer = Thread(target=path.write_text, args=[ONE])

    assert catalog.fingerprint() is None
    writer.start()
    assert ids([*catalog]) == [ONE]
    writer.join()


def test_what_cannot_be_opened_is_said_at_once_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        read_catalog(tmp_path / "none.csv")
    with pytest.raises(IsADirectoryError) as directory:
        read_catalog(tmp_path)

    assert missing.value.filename == str(tmp_path / "none.csv")
    assert directory.value.filename == str(tmp_path)
    assert directory.value.errno == errno.EISDIR


def test_what_no_suffix_tells_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_text("")

    with pytest.raises(ValueError, match=r"a\.xlsx must end in \.csv, .* or format be csv, jsonl"):
        read_catalog(path)


def test_wrong_arguments_are_refused_at_once() -> None:
    wrong: Any = io.StringIO(ONE)
    unknown: Any = "xml"

    with pytest.raises(TypeError, match="a path or a binary stream, not "):
        read_catalog(wrong)
    with pytest.raises(ValueError, match="format must be csv, jsonl or txt, not 'xml'"):
        read_catalog(io.BytesIO(), format=unknown)
    with pytest.raises(TypeError, match="source must be a path or a binary stream, not 5"):
        read_catalog(cast("Any", 5))


def test_a_column_of_ids_must_be_a_name_and_a_txt_has_none(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(ONE)
    wrong: Any = 5

    with pytest.raises(ValueError, match="id_column must not be empty"):
        read_catalog(io.BytesIO(), id_column=" ")
    with pytest.raises(TypeError, match="id_column must be a str"):
        read_catalog(io.BytesIO(), id_column=wrong)
    with pytest.raises(ValueError, match=r"a\.txt is read as txt, which has no columns"):
        read_catalog(path, id_column="id")


def test_a_comment_is_passed_over_and_an_error_of_a_spreadsheet_is_bad() -> None:
    found, bad = judged(f"# mine\n{ONE}\n#N/A\n#REF!\n#1\n", "txt")

    assert ids(found) == [ONE]
    assert numbers(bad) == [3, 4]


def test_a_stream_that_fails_ends_the_reading_whoever_is_told() -> None:
    def pieces() -> Iterator[bytes]:
        yield f"{ONE}\n".encode()
        raise ValueError("the disk is gone")

    found = iter(read_catalog(cast("BinaryIO", Source(pieces())), format="txt", on_bad=print))

    assert next(found) == Track(ONE)
    with pytest.raises(ValueError, match=r"^the disk is gone$"):
        next(found)


def test_a_fingerprint_tells_the_bytes_and_how_they_are_read(tmp_path: Path) -> None:
    path, other = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_text(HEADER)
    other.write_text(HEADER)
    first = read_catalog(path).fingerprint()
    prints = {
        first,
        read_catalog(path, format="csv").fingerprint(),
        read_catalog(path, on_bad=print).fingerprint(),
        read_catalog(path, format="csv", id_column="a").fingerprint(),
        read_catalog(path, format="csv", id_column="b").fingerprint(),
    }

    assert read_catalog(other).fingerprint() == first
    path.write_text(HEADER + ONE)
    prints.add(read_catalog(path).fingerprint())
    assert len(prints) == 6
    assert None not in prints
    assert read_catalog(io.BytesIO()).fingerprint() is None


def test_a_file_that_went_away_has_no_fingerprint_but_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.touch()
    catalog = read_catalog(path)
    path.unlink()

    with pytest.raises(FileNotFoundError):
        catalog.fingerprint()
    with pytest.raises(FileNotFoundError):
        list(catalog)


names = texts.map(trimmed).filter(lambda name: name and "title" not in name.casefold())

FRAGMENTS = [
    *(b"|", b"=", b"'", b"sep=;\n", b"#TYPE x\n", b"taskId", b"id", b"]", b'["abc", "abd"]', b"<"),
    *(b",", b";", b"\t", b'"', b'""', b"\n", b"\r", b"\r\n", b" ", b"#", b"\x00", b"\xff", b"\xc3"),
    *(b"music_task_id", b"title", b"abc", b"{", b"}", b":", b"[", b"1e999", b"\\ud800", b"x" * 99),
    *(b'{"music_task_id": "abc"}\n', b"music_task_id,title\n", b'abc,"', codecs.BOM_UTF8),
]

anything = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3), max_size=40).map(b"".join)

kinds = st.sampled_from([None, "csv", "jsonl", "txt"])


@given(rows=rows, extra=names, delimiter=st.sampled_from(",;\t|"))
@example(rows=[("7f3a", "\r", "\n")], extra="a", delimiter=";")
@example(rows=[("7f3a", 'a\n"', '"\n\ufeffb')], extra="a", delimiter="\t")
@example(rows=[("7f3a", 'a\t"', '"\t"')], extra="a\nb", delimiter="\t")
def test_what_the_standard_library_writes_as_csv_is_read_back(
    rows: list[tuple[str, str, str]], extra: str, delimiter: str
) -> None:
    fields = [extra, *(field for row in rows for field in row)]
    assume(delimiter != "\t" or not any("\t" in one and {*"\r\n"} & {*one} for one in fields))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerows([("music_task_id", "title", extra), *rows])

    assert tracks(text.getvalue(), "csv") == [
        Track(one, title=title_of(title), columns={extra: without_bom(more)})
        for one, title, more in rows
    ]


@given(rows=rows, ascii_only=st.booleans())
def test_what_the_standard_library_writes_as_json_is_read_back(
    rows: list[tuple[str, str, str]], *, ascii_only: bool
) -> None:
    text = "".join(
        json.dumps({"title": title, "music_task_id": one, more: more}, ensure_ascii=ascii_only)
        + "\n"
        for one, title, more in rows
        if "title" not in more.casefold()
    )

    assert tracks(text, "jsonl") == [
        Track(one, title=title, columns={more: more})
        for one, title, more in rows
        if "title" not in more.casefold()
    ]


@given(data=anything, kind=kinds)
def test_any_bytes_are_tracks_bad_lines_or_a_value_error(data: bytes, kind: Any) -> None:
    try:
        found, bad = judged(data, kind)
    except ValueError:
        return

    assert numbers(bad) == sorted(set(numbers(bad)))
    assert set(numbers(bad)) <= set(range(1, len(data.splitlines()) + data.count(b",") + 1))
    assert all(line.reason.isprintable() and len(line.reason) <= 300 for line in bad)
    for track in found:
        json.dumps([track.title, track.columns], ensure_ascii=False, allow_nan=False).encode()


@given(data=anything, kind=kinds, size=st.integers(1, 4))
@example(data=b"abc\r\na b\r", kind="txt", size=1)
def test_it_does_not_matter_how_the_bytes_come_in(data: bytes, kind: Any, size: int) -> None:
    def read(source: BinaryIO) -> list[object]:
        found: list[object] = []
        try:
            for track in read_catalog(source, format=kind, on_bad=found.append):
                found.append(track)  # noqa: PERF402 - in order with the bad ones
        except ValueError as error:
            found.append(str(error))
        return found

    pieces = [data[start : start + size] for start in range(0, len(data), size)]

    assert read(stream(*pieces)) == read(io.BytesIO(data))
