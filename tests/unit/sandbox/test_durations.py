"""Durations of covers: fixed, between two bounds, or from a distribution."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.sandbox import Lognormal, Scenario
from suno_cover_async.sandbox.durations import draw
from tests.support.worlds import a_lognormal


@given(st.floats(0, 50), st.floats(0, 50), st.floats(1, 100))
def test_durations_lie_within_their_bounds(low: float, more: float, scale: float) -> None:
    scenario = Scenario(seconds=(low, low + more), scale=scale)

    duration = scenario.duration(random.Random(0))

    assert low / scale - 1e-9 <= duration <= (low + more) / scale + 1e-9


@pytest.mark.parametrize(("sigma", "share"), [(0.0, 0.0), (0.4, 0.6827), (1.0, 0.6827)])
def test_lognormal_durations_have_the_median_and_the_spread_they_are_told(
    sigma: float, share: float
) -> None:
    scenario = Scenario(seconds=a_lognormal(sigma=sigma), scale=10)
    dice = random.Random(1)

    drawn = sorted(scenario.duration(dice) for _ in range(20_000))

    least, most = 4.7 * math.exp(-sigma), 4.7 * math.exp(sigma)
    assert drawn[10_000] == pytest.approx(4.7, rel=0.02)
    assert sum(least < one < most for one in drawn) / 20_000 == pytest.approx(share, abs=0.01)


def test_a_lognormal_is_checked_by_itself_and_only_durations_take_one() -> None:
    fields: dict[str, Any] = {"delay": a_lognormal()}

    with pytest.raises(ValueError, match="delay"):
        Scenario(**fields)
    with pytest.raises(TypeError, match="median"):
        a_lognormal(median="47")


def test_a_fixed_duration_is_always_the_same() -> None:
    dice = random.Random(1)

    assert {draw(4.5, dice) for _ in range(20)} == {4.5}


def test_durations_between_two_bounds_are_spread_evenly() -> None:
    dice = random.Random(1)

    drawn = sorted(draw((10, 30), dice) for _ in range(10_000))

    assert 10 <= drawn[0] < 10.1
    assert drawn[2_500] == pytest.approx(15, abs=0.5)
    assert drawn[7_500] == pytest.approx(25, abs=0.5)
    assert 29.9 < drawn[-1] <= 30


def test_every_duration_costs_the_same_random_numbers() -> None:
    dice = [random.Random(1), random.Random(1)]
    draw(7.0, dice[0])
    draw((1, 9), dice[1])

    assert dice[0].random() == dice[1].random()


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"median": 0.0}, "median"),
        ({"median": math.inf}, "median"),
        ({"sigma": -0.1}, "sigma"),
        ({"sigma": 5.1}, "sigma"),
    ],
)
def test_a_distribution_that_cannot_be_is_refused(fields: dict[str, float], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Lognormal(**({"median": 1.0, "sigma": 0.5} | fields))


@pytest.mark.parametrize("seconds", [-1, (5, 1), (-1, 1), math.nan, (0, math.inf)])
def test_durations_that_cannot_be_are_refused(seconds: Any) -> None:
    with pytest.raises(ValueError, match="seconds must be"):
        Scenario(seconds=seconds)
