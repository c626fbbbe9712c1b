"""When: the request window that keeps a host's limit, and the rhythm of polling.

It knows clocks and waiting; it knows no request and no answer.
"""

import asyncio
import functools
import heapq
import math
import random
from collections import deque

import attrs

from suno_cover_async.arguments import checked, count, positive
from suno_cover_async.errors import ClientUsageError


@attrs.frozen(kw_only=True)
class Rate:
    """At most `calls` requests in any window of `seconds`, whichever moment it begins at."""

    calls: int = attrs.field(validator=checked(count))
    seconds: float = attrs.field(validator=checked(positive))


@attrs.frozen
class Slot:
    """The right to send one request.

    Attributes:
        entered: When it was given, by the loop's clock.
        era: Which event loop of the window's life it was given in.
        share: The right to be in a fast lane, for who came through one.
    """

    entered: float
    era: int
    share: "Slot | None" = None


class RequestWindow:
    """The limiter: never more than `rate.calls` requests in any window, as the server counts.

    A slot comes back one full window after the answer arrived: the server saw the request before
    it answered, so none of its windows can hold more than `rate.calls`, whatever the network does
    to arrival times. Half a percent more covers coarse server clocks. A request that ended without
    an answer may still be travelling, so its slot comes back after two windows. Callers are served
    in the order they came, those of a `FastLane` before all others.

    The time an answer takes is rate unused: of 20 in 10 s, answers in 0.2 s leave 98 %, answers in
    1 s 90 %.

    One window may serve several clients of one account, and several event loops in turn.
    """

    def __init__(self, rate: Rate) -> None:
        """Start idle: the first `rate.calls` may go out at once."""
        self.rate = rate
        self._period = rate.seconds * 1.005
        self._free = rate.calls
        self._returning: list[float] = []
        self._urgent: deque[asyncio.Future[bool]] = deque()
        self._queue: deque[asyncio.Future[bool]] = deque()
        self._waiting = 0
        self._paused_until = -math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._era = 0

    @property
    def busy(self) -> bool:
        """Whether somebody is waiting for a slot."""
        return self._waiting > 0

    @functools.cached_property
    def fast_lane(self) -> "FastLane":
        """The one fast lane through this window, whoever uses it."""
        return FastLane(self)

    def pause(self, until: float) -> None:
        """Let nobody enter before `until`, by the loop's clock."""
        self._paused_until = max(self._paused_until, until)

    async def enter(self, *, urgent: bool = False) -> Slot:
        """Wait for a slot, urgent callers first; whoever gets it must `leave`."""
        loop = asyncio.get_running_loop()
        while True:
            if loop is not self._loop:
                self._move(loop)
            era = self._era
            if not self._waiting and self._is_open(loop.time()):
                self._free -= 1
                break
            if await self._turn(loop, era, self._urgent if urgent else self._queue):
                break
        return Slot(loop.time(), era)

    def leave(self, slot: Slot, *, answered: bool) -> None:
        """Give a slot back, to be had again one window from now, or two if nothing was answered."""
        if slot.era == self._era:
            now = asyncio.get_running_loop().time()
            heapq.heappush(self._returning, now + self._period * (1 if answered else 2))
            self._arm()

    def give_back(self, slot: Slot) -> None:
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
        except asyncio.CancelledError:
            if era != self._era:
                pass  # nothing of this era counts any more
            elif place.cancelled():  # it stays in the queue, and is passed over
                self._waiting -= 1
            else:  # the slot was given in the very moment of the cancellation: pass it on
                self._free += 1
                self._serve()
            raise

    def _serve(self) -> None:
        """Give free slots to those who wait, then sleep until the next one is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = asyncio.get_running_loop().time()
        while (queue := self._urgent or self._queue) and self._is_open(now):
            place = queue.popleft()
            if not place.done():
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
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._serve)

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve another event loop: what the last one left in flight counts as unanswered now.

        Those who still queue in a loop that only paused queue anew when it goes on.
        """
        if self._loop is not None and self._loop.is_running():
            raise ClientUsageError("a RequestWindow serves one running event loop at a time")
        left_in_flight = self.rate.calls - self._free - len(self._returning)
        for _ in range(left_in_flight):
            heapq.heappush(self._returning, loop.time() + 2 * self._period)
        for queue in (self._urgent, self._queue):
            for place in queue:
                if not place.done() and not place.get_loop().is_closed():
                    place.set_result(False)
            queue.clear()
        self._waiting = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._loop = loop
        self._era += 1


