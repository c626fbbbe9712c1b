"""When to try again, in virtual time."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable

import attrs
import pytest

from suno_cover_async import (
    ClientUsageError,
    InvalidRequestError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
)
from suno_cover_async.resilience.circuit_breaker import Admission, CircuitBreaker
from suno_cover_async.resilience.retry import FailedAttempt, NotSent, plainly, retry
from tests.support.virtual_time import run


def failed(
    error: SunoCoverError, *, took: float = 0.0, possibly_billed: bool = False
) -> FailedAttempt:
    return FailedAttempt(error=error, took=took, possibly_billed=possibly_billed)


LOST = failed(TransportError("no answer"))
POSSIBLY_BILLED = failed(ServerError("500"), possibly_billed=True)


def attempts(
    outcome_of: Callable[[int], FailedAttempt | str],
    policy: RetryPolicy | None = None,
    breaker: CircuitBreaker | None = None,
) -> tuple[str | SunoCoverError, list[float]]:
    """Retry with attempts that come to `outcome_of(number)`; return the end and the times."""

    async def scenario() -> tuple[str | SunoCoverError, list[float]]:
        at: list[float] = []
        with breaker.armed() if breaker else contextlib.nullcontext():
            return await ended(outcome_of, policy or RetryPolicy(), breaker, at), at

    return run(scenario())


async def ended(
    outcome_of: Callable[[int], FailedAttempt | str],
    policy: RetryPolicy,
    breaker: CircuitBreaker | None,
    at: list[float],
) -> str | SunoCoverError:
    clock = asyncio.get_running_loop().time

    async def attempt(_: Admission) -> str | FailedAttempt | NotSent:
        at.append(clock())
        outcome = outcome_of(len(at))
        if isinstance(outcome, FailedAttempt):
            await asyncio.sleep(outcome.took)
        return outcome

    try:
        return await retry(attempt, policy, breaker or CircuitBreaker(), TransportError, plainly)
    except SunoCoverError as error:
        return error


def test_a_success_is_attempted_once() -> None:
    assert attempts(lambda _: "done") == ("done", [0.0])


def test_trouble_that_may_pass_is_tried_5_times_at_growing_waits() -> None:
    outcome, at = attempts(lambda _: LOST)

    waits = [after - before for before, after in itertools.pairwise(at)]
    assert outcome is LOST.error
    assert len(at) == 5
    for failures, wait in enumerate(waits):
        assert 0.25 * 2**failures <= wait <= 0.5 * 2**failures


def test_success_after_trouble_is_a_success() -> None:
    outcome, at = attempts(lambda number: "done" if number == 3 else LOST)

    assert (outcome, len(at)) == ("done", 3)


def test_what_will_not_pass_is_not_tried_again() -> None:
    outcome, at = attempts(lambda _: failed(InvalidRequestError("422")))

    assert isinstance(outcome, InvalidRequestError)
    assert len(at) == 1


def test_a_possibly_billed_submit_is_repeated_3_times_not_sooner_than_1_s_later() -> None:
    outcome, at = attempts(
        lambda _: POSSIBLY_BILLED, RetryPolicy(max_attempts=50, total_timeout=1000)
    )

    waits = [after - before for before, after in itertools.pairwise(at)]
    assert outcome is POSSIBLY_BILLED.error
    assert len(at) == 4
    assert all(wait >= 1.0 for wait in waits)


def test_attempts_and_waits_together_keep_the_deadline() -> None:
    slow = failed(TransportError("no answer"), took=25.0)

    outcome, at = attempts(lambda _: slow, RetryPolicy(max_attempts=50))

    assert outcome is slow.error
    assert len(at) == 3
    assert at[-1] <= 60


def test_after_a_refusal_for_the_rate_the_limiter_alone_decides_when() -> None:
    _, at = attempts(lambda _: failed(RateLimitError("429")))

    assert at == [0.0] * 5


@pytest.mark.parametrize("tries", [1, 2, 7])
def test_tries_count_attempts(tries: int) -> None:
    _, at = attempts(lambda _: LOST, RetryPolicy(max_attempts=tries))

    assert len(at) == tries


# Without a time limit, as a catalog's requests are made.

UNREADABLE = UnexpectedResponseError("the answer cannot be read")
PATIENT = RetryPolicy(max_attempts=7, total_timeout=None)


def test_trouble_of_one_call_ends_it_however_long_that_takes() -> None:
    slow = failed(TransportError("no answer"), took=1_000.0)

    outcome, at = attempts(lambda _: slow, PATIENT)

    assert outcome is slow.error
    assert len(at) == 7


@pytest.mark.parametrize(("error", "many"), [(ServerError("500"), 7), (UNREADABLE, 4)])
def test_without_a_time_limit_a_possibly_billed_submit_counts_as_any_other_if_it_may_pass(
    error: SunoCoverError, many: int
) -> None:
    _, at = attempts(lambda _: failed(error, possibly_billed=True), PATIENT)

    assert len(at) == many


def test_refusals_for_the_rate_are_waited_out_without_a_time_limit() -> None:
    limited = failed(RateLimitError("429"))

    outcome, at = attempts(lambda number: "done" if number == 500 else limited, PATIENT)

    assert (outcome, len(at)) == ("done", 500)


def test_an_outage_in_which_others_wait_is_waited_out_without_a_time_limit() -> None:
    """Two calls probe in turn for a day; neither of them counts that as attempts of its own."""

    async def scenario() -> list[str | SunoCoverError]:
        breaker = CircuitBreaker()
        day = 86_400.0

        def outcome_of(_: int) -> FailedAttempt | str:
            return "done" if asyncio.get_running_loop().time() > day else LOST

        with breaker.armed():
            calls = [ended(outcome_of, PATIENT, breaker, []) for _ in range(2)]
            return await asyncio.gather(*calls)

    assert run(scenario()) == ["done", "done"]


def test_what_the_callers_guard_holds_back_is_repeated_until_it_is_not_and_opens_no_breaker() -> (
    None
):
    held_back = failed(ClientUsageError("not now", retryable=True))
    breaker = CircuitBreaker()

    outcome, at = attempts(lambda number: "done" if number == 100 else held_back, PATIENT, breaker)

    assert outcome == "done"
    assert breaker.times_opened == 0
    assert 60 * 10 < at[-1] < 100 * 20


def test_a_call_that_probes_alone_ends_after_50_probes() -> None:
    """Nobody else is left to tell an outage from trouble of this one call."""
    outcome, at = attempts(lambda _: LOST, attrs.evolve(PATIENT, max_attempts=6), CircuitBreaker())

    assert outcome is LOST.error
    assert len(at) == 4 + 50
    assert 20 * 60 < at[-1] < 28 * 60


def test_what_the_breaker_does_not_admit_in_time_ends_with_its_reason() -> None:
    policy = RetryPolicy(max_attempts=50, total_timeout=60, probe_delay=1)

    outcome, at = attempts(lambda _: LOST, policy, CircuitBreaker(3_600, 3_600))

    assert isinstance(outcome, TransportError)
    assert "nothing was sent" in str(outcome)
    assert len(at) == 5
