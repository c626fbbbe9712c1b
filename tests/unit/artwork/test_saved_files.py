"""Where the saved files of images are searched for, and what is said of those that are missing."""

import platform
from pathlib import Path

import pytest

from suno_cover_async.artwork.saved_files import file_of, find
from suno_cover_async.errors import ArtworkError
from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.models import Track


def an_entry(*titles: str, saved_on: str | None = None) -> LedgerEntry:
    titles = titles or ("Song",)
    return LedgerEntry(
        number=1,
        tracks=tuple(Track("abc", title=title) for title in titles),
        state=TrackState.SAVED,
        images=("https://a.example/1", "https://a.example/2"),
        files=tuple(Path(f"covers/{title} abc-{n}.png") for title in titles for n in (1, 2)),
        saved_on=saved_on,
    )


def test_each_title_has_its_own_file_of_the_image() -> None:
    entry = an_entry("One", "Two")

    assert file_of(entry, entry.tracks[0], 2) == Path("covers/One abc-2.png")
    assert file_of(entry, entry.tracks[1], 1) == Path("covers/Two abc-1.png")


@pytest.mark.parametrize("image", [0, 3, -1])
def test_an_image_that_the_ledger_has_no_file_of_is_an_error(image: int) -> None:
    entry = an_entry()

    with pytest.raises(ArtworkError, match=f"the ledger has no file of image {image}"):
        file_of(entry, entry.tracks[0], image)


def test_a_file_is_found_as_it_is_then_beside_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    file = Path("covers/x.png")
    for folder in (here, there):
        (folder / "covers").mkdir(parents=True)
        (folder / file).write_bytes(b"x")
    monkeypatch.chdir(here)

    assert find(file, an_entry(), there / "covers.db") == file
    (here / file).unlink()
    assert find(file, an_entry(), there / "covers.db") == there / file
    assert find(there / file, an_entry(), None) == there / file


def test_a_file_that_is_missing_is_named_with_the_folders_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    monkeypatch.chdir(here)
    file, advice = Path("covers/x.png"), "run this command where the batch ran"
    for entry in (an_entry(), an_entry(saved_on=platform.node())):
        with pytest.raises(ArtworkError) as beside:
            find(file, entry, there / "covers.db")
        with pytest.raises(ArtworkError) as of_a_database:
            find(file, entry, None)

        known = f"the file is missing: covers/x.png; it is not in {here / 'covers'}"
        assert str(beside.value) == f"{known} or {there / 'covers'}: {advice}"
        assert str(of_a_database.value) == f"{known}: {advice}"
    with pytest.raises(ArtworkError) as absolute:
        find(here / file, an_entry(), None)
    assert str(absolute.value) == f"the file is missing: {here / file}"


def test_the_machine_that_saved_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ArtworkError, match=r"it was saved on studio\?: run this command there, or copy its folder"
    ):
        find(Path("covers/x.png"), an_entry(saved_on="studio\n"), tmp_path / "covers.db")
