"""The rate limiter: never more requests in any window than the account's limit allows.

It knows clocks and waiting; it knows no request and no answer.
"""

import asyncio
import heapq
import math
import random
from collections import deque
from typing import NamedTuple

from suno_cover_async.errors import ClientUsageError
from suno_cover_async.policies import RateLimit
from suno_cover_async.resilience.delays import doubling

_MAX_IN_A_ROW = 3  # urgent callers, while others wait


class Permit(NamedTuple):
    """The right to send one request.

    Attributes:
        acquired_at: When it was given, by the loop's clock.
        generation: Which of the event loops that the limiter served it was given in.
    """

    acquired_at: float
    generation: int


class RateLimiter:
    """Never lets more than `rate_limit.calls` requests into any window, as the server counts.

    Callers are served in the order they came. Urgent ones go first, and leave every fourth permit
    to the others, if any wait. One limiter may serve several clients of one account, and several
    event loops in turn.

    The time an answer takes is rate unused: of 20 requests in 10 s, answers in 0.2 s leave 98 %,
    answers in 1 s 90 %.
    """

    # Why the server can never count too many: a permit returns one full window after the answer of
    # its request arrived. The server received the request before it answered, so by then that
    # request is out of every window that a new one could fall into, whatever the network does to
    # arrival times. Half a percent more covers coarse server clocks. A request that ended without
    # an answer may still be travelling, so its permit returns after two windows.

    def __init__(self, rate_limit: RateLimit) -> None:
        """Start idle: the first `rate_limit.calls` requests may go out at once."""
        self.rate_limit = rate_limit
        self._window = rate_limit.seconds * 1.005
        self._free = rate_limit.calls
        self._returning: list[float] = []  # a heap of the moments at which permits return
        self._urgent: deque[asyncio.Future[bool]] = deque()
        self._queue: deque[asyncio.Future[bool]] = deque()
        self._waiting = 0
        self._in_a_row = 0  # urgent callers served one after the other
        self._paused_until = -math.inf
        self._timer: asyncio.Handle | None = None  # uvloop's may know no `when`
        self._timer_due = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        self._generation = 0

    @property
    def busy(self) -> bool:
        """Whether somebody is waiting for a permit."""
        return self._waiting > 0

    def pause(self, until: float) -> None:
        """Give no permit before `until`, by the loop's clock."""
        self._paused_until = max(self._paused_until, until)

    def acquire_nowait(self) -> Permit | None:
        """Take a permit if there is one and nobody waits for it; `release` it after the request."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move(loop)
        now = loop.time()
        if self._waiting or not self._has_permit(now):
            return None
        self._free -= 1
        return Permit(now, self._generation)

    async def acquire(self, *, urgent: bool = False) -> Permit:
        """Wait for a permit, before others if `urgent`; `release` it after the request."""
        loop = asyncio.get_running_loop()
        while (permit := self.acquire_nowait()) is None:
            generation = self._generation
            if await self._turn(loop, generation, self._urgent if urgent else self._queue):
                return Permit(loop.time(), generation)
        return permit

    def release(self, permit: Permit, *, answered: bool) -> None:
        """Return a permit after its request, to be had again one window from now.

        It takes two windows if nothing was answered. What a dead loop's coroutines release,
        collected as garbage, the next loop counts.
        """
        loop = self._loop
        if loop and permit.generation == self._generation and not loop.is_closed():
            back = loop.time() + self._window * (1 if answered else 2)
            heapq.heappush(self._returning, back)
            if self._waiting:
                self._set_timer()

    def return_unused(self, permit: Permit) -> None:
        """Return a permit that was not used, to be had again at once."""
        if permit.generation == self._generation:
            self._free += 1
            self._serve()

    def _has_permit(self, now: float) -> bool:
        """Tell whether a permit can be had now, after those that are due have returned."""
        while self._returning and self._returning[0] <= now:
            heapq.heappop(self._returning)
            self._free += 1
        return self._free > 0 and now >= self._paused_until

    async def _turn(
        self, loop: asyncio.AbstractEventLoop, generation: int, queue: deque[asyncio.Future[bool]]
    ) -> bool:
        """Wait for a permit; False when the limiter moved to another event loop meanwhile."""
        place: asyncio.Future[bool] = loop.create_future()
        queue.append(place)
        self._waiting += 1
        self._set_timer()
        try:
            return await place
        except BaseException:  # a cancellation, or the end of a coroutine that nobody goes on with
            if generation != self._generation or loop.is_closed():
                pass  # nothing of that event loop counts any more
            elif place.cancelled() or place.cancel():  # it stays in the queue, and is passed over
                self._waiting -= 1
                if not self._waiting:
                    self._clear()
            else:  # the permit was given in the very moment of the cancellation: pass it on
                self._free += 1
                self._serve()
            raise

    def _serve(self) -> None:
        """Give free permits to those who wait, then set the timer for the next one."""
        self._cancel_timer()
        now = asyncio.get_running_loop().time()
        while (self._urgent or self._queue) and self._has_permit(now):
            is_urgent = bool(self._urgent) and (self._in_a_row < _MAX_IN_A_ROW or not self._queue)
            place = (self._urgent if is_urgent else self._queue).popleft()
            if not place.done():
                self._in_a_row = self._in_a_row + 1 if is_urgent else 0
                self._free -= 1
                self._waiting -= 1
                place.set_result(True)
        self._set_timer()

    def _set_timer(self) -> None:
        """Set the one timer for the next moment a permit can be had, if anybody waits for it."""
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

    def _clear(self) -> None:
        """Forget the queues; nobody is left in them."""
        self._urgent.clear()
        self._queue.clear()
        self._cancel_timer()

    def _cancel_timer(self) -> None:
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
            heapq.heappush(self._returning, loop.time() + 2 * self._window)
        for place in (*self._urgent, *self._queue):
            if not place.done() and not place.get_loop().is_closed():
                place.set_result(False)
        self._waiting = 0
        self._clear()
        self._loop = loop
        self._generation += 1


class Backpressure:
    """How long all requests pause after the host refused one for coming too often.

    A sane `Retry-After` is obeyed, up to `max_retry_after` seconds. Without one the pause is one
    window plus jitter, doubling with every further refusal up to 60 s, until a request is accepted.
    """

    def __init__(self, rate_limit: RateLimit, max_retry_after: float) -> None:
        """Start without a pause."""
        self._window = rate_limit.seconds
        self._max_retry_after = max_retry_after
        self._until = -math.inf
        self._start_anew()

    def refused(self, *, acquired_at: float, now: float, retry_after: float | None) -> float:
        """Note a refusal and return the loop's time until which all requests pause.

        Refusals of requests that were under way together count as one.
        """
        if acquired_at >= self._until:
            self._pause = next(self._pauses)
        own = self._pause * random.uniform(1.0, 1.1)
        wait = own if retry_after is None else min(retry_after, self._max_retry_after)
        self._until = max(self._until, now + wait)
        return self._until

    def accepted(self, *, acquired_at: float) -> None:
        """Note that a request was let in."""
        if self._pause and acquired_at >= self._until:
            self._start_anew()

    def _start_anew(self) -> None:
        self._pauses = doubling(self._window, max(_LONGEST_OWN_PAUSE, self._window))
        self._pause = 0.0


_LONGEST_OWN_PAUSE = 60.0
