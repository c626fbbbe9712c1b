"""Any number of moments on one timer of the event loop.

It knows clocks; what is due then is its owner's business. asyncio has a timer for each, which costs
half a kilobyte, and a task that sleeps three times as much.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from typing import Generic, TypeVar

A_MOMENT = 0.001
"""Seconds that a timer may be early."""

_AT_A_TIME = 20  # then whatever else is to be done has its turn
_FEW = 64
_HELD = 1.0


S = TypeVar("S")


class Alarms(Generic[S]):
    """Wakes sleepers, each at the moment that was set for it last."""

    def __init__(
        self, wake: Callable[[S], None], *, are_held: Callable[[], bool] = lambda: False
    ) -> None:
        """Wake nobody yet; nobody at all while `are_held`, which is asked again every second."""
        self._wake = wake
        self._are_held = are_held
        self._entries: dict[S, tuple[float, int, S]] = {}
        self._heap: list[tuple[float, int, S]] = []  # those, and some that were set anew
        self._turn = itertools.count()
        self._timer: asyncio.Handle | None = None
        self._due = math.inf

    def set(self, sleeper: S, moment: float) -> None:
        """Wake it at a moment of the loop's clock, and at no other; at infinity, never."""
        if moment == self.moment(sleeper):
            return
        self._entries.pop(sleeper, None)
        if moment < math.inf:
            entry = self._entries[sleeper] = (moment, next(self._turn), sleeper)
            heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._entries) + _FEW:
            self._heap = list(self._entries.values())
            heapq.heapify(self._heap)
        if moment < math.inf:
            self.go_on()
        elif not self._entries:
            self._heap.clear()
            self._stop()

    def moment(self, sleeper: S) -> float:
        """Tell when it will be woken; infinity while it will not."""
        return self._entries[sleeper][0] if sleeper in self._entries else math.inf

    def go_on(self) -> None:
        """Have a timer for whoever is next; call it when they may be held no more."""
        while self._heap and self._entries.get(self._heap[0][2]) is not self._heap[0]:
            heapq.heappop(self._heap)  # it was set anew
        if not self._heap:
            return
        loop, due = asyncio.get_running_loop(), self._heap[0][0]
        if self._are_held():
            due = max(due, loop.time() + _HELD)
        if due < self._due:
            self._stop()
            self._timer, self._due = loop.call_at(due, self._ring), due

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, math.inf

    def _ring(self) -> None:
        self._timer, self._due = None, math.inf
        now = asyncio.get_running_loop().time() + A_MOMENT
        try:
            for _ in range(_AT_A_TIME):
                if not self._heap or self._heap[0][0] > now or self._are_held():
                    break
                entry = heapq.heappop(self._heap)
                if self._entries.get(entry[2]) is entry:
                    del self._entries[entry[2]]
                    self._wake(entry[2])
        finally:
            self.go_on()
