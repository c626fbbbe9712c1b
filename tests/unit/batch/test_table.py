"""Tables: what is above the header, delimiters, and quotes among tabs."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.batch.line_reader import Lines
from suno_cover_async.batch.table import rows as table_rows
from suno_cover_async.models import Track
from tests.support.catalog_files import MIB, ONE, THREE, TWO, ids, judged, numbers, tracks


def tab_rows(text: str) -> list[list[str]]:
    lines = Lines(io.BytesIO(text.encode()), "a")
    found: list[list[str]] = []
    for row in table_rows(lines, "\t"):
        found.append(row)
        lines.begin()
    return found


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", "^", ":"])
@pytest.mark.parametrize("line", ["sep={}", "SEP={}", '"sep={}"', "\ufeffsep={}", "\nsep={}"])
@pytest.mark.parametrize("kind", ["csv", None])
def test_sep_on_the_first_line_names_the_delimiter_and_is_no_data(
    mark: str, line: str, kind: str | None
) -> None:
    text = f"{line.format(mark)}\r\nmusic_task_id{mark}title\r\n{ONE}{mark}Love\r\n"

    assert tracks(text, kind) == [Track(ONE, title="Love")]


@pytest.mark.parametrize("above", ["Table 1\n\n", "# exported\n", "Playlist\r\n"])
def test_a_line_above_the_header_is_said_to_be_no_header(above: str) -> None:
    with pytest.raises(ValueError, match=r"; its first line must name the columns$"):
        judged(f"{above}music_task_id,title\n{ONE},Love\n", "csv")


def test_sep_outweighs_the_other_delimiters() -> None:
    text = f"sep=;\nmusic_task_id,x;taskId\n{ONE};{TWO}\n"

    assert tracks(text) == [Track(TWO, columns={"music_task_id,x": ONE})]
    with pytest.raises(ValueError, match=r"no column music_task_id, but: music_task_id,title; "):
        judged(f"sep=;\nmusic_task_id,title\n{ONE},Love\n")


def test_lines_are_counted_from_the_first_though_it_is_no_data() -> None:
    for first in ("sep=,", "#TYPE A.B", "\n#TYPE A.B\nsep=,"):
        found, bad = judged(f"{first}\ntaskId,title\n{ONE},\na b,\n", "csv")

        assert ids(found) == [ONE]
        assert numbers(bad) == [first.count("\n") + 4]


@pytest.mark.parametrize("kind", ["csv", None])
def test_powershells_type_line_is_passed_over(kind: str | None) -> None:
    text = f'#TYPE Selected.System.String\r\n"taskId","title"\r\n"{ONE}","One"\r\n'

    assert tracks(text, kind) == [Track(ONE, title="One")]


def test_byte_order_marks_at_the_ends_of_cells_and_lines_are_dropped() -> None:
    glued = (
        f"\ufeff\ufefftaskId,title,x\n{ONE},One,1\n\ufefftaskId,title,x\n\ufeff{TWO},Two,2\ufeff\n"
    )

    assert tracks(glued) == [
        Track(ONE, title="One", columns={"x": "1"}),
        Track(TWO, title="Two", columns={"x": "2"}),
    ]
    assert ids(tracks(f"\ufeff{ONE}\n\ufeff\n\ufeff{TWO}\ufeff\n", "txt")) == [ONE, TWO]
    assert ids(tracks(f'\ufeff{{"taskId": "{ONE}"}}\n\ufeff{{"taskId": "{TWO}"}}\ufeff\n')) == [
        ONE,
        TWO,
    ]


def test_files_glued_within_a_line_lose_no_track_silently() -> None:
    found, bad = judged(f"taskId,title\n{ONE},One\ufefftaskId,title\n{TWO},Two\n")
    assert ids(found) == [TWO]
    assert numbers(bad) == [2]
    found, bad = judged(f"{ONE}\ufeff{TWO}\n{THREE}\n", "txt")
    assert ids(found) == [THREE]
    assert numbers(bad) == [1]


@pytest.mark.parametrize(
    "cell", [f'"=""{ONE}"""', f'="{ONE}"', f"'{ONE}", f"\u00a0{ONE}\u200b", f"“{ONE}”"]
)
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_a_wrapped_id_is_unwrapped_and_never_a_track_as_it_stands(cell: str, mark: str) -> None:
    assert tracks(f'taskId{mark}title\n{cell}{mark}="Love"\n', "csv") == [Track(ONE, title="Love")]


