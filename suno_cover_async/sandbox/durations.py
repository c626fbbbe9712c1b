"""How long covers take: so many seconds, something between two bounds, or a distribution."""

import math
import random
from typing import Any

import attrs

from suno_cover_async.common.validation import checked, positive
from suno_cover_async.sandbox import validators


@attrs.frozen(kw_only=True)
class Lognormal:
    """Seconds as hosts take them: most around the median, never below 0, a few far above.

    Attributes:
        median: In seconds, above 0: half of all take less.
        sigma: The standard deviation of the logarithm, 0 to 5: two of three lie between
            `median / e**sigma` and `median * e**sigma`; with 0.4, between 0.67 and 1.49 medians.
    """

    median: float = attrs.field(validator=checked(positive))
    sigma: float = attrs.field(validator=validators.spread)

    def draw(self, dice: random.Random) -> float:
        """Draw one duration."""
        return dice.lognormvariate(math.log(self.median), self.sigma)


Seconds = float | tuple[float, float] | Lognormal
"""So many, evenly between (lowest, highest), or so distributed."""


def check(instance: object, attribute: "attrs.Attribute[Any]", value: Seconds) -> None:
    """Check what a scenario says about durations, as a validator."""
    if not isinstance(value, Lognormal):
        validators.span(instance, attribute, value)


def draw(seconds: Seconds, dice: random.Random) -> float:
    """Draw one duration."""
    if isinstance(seconds, Lognormal):
        return seconds.draw(dice)
    low, high = seconds if isinstance(seconds, tuple) else (seconds, seconds)
    return dice.uniform(low, high)
