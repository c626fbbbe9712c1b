"""What a download returns stays a tuple of paths, for everybody."""

import json
import pickle
from pathlib import Path

import attrs

from suno_cover_async import CoverDetails, Covered, CoverStatus, SavedImages, Track

FILES = (Path("a-1.png"), Path("a-2.png"))


def test_saved_images_are_a_tuple_in_every_respect() -> None:
    saved = SavedImages(FILES)

    assert saved == FILES
    assert hash(saved) == hash(FILES)
    assert isinstance(saved, tuple)
    assert repr(saved) == repr(FILES)
    assert pickle.loads(pickle.dumps(saved)) == FILES  # noqa: S301
    assert json.dumps(saved, default=str) == '["a-1.png", "a-2.png"]'
    match saved:
        case (first, second):
            assert (first, second) == FILES
        case _:
            raise AssertionError


def test_a_value_with_saved_images_is_written_as_one_with_a_tuple() -> None:
    covered = Covered(
        track=Track("m"),
        details=CoverDetails(cover_task_id="c", status=CoverStatus.SUCCESS),
        files=SavedImages(FILES),
    )

    assert covered.to_dict() == attrs.evolve(covered, files=FILES).to_dict()
    assert Covered.from_dict(covered.to_dict()) == covered


def test_a_notebook_shows_a_line_for_each_file_that_is_gone() -> None:
    shown = SavedImages(FILES)._repr_html_()

    assert shown.count("the file is missing") == 2
    assert "<img" not in shown
