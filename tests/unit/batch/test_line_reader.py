"""Lines of bytes: quotes that are not closed, encodings, lengths."""

import codecs

import pytest

from suno_cover_async.batch.catalog import read_catalog
from suno_cover_async.batch.line_reader import BadLine, Lines
from suno_cover_async.models import Track
from tests.support.catalog_files import (
    HEADER,
    MIB,
    ONE,
    THREE,
    TWO,
    ids,
    judged,
    numbers,
    stream,
    tracks,
)


def test_an_open_quote_at_the_end_is_bad_where_its_record_began() -> None:
    found, bad = judged(f'{HEADER}{ONE},Love,pop\n{TWO},"Love,pop\n')

    assert ids(found) == [ONE]
    assert numbers(bad) == [3]
    assert "unexpected end of data; close every quote" in bad[0].reason


@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("rows", [10, 20_000])
def test_an_open_quote_costs_its_own_line_only(*, rows: int, quoted: bool) -> None:
    title = '"Love"' if quoted else "Love"
    lines = [f"{number:032x},{title},pop\n" for number in range(rows)]
    lines[3] = lines[3].replace(title, '"Love')
    lines[4] = lines[4].replace(title, '"Lo\nve"')  # a record of two lines, right after it
    for bad_one in (7, 8):  # the second within what was put back for the first
        lines[bad_one] = lines[bad_one].replace(title, '"Love')

    found, bad = judged(HEADER + "".join(lines))

    assert ids(found) == [f"{number:032x}" for number in range(rows) if number not in {3, 7, 8}]
    assert numbers(bad) == [5, 10, 11]


def test_after_a_quote_that_went_wrong_words_are_not_taken_for_ids() -> None:
    song = f'{ONE},"Hello\nworld\nsay "hi" to\nyou\n,\n",x,y\n'

    found, bad = judged(f"{HEADER}{song}{TWO},Love,pop\n{THREE}\n")

    assert ids(found) == [TWO, THREE]
    assert numbers(bad) == [2, 3, 4, 5, 7]
    assert "too few fields, and a quote above it went wrong" in bad[1].reason


def test_short_rows_are_tracks_when_no_quote_went_wrong() -> None:
    assert judged(f"{HEADER}{ONE}\na b,c,d\n{TWO}\n")[0] == [
        Track(ONE, columns={"genre": ""}),
        Track(TWO, columns={"genre": ""}),
    ]


def test_quotes_made_to_waste_time_waste_none_and_what_is_lost_is_told() -> None:
    found, bad = judged(HEADER + 'a","\n' * 100_000 + f'"x\n{ONE},Love,pop\n')

    assert ids(found) == [ONE]
    assert numbers(bad) == [2, 3]
    assert "left out" not in bad[0].reason
    assert bad[1].reason.endswith("; lines 3 to 100002 are left out")


def test_a_bad_record_tells_how_far_it_goes() -> None:
    bad = judged(f'{HEADER}{ONE},"Love\n\n",pop,rock\n{TWO},"a\nb",pop\n')[1]

    assert numbers(bad) == [2]
    assert bad[0].reason.endswith("; lines 2 to 4 are left out")