@pytest.mark.parametrize(
    "cell",
    [
        "<td>",
        "=A1",
        "7.31E+31",
        "#N/A",
        "NULL",
        "null",
        "None",
        "nan",
        'a"b',
        "http://a/b",
        "taskId",
    ],
)
def test_a_cell_that_is_not_plainly_an_id_is_a_bad_line(cell: str) -> None:
    for text, kind in (
        (f"task_id,title\n{ONE},\n{cell},Love\n{TWO},\n", "csv"),
        (f"task_id\ttitle\n{ONE}\t\n{cell}\tLove\n{TWO}\t\n", "csv"),
        (f"\n{ONE}\n{cell}\n{TWO}\n", "txt"),
    ):
        found, bad = judged(text, kind)

        assert ids(found) == [ONE, TWO]
        assert numbers(bad) == [3]
        assert bad[0].reason.startswith("music_task_id must be")


@pytest.mark.parametrize(
    "line", [f'"{ONE}",', f"'{ONE}',", f'"{ONE}"', f"  '{ONE}' , ", f"{ONE},", f"“{ONE}”"]
)
def test_an_id_copied_from_code_into_a_txt_is_unwrapped(line: str) -> None:
    assert ids(tracks(f"{line}\n{line}", "txt")) == [ONE, ONE]
    assert ids(tracks(f"{line}\n{line}")) == [ONE, ONE]


def test_empty_columns_at_the_end_are_fine() -> None:
    text = f"taskId,title,,,\n{ONE},One,,,\n,,,,\n{TWO},Two\n"

    assert judged(text) == ([Track(ONE, title="One"), Track(TWO, title="Two")], [])


def test_a_row_with_too_many_fields_is_told_the_delimiter() -> None:
    for mark, name in ((",", "commas"), (";", "semicolons"), ("\t", "tabs"), ("|", "pipes")):
        bad = judged(f"taskId{mark}title\n{ONE}{mark}a{mark}b\n")[1]

        assert bad[0].reason.endswith(f"quote fields that contain {name}")


@pytest.mark.parametrize(
    ("cell", "title"),
    [
        ('"Heroes" (2017 Remaster)', '"Heroes" (2017 Remaster)'),
        ('"Heroes', '"Heroes'),
        ('12" Mix', '12" Mix'),
        ('Say "hi"', 'Say "hi"'),
        ('"', '"'),
        ('"a" "b"', '"a" "b"'),
        ('"a ""b"" c"', 'a "b" c'),
        ('"Heroes"', "Heroes"),
        ('"a\nb"', "a\nb"),
        ('"a\r\n\r\n""b"""', 'a\r\n\r\n"b"'),
        ('"a\tb"', "a\tb"),
        ('""', ""),
        ('"a""', '"a""'),
    ],
)
@pytest.mark.parametrize("after", ["", "\tRock"])
def test_among_tabs_a_quote_that_is_not_balanced_is_a_character(
    cell: str, title: str, after: str
) -> None:
    columns = {"genre": "Rock"} if after else {"genre": ""}
    text = f"taskId\ttitle\tgenre\n{ONE}\t{cell}{after}\n{TWO}\tTwo\tPop\n"

    assert tracks(text) == [
        Track(ONE, title=title, columns=columns),
        Track(TWO, title="Two", columns={"genre": "Pop"}),
    ]


