"""The notifier: wakes the waiters of a cover when its callback comes.

It knows ids and subscriptions; it knows neither HTTP nor signatures, and makes no request. Any
thread may call it, and each waiter is woken in its own event loop.

No callback is lost: it is recorded before any waiter is woken, and a later subscription is notified
at once. Records are kept, since several waiters may subscribe at different times. The number of
records without a subscription is bounded: the oldest are dropped.
"""

import asyncio
import contextlib
import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import Protocol, Self, runtime_checkable

from suno_cover_async.covers.durations import Trust
from suno_cover_async.log_fields import fields
from suno_cover_async.models import Callback, CoverTask

_MOST_NOTES = 4096
_MOST_NAMED = 4  # cover tasks that callbacks may name for one music task

_log = logging.getLogger("suno_cover_async")


class Subscription:
    """One waiter's subscription: the ids it concerns, and a function to call."""

    __slots__ = ("_certain", "_loop", "_notify", "cover_task_id", "music_task_id")

    def __init__(
        self,
        music_task_id: str | None,
        cover_task_id: str | None,
        notify: Callable[[], object],
        *,
        certain: bool = False,
    ) -> None:
        """Bind the subscription to the running event loop, where `notify` is called.

        Args:
            music_task_id: Which music task it concerns; None for any.
            cover_task_id: Which cover task it concerns; None for any.
            notify: Called for each callback.
            certain: Whether the two ids are known to belong together.
        """
        self.music_task_id: str | None = music_task_id
        self.cover_task_id: str | None = cover_task_id
        self._notify = notify
        self._certain = certain
        self._loop = asyncio.get_running_loop()

    @classmethod
    def of(cls, task: CoverTask | str, notify: Callable[[], object]) -> Self:
        """Return a subscription to a cover task."""
        if isinstance(task, str):
            return cls(None, task, notify)
        return cls(task.music_task_id, task.cover_task_id, notify, certain=not task.adopted)

    def concerns(self, callback: Callback) -> bool:
        """Return whether a callback has the ids of this subscription."""
        return self.music_task_id in {None, callback.music_task_id} and self.cover_task_id in {
            None,
            callback.cover_task_id,
        }

    def contradicts(self, callback: Callback) -> bool:
        """Return whether a callback pairs one of the two ids with another one.

        Always False unless the two ids are known to belong together.
        """
        same_music = self.music_task_id == callback.music_task_id
        return self._certain and same_music != (self.cover_task_id == callback.cover_task_id)

    def notify(self) -> None:
        """Call the function in its event loop; may be called from any thread."""
        with contextlib.suppress(RuntimeError):  # its event loop is closed
            self._loop.call_soon_threadsafe(self._notify)


