"""Files that are no catalogs are refused by what they are."""

import codecs
import gzip
import io
import sqlite3
import zipfile
from pathlib import Path

import pytest
from hypothesis import given

from suno_cover_async.batch.catalog import read_catalog
from suno_cover_async.batch.file_kinds import OtherFileError, refuse_other_files
from tests.support.catalog_files import HEADER, ONE, judged, rows


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def database(folder: Path) -> bytes:
    connection = sqlite3.connect(folder / "a.db")
    connection.execute("create table songs (music_task_id)")
    connection.close()
    return (folder / "a.db").read_bytes()


def test_files_of_other_programs_are_refused_by_what_they_are(tmp_path: Path) -> None:
    files = {
        zipped(): "is a spreadsheet (.xlsx, .ods, .numbers) or another zip file; save it as CSV",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0": "is a spreadsheet (.xls) or another Office file",
        b"{\\rtf1\\ansi\n": "is rich text (RTF); save it as plain text, UTF-8",
        b"%PDF-1.7\n": "is a PDF; export the table as CSV UTF-8",
        gzip.compress(HEADER.encode(), mtime=0): "is compressed with gzip; unpack it first",
        database(tmp_path): "is an SQLite database; export its table as CSV or JSON Lines",
    }
    for content, what in files.items():
        for suffix in ("csv", "tsv", "txt", "jsonl", "json", "xlsx", "xls"):
            path = tmp_path / f"songs.{suffix}"
            path.write_bytes(content)
            with pytest.raises(OtherFileError) as refused:
                list(read_catalog(path, on_bad=print))
            assert str(refused.value).startswith(f"{path} {what}")


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html>\n",
        "<!doctype html>",
        "<html>",
        "\n\n  <TABLE border=1>\n",
        "\ufeff<html><body>",
        "<?xml version='1.0'?>\n",
        "<meta charset=utf-8>",
    ],
)
@pytest.mark.parametrize("kind", [None, "csv", "jsonl", "txt"])
def test_html_and_xml_are_refused(text: str, kind: str | None) -> None:
    with pytest.raises(OtherFileError, match="the stream is HTML or XML; open it in a spread"):
        judged(text, kind)


def test_a_line_with_a_tag_is_a_bad_line_and_no_page() -> None:
    assert [line.number for line in judged(f"<td>\n{ONE}\n", "txt")[1]] == [1]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("start", ["", "\n", "\ufeff", "\ufeff\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_utf_16_is_refused_with_and_without_a_bom(encoding: str, start: str, end: str) -> None:
    text = f"{start}music_task_id\ttitle{end}{ONE}\tCafé{end}"

    with pytest.raises(OtherFileError, match="the stream is UTF-16; save it as UTF-8"):
        judged(text.encode(encoding))


@given(rows)
def test_no_catalog_is_refused_for_its_beginning(rows: list[tuple[str, str, str]]) -> None:
    for music_task_id, _, _ in rows:
        refuse_other_files("a", music_task_id.encode())
        refuse_other_files("a", codecs.BOM_UTF8 + music_task_id.encode())
    refuse_other_files("a", b"")
