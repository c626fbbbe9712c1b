"""What is learned of a host: how long covers take, and whether its callbacks come.

It knows numbers; it asks nobody and waits for nothing.
"""

import math
from collections import deque


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

    def initial_delay(self, *, busy: bool) -> float:
        """Return the age in seconds at which a first look is worth it.

        That is the 25th percentile, so that a quarter is noticed at the first look; and the 95th
        while looks have to queue (`busy`).
        """
        if not self._seconds:
            return _FIRST_POLL_BUSY if busy else _FIRST_POLL_UNLEARNED
        return self._percentile(0.95 if busy else 0.25)

    def fallback_delay(self, margin: float) -> float:
        """Return the age in seconds at which a callback should have come.

        That is the 99th percentile, and `margin` seconds for the callback's own way.
        """
        return self._percentile(0.99) + margin if self._seconds else _FALLBACK_UNLEARNED

    def _percentile(self, share: float) -> float:
        """Return the least duration that this share of all does not exceed."""
        return sorted(self._seconds)[math.ceil(share * len(self._seconds)) - 1]


_LONGEST_BELIEVED = 1_800.0
_FIRST_POLL_UNLEARNED = 20.0
_FIRST_POLL_BUSY = 60.0
_FALLBACK_UNLEARNED = 60.0


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
