"""How fast things end: over the last minutes, so that what was done long ago does not count.

It knows numbers and moments; what ends is not its business.
"""

from collections import deque

_WINDOW = 300.0  # seconds
_SHORTEST = 10.0  # seconds that tell anything
_STEP = 1.0  # seconds between two samples


class Speed:
    """Learns how many have ended, and when."""

    def __init__(self) -> None:
        """Know nothing."""
        self._samples: deque[tuple[float, int]] = deque()
        self._ended = 0

    def note(self, now: float, ended: int) -> None:
        """Learn how many have ended by now."""
        self._ended = ended
        samples = self._samples
        if not samples or now - samples[-1][0] >= _STEP:
            samples.append((now, ended))
        while len(samples) > 1 and samples[1][0] <= now - _WINDOW:
            samples.popleft()

    def per_minute(self, now: float) -> float | None:
        """Tell how many end in a minute; None while that is not known."""
        if not self._samples:
            return None
        began, ended = self._samples[0]
        passed, more = now - began, self._ended - ended
        return 60 * more / passed if more and passed >= _SHORTEST else None
