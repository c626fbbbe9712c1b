"""Faults of the wire: their shares, and values that cannot be."""

import random
from collections import Counter
from typing import Any

import pytest

from suno_cover_async.sandbox import Wire, WireFault


async def test_each_fault_strikes_as_often_as_the_wire_says_and_the_seed_decides_which() -> None:
    wire = Wire(refused=0.1, resets=0.2, cuts=0.1, stalls=0.1, trickles=0.1, garbage=0.15, seed=7)
    dice = [random.Random(seed) for seed in (1, 1, 2)]

    first, again, other = ([wire.fault(one) for _ in range(20_000)] for one in dice)

    found = Counter(first)
    assert first == again != other
    assert sum(share for _, share in wire.shares) == pytest.approx(0.75)
    assert {fault for fault, share in wire.shares if share} | {WireFault.NONE} == set(found)
    for fault, share in wire.shares:
        assert found[fault] / 20_000 == pytest.approx(share, abs=0.01)


def test_every_fault_can_be_asked_for() -> None:
    share = 1 / 7
    wire = Wire(
        refused=share,
        resets=share,
        cuts=share,
        stalls=share,
        trickles=share,
        garbage=share,
        echoes=share,
    )

    struck = {fault for fault, share in wire.shares if share}

    assert struck == set(WireFault) - {WireFault.NONE}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"resets": 1.1}, "resets"),
        ({"cuts": -0.1}, "cuts"),
        ({"garbage": float("nan")}, "garbage"),
        ({"stall": -1.0}, "stall"),
        ({"refusal": float("inf")}, "refusal"),
        ({"resets": 0.6, "cuts": 0.5}, "add up"),
    ],
)
def test_a_wire_that_cannot_be_is_refused(wrong: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Wire(**wrong)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("refused", 1),
        ("resets", 4),
        ("cuts", 2),
        ("stalls", 2),
        ("trickles", 1),
        ("garbage", 3),
        ("echoes", 1),
    ],
)
def test_a_share_is_divided_evenly_among_its_faults(name: str, parts: int) -> None:
    fields: dict[str, Any] = {name: 0.6}
    wire = Wire(**fields)

    struck = {fault.value: share for fault, share in wire.shares if share}

    assert list(struck.values()) == [pytest.approx(0.6 / parts)] * parts
    assert all(words.startswith(name[:4]) or name == "cuts" for words in struck)


def test_a_good_wire_has_no_fault() -> None:
    dice = random.Random(1)

    assert {Wire().fault(dice) for _ in range(1_000)} == {WireFault.NONE}
    assert {Wire(echoes=1).fault(dice) for _ in range(1_000)} == {WireFault.ECHOED}


def test_a_stall_may_last_as_long_as_the_client_waits() -> None:
    assert Wire().stall is None
    assert Wire(stall=0).stall == 0
