"""A quick form of `full_disk.py`: space is made soon."""

import pytest

from tests.proof.full_disk import WITHIN, inside


@pytest.mark.timeout(WITHIN)
def test_runs_go_on_once_the_databases_full_disk_has_space_and_each_song_is_billed_once() -> None:
    result = inside(60, stops=False)

    assert result.left == []
    assert result.bills == result.songs
    assert result.unrecorded == 0
    assert result.stopped == []
