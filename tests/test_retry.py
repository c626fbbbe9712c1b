"""When to try again, in virtual time."""

import asyncio
import itertools
from collections.abc import Callable

import pytest
from virtual_time import run

from suno_cover_async import (
    InvalidRequestError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    SunoCoverError,
    TransportError,
)
from suno_cover_async.retry import Trouble, persist


def trouble(error: SunoCoverError, *, took: float = 0.0, ambiguous: bool = False) -> Trouble:
    return Trouble(error=error, took=took, ambiguous=ambiguous)


LOST = trouble(TransportError("no answer"))
IN_DOUBT = trouble(ServerError("500"), ambiguous=True)


def attempts(
    outcome_of: Callable[[int], Trouble | str], policy: RetryPolicy | None = None
) -> tuple[str | SunoCoverError, list[float]]:
    """Persist with attempts that come to `outcome_of(number)`; return the end and the times."""

    async def scenario() -> tuple[str | SunoCoverError, list[float]]:
        clock = asyncio.get_running_loop().time
        at: list[float] = []

        async def attempt() -> str | Trouble:
            at.append(clock())
            outcome = outcome_of(len(at))
            if isinstance(outcome, Trouble):
                await asyncio.sleep(outcome.took)
            return outcome

        try:
            return await persist(attempt, policy or RetryPolicy()), at
        except SunoCoverError as error:
            return error, at

    return run(scenario())


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
    outcome, at = attempts(lambda _: trouble(InvalidRequestError("422")))

    assert isinstance(outcome, InvalidRequestError)
    assert len(at) == 1


def test_an_ambiguous_submit_is_repeated_3_times_not_sooner_than_1_s_later() -> None:
    outcome, at = attempts(lambda _: IN_DOUBT, RetryPolicy(tries=50, deadline=1000))

    waits = [after - before for before, after in itertools.pairwise(at)]
    assert outcome is IN_DOUBT.error
    assert len(at) == 4
    assert all(wait >= 1.0 for wait in waits)


def test_attempts_and_waits_together_keep_the_deadline() -> None:
    slow = trouble(TransportError("no answer"), took=25.0)

    outcome, at = attempts(lambda _: slow, RetryPolicy(tries=50))

    assert outcome is slow.error
    assert len(at) == 3
    assert at[-1] <= 60


def test_after_a_refusal_for_the_rate_the_limiter_alone_decides_when() -> None:
    _, at = attempts(lambda _: trouble(RateLimitError("429")))

    assert at == [0.0] * 5


@pytest.mark.parametrize("tries", [1, 2, 7])
def test_tries_count_attempts(tries: int) -> None:
    _, at = attempts(lambda _: LOST, RetryPolicy(tries=tries))

    assert len(at) == tries
