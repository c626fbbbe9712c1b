"""Delays that double: for retries, for probes of a host in trouble, for pauses after a 429.

They come from backoff's wait generators. Nothing else of backoff is used: its decorators follow the
wall clock, and warn on Python 3.14.
"""

from collections.abc import Iterator

import backoff


def doubling(first: float, longest: float) -> Iterator[float]:
    """Yield `first` seconds, then twice as much each time, up to `longest`; never stop."""
    delays = backoff.expo(factor=first, max_value=longest)
    next(delays)  # the first value of a backoff generator is None
    return delays
