"""A scenario's faults and mishaps: their shares, and their independence."""

import random
from collections import Counter
from typing import Any

import pytest

from suno_cover_async.models import CoverStatus
from suno_cover_async.sandbox import (
    Fault,
    Scenario,
)
from suno_cover_async.sandbox.scenario import Mishap
from tests.support.worlds import a_cover, a_lognormal, a_world, statuses

MISHAPS: dict[str, Any] = {
    "lost_callbacks": 0.1,
    "doubled_callbacks": 0.2,
    "early_callbacks": 0.2,
    "late_callbacks": 0.2,
    "forged_callbacks": 0.2,
}


def test_faults_strike_only_what_they_are_meant_for() -> None:
    scenario = Scenario(lost_answers=1, faults_on=frozenset({"details"}))
    dice = random.Random(1)

    assert scenario.fault("details", dice) is Fault.LOST_ANSWER
    assert scenario.fault("submit", dice) is Fault.NONE


def test_faults_strike_as_often_as_their_shares_say() -> None:
    scenario = Scenario(lost_answers=0.1, html=0.3, server_errors=0.2, slow=0.1)
    dice = random.Random(1)

    struck = Counter(scenario.fault("submit", dice) for _ in range(20_000))

    expected = {
        Fault.NONE: 0.3,
        Fault.LOST_ANSWER: 0.1,
        Fault.GATEWAY: 0.1,
        Fault.GATEWAY_AFTER: 0.1,
        Fault.PAGE: 0.1,
        Fault.SERVER_ERROR: 0.1,
        Fault.SERVER_ERROR_AFTER: 0.1,
        Fault.SLOW: 0.1,
    }
    assert struck.keys() == expected.keys()
    assert all(abs(struck[fault] / 20_000 - share) < 0.02 for fault, share in expected.items())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seconds", -1),
        ("seconds", (5, 1)),
        ("seconds", float("nan")),
        ("median", 0),
        ("sigma", -0.1),
        ("sigma", 5.1),
        ("polls", 0),
        ("scale", 0),
        ("null_polls", -1),
        ("imageless_polls", 0.5),
        ("failures", 1.1),
        ("credits", -1),
        ("price", float("inf")),
        ("counted", {"image"}),
        ("too_often_code", 428),
        ("no_credits_code", 200),
        ("retry_after", "1\r\nX: y"),
        ("duplicate_code", 404),
        ("gone_status", 200),
        ("image_size", 4),
        ("callback_copies", 0),
        ("callback_pause", -1),
        ("lost_callbacks", -0.1),
        ("doubled_callbacks", -0.1),
        ("early_callbacks", float("nan")),
        ("late_callbacks", 2),
        ("forged_callbacks", -1),
        ("late_seconds", -1),
        ("lost_requests", -0.1),
        ("slow", 2),
        ("slow_seconds", -1),
        ("faults_on", {"everything"}),
        ("delay", (2, 1)),
    ],
)
def test_a_value_out_of_bounds_is_named(name: str, value: object) -> None:
    fields: dict[str, Any] = {name: value}

    with pytest.raises(ValueError, match=name):
        a_lognormal(**fields) if name in {"median", "sigma"} else Scenario(**fields)


def test_faults_cannot_strike_more_than_every_request() -> None:
    with pytest.raises(ValueError, match=r"add up to 1\.2"):
        Scenario(resets=0.6, garbage=0.6)


def test_mishaps_cannot_strike_more_than_every_callback() -> None:
    Scenario(lost_callbacks=0.6, early_callbacks=0.4, resets=0.6)

    with pytest.raises(ValueError, match=r"forged_callbacks add up to 1\.2"):
        Scenario(lost_callbacks=0.6, late_callbacks=0.6)


def test_mishaps_strike_as_often_as_their_shares_say() -> None:
    world = a_world(**MISHAPS)

    struck = Counter(world._covers[a_cover(world)[1]].mishap for _ in range(20_000))

    assert struck.keys() == set(Mishap)
    shares = {Mishap.NONE: 0.1, Mishap.LOST: 0.1}
    assert all(abs(struck[one] / 20_000 - shares.get(one, 0.2)) < 0.02 for one in Mishap)


def test_the_same_seed_gives_the_same_mishaps() -> None:
    def mishaps(seed: int) -> list[Mishap]:
        world = a_world(seed=seed, **MISHAPS)
        return [world._covers[a_cover(world)[1]].mishap for _ in range(50)]

    assert mishaps(7) == mishaps(7)
    assert mishaps(7) != mishaps(8)


def test_mishaps_change_neither_ids_nor_durations_nor_failures() -> None:
    def tale(**fields: Any) -> list[Any]:
        world = a_world(seconds=(1, 9), failures=0.5, **fields)
        return [world._covers[a_cover(world)[1]] for _ in range(60)]

    for plain, struck in zip(tale(), tale(**MISHAPS), strict=True):
        assert (plain.cover_task_id, plain.fails) == (struck.cover_task_id, struck.fails)
        assert struck.done == (1000.0 if struck.mishap is Mishap.EARLY else plain.done)


def test_seed_7_makes_the_ids_that_it_always_made() -> None:
    world = a_world(seed=7, seconds=(1, 9), failures=0.5)

    assert [a_cover(world) for _ in range(3)] == [
        ("6513270e269e0d37f2a74de452e6b438", "1818e811892f902bd23f0824128b2f33"),
        ("36f675cc81e74ef5e8e25d940ed90475", "3d9c172411e20b8f6b0d549b6f03675a"),
        ("90c192cfd3ac94af0f21ddb66cad4a26", "953f48f1a09f76b5a170b33839263059"),
    ]


def test_a_lost_callback_is_never_due_but_its_cover_finishes() -> None:
    world = a_world(seconds=10, lost_callbacks=1)
    _, cover_task_id = a_cover(world)

    assert world.due(9999.0) == []
    assert statuses(world, cover_task_id, [9999.0]) == [CoverStatus.SUCCESS]
