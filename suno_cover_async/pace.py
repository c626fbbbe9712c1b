"""When: pauses, the rhythm of polling, and what is learned about durations and callbacks.

It knows seconds; it knows neither clock nor request. The limiter is `window.py`'s.
"""

import math
import random
from collections import deque

import attrs

from suno_cover_async.arguments import checked, positive
from suno_cover_async.window import Rate


class Backpressure:
    """How long everybody stays away after the host refused a request for coming too often.

    A sane `Retry-After` is obeyed, up to `longest_pause` seconds. Without one it is one window
    plus jitter, doubling with every further refusal up to 60 s, until a request is accepted.
    """

    def __init__(self, rate: Rate, longest_pause: float) -> None:
        """Start without a pause."""
        self._window = rate.seconds
        self._longest_pause = longest_pause
        self._refusals = 0
        self._until = -math.inf

    def refused(self, *, entered: float, now: float, retry_after: float | None) -> float:
        """Note a refusal and return the loop's time until which everybody waits.

        Refusals of requests that were under way together count as one.
        """
        if entered >= self._until:
            self._refusals += 1
        wait = self._own_wait() if retry_after is None else min(retry_after, self._longest_pause)
        self._until = max(self._until, now + wait)
        return self._until

    def accepted(self, *, entered: float) -> None:
        """Note that a request was let in."""
        if entered >= self._until:
            self._refusals = 0

    def _own_wait(self) -> float:
        doubled = self._window * 2.0 ** min(self._refusals - 1, 32)
        return min(doubled, max(_LONGEST_OWN_PAUSE, self._window)) * random.uniform(1.0, 1.1)


_LONGEST_OWN_PAUSE = 60.0


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


class Durations:
    """How long the host has been taking for covers lately, by its own clock."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._seconds: deque[float] = deque(maxlen=200)

    def learn(self, seconds: float) -> None:
        """Remember one; nonsense (not above 0, or over half an hour) is not believed.

        Where a host writes one moment in its own time zone and the other in UTC, that is hours.
        """
        if 0 < seconds <= _LONGEST_BELIEVED:
            self._seconds.append(seconds)

    def first_look(self, *, busy: bool) -> float:
        """Return the age in seconds at which a first look is worth it.

        That is the 25th percentile, so that a quarter is noticed at the first look; and the 95th
        while looks have to queue (`busy`).
        """
        if not self._seconds:
            return _FIRST_LOOK_BUSY if busy else _FIRST_LOOK_UNLEARNED
        return self._percentile(0.95 if busy else 0.25)

    def safety_look(self, margin: float) -> float:
        """Return the age in seconds at which a callback should have come.

        That is the 99th percentile, and `margin` seconds for the callback's own way.
        """
        return self._percentile(0.99) + margin if self._seconds else _SAFETY_LOOK_UNLEARNED

    def _percentile(self, share: float) -> float:
        """Return the least duration that this share of all does not exceed."""
        return sorted(self._seconds)[math.ceil(share * len(self._seconds)) - 1]


_LONGEST_BELIEVED = 1_800.0
_FIRST_LOOK_UNLEARNED = 20.0
_FIRST_LOOK_BUSY = 60.0
_SAFETY_LOOK_UNLEARNED = 60.0


class Trust:
    """Whether callbacks can be counted on: those that came, weighed against those that did not."""

    def __init__(self, patience: int = 5, most: int = 25) -> None:
        """Count on them, until `patience` covers finish without; once many came, until `most` do.

        With a patience of 0 they are never counted on.
        """
        self._patience = patience
        self._most = most
        self._left = patience

    @property
    def given(self) -> bool:
        """Whether they are counted on."""
        return self._left > 0

    def came(self) -> None:
        """Note a callback."""
        self._left = min(self._left + 1, self._most) if self.given else self._patience

    def missed(self) -> bool:
        """Note a cover that finished without; whether that was just one too many."""
        self._left = max(self._left - 1, -1)
        return self._left == 0
