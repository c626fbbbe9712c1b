"""The limits that a caller may set: how often to call, when to poll, how often to retry.

They are values: numbers of seconds and counts, checked when they are made. They know no clock and
no request.
"""

import random

import attrs

from suno_cover_async.validation import checked, count, positive, positive_or_none

_BATCH_FACTOR = 3  # of a track in trouble while all others fare well


@attrs.frozen(kw_only=True)
class Rate:
    """At most `calls` requests in any window of `seconds`, whichever moment it begins at."""

    calls: int = attrs.field(validator=checked(count))
    seconds: float = attrs.field(validator=checked(positive))


@attrs.frozen(kw_only=True)
class PollSchedule:
    """When to look at a cover task again. All values are seconds, but for `growth`.

    While looks have to queue for the limiter, one that is made in vain costs another cover's: then
    a first look waits until 95 % of covers are finished (60 s until durations are known), and
    others are `longest` apart.

    Attributes:
        first: The age of a task at the first look; None learns it from the host's own durations:
            their 25th percentile (20 s until some are known).
        growth: The next look comes after this share of the task's age.
        shortest: The least time between two looks, but for the last one before a deadline and the
            jitter of a tenth that all pauses have.
        longest: The most time between two looks, unless they have to queue. The API's
            documentation recommends 30.
        safety_first: The age of a task at the first look while its callback is awaited; None
            learns it: the 99th percentile of the host's own durations, and `shortest` more for
            the callback's way (60 s until some are known).
        safety: The time between two looks while the callback is awaited.
        grace: How long `data: null` means "not visible yet" and not "unknown".
        timeout: How long a wait lasts by default.

    Raises:
        ValueError: A value is not a finite number above 0, or `shortest` is over `longest`.
    """

    first: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(checked(positive))
    )
    growth: float = attrs.field(default=0.15, validator=checked(positive))
    shortest: float = attrs.field(default=5.0, validator=checked(positive))
    longest: float = attrs.field(default=30.0, validator=checked(positive))
    safety_first: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(checked(positive))
    )
    safety: float = attrs.field(default=120.0, validator=checked(positive))
    grace: float = attrs.field(default=60.0, validator=checked(positive))
    timeout: float = attrs.field(default=900.0, validator=checked(positive))

    def __attrs_post_init__(self) -> None:
        """Check the values against one another."""
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) must not be over longest")

    def after(self, age: float) -> float:
        """Return the seconds until the next look at a task of this age, jittered by a tenth."""
        return _jittered(min(max(self.growth * age, self.shortest), self.longest))

    def after_safety(self) -> float:
        """Return the seconds until the next look while a callback is awaited, jittered too."""
        return _jittered(self.safety)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a request is repeated, and for how long. Delays and timeouts are seconds.

    Attributes:
        tries: The most attempts at one request.
        first: The delay after a first failure; it doubles, jittered, up to `longest`.
        longest: The longest delay between two attempts.
        deadline: The most that attempts, delays and waits for the end of an outage may take
            together. Time in the limiter's queue, and pauses the host asked for, do not count.
            None sets no limit: then an outage and refusals for calling too often are waited out,
            and do not count as attempts.
        attempt: The most that one attempt may take.
        longest_pause: The most of a `Retry-After` that is obeyed.
        probe_first: While a catalog runs, the delay before the first probe of an outage; it
            doubles, jittered, up to `probe_longest`.
        probe_longest: The longest delay between two probes.

    Raises:
        ValueError: A value is not a finite number above 0, or a count no whole one.
    """

    tries: int = attrs.field(default=5, validator=checked(count))
    first: float = attrs.field(default=0.5, validator=checked(positive))
    longest: float = attrs.field(default=20.0, validator=checked(positive))
    deadline: float | None = attrs.field(default=60.0, validator=checked(positive_or_none))
    attempt: float = attrs.field(default=30.0, validator=checked(positive))
    longest_pause: float = attrs.field(default=120.0, validator=checked(positive))
    probe_first: float = attrs.field(default=1.0, validator=checked(positive))
    probe_longest: float = attrs.field(default=30.0, validator=checked(positive))

    def for_batch(self) -> "RetryPolicy":
        """Return what a catalog's requests use: no time limit, and three times the attempts."""
        return attrs.evolve(self, deadline=None, tries=_BATCH_FACTOR * self.tries)