@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl"])
@pytest.mark.parametrize("bom", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_a_bom_change_nothing(kind: str, bom: bytes, end: str) -> None:
    lines = {
        "txt": [ONE, "", "a b", TWO],
        "csv": ["music_task_id", ONE, "a b", TWO],
        "jsonl": [f'{{"music_task_id": "{ONE}"}}', "", "{", f'{{"music_task_id": "{TWO}"}}'],
    }[kind]

    found, bad = judged(bom + end.join([*lines, ""]).encode(), kind)

    assert ids(found) == [ONE, TWO]
    assert numbers(bad) == [3]


def test_characters_that_end_lines_elsewhere_end_none_here() -> None:
    title = "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b"

    assert tracks(f"{HEADER}{ONE},{title},\n")[0].title == title
    assert tracks(f'{{"music_task_id": "{ONE}", "x": "\u2028"}}')[0].columns == {"x": "\u2028"}


@pytest.mark.parametrize("kind", ["txt", "csv"])
def test_a_line_that_is_not_utf_8_is_bad(kind: str) -> None:
    lines = [b"music_task_id" if kind == "csv" else b"#\xc3\xa9", b"caf\xe9", ONE.encode()]

    found, bad = judged(b"\n".join(lines), kind)

    assert ids(found) == [ONE]
    assert numbers(bad) == [2]
    assert bad[0].reason == "it is not UTF-8; save the catalog as UTF-8"


def test_a_record_that_is_not_utf_8_is_bad_as_a_whole_where_it_began() -> None:
    text = f'{HEADER}{ONE},"Lo\nv\udce9\nlove",pop\n{TWO},é,pop\n'

    found, bad = judged(text.encode(errors="surrogateescape"))

    assert found == [Track(TWO, title="é", columns={"genre": "pop"})]
    assert numbers(bad) == [2]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("kind", [None, "txt", "csv", "jsonl"])
def test_utf_16_is_an_error_whoever_is_told(encoding: str, kind: str | None) -> None:
    with pytest.raises(ValueError, match="the stream is UTF-16; save it as UTF-8"):
        judged(f"\ufeff{ONE}\n".encode(encoding), kind)


@pytest.mark.parametrize("kind", [None, "txt", "jsonl", "csv"])
def test_a_line_over_a_mebibyte_is_bad_and_the_next_one_is_read(kind: str | None) -> None:
    lines = {
        "csv": ["music_task_id", "{}", ONE],
        "jsonl": ["", "{}", f'{{"music_task_id": "{ONE}"}}'],
    }.get(kind or "txt", ["", "{}", ONE])
    for size, end in ((MIB, "\n"), (MIB, "\r"), (MIB + 1, "\r\n"), (5 * MIB, "\r")):
        text = end.join(lines).replace("{}", "x" * size)

        found, bad = judged(text, kind)

        assert ids(found) == [ONE]
        assert numbers(bad) == [2]
        assert bad[0].reason.startswith("it is longer than 1 MiB")


def test_a_line_of_a_mebibyte_is_read() -> None:
    line = f'{{"music_task_id": "{ONE}", "x": "'
    line += "x" * (MIB - len(line) - 3) + '"}\n'

    assert len(line) == MIB
    assert ids(tracks(line * 2)) == [ONE, ONE]
    assert numbers(judged(f" {line}{line}", "jsonl")[1]) == [1]


def test_a_record_over_a_mebibyte_is_bad_and_the_next_one_is_read() -> None:
    fields = ",".join(["x" * 1000] * 600)
    text = f'music_task_id,a\n{ONE},{fields},"\n",{fields}\n{TWO},\n'

    found, bad = judged(text)

    assert ids(found) == [TWO]
    assert numbers(bad) == [2, 3]
    assert "longer than 1 MiB" in bad[0].reason


@pytest.mark.parametrize("ends", [[b"x\r"], [b"x\r", b"\n"], [b"\r\n"], [b"x", b"\n"]])
@pytest.mark.parametrize("size", [MIB - 2**16, MIB, MIB + 2**16])
def test_a_line_over_a_mebibyte_ends_where_it_ends(size: int, ends: list[bytes]) -> None:
    source = stream(*[b"x" * 2**16] * (size // 2**16), *ends, b"x\r", ONE.encode())
    bad: list[BadLine] = []

    assert ids([*read_catalog(source, format="txt", on_bad=bad.append)]) == ["x", ONE]
    assert numbers(bad) == [1]


@pytest.mark.parametrize("kind", ["txt", "csv"])
def test_a_blank_line_over_a_mebibyte_hides_no_id_after_it(kind: str) -> None:
    found, bad = judged(f"{' ' * 2 * MIB}{ONE}\nmusic_task_id\n{TWO}\n", "txt")

    assert ids(found) == [TWO]
    assert numbers(bad) == [1, 2]
    if kind == "csv":
        with pytest.raises(ValueError, match="no column"):
            judged(f"{' ' * 2 * MIB}{ONE}\nmusic_task_id\n{TWO}\n", kind)


def test_all_that_remains_is_read_whole_after_lines_were_peeked_at() -> None:
    for size in (10, MIB - 1, MIB, MIB + 1, MIB + 2, 3 * MIB):
        for end in (b"\r", b"\n", b"x"):
            content = b"[" + b"x" * size + end + b"b\n"
            lines = Lines(
                stream(*(content[at : at + 2**16] for at in range(0, 4 * MIB, 2**16))), "a"
            )

            assert content.startswith(lines.peek().rstrip())
            assert lines.remaining(4 * MIB) == content
            assert list(lines) == []


def test_lines_that_are_unread_are_read_again() -> None:
    lines = Lines(stream(b"a\n\xff\nc\n"), "a")

    assert [next(lines), next(lines), next(lines)] == ["a\n", "\ufffd\n", "c\n"]
    assert not lines.is_utf8
    lines.keep(1)
    assert lines.record_lines == 1
    assert lines.is_utf8
    assert [next(lines), next(lines)] == ["\ufffd\n", "c\n"]
    assert lines.bad("x") == BadLine(number=1, reason="x; lines 1 to 3 are left out")
