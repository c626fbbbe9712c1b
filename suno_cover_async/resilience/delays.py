"""Delays that double: for retries, for probes of a host in trouble, for pauses after a 429.

They are backoff's, of which its wait generators are used and nothing else: its decorators follow
the wall clock, and warn on Python 3.14.
"""

from collections.abc import Iterator

import backoff


def doubling(first: float, longest: float) -> Iterator[float]:
    """Yield `first` seconds, then twice as much each time, up to `longest`; without end."""
    delays = backoff.expo(factor=first, max_value=longest)
    next(delays)  # it yields nothing at first
    return delays
