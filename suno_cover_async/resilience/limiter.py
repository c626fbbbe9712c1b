"""What every rate limiter has: a permit for each request, and a queue of callers that wait for one.

`rate_limiter.py` limits one process. `fleet/` limits several processes together.
"""

import asyncio
import math
from abc import ABC, abstractmethod
from collections import deque
from typing import NamedTuple

from suno_cover_async.errors import ClientUsageError
from suno_cover_async.policies import RateLimit

_MAX_IN_A_ROW = 3  # urgent callers served in a row while others wait


class Permit(NamedTuple):
    """The right to send one request.

    Attributes:
        acquired_at: When it was given, by the loop's clock.
        generation: The number of the event loop that it was given in, counted by the limiter.
        token: What names the permit among processes that share a limit; 0 if none does.
    """

    acquired_at: float
    generation: int
    token: int = 0


_Place = asyncio.Future[Permit | None]


class Limiter(ABC):
    """Gives one permit for each request, and keeps the callers that wait for one.

    Callers are served in the order they came. Urgent ones go first, but every fourth permit goes to
    the others, if any wait. A limiter may serve several event loops in turn.

    Attributes:
        rate_limit: The limit that it keeps.
        paused_until: Until when `pause` holds all requests back, by the loop's clock; other
            processes that share the limit may have paused it for longer.
    """

    def __init__(self, rate_limit: RateLimit) -> None:
        """Start without callers."""
        self.rate_limit = rate_limit
        self.paused_until: float = -math.inf
        self._urgent: deque[_Place] = deque()
        self._queue: deque[_Place] = deque()
        self._waiting = 0
        self._in_a_row = 0  # urgent callers served in a row
        self._loop: asyncio.AbstractEventLoop | None = None
        self._generation = 0

    @property
    def trouble(self) -> str | None:
        """What hinders the limiter itself for the moment, while it is tried again; else None."""
        return None

    @property
    def busy(self) -> bool:
        """Whether any caller waits for a permit, because none is free."""
        return self._waiting > 0

    def bind(self, account: str) -> None:  # noqa: B027 - most limiters need not know it
        """Learn the account whose limit it keeps, as a fingerprint; the client calls this."""

    def pause(self, until: float) -> None:
        """Give no permit before `until`, by the loop's clock."""
        self.paused_until = max(self.paused_until, until)

    @abstractmethod
    def acquire_nowait(self) -> Permit | None:
        """Return a permit if one is free at once and no caller waits for one."""

    async def acquire(self, *, urgent: bool = False) -> Permit:
        """Wait for a permit, ahead of others if `urgent`; `release` it after the request."""
        while (permit := self.acquire_nowait()) is None:
            permit = await self._turn(self._urgent if urgent else self._queue)
            if permit is not None and self._is_usable(permit):
                return permit
        return permit

    @abstractmethod
    def release(self, permit: Permit, *, answered: bool) -> None:
        """Return a permit after its request; it is free one window from now, two if unanswered."""

    @abstractmethod
    def return_unused(self, permit: Permit) -> None:
        """Return a permit that was not used; it is free at once."""

    @abstractmethod
    def _serve(self) -> None:
        """Give free permits to the callers in the queue, or see to it that they get them later."""

    def _is_usable(self, _permit: Permit) -> bool:
        """Return whether a request may still be sent with a permit; if not, dispose of it."""
        return True

    async def _turn(self, queue: deque[_Place]) -> Permit | None:
        """Wait in a queue for a permit; return None if the limiter moved to another event loop."""
        loop, generation = asyncio.get_running_loop(), self._generation
        place: _Place = loop.create_future()
        queue.append(place)
        self._waiting += 1
        self._serve()
        try:
            return await place
        except BaseException:
            # The caller was cancelled, or its coroutine was collected as garbage. The permit may
            # have been given just before: the future is done, but the caller never resumes. It
            # would be lost for good, so it is given to the next caller. If the limiter serves
            # another event loop by now, `_move` has emptied the queues already.
            if generation != self._generation or loop.is_closed():
                pass
            elif place.cancelled() or place.cancel():  # it stays in the queue and is skipped there
                self._waiting -= 1
                if not self._waiting:
                    self._clear()
            elif place.exception() is None and (permit := place.result()) is not None:
                self.return_unused(permit)
            raise

    def _next_caller(self) -> _Place | None:
        """Remove the caller whose turn it is from its queue and return it; None if none waits."""
        while self._urgent or self._queue:
            is_urgent = bool(self._urgent) and (self._in_a_row < _MAX_IN_A_ROW or not self._queue)
            place = (self._urgent if is_urgent else self._queue).popleft()
            if not place.done():
                self._in_a_row = self._in_a_row + 1 if is_urgent else 0
                self._waiting -= 1
                return place
        return None

    def _clear(self) -> None:
        """Empty the queues, in which no caller waits any more."""
        self._urgent.clear()
        self._queue.clear()

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve another event loop from now on.

        Raises:
            ClientUsageError: The last event loop is still running.
        """
        # Callers that wait in a loop that is only paused get None, and queue again here once it
        # runs; else they would wait for ever in a queue that is not served.
        if self._loop is not None and self._loop.is_running():
            raise ClientUsageError("a rate limiter serves one running event loop at a time")
        for place in (*self._urgent, *self._queue):
            if not place.done() and not place.get_loop().is_closed():
                place.set_result(None)
        self._waiting = 0
        self._clear()
        self._loop = loop
        self._generation += 1
