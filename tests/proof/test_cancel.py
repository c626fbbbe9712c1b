"""Work that is cancelled at its k-th suspension leaves nothing behind, and no bill unrecorded.

It is cancelled once, up to five times, or in every iteration of the event loop until it has ended,
as anyio cancels. `cancelling.py` interrupts and checks; `cancel.py` runs every verb in every
condition.
"""

from collections.abc import Iterator

import pytest

from tests.proof import long_wait
from tests.support.cancelling import WAYS, every_k, from_here

AGAIN = {"cancel often": (2, 3, 4, 5)}  # times


@pytest.fixture(autouse=True, scope="module")
def young() -> Iterator[None]:
    with from_here():
        yield


@pytest.mark.parametrize(
    ("verb", "condition", "way", "stride"),
    [
        *(("submit", "healthy", way, 1) for way in WAYS),
        ("submit", "answers slow", "cancel on", 1),
        ("submit", "answers lost", "cancel on", 1),
        ("generate", "answers slow", "cancel on", 1),
        ("generate", "healthy", "cancel often", 1),
        ("client's block", "answers slow", "cancel on", 1),
        ("client's block", "answers lost", "cancel often", 5),
        ("client's block", "answers too late", "cancel", 13),
        ("catalog", "answers slow", "cancel on", 13),
        ("catalog", "healthy", "cancel often", 29),
        ("catalog in blocks", "answers slow", "cancel on", 13),
        ("catalog in blocks", "answers slow", "cancel often", 29),
        ("catalog in blocks", "answers slow", "exit", 29),
        ("submit", "queue full", "cancel", 1),
        ("submit", "queue full", "cancel late", 1),
        ("submit", "refused", "cancel late", 3),
        ("generate", "healthy", "cancel", 1),
        ("generate", "healthy", "cancel late", 2),
        ("generate", "answers lost", "cancel", 3),
        ("generate", "called back alone", "cancel late", 3),
        ("generate", "outage", "cancel", 6),
        ("generate together", "answers too late", "cancel twice", 8),
        ("wait", "healthy", "cancel", 1),
        ("wait", "queue full", "time out", 3),
        ("watch", "healthy", "cancel late", 2),
        ("watch and leave", "healthy", "cancel", 1),
        ("details", "outage", "cancel", 3),
        ("details", "queue full", "cancel late", 1),
        ("wait for music", "healthy", "cancel", 4),
        ("download", "healthy", "cancel", 1),
        ("download", "answers lost", "cancel twice", 4),
        ("catalog", "healthy", "cancel", 17),
        ("catalog", "answers lost", "cancel", 61),
        ("catalog", "answers slow", "cancel twice", 17),
        ("catalog", "healthy", "exit", 61),
        ("catalog and leave", "answers slow", "cancel late", 11),
        ("close", "healthy", "cancel", 1),
        ("close", "answers slow", "cancel twice", 1),
        ("listen", "healthy", "cancel", 1),
        ("slot", "healthy", "cancel late", 1),
        ("sandbox", "healthy", "cancel", 3),
    ],
)
def test_interrupted_at_any_suspension_nothing_is_lost_and_nothing_left(
    verb: str, condition: str, way: str, stride: int
) -> None:
    runs = [
        run
        for again in AGAIN.get(way, (1,))
        for run in every_k(verb, condition, way, again=again, stride=stride)
    ]

    found = [(interruption, outcome.findings) for interruption, outcome in runs if outcome.findings]
    assert found == []
    assert not runs[-1][1].happened  # the last one's work ended first
    assert len(runs) > 1


def test_memory_does_not_grow_in_20_000_polls() -> None:
    gauge = long_wait.measure(long_wait.polls_alone, 20_000)

    assert gauge.polls >= 20_000
    assert gauge.grown <= long_wait.MOST_BLOCKS
