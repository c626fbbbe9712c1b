"""What an agent is told of the limit, and which songs may be submitted again."""

import attrs
import pytest

from suno_cover_async import CoverTask, Track, TrackState
from suno_cover_async.agents.news import Budget, LimitReachedError, ended_error, was_refused
from suno_cover_async.ledger.entry import LedgerEntry

ENTRY = LedgerEntry(number=1, tracks=(Track("m1"),), state=TrackState.FAILED, reason="unknown id")
TASK = CoverTask(cover_task_id="c1", music_task_id="m1")


def test_covers_left_are_never_below_none() -> None:
    assert Budget(begun=2, max_covers=5).left == 3
    assert Budget(begun=7, max_covers=5).left == 0


def test_a_song_that_is_refused_at_the_limit_is_told_what_a_person_can_do() -> None:
    assert "--max-covers" in str(LimitReachedError(3))


def test_only_a_song_for_which_nothing_was_billed_was_refused() -> None:
    assert was_refused(ENTRY)
    for change in ({"task": TASK}, {"submits": 1}, {"state": TrackState.ATTENTION}):
        assert not was_refused(attrs.evolve(ENTRY, **change))


@pytest.mark.parametrize("state", TrackState)
def test_songs_that_ended_without_a_cover_have_an_error(state: TrackState) -> None:
    error = ended_error(attrs.evolve(ENTRY, state=state))

    assert (error is not None) == (state in {TrackState.FAILED, TrackState.ATTENTION})
