"""What a client remembers from one call to the next, in whichever event loop.

It knows values and moments; it asks nobody and waits for nothing.
"""

from suno_cover_async.models import CoverDetails, CoverTask
from suno_cover_async.pace import Durations


class Memory:
    """Cover tasks that nobody was told of yet, the ages of young ones, and how long covers take."""

    def __init__(self, grace: float) -> None:
        """Remember births for `grace` seconds, while `data: null` means "not visible yet"."""
        self._grace = grace
        self._births: dict[str, float] = {}
        self.unclaimed: dict[str, CoverTask] = {}
        self.durations: Durations = Durations()

    def accepted(self, task: CoverTask, now: float) -> None:
        """Remember a cover task from the moment its submit was answered, until it is claimed."""
        self.unclaimed[task.music_task_id] = task
        self._forget_old(now)
        if not task.adopted:
            self._births[task.cover_task_id] = now

    def claim(self, music_task_id: str) -> CoverTask | None:
        """Hand over what was accepted for a music task, once."""
        return self.unclaimed.pop(music_task_id, None)

    def settle(self, details: CoverDetails) -> None:
        """Forget a cover task that was waited for to its end."""
        claimant = details.music_task_id or ""
        kept = self.unclaimed.get(claimant)
        if kept is not None and kept.cover_task_id == details.cover_task_id:
            del self.unclaimed[claimant]

    def born(self, cover_task_id: str, now: float) -> float | None:
        """Tell when a cover task was accepted, if that was within the grace."""
        self._forget_old(now)
        return self._births.get(cover_task_id)

    def learn(self, details: CoverDetails) -> None:
        """Learn how long a finished cover took."""
        if details.finished and details.duration is not None:
            self.durations.learn(details.duration.total_seconds())

    def _forget_old(self, now: float) -> None:
        while self._births:
            oldest = next(iter(self._births))
            if self._births[oldest] >= now - self._grace:
                return
            del self._births[oldest]
