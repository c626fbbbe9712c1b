"""One timer for all that is under way, where each may take equally long.

It does for a task what `asyncio.timeout` does. That costs a timer each time, which is a good part
of what a request costs; here who began first is late first, so one timer, set for the first, is
enough.
"""

import asyncio
from typing import Any


class Overtime:
    """Cancels tasks that take too long at something; in one event loop."""

    def __init__(self, seconds: float) -> None:
        """Allow each task so many seconds."""
        self._seconds = seconds
        self._ends: dict[asyncio.Task[Any], tuple[float, int]] = {}  # the first to end is first
        self._late: dict[asyncio.Task[Any], int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, now: float) -> asyncio.Task[Any]:
        """Have the running task take no longer than allowed, until it `end`s.

        Args:
            now: By the loop's clock; not before that of any other.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be late")
        end = now + self._seconds
        self._ends[task] = end, task.cancelling()
        if self._timer is None:
            self._timer = task.get_loop().call_at(end, self._ring, end)
        return task

    def was_cancelled(self, task: asyncio.Task[Any]) -> bool:
        """Whether a task was cancelled since it began, by anybody: for being late, too."""
        return task not in self._ends or task.cancelling() > self._ends[task][1]

    def end(self, task: asyncio.Task[Any]) -> bool:
        """Let a task be; whether it was cancelled for being late, and for nothing else."""
        if self._ends.pop(task, None) is not None:
            return False
        return task.uncancel() <= self._late.pop(task)

    def stop(self) -> None:
        """Leave no timer behind; nobody is under way any more, or none who matters."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self, now: float) -> None:
        """Cancel whoever is late, and wait for the next."""
        self._timer = None
        for task, (end, cancellations) in list(self._ends.items()):
            if end > now:
                self._timer = task.get_loop().call_at(end, self._ring, end)
                return
            del self._ends[task]
            self._late[task] = cancellations
            task.cancel()
