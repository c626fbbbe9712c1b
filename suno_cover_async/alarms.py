"""Any number of moments on one timer of the event loop.

It knows clocks; what is due then is its owner's business. asyncio has a timer for each, which costs
half a kilobyte, and a task that sleeps three times as much.
"""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

A_MOMENT = 0.001
"""Seconds that a timer may be early."""

_AT_A_TIME = 20  # then whatever else is to be done has its turn
_FEW = 64


class Sleeper(Protocol):
    """What may be woken.

    Attributes:
        alarm: When it will be, by the loop's clock; infinity while it will not. Set by `Alarms`.
    """

    alarm: float


S = TypeVar("S", bound=Sleeper)


class Alarms(Generic[S]):
    """Wakes sleepers, each at the moment that was set for it last."""

    def __init__(
        self, wake: Callable[[S], None], *, are_held: Callable[[], bool] = lambda: False
    ) -> None:
        """Wake nobody yet; nobody at all while `are_held`, until `go_on` is called."""
        self._wake = wake
        self._are_held = are_held
        self._heap: list[tuple[float, int, S]] = []
        self._turn = itertools.count()
        self._set = 0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, sleeper: S, moment: float) -> None:
        """Wake it at a moment of the loop's clock, and at no other; at infinity, never."""
        if moment == sleeper.alarm:
            return
        self._set += (moment < math.inf) - (sleeper.alarm < math.inf)
        sleeper.alarm = moment
        if len(self._heap) > 2 * self._set + _FEW:  # most of it is of alarms that were set anew
            self._heap = [entry for entry in self._heap if entry[2].alarm == entry[0]]
            heapq.heapify(self._heap)
        if moment < math.inf:
            heapq.heappush(self._heap, (moment, next(self._turn), sleeper))
            self.go_on()
        elif not self._set and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def go_on(self) -> None:
        """Have a timer for whoever is next."""
        if not self._heap or self._are_held():
            return
        moment = self._heap[0][0]
        if self._timer is not None:
            if self._timer.when() <= moment:
                return
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(moment, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time() + A_MOMENT
        for _ in range(_AT_A_TIME):
            if not self._heap or self._heap[0][0] > now or self._are_held():
                break
            moment, _, sleeper = heapq.heappop(self._heap)
            if moment == sleeper.alarm:
                self.set(sleeper, math.inf)
                self._wake(sleeper)
        self.go_on()
