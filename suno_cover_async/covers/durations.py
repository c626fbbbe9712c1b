"""Statistics about a host: how long covers take, and whether its callbacks come.

It computes with numbers only; it makes no request and never waits.
"""

import math
from collections import deque


class Durations:
    """The durations of the last 200 covers, by the host's own clock."""

    def __init__(self) -> None:
        """Start without any duration."""
        self._seconds: deque[float] = deque(maxlen=200)

    def learn(self, seconds: float) -> None:
        """Record one duration; ignore an impossible one (not above 0, or over half an hour).

        A host that writes one of the two times in its own time zone and the other in UTC would
        otherwise add durations that are hours off.
        """
        if 0 < seconds <= _LONGEST_BELIEVED:
            self._seconds.append(seconds)

    def initial_delay(self, *, busy: bool) -> float:
        """Return the age in seconds at which a task is first polled.

        That is the 25th percentile, so that the first poll finds a quarter of the covers finished;
        or the 95th while polls queue (`busy`).
        """
        if not self._seconds:
            return _FIRST_POLL_BUSY if busy else _FIRST_POLL_UNLEARNED
        return self._percentile(0.95 if busy else 0.25)

    def fallback_delay(self, margin: float) -> float:
        """Return the age in seconds by which a callback should have come.

        That is the 99th percentile, plus `margin` seconds for the callback's delivery.
        """
        return self._percentile(0.99) + margin if self._seconds else _FALLBACK_UNLEARNED

    def _percentile(self, share: float) -> float:
        """Return the least duration that at least this share of all durations does not exceed."""
        return sorted(self._seconds)[math.ceil(share * len(self._seconds)) - 1]


_LONGEST_BELIEVED = 1_800.0
_FIRST_POLL_UNLEARNED = 20.0
_FIRST_POLL_BUSY = 60.0
_FALLBACK_UNLEARNED = 60.0


class Trust:
    """Decides whether callbacks can be relied on, from those that came and those that did not."""

    def __init__(self, patience: int = 5, most: int = 25) -> None:
        """Rely on callbacks until `patience` covers finish without one.

        Each callback raises that number by 1, up to `most`. With a patience of 0 callbacks are
        never relied on.
        """
        self._patience = patience
        self._most = most
        self._left = patience

    @property
    def given(self) -> bool:
        """Whether callbacks are relied on."""
        return self._left > 0

    def came(self) -> None:
        """Record a callback."""
        self._left = min(self._left + 1, self._most) if self.given else self._patience

    def missed(self) -> bool:
        """Record a cover that finished without a callback; return whether trust just ended."""
        self._left = max(self._left - 1, -1)
        return self._left == 0
