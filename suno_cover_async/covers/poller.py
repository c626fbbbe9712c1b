"""The poller: polls cover tasks, once for all waiters of the same task.

It owns when a poll is made, and how many run at once. `cover_polling.py` interprets a poll's
result; a function passed in makes the request.

A callback makes the next poll due at once, and proves nothing: the poll decides. While a callback
is expected, polls are a rare fallback. After a callback that was wrong or too early, polls follow
the schedule of a new task, and further callbacks never bring them closer together than the policy's
`min_interval`.

Waiting is cheap in memory: each waiter has a future and a timer, and each polled cover task has a
timer. An asyncio task exists only while a poll is under way.
"""

import asyncio
import math
import weakref
from collections.abc import Awaitable, Callable
from functools import partial

from suno_cover_async.common import validation
from suno_cover_async.common.tasks import settled
from suno_cover_async.covers.cover_polling import (
    EARLY,
    CoverPolling,
    Waiter,
    check_parent,
    closed_while_waiting,
    id_of,
)
from suno_cover_async.covers.notifier import Notifier, Subscription
from suno_cover_async.covers.state import CoverState
from suno_cover_async.emitter import Emitter
from suno_cover_async.errors import SunoCoverError
from suno_cover_async.events import CoverFinished
from suno_cover_async.models import CoverDetails, CoverTask
from suno_cover_async.policies import PollPolicy

_POLLS_AT_ONCE = 200
_QUEUED_POLLS = 20  # while the limiter is the bottleneck
_HELD_SECONDS = 1.0


