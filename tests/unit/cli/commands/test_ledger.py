"""The choices of `ledger`."""

from suno_cover_async import TrackState
from suno_cover_async.cli.commands import ledger


def test_the_states_are_those_of_a_track() -> None:
    assert tuple(state.name.lower() for state in TrackState) == ledger.STATES
