"""Again: which trouble is worth another attempt, and how long to wait before it.

The only importer of backoff, which is used as its author meant: a wait generator and a predicate
over an attempt's outcome. It is entered after a first attempt failed, so success costs nothing.
Deadlines add up what attempts and waits took by the loop's clock, since backoff's own follow the
wall clock.
"""

import itertools
import random
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

import attrs
import backoff

from suno_cover_async.arguments import checked, count, positive
from suno_cover_async.errors import RateLimitError, SunoCoverError, UnexpectedResponseError
from suno_cover_async.sharing import Closing

T = TypeVar("T")

_MOST_RESUBMITS = 3
SOONEST_RESUBMIT = 1.0
"""Seconds before an ambiguous submit may be repeated."""


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How hard to try. All values but `tries` are seconds.

    Attributes:
        tries: The most attempts at one request.
        first: The wait after a first failure; it doubles, jittered, up to `longest`.
        longest: The longest wait between two attempts.
        deadline: The most that attempts and waits together may take. Time in the limiter's
            queue, and pauses the host asked for, do not count. Also the most that one attempt
            waits for the end of an outage, while a catalog runs.
        attempt: The most that one attempt may take.
        longest_pause: The most of a `Retry-After` that is obeyed.
        probe_first: While a catalog runs, the wait before the first probe of an outage; it
            doubles, jittered, up to `probe_longest`.
        probe_longest: The longest wait between two probes.

    Raises:
        ValueError: A value is not a finite number above 0, or `tries` no whole one.
    """

    tries: int = attrs.field(default=5, validator=checked(count))
    first: float = attrs.field(default=0.5, validator=checked(positive))
    longest: float = attrs.field(default=20.0, validator=checked(positive))
    deadline: float = attrs.field(default=60.0, validator=checked(positive))
    attempt: float = attrs.field(default=30.0, validator=checked(positive))
    longest_pause: float = attrs.field(default=120.0, validator=checked(positive))
    probe_first: float = attrs.field(default=1.0, validator=checked(positive))
    probe_longest: float = attrs.field(default=30.0, validator=checked(positive))


@attrs.frozen(kw_only=True)
class Trouble:
    """What an attempt came to when it brought no value.

    Attributes:
        error: What to raise, if this was the last attempt.
        took: The seconds the attempt took, queueing excluded.
        ambiguous: A submit went out and nobody can tell whether it was executed.
    """

    error: SunoCoverError
    took: float
    ambiguous: bool = False


async def persist(
    attempt: Callable[[], Awaitable[T | Trouble]],
    policy: RetryPolicy,
    closing: Closing | None = None,
) -> T:
    """Attempt until a value comes, or patience ends, or after a first failure what is `closing`.

    An ambiguous submit is repeated not sooner than 1 s later and at most 3 times: the API makes
    one cover per music task, so the repetition brings back the first one's id.

    Raises:
        SunoCoverError: What the last attempt came to.
    """
    outcome = await attempt()
    if isinstance(outcome, Trouble):
        again = _again(attempt, outcome, policy)
        outcome = await (closing.unless_closed(again) if closing else again)
    if isinstance(outcome, Trouble):
        raise outcome.error
    return outcome


async def _again(
    attempt: Callable[[], Awaitable[T | Trouble]], first: Trouble, policy: RetryPolicy
) -> T | Trouble:
    past: list[T | Trouble] = [first]
    in_doubt = False

    async def next_outcome() -> T | Trouble:
        nonlocal in_doubt
        outcome = past.pop() if past else await attempt()
        in_doubt = in_doubt or (isinstance(outcome, Trouble) and outcome.ambiguous)
        return outcome

    repeated = backoff.on_predicate(
        lambda: _waits(policy),
        _is_worth_repeating,
        max_tries=policy.tries,
        jitter=None,
        logger=None,
    )(next_outcome)
    outcome = await repeated()
    if isinstance(outcome, Trouble) and in_doubt:
        outcome.error.perhaps_billed = True
        if not isinstance(outcome.error, UnexpectedResponseError):  # which says so itself
            outcome.error.retryable = True  # a cover may be waiting to be adopted
    return outcome


def _is_worth_repeating(outcome: object) -> bool:
    return isinstance(outcome, Trouble) and (outcome.ambiguous or outcome.error.retryable)


def _waits(policy: RetryPolicy) -> Generator[float, Any, None]:
    """Yield the wait after each trouble sent in; end when patience does."""
    trouble: Trouble = yield 0.0  # backoff primes a wait generator with an empty send
    spent, resubmits = 0.0, 0
    for failures in itertools.count():
        resubmits += trouble.ambiguous
        wait = _wait(policy, trouble, failures)
        spent += trouble.took + wait
        if spent > policy.deadline or resubmits > _MOST_RESUBMITS:
            return
        trouble = yield wait


def _wait(policy: RetryPolicy, trouble: Trouble, failures: int) -> float:
    if isinstance(trouble.error, RateLimitError):  # the limiter makes all requests wait
        return SOONEST_RESUBMIT if trouble.ambiguous else 0.0
    wait = min(policy.first * 2.0 ** min(failures, 32), policy.longest) * random.uniform(0.5, 1.0)
    return max(wait, SOONEST_RESUBMIT) if trouble.ambiguous else wait
