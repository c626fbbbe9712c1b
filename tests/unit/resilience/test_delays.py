"""Delays double, up to a bound, without end."""

import warnings
from itertools import islice

import pytest

from suno_cover_async.resilience.delays import doubling


@pytest.mark.parametrize(
    ("first", "longest", "delays"),
    [
        (0.5, 20.0, [0.5, 1, 2, 4, 8, 16, 20, 20]),
        (1.0, 30.0, [1, 2, 4, 8, 16, 30, 30, 30]),
        (600.0, 30.0, [30] * 8),
    ],
)
def test_each_is_twice_the_one_before_up_to_the_longest(
    first: float, longest: float, delays: list[float]
) -> None:
    assert list(islice(doubling(first, longest), 8)) == delays


def test_ten_thousand_delays_stay_at_the_longest_and_warn_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(islice(doubling(0.001, 20.0), 10_000))[-1] == 20