class FastLane:
    """A way through a window for what cannot wait: served first, and never more than half of it.

    What goes through it is asked for by strangers, who must not crowd out our own requests.
    """

    def __init__(self, window: RequestWindow) -> None:
        """Lead through `window`."""
        rate = window.rate
        self._window = window
        self._shares = RequestWindow(Rate(calls=max(rate.calls // 2, 1), seconds=rate.seconds))

    async def enter(self) -> Slot:
        """Wait for a slot of the window, before its other callers."""
        share = await self._shares.enter()
        try:
            slot = await self._window.enter(urgent=True)
        except BaseException:
            self._shares.give_back(share)
            raise
        return attrs.evolve(slot, share=share)

    def leave(self, slot: Slot, *, answered: bool) -> None:
        """Give a slot back, as that of a window."""
        self._window.leave(slot, answered=answered)
        if slot.share is not None:
            self._shares.leave(slot.share, answered=answered)

    def give_back(self, slot: Slot) -> None:
        """Give back a slot that was not used."""
        self._window.give_back(slot)
        if slot.share is not None:
            self._shares.give_back(slot.share)


class Backpressure:
    """How long everybody stays away after the host refused a request for coming too often.

    A sane `Retry-After` is obeyed, up to `longest_pause` seconds. Without one it is one window
    plus jitter, doubling with every further refusal up to 60 s, until a request is accepted.
    """

    def __init__(self, rate: Rate, longest_pause: float) -> None:
        """Start without a pause."""
        self._window = rate.seconds
        self._longest_pause = longest_pause
        self._refusals = 0
        self._until = -math.inf

    def refused(self, *, entered: float, now: float, retry_after: float | None) -> float:
        """Note a refusal and return the loop's time until which everybody waits.

        Refusals of requests that were under way together count as one.
        """
        if entered >= self._until:
            self._refusals += 1
        wait = self._own_wait() if retry_after is None else min(retry_after, self._longest_pause)
        self._until = max(self._until, now + wait)
        return self._until

    def accepted(self, *, entered: float) -> None:
        """Note that a request was let in."""
        if entered >= self._until:
            self._refusals = 0

    def _own_wait(self) -> float:
        doubled = self._window * 2.0 ** min(self._refusals - 1, 32)
        return min(doubled, max(_LONGEST_OWN_PAUSE, self._window)) * random.uniform(1.0, 1.1)


_LONGEST_OWN_PAUSE = 60.0


@attrs.frozen(kw_only=True)
class PollSchedule:
    """When to look at a cover task again. All values are seconds, but for `growth`.

    Attributes:
        first: The age of a task at the first look; None learns it from the host's own durations
            (20 s until some are known).
        growth: The next look comes after this share of the task's age.
        shortest: The least time between two looks.
        longest: The most time between two looks. The API's documentation recommends 30.
        safety_first: The age of a task at the first look while its callback is awaited; None
            learns the 90th percentile of the host's own durations (60 s until some are known).
        safety: The time between two looks while the callback is awaited.
        grace: How long `data: null` means "not visible yet" and not "unknown".
        timeout: How long a wait lasts by default.

    Raises:
        ValueError: A value is not a finite number above 0, or `shortest` is over `longest`.
    """

    first: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(checked(positive))
    )
    growth: float = attrs.field(default=0.15, validator=checked(positive))
    shortest: float = attrs.field(default=5.0, validator=checked(positive))
    longest: float = attrs.field(default=30.0, validator=checked(positive))
    safety_first: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(checked(positive))
    )
    safety: float = attrs.field(default=120.0, validator=checked(positive))
    grace: float = attrs.field(default=60.0, validator=checked(positive))
    timeout: float = attrs.field(default=900.0, validator=checked(positive))

    def __attrs_post_init__(self) -> None:
        """Check the values against one another."""
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) must not be over longest")

    def after(self, age: float) -> float:
        """Return the seconds until the next look at a task of this age, jittered by a tenth."""
        return _jittered(min(max(self.growth * age, self.shortest), self.longest))

    def after_safety(self) -> float:
        """Return the seconds until the next look while a callback is awaited, jittered too."""
        return _jittered(self.safety)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.9, 1.1)


class Durations:
    """How long the host has been taking for covers lately, by its own clock."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._seconds: deque[float] = deque(maxlen=200)

    def learn(self, seconds: float) -> None:
        """Remember one; nonsense (not above 0, or over a day) is not believed."""
        if 0 < seconds <= _A_DAY:
            self._seconds.append(seconds)

    def first_look(self, *, busy: bool) -> float:
        """Return the age in seconds at which a first look is worth it.

        That is the 25th percentile, so that a quarter is noticed at the first look; and the median
        while the limiter is the bottleneck (`busy`), when a look too early costs another cover's.
        """
        if not self._seconds:
            return _FIRST_LOOK_UNLEARNED
        return self._percentile(0.5 if busy else 0.25)

    def safety_look(self, margin: float) -> float:
        """Return the age in seconds at which a callback should have come.

        That is the 90th percentile, and `margin` seconds for the callback's own way.
        """
        return self._percentile(0.9) + margin if self._seconds else _SAFETY_LOOK_UNLEARNED

    def _percentile(self, share: float) -> float:
        return sorted(self._seconds)[int(share * (len(self._seconds) - 1))]


_A_DAY = 86_400.0
_FIRST_LOOK_UNLEARNED = 20.0
_SAFETY_LOOK_UNLEARNED = 60.0
