"""Measure throughput over the last five minutes.

It knows counts and times; it does not know what is counted.
"""

from collections import deque

_WINDOW = 300.0  # seconds
_STEP = 1.0  # seconds between two samples


class Throughput:
    """Measures how many tracks end in a minute."""

    def __init__(self, shortest: float = 10.0) -> None:
        """Start without samples; no rate is known before `shortest` seconds of them."""
        self._shortest = shortest
        self._samples: deque[tuple[float, int]] = deque()
        self._ended = 0

    def note(self, now: float, ended: int) -> None:
        """Record how many have ended by now."""
        self._ended = ended
        samples = self._samples
        if not samples or now - samples[-1][0] >= _STEP:
            samples.append((now, ended))
        while len(samples) > 1 and samples[1][0] <= now - _WINDOW:
            samples.popleft()

    def per_minute(self, now: float) -> float | None:
        """Return how many end in a minute; None too early, or if none has ended."""
        if not self._samples:
            return None
        began, ended = self._samples[0]
        passed, more = now - began, self._ended - ended
        return 60 * more / passed if more and passed >= self._shortest else None
