"""The rate limiter: keeps requests within the account's limit in every window.

It knows clocks and queues; it knows no request and no answer.
"""

import asyncio
import heapq
import math
import random

from suno_cover_async.policies import RateLimit
from suno_cover_async.resilience.delays import doubling
from suno_cover_async.resilience.limiter import Limiter, Permit

WINDOW = 1.005
"""How many times its nominal length a window is taken for: server clocks may be coarse."""


class RateLimiter(Limiter):
    """Lets at most `rate_limit.calls` requests into any window, as the server counts them.

    It limits one process, of which it may serve several clients of one account. Callers are served
    in the order they came, urgent ones first, but every fourth permit goes to the others.

    The time until an answer reduces the usable rate: of 20 requests in 10 s, answers after 0.2 s
    leave 98 %, answers after 1 s 90 %.
    """

    # Why the server never counts more than the limit: a permit returns one full window after the
    # answer to its request arrived. The server received that request before it answered. So when
    # the permit is used again, the earlier request is outside every window that contains the new
    # one, however long the network delays either of them. A request that ended without an answer
    # may still be on its way to the server, so its permit returns after two windows.

    def __init__(self, rate_limit: RateLimit) -> None:
        """Start idle: the first `rate_limit.calls` requests may go out at once."""
        super().__init__(rate_limit)
        self._window = rate_limit.seconds * WINDOW
        self._free = rate_limit.calls
        self._returning: list[float] = []  # a heap of the moments at which permits return
        self._timer: asyncio.Handle | None = None  # uvloop's handle may have no `when`
        self._timer_due = math.inf

    def acquire_nowait(self) -> Permit | None:
        """Return a free permit if no caller waits for one; `release` it after the request."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move(loop)
        now = loop.time()
        if self._waiting or not self._has_permit(now):
            return None
        self._free -= 1
        return Permit(now, self._generation)

    def release(self, permit: Permit, *, answered: bool) -> None:
        """Return a permit after its request; it is free one window from now, two if unanswered."""
        # Coroutines of a closed event loop release their permits when they are collected as
        # garbage, perhaps while another loop is served. Those permits are ignored here: `_move`
        # counts them as unanswered, and counting them twice would exceed the limit.
        loop = self._loop
        if loop and permit.generation == self._generation and not loop.is_closed():
            back = loop.time() + self._window * (1 if answered else 2)
            heapq.heappush(self._returning, back)
            if self._waiting:
                self._serve()

    def return_unused(self, permit: Permit) -> None:
        """Return a permit that was not used; it is free at once."""
        if permit.generation == self._generation:
            self._free += 1
            self._serve_now()

    def _has_permit(self, now: float) -> bool:
        """Return whether a permit is free now, after adding those that are due to return."""
        while self._returning and self._returning[0] <= now:
            heapq.heappop(self._returning)
            self._free += 1
        return self._free > 0 and now >= self.paused_until

    def _serve(self) -> None:
        """Set the timer for the moment the next permit is free, if any caller waits."""
        if not self._waiting or self._loop is None or not (self._free or self._returning):
            return
        due = self.paused_until
        if not self._free:
            due = max(self._returning[0], due)
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer, self._timer_due = self._loop.call_at(due, self._serve_now), due

    def _serve_now(self) -> None:
        """Give free permits to the waiting callers, then set the timer for the next one."""
        self._cancel_timer()
        now = asyncio.get_running_loop().time()
        while self._has_permit(now) and (place := self._next_caller()) is not None:
            self._free -= 1
            place.set_result(Permit(now, self._generation))
        self._serve()

    def _clear(self) -> None:
        super()._clear()
        self._cancel_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve another event loop; requests in flight in the last one count as unanswered."""
        # The server may still receive requests of the last event loop, so their permits return
        # after two windows.
        super()._move(loop)
        left_in_flight = self.rate_limit.calls - self._free - len(self._returning)
        for _ in range(left_in_flight):
            heapq.heappush(self._returning, loop.time() + 2 * self._window)


class Backpressure:
    """Chooses how long all requests pause after the host refused one for calling too often.

    A valid `Retry-After` is obeyed, up to `max_retry_after` seconds. Without one the pause is one
    window plus jitter; it doubles with every further refusal, up to 60 s, until a request is
    accepted.

    Attributes:
        until: Until when all requests pause, by the loop's clock.
    """

    def __init__(self, rate_limit: RateLimit, max_retry_after: float) -> None:
        """Start without a pause."""
        self._window = rate_limit.seconds
        self._max_retry_after = max_retry_after
        self.until: float = -math.inf
        self._start_anew()

    def refused(self, *, acquired_at: float, now: float, retry_after: float | None) -> float:
        """Record a refusal; return the time, by the loop's clock, until which all requests pause.

        Refusals of requests that were under way at the same time count as one.
        """
        if acquired_at >= self.until:
            self._pause = next(self._pauses)
        own = self._pause * random.uniform(1.0, 1.1)
        wait = own if retry_after is None else min(retry_after, self._max_retry_after)
        self.until = max(self.until, now + wait)
        return self.until

    def accepted(self, *, acquired_at: float) -> None:
        """Record that a request was accepted; the next pause starts at one window again."""
        if self._pause and acquired_at >= self.until:
            self._start_anew()

    def _start_anew(self) -> None:
        self._pauses = doubling(self._window, max(_LONGEST_OWN_PAUSE, self._window))
        self._pause = 0.0


_LONGEST_OWN_PAUSE = 60.0
