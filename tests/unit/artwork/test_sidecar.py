import json
from datetime import datetime
from pathlib import Path

import pytest

from suno_cover_async.artwork import Applied, NotApplied
from suno_cover_async.artwork.sidecar import sidecar_of
from suno_cover_async.models import Track
from tests.support.artwork import applied, choose, chosen, files_in, unread

TRACK = Track("a1", title="Ärger", columns={"artist": "Ann", "year": 1999, "tags": ["x"]})


async def test_a_sidecar_has_ids_title_columns_choice_sizes_hashes_and_times(
    tmp_path: Path,
) -> None:
    ledger = await chosen(tmp_path, [TRACK], {1: 2})

    (outcome,) = await applied(ledger, tmp_path / "out", "store", sidecar=True)

    assert isinstance(outcome, Applied)
    assert outcome.sidecar == tmp_path / "out/Ärger a1.jpg.json"
    text = (tmp_path / "out/Ärger a1.jpg.json").read_text(encoding="utf-8")
    found = json.loads(text)
    hashes = files_in(tmp_path)
    assert found["written"].pop("preset")["name"] == "store"
    assert datetime.fromisoformat(found.pop("written_at")).tzinfo is not None
    assert datetime.fromisoformat(found["choice"].pop("decided_at")).tzinfo is not None
    assert found == {
        "music_task_id": "a1",
        "cover_task_id": "cover-of-a1",
        "title": "Ärger",
        "columns": {"artist": "Ann", "year": 1999, "tags": ["x"]},
        "choice": {"decision": "image", "image": 2, "revision": 1, "decided_by": "Ann"},
        "image": 2,
        "source": "covers/Ärger-2.png",
        "written": {
            "file": "Ärger a1.jpg",
            "music_task_id": "a1",
            "upscale": False,
            "converted": {
                "width": 64,
                "height": 64,
                "source_width": 64,
                "source_height": 64,
                "sha256": hashes["out/Ärger a1.jpg"],
                "source_sha256": hashes["covers/Ärger-2.png"],
            },
        },
        "completed_at": "2026-05-01T12:00:00+00:00",
    }
    assert "Ärger" in text  # and no escapes


async def test_a_default_is_told_from_a_choice(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [TRACK], {})

    await applied(ledger, tmp_path / "out", sidecar=True, default="first")

    found = json.loads((tmp_path / "out/Ärger a1.png.json").read_text())
    assert (found["image"], found["choice"]["decision"]) == (1, "undecided")


async def test_a_sidecar_that_says_the_same_is_left_and_one_that_is_behind_is_written(
    tmp_path: Path,
) -> None:
    odd = Track("a1", title="A", columns={"artist": "\ud800"})
    ledger = await chosen(tmp_path, [odd], {1: 2})
    await applied(ledger, tmp_path / "out", sidecar=True)
    path = tmp_path / "out/A a1.png.json"
    before = unread(path)

    (same,) = await applied(ledger, tmp_path / "out", sidecar=True)
    assert (isinstance(same, Applied) and same.is_new, unread(path)) == (False, before)
    await choose(ledger, 1, 2)  # the same image, chosen again
    (again,) = await applied(ledger, tmp_path / "out", sidecar=True)

    assert isinstance(again, Applied)
    assert again.is_new
    assert json.loads(path.read_text())["choice"]["revision"] == 2


async def test_a_sidecar_is_added_to_a_file_that_is_there(tmp_path: Path) -> None:
    ledger = await chosen(tmp_path, [TRACK], {1: 2})
    await applied(ledger, tmp_path / "out")
    before = (tmp_path / "out/Ärger a1.png").stat()

    await applied(ledger, tmp_path / "out", sidecar=True)

    after = (tmp_path / "out/Ärger a1.png").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (tmp_path / "out/Ärger a1.png.json").is_file()


@pytest.mark.parametrize("content", ["my notes", "[]", '{"music_task_id": "other"}'])
async def test_a_file_that_is_no_sidecar_of_the_song_is_not_replaced(
    tmp_path: Path, content: str
) -> None:
    ledger = await chosen(tmp_path, [TRACK], {1: 2})
    (tmp_path / "out").mkdir()
    path = tmp_path / "out/Ärger a1.png.json"
    path.write_text(content)

    (outcome,) = await applied(ledger, tmp_path / "out", sidecar=True)

    assert isinstance(outcome, NotApplied)
    assert "is another file; move it away" in outcome.reason
    assert path.read_text() == content


def test_files_that_differ_in_their_suffix_have_sidecars_of_their_own() -> None:
    assert sidecar_of(Path("a/x.png")) == Path("a/x.png.json")
    assert sidecar_of(Path("a/x.jpg")) == Path("a/x.jpg.json")
