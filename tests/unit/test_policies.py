"""Policies: their values are checked by name, and what they say of polls and retries."""

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suno_cover_async.policies import PollPolicy, RateLimit, RetryPolicy


@given(age=st.floats(0, 10_000))
def test_polls_come_every_15_percent_of_the_age_between_5_and_30_s(age: float) -> None:
    pause = PollPolicy().interval(age)

    assert 0.9 * min(max(0.15 * age, 5), 30) <= pause <= 1.1 * min(max(0.15 * age, 5), 30)


@pytest.mark.parametrize(
    ("policy", "argument", "value"),
    [
        (policy, argument, value)
        for policy, arguments in {
            RateLimit: ("calls", "seconds"),
            PollPolicy: tuple(attrs.fields_dict(PollPolicy)),
            RetryPolicy: tuple(attrs.fields_dict(RetryPolicy)),
        }.items()
        for argument in arguments
        for value in (0, -1, math.nan, math.inf, "5")
    ],
)
def test_a_nonsense_policy_is_refused_by_the_name_of_its_argument(
    policy: Any, argument: str, value: Any
) -> None:
    arguments: dict[str, Any] = {"calls": 1, "seconds": 1.0} if policy is RateLimit else {}

    with pytest.raises((ValueError, TypeError), match=f"^{argument} must be"):
        policy(**(arguments | {argument: value}))


def test_a_least_interval_over_the_longest_is_refused() -> None:
    with pytest.raises(ValueError, match=r"min_interval \(31\) must not be over"):
        PollPolicy(min_interval=31, max_interval=30)
    assert PollPolicy(min_interval=30, max_interval=30).interval(0) <= 33


def test_a_catalog_has_three_times_the_attempts_and_no_time_limit() -> None:
    policy = RetryPolicy(max_attempts=4, total_timeout=1.0, initial_delay=7.0).for_batch()

    assert policy == RetryPolicy(max_attempts=12, total_timeout=None, initial_delay=7.0)


@pytest.mark.parametrize("calls", [1.0, True, 1.5])
def test_calls_and_attempts_are_whole_numbers(calls: Any) -> None:
    with pytest.raises(ValueError, match=r"^calls must be a whole number of at least 1"):
        RateLimit(calls=calls, seconds=1)
    with pytest.raises(ValueError, match=r"^max_attempts must be a whole number of at least 1"):
        RetryPolicy(max_attempts=calls)


@pytest.mark.parametrize(
    ("policy", "may_be_none"),
    [
        (PollPolicy, {"initial_delay", "fallback_delay"}),
        (RetryPolicy, {"total_timeout"}),
    ],
)
def test_only_what_can_be_learned_or_left_open_may_be_none(
    policy: Any, may_be_none: set[str]
) -> None:
    for name in attrs.fields_dict(policy):
        if name in may_be_none:
            assert getattr(policy(**{name: None}), name) is None
        else:
            with pytest.raises((TypeError, ValueError), match=f"^{name} must be"):
                policy(**{name: None})


def test_a_poll_is_jittered_by_a_tenth_to_both_sides() -> None:
    policy = PollPolicy(fallback_interval=100, growth=0.5, min_interval=1, max_interval=1_000)

    for drawn in (
        [policy.interval(200) for _ in range(300)],
        [policy.jittered_fallback_interval() for _ in range(300)],
    ):
        assert 90 <= min(drawn) < 95
        assert 105 < max(drawn) <= 110


def test_a_batch_keeps_all_other_limits() -> None:
    policy = RetryPolicy(
        initial_delay=1, max_delay=2, attempt_timeout=3, max_retry_after=4, probe_delay=5
    )

    assert attrs.evolve(policy.for_batch(), max_attempts=5, total_timeout=60.0) == policy
    assert policy.max_attempts == 5
