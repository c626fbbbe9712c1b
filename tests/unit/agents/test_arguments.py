"""Arguments that an agent made up."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async import Track
from suno_cover_async.agents.arguments import check_names, id_of, track_of, wait_seconds_of
from suno_cover_async.common.text import is_seen


def test_a_song_is_an_id_and_perhaps_a_title() -> None:
    assert track_of({"music_task_id": "m1"}) == Track("m1")
    assert track_of({"music_task_id": "m1", "title": None}) == Track("m1")
    assert track_of({"music_task_id": "m1", "title": " Wren\n"}) == Track("m1", title="Wren")


@pytest.mark.parametrize("value", [None, 5, "", "a b", "a\n", "x" * 129, ["m1"], {"a": 1}, True])
def test_an_id_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="music_task_id"):
        id_of("music_task_id", {"music_task_id": value})


@pytest.mark.parametrize("value", [5, ["a"], "x" * 201])
def test_a_title_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="title"):
        track_of({"music_task_id": "m1", "title": value})


@given(st.text(max_size=200))
def test_a_title_has_only_characters_that_are_seen(title: str) -> None:
    assert all(map(is_seen, track_of({"music_task_id": "m1", "title": title}).title))


@pytest.mark.parametrize("value", [-1, 601, math.nan, math.inf, "5", True, [5]])
def test_a_wait_that_is_no_number_of_seconds_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="wait_seconds"):
        wait_seconds_of({"wait_seconds": value})


def test_a_wait_is_short_by_default() -> None:
    assert 0 < wait_seconds_of({}) < 60
    assert wait_seconds_of({"wait_seconds": 0}) == 0


def test_an_argument_that_is_not_known_is_named_in_short() -> None:
    check_names({"title": 1}, ("title",))
    with pytest.raises(ValueError, match="there is title") as caught:
        check_names({"out\x1b" + "x" * 900: "/etc"}, ("title",))

    assert len(str(caught.value)) < 100
    assert "\x1b" not in str(caught.value)
