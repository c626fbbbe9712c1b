"""Processes that share a ledger, killed, frozen and cut off: a quick form of the script here."""

from pathlib import Path

import pytest

from tests.proof import shared_ledger


@pytest.mark.timeout(shared_ledger.LONGEST)
async def test_processes_that_are_broken_in_every_way_bill_each_song_once(tmp_path: Path) -> None:
    # The frozen worker comes last: while it is frozen, the others may finish all but its own songs.
    faults = ["kill", "kill_at_submit", "kill_beginner", "drop", "crash", "freeze"]
    figures, findings = await shared_ledger.endure(
        150, faults, workers=3, seed=2026, folder=tmp_path
    )

    assert findings == []
    assert figures.bills == figures.songs == 150
    assert figures.kills >= 3
    assert (figures.freezes, figures.drops, figures.crashes) == (1, 1, 1)
    assert figures.given_up >= 1
