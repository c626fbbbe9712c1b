"""What is learned of a host: how long covers take, and whether its callbacks come."""

import pytest

from suno_cover_async.covers.durations import Durations, Trust


def learned(*seconds: float) -> Durations:
    durations = Durations()
    for one in seconds:
        durations.learn(one)
    return durations


def test_without_any_duration_the_first_poll_is_at_20_s_or_60_s_while_busy() -> None:
    assert learned().initial_delay(busy=False) == 20
    assert learned().initial_delay(busy=True) == 60
    assert learned().fallback_delay(5) == 60


def test_the_first_poll_is_at_the_25th_percentile_or_the_95th_while_busy() -> None:
    durations = learned(*range(1, 101))

    assert durations.initial_delay(busy=False) == 25
    assert durations.initial_delay(busy=True) == 95
    assert durations.fallback_delay(5) == 104


@pytest.mark.parametrize("impossible", [0, -5, 1_800.1, float("nan"), float("inf")])
def test_impossible_durations_are_ignored(impossible: float) -> None:
    assert learned(impossible).initial_delay(busy=False) == 20
    assert learned(40, impossible).initial_delay(busy=True) == 40


def test_only_the_last_200_count() -> None:
    assert learned(*[900] * 50, *[30] * 200).initial_delay(busy=True) == 30


def test_trust_ends_with_the_fifth_miss_and_once() -> None:
    trust = Trust()

    assert [trust.missed() for _ in range(7)] == [False] * 4 + [True] + [False] * 2
    assert not trust.given
    trust.came()
    assert trust.given


def test_callbacks_that_came_earn_up_to_25_misses() -> None:
    trust = Trust()
    for _ in range(100):
        trust.came()

    assert [trust.missed() for _ in range(25)] == [False] * 24 + [True]


def test_with_a_patience_of_0_there_is_never_trust() -> None:
    trust = Trust(0)
    trust.came()

    assert not trust.given


@pytest.mark.parametrize(("few", "expected"), [([7], 7), ([10, 20], 20), ([3, 1, 2], 3)])
def test_of_few_durations_the_90th_percentile_is_the_longest(
    few: list[float], expected: float
) -> None:
    assert learned(*few).fallback_delay(0) == expected