@pytest.mark.parametrize("last", ['12"', '"Low"', 'x "y"', '"Low', "x"])
def test_a_title_with_an_open_quote_takes_no_row_below_it(last: str) -> None:
    text = f'taskId\ttitle\n{ONE}\t"Heroes\n{TWO}\t{last}\n{THREE}\tThree\n'

    found, bad = judged(text)

    assert ids(found) == [ONE, TWO, THREE]
    assert not bad
    assert found[0].title == '"Heroes'


def test_among_tabs_lines_that_are_not_utf_8_are_bad_alone() -> None:
    text = f'taskId\ttitle\n{ONE}\t"Heroes\n'.encode() + b"caf\xe9\n" + f"{TWO}\tTwo\n".encode()

    found, bad = judged(text)

    assert ids(found) == [ONE, TWO]
    assert numbers(bad) == [3]
    assert "UTF-8" in bad[0].reason


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_the_last_field_among_tabs_ends_with_the_line(end: str) -> None:
    assert tab_rows(f'a\t"b"\tc{end}') == [["a", "b", "c"]]
    assert tab_rows(f'a\t"b"{end}') == [["a", "b"]]
    assert tab_rows(f"a\t{end}") == [["a", ""]]


class Counted(Lines):
    """Lines that count how many were read."""

    read = 0

    def __next__(self) -> str:
        self.read += 1
        return super().__next__()


@pytest.mark.parametrize(
    "unit",
    [
        '"\n',
        '""\n',
        '"""\n',
        '"a\n',
        '"a\nb\n',
        '"a\n""\n',
        'x\t"\n',
        '\t"a""\n',
        '"a\nb\tc\n',
        '"\t"\n',
        '"a\n' + "b\n" * 100,
        '"a\n""b\nc\n',
    ],
)
def test_no_line_among_tabs_is_read_more_than_twice_whatever_the_quotes_are(unit: str) -> None:
    text = unit * (MIB // len(unit))
    lines = Counted(io.BytesIO(text.encode()), "a")

    for _ in table_rows(lines, "\t"):
        lines.begin()

    assert text.count("\n") < lines.read <= 2 * text.count("\n") + 2


@pytest.mark.parametrize("quotes", ['"' * MIB, '"' * (MIB - 1), '"\t' * (MIB // 2)])
def test_a_mebibyte_of_quotes_is_one_row(quotes: str) -> None:
    text = quotes[: MIB - 1] + "\n"

    assert len(tab_rows(text)) == 1


cells = st.text(st.sampled_from('ab"\t\n\r ,') | st.characters(exclude_categories=["Cs"]))


@given(
    st.lists(
        st.lists(
            cells.filter(lambda one: "\t" not in one or not {*"\r\n"} & {*one}),
            min_size=2,
            max_size=4,
        ),
        max_size=4,
    )
)
def test_what_a_spreadsheet_quotes_among_tabs_is_read_back(table: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t").writerows(table)
    first = [[table[0][0].lstrip("\ufeff"), *table[0][1:]], *table[1:]] if table else []

    assert [[cell.strip("\ufeff") for cell in row] for row in tab_rows(text.getvalue())] == [
        [cell.strip("\ufeff") for cell in row] for row in first
    ]


@given(st.lists(st.lists(st.text('ab" ', max_size=9), min_size=1, max_size=3), max_size=4))
def test_raw_quotes_among_tabs_never_join_rows(table: list[list[str]]) -> None:
    text = "".join("\t".join(["x", *row]) + "\n" for row in table)

    found = tab_rows(text)

    assert len(found) == len(table)
    for row, written in zip(found, table, strict=True):
        if not any(cell.startswith('"') for cell in written):
            assert row == ["x", *written]


@pytest.mark.parametrize(("more", "is_read"), [(999, True), (1000, False)])
def test_a_table_has_1000_columns_at_most(more: int, is_read: bool) -> None:
    text = f"music_task_id{''.join(f',{number}' for number in range(more))},,\n{ONE}\n"

    if is_read:
        (track,) = tracks(text)
        assert len(track.columns) == more
    else:
        with pytest.raises(ValueError, match="has more than 1000 columns"):
            tracks(text)