class CallbackEvent:
    """An event that callbacks set, and that one waiter awaits."""

    def __init__(self) -> None:
        """Start without a callback."""
        self._came = asyncio.Event()
        self.notify: Callable[[], None] = self._came.set

    async def wait(self, until: float) -> bool:
        """Wait for a callback, until a moment of the loop's clock at most.

        Returns:
            Whether a callback came since the last call.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._came.wait()
        came = self._came.is_set()
        self._came.clear()
        return came


@runtime_checkable
class Bus(Protocol):
    """Carries callbacks between the notifiers of several processes; it raises nothing."""

    def attach(self, notifier: "Notifier") -> None:
        """Notify a notifier, from now on, of the callbacks that other processes publish."""
        ...

    def publish(self, callback: Callback, source: "Notifier") -> None:
        """Notify all other notifiers than `source` of a callback; return at once."""
        ...


class Notifier:
    """Delivers callbacks to the waiters of covers."""

    def __init__(self, address: str | None = None, bus: Bus | None = None) -> None:
        """Start without subscriptions; without an address no callbacks are expected.

        Args:
            address: The address that receives callbacks, for messages.
            bus: Brings the callbacks that other processes received.
        """
        self._address = address
        self._bus = bus
        self._trust = Trust() if address else Trust(patience=0)
        self._refusals = 0
        self._last_refusal = ""
        self._notes: dict[str, tuple[str, ...]] = {}
        self._subscriptions: dict[str, tuple[Subscription, ...]] = {}
        self._left: deque[Subscription] = deque()
        self._lock = threading.Lock()

    @property
    def is_expecting_callbacks(self) -> bool:
        """Whether callbacks can come at all."""
        return self._address is not None

    @property
    def has_subscriptions(self) -> bool:
        """Whether anybody waits for a callback."""
        with self._locked():
            return bool(self._subscriptions)

    @property
    def is_reliable(self) -> bool:
        """Whether callbacks of finished covers can be relied on."""
        return self._trust.given

    def notify(self, callback: Callback) -> bool:
        """Record a callback and wake its waiters; return False and do nothing if it is wrong.

        It is wrong if it contradicts a subscription whose cover task and music task are known to
        belong together.
        """
        with self._locked():
            ids = (callback.music_task_id, callback.cover_task_id)
            subscriptions = {
                subscription for one in ids for subscription in self._subscriptions.get(one, ())
            }
            if any(subscription.contradicts(callback) for subscription in subscriptions):
                return False
            self._note(callback)
            concerned = [
                subscription for subscription in subscriptions if subscription.concerns(callback)
            ]
            for subscription in concerned:
                subscription.notify()
            if concerned:  # callbacks of covers that another process waits for do not count
                self._trust.came()
        return True

    def receive(self, callback: Callback) -> bool:
        """Do as `notify` for a callback that this process received, and publish it on the bus."""
        is_right = self.notify(callback)
        if is_right and self._bus is not None:
            self._bus.publish(callback, self)
        return is_right

    def refused(self, reason: str) -> None:
        """Record that a request to the receiver was refused, since it was no valid callback.

        If callbacks fail to come, the warning of `missed` counts these and names the last reason.
        """
        self._refusals += 1
        self._last_refusal = reason

    @contextlib.contextmanager
    def expecting(self, music_task_id: str) -> Generator[CallbackEvent, None, None]:
        """Subscribe to the callbacks of a music task whose submit is not answered yet."""
        event = CallbackEvent()
        subscription = Subscription(music_task_id, None, event.notify)
        self.subscribe(subscription)
        try:
            yield event
        finally:
            self.unsubscribe(subscription)

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscription; notify it at once if its callback came already."""
        if self._bus is not None:
            self._bus.attach(self)
        alone = (subscription,)  # for all its ids one tuple, as most have no other subscription
        with self._locked():
            for one in _ids(subscription):
                self._subscriptions[one] = self._subscriptions.get(one, ()) + alone
            if self._is_noted(subscription):
                subscription.notify()

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._left.append(subscription)
        if not self._lock.locked():
            with self._locked():
                pass

    def named(self, music_task_id: str) -> tuple[str, ...]:
        """Return the cover tasks that callbacks named for a music task, latest first; unproven."""
        with self._locked():
            return self._notes.get(music_task_id, ())[::-1]

    def forget(self, music_task_id: str, cover_task_id: str) -> None:
        """Remove a cover task that a callback named and its details disproved."""
        with self._locked():
            named = self._notes.pop(music_task_id, ())
            left = tuple(one for one in named if one != cover_task_id)
            if left:
                self._notes[music_task_id] = left

    def missed(self) -> None:
        """Record that a poll found a finished cover before its callback came."""
        if self._trust.missed():
            _log.warning(
                "covers finish without their callbacks at %s: %s. Polling as often as without a "
                "receiver until a callback comes",
                self._address,
                self._suspicion(),
                extra=fields("callbacks_missed", address=self._address),
            )

    def _suspicion(self) -> str:
        if not self._refusals:
            return "check that the API can reach this address"
        return (
            f"{self._refusals} requests were refused there, the last because {self._last_refusal}; "
            "check that all processes use the same secret, and check the hmac_key"
        )

    @contextlib.contextmanager
    def _locked(self) -> Generator[None, None, None]:
        """Hold the lock inside the block, after removing the subscriptions that ended."""
        # `unsubscribe` must never wait for the lock: a waiter of a closed event loop unsubscribes
        # when it is collected as garbage, and the collector may run on the thread that holds the
        # lock, which would deadlock. So `unsubscribe` appends to `_left`, and takes the lock only
        # if it is free; otherwise the next holder of the lock removes the subscription.
        with self._lock:
            while self._left:
                subscription = self._left.popleft()
                for one in _ids(subscription):
                    others = tuple(
                        other for other in self._subscriptions[one] if other is not subscription
                    )
                    if others:
                        self._subscriptions[one] = others
                    else:
                        del self._subscriptions[one]
            yield

    def _is_noted(self, subscription: Subscription) -> bool:
        if subscription.music_task_id is None:
            return any(subscription.cover_task_id in named for named in self._notes.values())
        named = self._notes.get(subscription.music_task_id, ())
        return (
            bool(named)
            if subscription.cover_task_id is None
            else subscription.cover_task_id in named
        )

    def _note(self, callback: Callback) -> None:
        """Record a named cover task, latest last; drop the oldest that have no subscription."""
        named = self._notes.pop(callback.music_task_id, ())
        others = [one for one in named if one != callback.cover_task_id]
        self._notes[callback.music_task_id] = (*others, callback.cover_task_id)[-_MOST_NAMED:]
        too_many = max(len(self._notes) - _MOST_NOTES, 0)
        unwanted = (one for one in self._notes if one not in self._subscriptions)
        for one in list(itertools.islice(unwanted, too_many)):
            del self._notes[one]


def _ids(subscription: Subscription) -> list[str]:
    both = (subscription.music_task_id, subscription.cover_task_id)
    return [one for one in dict.fromkeys(both) if one is not None]
