"""Draw how long covers take: a fixed time, a time between two bounds, or from a distribution."""

import math
import random
from typing import Any

import attrs

from suno_cover_async.common.validation import checked, positive
from suno_cover_async.sandbox import validators


@attrs.frozen(kw_only=True)
class Lognormal:
    """Durations as hosts have them: most near the median, none below 0, a few far above.

    Attributes:
        median: In seconds, above 0: half of all durations are shorter.
        sigma: The standard deviation of the logarithm, 0 to 5: two of three lie between
            `median / e**sigma` and `median * e**sigma`; with 0.4, between 0.67 and 1.49 medians.
    """

    median: float = attrs.field(validator=checked(positive))
    sigma: float = attrs.field(validator=validators.spread)

    def draw(self, dice: random.Random) -> float:
        """Draw one duration in seconds."""
        return dice.lognormvariate(math.log(self.median), self.sigma)


Seconds = float | tuple[float, float] | Lognormal
"""A fixed number of seconds; (lowest, highest), drawn evenly; or a distribution."""


def check(instance: object, attribute: "attrs.Attribute[Any]", value: Seconds) -> None:
    """Check the durations of a scenario, as an attrs validator."""
    if not isinstance(value, Lognormal):
        validators.span(instance, attribute, value)


def draw(seconds: Seconds, dice: random.Random) -> float:
    """Draw one duration in seconds."""
    if isinstance(seconds, Lognormal):
        return seconds.draw(dice)
    low, high = seconds if isinstance(seconds, tuple) else (seconds, seconds)
    return dice.uniform(low, high)
