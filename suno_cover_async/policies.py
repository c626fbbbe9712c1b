"""The policies that a caller may set: how often to call, when to poll, how often to retry.

They are values: counts and seconds, checked on creation. They know no clock and no request.
"""

import random

import attrs

from suno_cover_async.common.validation import checked, count, positive, positive_or_none

_BATCH_FACTOR = 3  # a batch gives each track three times the attempts of a single call


@attrs.frozen(kw_only=True)
class RateLimit:
    """At most `calls` requests in any window of `seconds`, at whatever moment the window begins."""

    calls: int = attrs.field(validator=checked(count))
    seconds: float = attrs.field(validator=checked(positive))


@attrs.frozen(kw_only=True)
class PollPolicy:
    """When to poll a cover task. All values are seconds, except `growth`.

    While polls queue in the rate limiter, a poll that finds nothing new uses up a permit that
    another cover needs. So the first poll is then delayed until 95 % of covers are finished (60 s
    until durations are known), and later ones are `max_interval` apart.

    Attributes:
        initial_delay: The age of a task at its first poll. None learns it: the 25th percentile of
            the host's own durations (20 s until some are known).
        growth: The next poll comes after this share of the task's age.
        min_interval: The least time between two polls, except for the last one before a deadline
            and the jitter of a tenth.
        max_interval: The most time between two polls, unless they queue. The API's documentation
            recommends 30.
        fallback_delay: The age of a task at its first poll while a callback is expected. None
            learns it: the 99th percentile of the host's own durations, plus `min_interval` for
            the callback's delivery (60 s until some are known).
        fallback_interval: The time between two polls while a callback is expected.
        not_found_grace: The age up to which `data: null` means "not visible yet" and not "unknown".
        timeout: How long a wait lasts by default.

    Raises:
        TypeError: A value is not a number.
        ValueError: A number is not finite or not above 0, or `min_interval` is over
            `max_interval`.
    """

    initial_delay: float | None = attrs.field(default=None, validator=checked(positive_or_none))
    growth: float = attrs.field(default=0.15, validator=checked(positive))
    min_interval: float = attrs.field(default=5.0, validator=checked(positive))
    max_interval: float = attrs.field(default=30.0, validator=checked(positive))
    fallback_delay: float | None = attrs.field(default=None, validator=checked(positive_or_none))
    fallback_interval: float = attrs.field(default=120.0, validator=checked(positive))
    not_found_grace: float = attrs.field(default=60.0, validator=checked(positive))
    timeout: float = attrs.field(default=900.0, validator=checked(positive))

    def __attrs_post_init__(self) -> None:
        """Check that `min_interval` is not over `max_interval`."""
        if self.min_interval > self.max_interval:
            raise ValueError(
                f"min_interval ({self.min_interval}) must not be over max_interval "
                f"({self.max_interval})"
            )

    def interval(self, age: float) -> float:
        """Return the seconds until the next poll of a task of this age, jittered by a tenth."""
        return _jittered(min(max(self.growth * age, self.min_interval), self.max_interval))

    def jittered_fallback_interval(self) -> float:
        """Return the seconds until the next poll while a callback is expected, with jitter."""
        return _jittered(self.fallback_interval)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a request is repeated, and for how long. Delays and timeouts are seconds.

    Attributes:
        max_attempts: The most attempts at one request.
        initial_delay: The delay after a first failure; it doubles, jittered, up to `max_delay`.
        max_delay: The longest delay between two attempts.
        total_timeout: The most that attempts, delays and waits for the end of an outage may take
            together. Time in the limiter's queue, and pauses that the host requested, do not
            count. None sets no limit: then failures in an outage, refusals for calling too often
            and submits that a ledger holds back do not count as attempts, and the request is
            repeated until they end.
        attempt_timeout: The most that one attempt may take.
        max_retry_after: The longest pause that a `Retry-After` header may cause.
        probe_delay: While a catalog runs, the delay before the first probe in an outage; it
            doubles, jittered, up to `max_probe_delay`.
        max_probe_delay: The longest delay between two probes.

    Raises:
        TypeError: A value is not a number.
        ValueError: A number is not finite or not above 0, or `max_attempts` is not a whole number
            of at least 1.
    """

    max_attempts: int = attrs.field(default=5, validator=checked(count))
    initial_delay: float = attrs.field(default=0.5, validator=checked(positive))
    max_delay: float = attrs.field(default=20.0, validator=checked(positive))
    total_timeout: float | None = attrs.field(default=60.0, validator=checked(positive_or_none))
    attempt_timeout: float = attrs.field(default=30.0, validator=checked(positive))
    max_retry_after: float = attrs.field(default=120.0, validator=checked(positive))
    probe_delay: float = attrs.field(default=1.0, validator=checked(positive))
    max_probe_delay: float = attrs.field(default=30.0, validator=checked(positive))

    def for_batch(self) -> "RetryPolicy":
        """Return the policy for a catalog's requests: no time limit, three times the attempts."""
        attempts = _BATCH_FACTOR * self.max_attempts
        return attrs.evolve(self, total_timeout=None, max_attempts=attempts)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)
