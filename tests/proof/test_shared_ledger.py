"""Processes that share a ledger, killed, frozen and cut off: a quick form of the script here."""

from pathlib import Path

import pytest

from tests.proof import shared_ledger, shared_moments
from tests.proof.shared_fleet import LONGEST, Plan

LONG = {"short crash in a commit", "short crash after a commit"}  # the script hits these


@pytest.mark.timeout(LONGEST)
async def test_processes_that_are_broken_in_every_way_bill_each_song_once(tmp_path: Path) -> None:
    # The frozen worker comes last: while it is frozen, the others may finish all but its own songs.
    faults = ["kill at submit", "kill beginner", "drop", "crash", "freeze"]
    figures, findings = await shared_ledger.endure(
        Plan(songs=110), faults, workers=2, seed=2026, folder=tmp_path, every=20
    )

    assert findings == []
    assert figures.bills == figures.songs == 110
    assert figures.kills >= 2
    assert (figures.freezes, figures.drops, figures.crashes) == (1, 1, 1)
    assert figures.given_up >= 1


@pytest.mark.timeout(2 * shared_moments.LONGEST)
@pytest.mark.parametrize("moment", [one for one in shared_moments.MOMENTS if one not in LONG])
async def test_a_process_that_is_broken_at_a_chosen_moment_bills_each_song_once(
    tmp_path: Path, moment: str, request: pytest.FixtureRequest
) -> None:
    shared = None if "crash" in moment else request.getfixturevalue("postgres_server")
    figures, findings = await shared_moments.hit(moment, tmp_path, shared)

    assert findings == []
    assert figures.bills == figures.songs
    assert figures.kills or figures.freezes or figures.drops or figures.crashes
