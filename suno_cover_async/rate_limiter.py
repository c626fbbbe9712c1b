"""The request window: the limiter that keeps a host's limit.

It knows clocks and waiting; it knows no request and no answer.
"""

import asyncio
import heapq
import math
import random
from collections import deque
from typing import NamedTuple

import backoff

from suno_cover_async.errors import ClientUsageError
from suno_cover_async.policies import RateLimit

_MOST_IN_A_ROW = 3  # urgent callers, while others wait


class Permit(NamedTuple):
    """The right to send one request.

    Attributes:
        entered: When it was given, by the loop's clock.
        era: Which event loop of the window's life it was given in.
    """

    entered: float
    era: int


class RateLimiter:
    """The limiter: never more than `rate.calls` requests in any window, as the server counts.

    A slot comes back one full window after the answer arrived: the server saw the request before
    it answered, so none of its windows can hold more than `rate.calls`, whatever the network does
    to arrival times. Half a percent more covers coarse server clocks. A request that ended without
    an answer may still be travelling, so its slot comes back after two windows. Callers are served
    in the order they came; urgent ones go first, and leave every fourth slot to the others, if any
    wait.

    The time an answer takes is rate unused: of 20 in 10 s, answers in 0.2 s leave 98 %, answers in
    1 s 90 %.

    One window may serve several clients of one account, and several event loops in turn.
    """

    def __init__(self, rate_limit: RateLimit) -> None:
        """Start idle: the first `rate.calls` may go out at once."""
        self.rate_limit = rate_limit
        self._period = rate_limit.seconds * 1.005
        self._free = rate_limit.calls
        self._returning: list[float] = []
        self._urgent: deque[asyncio.Future[bool]] = deque()
        self._queue: deque[asyncio.Future[bool]] = deque()
        self._waiting = 0
        self._row = 0  # urgent callers served one after the other
        self._paused_until = -math.inf
        self._timer: asyncio.Handle | None = None  # uvloop's may know no `when`
        self._timer_due = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._era = 0

    @property
    def busy(self) -> bool:
        """Whether somebody is waiting for a slot."""
        return self._waiting > 0

    def pause(self, until: float) -> None:
        """Let nobody enter before `until`, by the loop's clock."""
        self._paused_until = max(self._paused_until, until)

    def acquire_nowait(self) -> Permit | None:
        """Take a slot if there is one, and nobody waits for it; whoever gets it must `leave`."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move(loop)
        now = loop.time()
        if self._waiting or not self._is_open(now):
            return None
        self._free -= 1
        return Permit(now, self._era)

    async def enter(self, *, urgent: bool = False) -> Permit:
        """Wait for a slot, `urgent`ly or not; whoever gets it must `leave`."""
        loop = asyncio.get_running_loop()
        while (slot := self.acquire_nowait()) is None:
            era = self._era
            if await self._turn(loop, era, self._urgent if urgent else self._queue):
                return Permit(loop.time(), era)
        return slot

    def leave(self, slot: Permit, *, answered: bool) -> None:
        """Give a slot back, to be had again one window from now, or two if nothing was answered.

        What a dead loop's coroutines leave, collected as garbage, the next loop counts.
        """
        loop = self._loop
        if loop and slot.era == self._era and not loop.is_closed():
            back = loop.time() + self._period * (1 if answered else 2)
            heapq.heappush(self._returning, back)
            if self._waiting:
                self._arm()

    def return_unused(self, slot: Permit) -> None:
        """Give back a slot that was not used."""
        if slot.era == self._era:
            self._free += 1
            self._serve()

    def _is_open(self, now: float) -> bool:
        """Whether a slot can be had now, after those that are due have come back."""
        while self._returning and self._returning[0] <= now:
            heapq.heappop(self._returning)
            self._free += 1
        return self._free > 0 and now >= self._paused_until

    async def _turn(
        self, loop: asyncio.AbstractEventLoop, era: int, queue: deque[asyncio.Future[bool]]
    ) -> bool:
        """Wait for a slot; False when the window moved to another loop meanwhile."""
        place: asyncio.Future[bool] = loop.create_future()
        queue.append(place)
        self._waiting += 1
        self._arm()
        try:
            return await place
        except BaseException:  # a cancellation, or the end of a coroutine that nobody goes on with
            if era != self._era or loop.is_closed():
                pass  # nothing of this era counts any more
            elif place.cancelled() or place.cancel():  # it stays in the queue, and is passed over
                self._waiting -= 1
                if not self._waiting:
                    self._rest()
            else:  # the slot was given in the very moment of the cancellation: pass it on
                self._free += 1
                self._serve()
            raise

    def _serve(self) -> None:
        """Give free slots to those who wait, then sleep until the next one is due."""
        self._stop()
        now = asyncio.get_running_loop().time()
        while (self._urgent or self._queue) and self._is_open(now):
            is_urgent = bool(self._urgent) and (self._row < _MOST_IN_A_ROW or not self._queue)
            place = (self._urgent if is_urgent else self._queue).popleft()
            if not place.done():
                self._row = self._row + 1 if is_urgent else 0
                self._free -= 1
                self._waiting -= 1
                place.set_result(True)
        self._arm()

    def _arm(self) -> None:
        """Set the one timer for the next moment a slot can be had, if anybody waits for it."""
        if not self._waiting or self._loop is None or not (self._free or self._returning):
            return
        due = self._paused_until
        if not self._free:
            due = max(self._returning[0], due)
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer, self._timer_due = self._loop.call_at(due, self._serve), due

    def _rest(self) -> None:
        """Wait for nothing: nobody is left in the queues."""
        self._urgent.clear()
        self._queue.clear()
        self._stop()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve another event loop: what the last one left in flight counts as unanswered now.

        Those who still queue in a loop that only paused queue anew when it goes on.
        """
        if self._loop is not None and self._loop.is_running():
            raise ClientUsageError("a RateLimiter serves one running event loop at a time")
        left_in_flight = self.rate_limit.calls - self._free - len(self._returning)
        for _ in range(left_in_flight):
            heapq.heappush(self._returning, loop.time() + 2 * self._period)
        for place in (*self._urgent, *self._queue):
            if not place.done() and not place.get_loop().is_closed():
                place.set_result(False)
        self._waiting = 0
        self._rest()
        self._loop = loop
        self._era += 1


