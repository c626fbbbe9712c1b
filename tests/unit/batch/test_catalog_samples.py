"""Catalogs as spreadsheets, PowerShell and music programs write them: what is read of each."""

import json
from pathlib import Path

import pytest

from suno_cover_async.batch.catalog import read_catalog
from tests.support.catalog_files import ids

SAMPLES = Path(__file__).parents[2] / "samples"
EXPECTED: dict[str, list[str] | str] = json.loads((SAMPLES / "catalogs.json").read_text())
REFUSED = {
    "utf16-excel-unicode-text.tsv": "is UTF-16; save it as UTF-8",
    "html-xls.csv": "is HTML or XML; open it in a spreadsheet program and save it as CSV UTF-8",
    "xlsx-renamed.csv": r"is a spreadsheet \(.xlsx, .*; save it as CSV UTF-8",
}


@pytest.mark.parametrize("name", sorted(EXPECTED.keys() - REFUSED.keys()))
def test_a_catalog_as_a_tool_writes_it_gives_its_ids(name: str) -> None:
    path = SAMPLES / "catalogs" / name

    assert ids([*read_catalog(path)]) == EXPECTED[name]
    with path.open("rb") as stream:
        assert ids([*read_catalog(stream)]) == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_no_catalog_is_refused_by_what_it_is(name: str) -> None:
    path = SAMPLES / "catalogs" / name

    with pytest.raises(ValueError, match=REFUSED[name]):
        list(read_catalog(path, on_bad=print))
    for kind in (None, "csv", "jsonl", "txt"):
        with path.open("rb") as stream, pytest.raises(ValueError, match=REFUSED[name]):
            list(read_catalog(stream, format=kind, on_bad=print))


def test_every_sample_is_read_by_a_test() -> None:
    assert {path.name for path in (SAMPLES / "catalogs").iterdir()} == EXPECTED.keys()


def test_titles_keep_their_accents_and_quotes() -> None:
    folder = SAMPLES / "catalogs"
    excel = [*read_catalog(folder / "sep-semicolon.csv")]
    rekordbox = [*read_catalog(folder / "rekordbox-raw-quotes.tsv")]

    assert [track.title for track in excel] == ["Café", "Two"]
    assert [track.title for track in rekordbox] == ['"Heroes" (2017 Remaster)', "Two"]
    assert rekordbox[0].columns == {"#": "1", "Artist": "X", "Genre": "Rock"}
