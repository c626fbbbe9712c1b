"""The catalog of a command line: where it comes from, and which lines are bad."""

import io
import os
import sys
from pathlib import Path

import pytest

from suno_cover_async import BadLine
from suno_cover_async.cli.actions.catalog_input import opened
from suno_cover_async.http.credentials import ApiKey
from tests.support.catalog_files import ONE, TWO, ids
from tests.support.commands import needs_posix
from tests.support.terminal import log, said

TEXT = f"music_task_id,title\n{ONE},One\na b,Bad\n{TWO},Two\n"


def typed(patch: pytest.MonkeyPatch, text: str) -> None:
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_file_is_read_to_its_end_and_again_without_its_bad_lines(tmp_path: Path) -> None:
    file = tmp_path / "my songs.csv"
    file.write_text(TEXT)

    with opened(str(file), None) as intake:
        assert (intake.name, intake.tracks, intake.bad) == (str(file), 2, 1)
        assert [line.number for line in intake.named] == [3]
        assert ids([*intake.catalog]) == [ONE, TWO]
        assert ids([*intake.catalog]) == [ONE, TWO]


def test_standard_input_can_be_read_again_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, TEXT)

    with opened("-", None) as intake:
        assert (intake.name, intake.tracks, intake.bad) == ("standard input", 2, 1)
        assert ids([*intake.catalog]) == [ONE, TWO]


@needs_posix
def test_a_pipe_can_be_read_again_as_well() -> None:
    reader, writer = os.pipe()
    os.write(writer, f"{ONE}\n{TWO}\n".encode())
    os.close(writer)

    with opened(f"/dev/fd/{reader}", "txt") as intake:
        os.close(reader)
        assert (intake.name, intake.tracks) == (f"/dev/fd/{reader}", 2)
        assert ids([*intake.catalog]) == [ONE, TWO]


def test_a_file_named_dash_is_not_meant_by_a_dash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text(f"{ONE}\n{TWO}\n")
    typed(monkeypatch, f"{ONE}\n")

    with opened("-", "txt") as intake:
        assert intake.tracks == 1


def test_without_bad_lines_one_that_appears_later_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "songs.txt"
    file.write_text(f"{ONE}\n")

    with opened(str(file), None) as intake:
        file.write_text("a b\n")
        with pytest.raises(ValueError, match="line 1"):
            list(intake.catalog)


def test_twenty_bad_lines_are_named_and_the_others_counted(tmp_path: Path) -> None:
    file, there = tmp_path / "songs.txt", log(200)
    file.write_text("a b\n" * 1_023)

    with opened(str(file), None) as intake:
        intake.say_bad(there)

    assert (intake.tracks, intake.bad) == (0, 1_023)
    *named, more = said(there).splitlines()
    assert [line.partition(":")[0] for line in named] == [
        f"  {file}, line {number}" for number in range(1, 21)
    ]
    assert more == "  and 1,003 more"


def test_up_to_twenty_bad_lines_are_all_there_is_to_say(tmp_path: Path) -> None:
    file, there = tmp_path / "songs.txt", log(200)
    file.write_text(f"{ONE}\n")

    with opened(str(file), None) as intake:
        intake.say_bad(there)
        assert said(there) == ""
        for number in range(20):
            intake.note(BadLine(number=number, reason="no id"))
        intake.say_bad(there)

        assert len(said(there).splitlines()) == 20
        assert "more" not in said(there)
        intake.note(BadLine(number=20, reason="no id"))
        intake.say_bad(there)

    assert said(there).endswith("\n  and 1 more\n")


def test_a_catalog_of_an_unknown_format_says_how_to_name_it(tmp_path: Path) -> None:
    (tmp_path / "songs.xls").write_text("x")
    (tmp_path / "songs.csv").write_text("no,such,columns\n1,2,3\n")

    for name in ("songs.xls", "songs.csv"):
        with pytest.raises(ValueError, match=r".") as refused, opened(str(tmp_path / name), None):
            pass
        assert refused.value.__notes__ == [
            "if it has another format, pass --format csv, jsonl or txt"
        ]


def test_a_column_that_is_not_there_is_no_question_of_the_format(tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("id,title\n1,2\n")

    with (
        pytest.raises(ValueError, match="no column song, but: id, title") as refused,
        opened(str(tmp_path / "songs.csv"), None, "song"),
    ):
        pass

    assert not hasattr(refused.value, "__notes__")


def test_a_format_that_was_given_is_not_asked_for(tmp_path: Path) -> None:
    (tmp_path / "songs.txt").write_text("no,such,columns\n1,2,3\n")

    with (
        pytest.raises(ValueError, match="music_task_id") as refused,
        opened(str(tmp_path / "songs.txt"), "csv"),
    ):
        pass

    assert not hasattr(refused.value, "__notes__")


def test_a_spreadsheet_is_refused_by_what_it_is_and_no_format_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("songs.xlsx", "songs.csv", "songs.txt"):
        (tmp_path / name).write_bytes(b"PK\x03\x04\x14")
        with pytest.raises(ValueError, match="is a spreadsheet") as refused:
            opened(str(tmp_path / name), None).__enter__()
        assert not hasattr(refused.value, "__notes__")
    typed(monkeypatch, "<!doctype html>")
    with pytest.raises(ValueError, match="is HTML or XML"), opened("-", None):
        pass


def test_the_column_that_was_named_is_read_both_times(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = f"id,title\n{ONE},One\na b,Bad\n{TWO},Two\n"
    (tmp_path / "songs.csv").write_text(text)
    typed(monkeypatch, text)

    for source in (str(tmp_path / "songs.csv"), "-"):
        with opened(source, None, "ID") as intake:
            assert (intake.tracks, intake.bad) == (2, 1)
            assert ids([*intake.catalog]) == [ONE, TWO]


def test_a_bad_element_of_an_array_is_named_by_its_number(tmp_path: Path) -> None:
    file, there = tmp_path / "songs.json", log(200)
    file.write_text(f'["{ONE}", "a b"]')

    with opened(str(file), None) as intake:
        intake.say_bad(there)

    assert said(there).startswith(f"  {file}, element 2: ")


def test_a_catalog_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), opened(str(tmp_path / "songs.txt"), None):
        pass


@needs_posix
def test_the_name_of_a_catalog_is_one_printable_line(tmp_path: Path) -> None:
    (tmp_path / "a\nb\x1b.txt").write_text(f"{ONE}\n")

    with opened(str(tmp_path / "a\nb\x1b.txt"), None) as intake:
        assert intake.name.endswith("/a?b?.txt")


def test_a_line_with_the_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    file, there, key = tmp_path / "songs.txt", log(200), ApiKey("sk-of-a-catalog")
    key.check()
    file.write_text(f"{ONE}\nBearer sk-of-a-catalog\n")
    with opened(str(file), None, key=key) as intake:
        intake.say_bad(there)
    file.write_text(f"{ONE}\nsk-of-a-catalog\n")

    with pytest.raises(ValueError, match="track 2: music_task_id is the API key"):
        opened(str(file), None, key=key).__enter__()

    assert "not 'Bearer [key]'" in said(there)