class Backpressure:
    """How long all requests pause after the host refused one for coming too often.

    A sane `Retry-After` is obeyed, up to `longest_pause` seconds. Without one the pause is one
    window plus jitter, doubling with every further refusal up to 60 s, until a request is accepted.
    """

    def __init__(self, rate_limit: RateLimit, longest_pause: float) -> None:
        """Start without a pause."""
        self._window = rate_limit.seconds
        self._longest_pause = longest_pause
        self._until = -math.inf
        self._start_anew()

    def refused(self, *, entered: float, now: float, retry_after: float | None) -> float:
        """Note a refusal and return the loop's time until which all requests pause.

        Refusals of requests that were under way together count as one.
        """
        if entered >= self._until:
            self._pause = next(self._pauses)
        own = self._pause * random.uniform(1.0, 1.1)
        wait = own if retry_after is None else min(retry_after, self._longest_pause)
        self._until = max(self._until, now + wait)
        return self._until

    def accepted(self, *, entered: float) -> None:
        """Note that a request was let in."""
        if self._pause and entered >= self._until:
            self._start_anew()

    def _start_anew(self) -> None:
        longest = max(_LONGEST_OWN_PAUSE, self._window)
        self._pauses = backoff.expo(factor=self._window, max_value=longest)
        next(self._pauses)  # a wait generator of backoff's yields nothing first
        self._pause = 0.0


_LONGEST_OWN_PAUSE = 60.0
