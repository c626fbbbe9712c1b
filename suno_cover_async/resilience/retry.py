"""The retry loop: decides which failure is retried, and how long to wait before that.

It is the only loop that repeats requests; API calls, submits and downloads all go through it. A
function passed in makes each attempt.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

import attrs

from suno_cover_async.errors import (
    ClientUsageError,
    RateLimitError,
    SunoCoverError,
    UnexpectedResponseError,
)
from suno_cover_async.policies import RetryPolicy
from suno_cover_async.resilience.circuit_breaker import Admission, CircuitBreaker
from suno_cover_async.resilience.delays import doubling

T = TypeVar("T")

SOONEST_RESUBMIT = 1.0
"""Seconds before a possibly billed submit may be repeated."""

_MAX_RESUBMITS = 3
_MAX_LONE_PROBES = 50  # about 23 minutes of an outage in which no other request probes the host


@attrs.frozen(kw_only=True)
class FailedAttempt:
    """The outcome of an attempt that failed.

    Attributes:
        error: The error to raise, if this was the last attempt.
        took: The seconds the attempt took, without the time in queues.
        possibly_billed: A submit was sent, and no answer says whether it was executed.
        is_last: It is not repeated now, although a later call may succeed.
    """

    error: SunoCoverError
    took: float
    possibly_billed: bool = False
    is_last: bool = False


class NotSent:
    """The outcome of an attempt that sent nothing: the breaker opened while it was queued."""


NOT_SENT = NotSent()


class Wait(Protocol):
    """Awaits a coroutine; it may end the wait early, for instance when the client closes."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> Awaitable[T]:
        """Await the coroutine."""
        ...


OnRetry = Callable[[SunoCoverError, int, float], None]
"""Is told of an error, the number of the attempt that it ended, and the seconds until the next."""


def plainly(work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
    """Return the coroutine itself, so that only its own end ends the wait."""
    return work


async def retry(
    attempt: Callable[[Admission], Awaitable[T | FailedAttempt | NotSent]],
    policy: RetryPolicy,
    breaker: CircuitBreaker,
    not_admitted: Callable[[str], SunoCoverError],
    wait: Wait,
    *,
    on_retry: OnRetry | None = None,
) -> T:
    """Make attempts until one succeeds, or a limit of the policy is reached.

    A possibly billed submit is repeated too, which never pays twice: the API makes one cover per
    music task, so the repetition returns the first one's id. It follows 1 s later or more. There
    are at most 3 such repetitions. Under a policy without a time limit, this bound does not count
    those whose error is retryable; the other limits do.

    Args:
        attempt: Makes one request with an admission of the breaker. It returns failures, since
            raising would chain them.
        policy: The limits.
        breaker: Admits each attempt, and records its outcome.
        not_admitted: Makes the error of a call that the breaker did not admit in time.
        wait: Awaits every wait between attempts.
        on_retry: Called before each such wait.

    Raises:
        SunoCoverError: The last attempt's error.
    """
    history: _History | None = None  # made at the first failure: most calls succeed without one
    while True:
        admission = breaker.admit()
        if admission is None:
            history = history or _History(policy)
            admitted = await wait(breaker.wait_for_admission(history.time_left))
            if isinstance(admitted, str):
                raise history.last(not_admitted(admitted))
            admission = admitted
            history.spent += admission.waited
        if history is not None:
            admission.attempt = 1 + history.failures
        try:
            outcome = await attempt(admission)
            if not isinstance(outcome, FailedAttempt):
                if isinstance(outcome, NotSent):
                    continue
                breaker.record(admission, None)
                return outcome
            breaker.record(admission, outcome.error)
        finally:
            breaker.release(admission)
        history = history or _History(policy)
        delay = history.next_delay(outcome, breaker)
        if delay is None:
            raise history.last(outcome.error)
        if on_retry is not None:
            on_retry(outcome.error, history.failures, delay)
        await wait(asyncio.sleep(delay))


class _History:
    """Counts the failed attempts of one call and their seconds, and chooses the next delay."""

    def __init__(self, policy: RetryPolicy) -> None:
        self.failures = 0
        self._policy = policy
        self._delays = doubling(policy.initial_delay, policy.max_delay)
        self._attempts = 0
        self._resubmits = 0
        self._lone_probes = 0
        self._possibly_billed = False
        self.spent = 0.0

    @property
    def time_left(self) -> float | None:
        """The seconds left to wait for an admission; None without a limit."""
        limit = self._policy.total_timeout
        return None if limit is None else limit - self.spent

    def next_delay(self, failed: FailedAttempt, breaker: CircuitBreaker) -> float | None:
        """Return the seconds until the next attempt; None if there is no further one."""
        self.failures += 1
        self._possibly_billed = self._possibly_billed or failed.possibly_billed
        if failed.is_last or not (failed.possibly_billed or failed.error.retryable):
            return None
        self._count(failed, breaker)
        delay = self._delay(failed)
        self.spent += failed.took + delay
        is_over = (
            self._attempts >= self._policy.max_attempts
            or self._resubmits > _MAX_RESUBMITS
            or self._lone_probes >= _MAX_LONE_PROBES
            or (self._policy.total_timeout is not None and self.spent > self._policy.total_timeout)
        )
        return None if is_over else delay

    def last(self, error: SunoCoverError) -> SunoCoverError:
        """Return the error that the call ends with, marked possibly billed if an attempt was."""
        # One possibly billed attempt is enough: a later refusal does not prove that the earlier
        # attempt was not executed. The error is retryable then, since submitting again never pays
        # twice and returns the cover task, if there is one.
        if self._possibly_billed:
            error.possibly_billed = True
            if not isinstance(error, UnexpectedResponseError):  # it sets `retryable` itself
                error.retryable = True
        return error

    def _count(self, failed: FailedAttempt, breaker: CircuitBreaker) -> None:
        """Count the attempt, unless the policy has no time limit and the call is not the cause."""
        is_patient = self._policy.total_timeout is None
        if is_patient and isinstance(failed.error, RateLimitError | ClientUsageError):
            return  # held back, by the host or by the caller's own guard, until that ends
        if is_patient and breaker.is_open:
            # An outage fails no track, so its attempts do not count. But if no other request
            # probes or waits for the host, the trouble may be this call's alone, and the call
            # would never end; so such attempts are counted apart, up to _MAX_LONE_PROBES.
            self._lone_probes += not breaker.is_awaited
            return
        self._attempts += 1
        if failed.possibly_billed and not (is_patient and failed.error.retryable):
            self._resubmits += 1

    def _delay(self, failed: FailedAttempt) -> float:
        shortest = SOONEST_RESUBMIT if failed.possibly_billed else 0.0
        if isinstance(failed.error, RateLimitError):  # the limiter is paused, for all requests
            return shortest
        return max(next(self._delays) * random.uniform(0.5, 1.0), shortest)
