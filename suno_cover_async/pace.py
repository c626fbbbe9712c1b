"""When: the request window that keeps a host's limit, and the rhythm of polling.

It knows clocks and waiting; it knows no request and no answer.
"""

import math
from typing import Any

import attrs


def positive(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    """Validate a finite number above 0; raises ValueError naming the argument."""
    if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
        raise ValueError(f"{attribute.name} must be a finite number above 0, not {value!r}")


def whole(_: object, attribute: "attrs.Attribute[Any]", value: int) -> None:
    """Validate a whole number of at least 1; raises ValueError naming the argument."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{attribute.name} must be a whole number of at least 1, not {value!r}")


@attrs.frozen(kw_only=True)
class Rate:
    """At most `calls` requests in any window of `seconds`, whichever moment it begins at."""

    calls: int = attrs.field(validator=whole)
    seconds: float = attrs.field(validator=positive)