class Poller:
    """Polls cover tasks, for all waiters of one event loop."""

    def __init__(
        self,
        fetch_details: Callable[[str], Awaitable[CoverDetails | None]],
        policy: PollPolicy,
        state: CoverState,
        is_busy: Callable[[], bool],
        notifier: Notifier,
        *,
        events: Emitter | None = None,
    ) -> None:
        """Open nothing and poll nothing yet.

        Args:
            fetch_details: Makes one request for the details of a cover task.
            policy: When to poll.
            state: What the client remembers of covers.
            is_busy: Returns whether polls queue in the limiter.
            notifier: Delivers callbacks.
            events: Calls the client's hook; None without one.
        """
        self._fetch_details = fetch_details
        self._policy = policy
        self._state = state
        self._is_busy = is_busy
        self._notifier = notifier
        self._events = events
        self._pollings: dict[str, CoverPolling] = {}
        self._polls_under_way = 0
        self._held: dict[CoverPolling, None] = {}  # due, and held back, in order
        self._held_timer: asyncio.TimerHandle | None = None

    async def poll(self, task: CoverTask | str) -> CoverDetails | None:
        """Poll once; return None for `data: null`.

        Raises:
            CoverExistsError: An adopted task belongs to other music.
            UnexpectedResponseError: An accepted task belongs to other music.
        """
        details = await self._fetch_details(id_of(task))
        if details is not None:
            check_parent(task, details)
            self._state.learn(details)
        return details

    def waiting(self, task: CoverTask | str, deadline: float) -> Waiter:
        """Return a waiter for a cover task, to be used in an `async with` block.

        Args:
            task: The cover task; details that name other music are refused.
            deadline: When the wait ends, by the loop's clock.
        """
        return Waiter(self, task, deadline)

    def join(self, waiter: Waiter) -> CoverPolling:
        """Add a waiter; begin to poll if it is the first."""
        cover_task_id = id_of(waiter.task)
        polling = self._pollings.get(cover_task_id)
        if polling is None or polling.end is not None:
            polling = self._pollings[cover_task_id] = self._begin(waiter.task)
        polling.waiters.append(waiter)
        if self._events is not None:
            waiter.operation_id = self._events.operation_id
        if waiter.last_poll < polling.wakes_at:
            self._set_timer(polling)
        return polling

    async def leave(
        self, waiter: Waiter, polling: CoverPolling, error: BaseException | None
    ) -> None:
        """Remove a waiter; end the polls if it was the last."""
        if isinstance(error, SunoCoverError):
            self._state.ended(waiter.task, error)
        polling.waiters.remove(waiter)
        if polling.waiters:
            return
        if self._pollings.get(polling.cover_task_id) is polling:
            del self._pollings[polling.cover_task_id]
        if polling.subscription is not None:
            self._notifier.unsubscribe(polling.subscription)
        self._cancel_timer(polling)
        if polling.request is not None:
            polling.request.cancel()
            await settled(polling.request)

    def notify(self, cover_task_id: str) -> None:
        """Schedule the poll that follows a callback, if anybody waits for the cover."""
        # A poll that is held loses its place in that line: after a callback it need not wait for
        # others. A poll under way may have been answered before the cover finished, so `_answered`
        # sets the time of another one, at once, since `is_notified` is set.
        polling = self._pollings.get(cover_task_id)
        if polling is None:
            return
        self._cancel_timer(polling)
        polling.is_notified = True
        if polling.request is None:
            self._set_due(polling)

    async def stop(self) -> None:
        """End all polls; each waiter gets a `ClientUsageError`."""
        pollings = list(self._pollings.values())
        for polling in pollings:
            polling.finish(closed_while_waiting(polling.cover_task_id))
            self._cancel_timer(polling)
        requests = [polling.request for polling in pollings if polling.request is not None]
        for request in requests:
            request.cancel()
        for request in requests:
            await settled(request)

    @property
    def fallback_delay(self) -> float:
        """The age in seconds by which the callback of a task should have come."""
        learned = self._state.durations.fallback_delay(self._policy.min_interval)
        return validation.given(self._policy.fallback_delay, learned)

    def _begin(self, task: CoverTask | str) -> CoverPolling:
        """Begin to poll; the first poll is due at once if the task's age is not known."""
        now = asyncio.get_running_loop().time()
        born = self._state.born(id_of(task), now)
        expects_callback = born is not None and self._notifier.is_reliable
        if born is None:
            age = 0.0
        elif expects_callback:
            age = self.fallback_delay
        else:
            age = self._initial_delay(busy=False)
        polling = CoverPolling(
            cover_task_id=id_of(task),
            born=now if born is None else born,
            due=(now if born is None else born) + age,
            expects_callback=expects_callback,
            # A task whose age is not known may be finished already. So it counts as polled long
            # ago: `_next_useful_poll` then never postpones its first poll.
            polled_at=-math.inf if born is None else None,
        )
        if self._notifier.is_expecting_callbacks:
            notify = _Notification(weakref.ref(self), polling.cover_task_id)
            polling.subscription = Subscription.of(task, notify)
            self._notifier.subscribe(polling.subscription)
        return polling

    def _initial_delay(self, *, busy: bool) -> float:
        learned = self._state.durations.initial_delay(busy=busy)
        return validation.given(self._policy.initial_delay, learned)

    def _are_enough(self) -> bool:
        """Return whether enough polls are under way; polls after a callback are not limited."""
        return self._polls_under_way >= (_QUEUED_POLLS if self._is_busy() else _POLLS_AT_ONCE)

    def _set_due(self, polling: CoverPolling) -> None:
        """Choose when to poll next, and set the timer."""
        now = asyncio.get_running_loop().time()
        if not polling.is_notified:
            polling.due = now + polling.delay(self._policy, reliable=self._notifier.is_reliable)
        elif polling.confirmed_at is not None:
            polling.due = polling.confirmed_at + self._policy.min_interval
        else:
            polling.due = now
        self._set_timer(polling)

    def _set_timer(self, polling: CoverPolling) -> None:
        """Set the timer for the next poll, unless a poll is under way or held."""
        is_idle = polling.request is None and polling not in self._held
        if polling.waiters and is_idle and not polling.is_over:
            polling.wake_at(polling.next_poll, self._wake)

    def _cancel_timer(self, polling: CoverPolling) -> None:
        polling.cancel_timer()
        self._held.pop(polling, None)
        self._watch_held()

    def _wake(self, polling: CoverPolling) -> None:
        """Poll now, unless every waiter has timed out, or enough polls are under way."""
        # While polls queue in the limiter, each poll that finds nothing new delays the poll of
        # another cover. So a regular poll is then postponed until a result is likely. A waiter's
        # last poll before its deadline and a poll after a callback are never postponed: without
        # them a finished cover would be reported as a timeout, or late.
        polling.cancel_timer()
        if not polling.has_time:
            return
        now = asyncio.get_running_loop().time()
        owes_last_poll = polling.owes_last_poll
        if not (owes_last_poll or polling.is_notified) and self._is_busy():
            polling.due = max(polling.due, self._next_useful_poll(polling))
        if not (owes_last_poll or polling.due <= now + EARLY):
            self._set_timer(polling)
        elif self._are_enough() and not polling.is_notified:
            self._hold(polling)
        else:
            self._send(polling, now)

    def _next_useful_poll(self, polling: CoverPolling) -> float:
        """Return when the next poll is likely enough to find news, while polls queue."""
        if polling.polled_at is None:
            return polling.born + self._initial_delay(busy=True)
        return polling.polled_at + self._policy.max_interval

    def _hold(self, polling: CoverPolling) -> None:
        """Hold a poll back until fewer are under way, or until the limiter is no longer busy."""
        self._held[polling] = None
        self._watch_held()

    def _watch_held(self) -> None:
        """Run a timer while polls are held: the limiter sends no notice when its queue is empty."""
        if self._held and self._held_timer is None:
            loop = asyncio.get_running_loop()
            self._held_timer = loop.call_later(_HELD_SECONDS, self._recheck_held)
        elif not self._held and self._held_timer is not None:
            self._held_timer.cancel()
            self._held_timer = None

    def _recheck_held(self) -> None:
        self._held_timer = None
        self._wake_held()

    def _wake_held(self) -> None:
        """Wake held polls, in order, until enough polls are under way again."""
        while self._held and not self._are_enough():
            polling = next(iter(self._held))
            del self._held[polling]
            self._wake(polling)
        self._watch_held()

    def _send(self, polling: CoverPolling, now: float) -> None:
        was_notified, polling.is_notified, polling.polled_at = polling.is_notified, False, now
        if was_notified:
            polling.confirmed_at = now
        else:
            self._polls_under_way += 1
        context = None if self._events is None else self._events.context(_operation_of(polling))
        work = self.poll(polling.cover_task_id)
        polling.request = asyncio.create_task(work, context=context)
        polling.request.add_done_callback(partial(self._answered, polling, was_notified))

    def _answered(
        self,
        polling: CoverPolling,
        was_notified: bool,
        request: "asyncio.Task[CoverDetails | None]",
    ) -> None:
        """Record what a poll returned, and choose when to poll again."""
        polling.request = None
        if not was_notified:
            self._polls_under_way -= 1
        if request.cancelled():
            error: BaseException | None = closed_while_waiting(polling.cover_task_id)
        else:
            error = request.exception()
        if error is not None:
            polling.record_failure(error)
        else:
            polling.record(request.result(), self._policy.not_found_grace)
            self._emit_finished(polling)
        if not polling.is_over:
            self._set_due(polling)
        elif polling.expects_callback and polling.confirmed_at is None and polling.end is None:
            # The cover is finished, and a fallback poll found it: its callback did not come. After
            # some of these the notifier relies on callbacks no longer. Polls that ended with an
            # error do not count, since such a cover may not be finished.
            self._notifier.missed()
        self._wake_held()

    def _emit_finished(self, polling: CoverPolling) -> None:
        details = polling.latest
        if self._events is None or details is None or not details.finished:
            return
        took = details.duration
        self._events.emit(
            CoverFinished(
                operation_id=_operation_of(polling),
                music_task_id=self._events.id(details.music_task_id),
                cover_task_id=self._events.hidden(details.cover_task_id),
                status=details.status,
                host_seconds=None if took is None else took.total_seconds(),
            )
        )


def _operation_of(polling: CoverPolling) -> str | None:
    """Return the operation of the first waiter, to which a poll belongs."""
    return polling.waiters[0].operation_id if polling.waiters else None


class _Notification:
    """Notifies the polling of a cover task, if there is one; small, as each polling has its own."""

    # A weak reference: an event loop that was abandoned without closing never unsubscribes, and the
    # notifier, which outlives it, would keep its poller and waiters alive.

    __slots__ = ("_cover_task_id", "_poller")

    def __init__(self, poller: "weakref.ReferenceType[Poller]", cover_task_id: str) -> None:
        self._poller = poller
        self._cover_task_id = cover_task_id

    def __call__(self) -> None:
        poller = self._poller()
        if poller is not None:
            poller.notify(self._cover_task_id)
