"""The thread of a callback bus: writes the callbacks that come, and notifies of those of others.

It owns the queue, the connection's beginnings and ends, and what was seen; it knows no SQL.
"""

import atexit
import contextlib
import itertools
import logging
import random
import selectors
import socket
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from suno_cover_async.common import validation
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.fleet.callback_table import FAILURES, MOST_READ, CallbackTable, problem
from suno_cover_async.log_fields import fields
from suno_cover_async.models import Callback
from suno_cover_async.postgres.url import DatabaseUrl
from suno_cover_async.resilience.delays import doubling

_log = logging.getLogger("suno_cover_async")

_MOST_QUEUED = 4096
_MOST_AT_ONCE = 256  # in one transaction
_MOST_OF_ONE_SONG = 4  # in ten seconds; a notifier keeps no more
_MOST_SEEN = 2 * MOST_READ
_PUBLISHED_SECONDS = 10.0
_PRUNE_SECONDS = 600.0
_END_SECONDS = 1.0
_FIRST_RETRY_SECONDS = 0.1
_LONGEST_RETRY_SECONDS = 5.0


class BusThread:
    """The thread of one process, which runs while anybody waits; its methods return at once.

    They may be called from any thread, and raise nothing.
    """

    # A thread, and not a task: the waiters of several event loops are served, loops come and go,
    # and a driver that blocks needs neither a loop nor a task of each. It waits for its socket and
    # for `_waker`, over which the others wake it.

    def __init__(
        self, url: DatabaseUrl, *, read_seconds: float = 10.0, idle_seconds: float = 60.0
    ) -> None:
        """Start nothing yet.

        Args:
            url: The database.
            read_seconds: How often it reads the rows of which no notification may have come.
            idle_seconds: How long after the last waiter and the last callback the thread ends.
        """
        self._url = url
        self._read_seconds = read_seconds
        self._idle_seconds = idle_seconds
        self._lock = threading.RLock()  # what is collected meanwhile may take it again
        self._thread: threading.Thread | None = None
        self._waker: socket.socket | None = None
        self._is_ending = False
        self._waited_at = 0.0
        self._notifiers = weakref.WeakSet[Notifier]()
        self._queue = deque[Callback]()
        self._published = Counter[str]()  # of each music task, since a moment
        self._published_since = 0.0
        self._seen: dict[str, None] = {}
        self._since: float | None = None
        self._next_read = 0.0
        self._next_prune = 0.0
        self._retries = _retries()
        self._has_dropped = False
        self._is_in_trouble = False

    def attach(self, notifier: Notifier) -> None:
        """Notify a notifier too, and start the thread unless it runs."""
        with self._lock:
            self._notifiers.add(notifier)
            self._start()

    def publish(self, callback: Callback, source: Notifier) -> None:
        """Queue a callback for the others, and notify the other notifiers of this process."""
        with self._lock:
            self._notifiers.add(source)
            self._enqueue(callback)
            self._start()
            self._wake()
            others = [one for one in self._notifiers if one is not source]
        for notifier in others:
            notifier.notify(callback)

    def end(self) -> None:
        """Let the thread write what is queued, if it can, and end."""
        self._is_ending = True  # without the lock: a collector may call this on any thread
        self._wake()

    def close(self) -> None:
        """End the thread, and wait for that for a second at most."""
        self.end()
        thread = self._thread
        if thread is not None:
            thread.join(_END_SECONDS)

    def _enqueue(self, callback: Callback) -> None:
        # The holder of one song's URL can send callbacks without end, and costs the others little.
        now = time.monotonic()
        if now - self._published_since >= _PUBLISHED_SECONDS:
            self._published.clear()
            self._published_since = now
        if self._published[callback.music_task_id] >= _MOST_OF_ONE_SONG:
            _log.debug(
                "too many callbacks for music task %s to share",
                callback.music_task_id,
                extra=fields("callback_not_shared", music_task_id=callback.music_task_id),
            )
            return
        self._published[callback.music_task_id] += 1
        self._queue.append(callback)
        self._bound_queue()

    def _bound_queue(self) -> None:
        too_many = len(self._queue) - _MOST_QUEUED
        for _ in range(too_many):
            self._queue.popleft()
        if too_many > 0 and not self._has_dropped:
            self._has_dropped = True
            _log.warning(
                "more than %d callbacks wait for the database of the callback bus, %s: the oldest "
                "are dropped, and polls find their covers",
                _MOST_QUEUED,
                self._url.shown,
                extra=fields("callbacks_dropped", database=self._url.shown),
            )

    def _start(self) -> None:
        self._is_ending = False
        self._waited_at = time.monotonic()
        if self._thread is not None:
            return
        try:
            self._waker, woken = socket.socketpair()
            self._waker.setblocking(False)
            self._thread = threading.Thread(
                target=self._run, args=(woken,), name="suno-cover callback bus", daemon=True
            )
            self._thread.start()
        except (OSError, RuntimeError) as error:  # no file or thread is left, or Python ends
            self._ended()
            self._trouble(f"the callback bus could not start its thread ({error})")

    def _wake(self) -> None:
        waker = self._waker
        if waker is not None:
            with contextlib.suppress(OSError):  # full, so that it wakes anyway; or closed
                waker.send(b"\0")

    def _ended(self) -> None:
        self._thread = None
        self._since = None
        if self._waker is not None:
            self._waker.close()
            self._waker = None

    def _run(self, woken: socket.socket) -> None:
        """Be the thread: connect, and connect again, until nobody waits."""
        atexit.register(self.close)
        try:
            while not self._is_served(woken):
                self._pause(next(self._retries) * random.uniform(0.5, 1.0), woken)
        finally:
            atexit.unregister(self.close)
            woken.close()
            with self._lock:
                if self._thread is threading.current_thread():
                    self._ended()

    def _is_served(self, woken: socket.socket) -> bool:
        """Serve over one connection; return whether that is all, and not to be tried again."""
        try:
            with contextlib.closing(CallbackTable(self._url)) as table:
                self._serve(table, woken)
                return True
        except FAILURES as error:
            self._trouble(problem(self._url, error))
        return self._is_over(failed=True)

    def _serve(self, table: CallbackTable, woken: socket.socket) -> None:
        woken.setblocking(False)
        with selectors.DefaultSelector() as ready:
            ready.register(table, selectors.EVENT_READ)
            ready.register(woken, selectors.EVENT_READ)
            self._next_read = 0.0
            while True:
                self._read(table)
                self._write(table)
                self._pass_on(table.arrived())  # after `_write`, which knows our own
                self._no_trouble()
                if self._is_over():
                    return
                ready.select(0 if self._queue else self._next_read - time.monotonic())
                with contextlib.suppress(BlockingIOError):
                    woken.recv(4096)

    def _read(self, table: CallbackTable) -> None:
        """Read the rows of which no notification may have come, if it is time to."""
        now = time.monotonic()
        if now < self._next_read:
            return
        payloads, self._since = table.read(self._since)
        self._pass_on(payloads)
        self._next_read = now + self._read_seconds
        if now >= self._next_prune:
            table.prune()
            self._next_prune = now + _PRUNE_SECONDS

    def _write(self, table: CallbackTable) -> None:
        with self._lock:
            count = min(len(self._queue), _MOST_AT_ONCE)
            callbacks = [self._queue.popleft() for _ in range(count)]
        if not callbacks:
            return
        try:
            self._see(table.write(callbacks))
        except FAILURES:
            with self._lock:
                self._queue.extendleft(reversed(callbacks))
                self._bound_queue()
            raise

    def _pass_on(self, payloads: Iterable[str]) -> None:
        """Notify of the callbacks that were not seen yet."""
        # A row's number comes with its ids: a server that was restored from a backup gives the same
        # numbers to other callbacks.
        told = {payload: _callback(payload) for payload in payloads if payload not in self._seen}
        callbacks = {payload: callback for payload, callback in told.items() if callback}
        self._see(callbacks)
        with self._lock:
            notifiers = list(self._notifiers)
        for notifier in notifiers:
            for callback in callbacks.values():
                notifier.notify(callback)

    def _see(self, payloads: Iterable[str]) -> None:
        self._seen.update(dict.fromkeys(payloads))
        too_many = max(len(self._seen) - _MOST_SEEN, 0)
        for payload in list(itertools.islice(self._seen, too_many)):
            del self._seen[payload]

    def _is_over(self, *, failed: bool = False) -> bool:
        """Return whether the thread ends now; then it is no longer the one of this process."""
        with self._lock:
            if any(notifier.has_subscriptions for notifier in self._notifiers):
                self._waited_at = time.monotonic()
            is_idle = time.monotonic() - self._waited_at >= self._idle_seconds
            is_over = (self._is_ending or is_idle) and (failed or not self._queue)
            if is_over:
                self._ended()
            return is_over

    def _pause(self, seconds: float, woken: socket.socket) -> None:
        """Wait, and be woken by the end alone."""
        until = time.monotonic() + seconds
        while not self._is_ending and (left := until - time.monotonic()) > 0:
            woken.settimeout(left)
            with contextlib.suppress(TimeoutError):
                woken.recv(4096)

    def _trouble(self, what: str) -> None:
        level = logging.DEBUG if self._is_in_trouble else logging.WARNING
        self._is_in_trouble = True
        words = "%s; it is tried again, and polls find the covers meanwhile"
        _log.log(level, words, what, extra=fields("bus_outage", database=self._url.shown))

    def _no_trouble(self) -> None:
        if self._is_in_trouble:
            self._is_in_trouble = False
            self._retries = _retries()
            _log.warning(
                "the callback bus uses its database again, %s",
                self._url.shown,
                extra=fields("bus_outage_over", database=self._url.shown),
            )
        self._has_dropped = self._has_dropped and bool(self._queue)


def _retries() -> Iterator[float]:
    return doubling(_FIRST_RETRY_SECONDS, _LONGEST_RETRY_SECONDS)


def _callback(payload: str) -> Callback | None:
    """Return the callback that a payload tells of; None if it is malformed."""
    number, _, ids = payload.partition(" ")
    music_task_id, _, cover_task_id = ids.partition(" ")
    if number.isdecimal() and all(map(validation.is_task_id, (music_task_id, cover_task_id))):
        return Callback(music_task_id=music_task_id, cover_task_id=cover_task_id)
    _log.debug("a malformed notification came over the callback bus", extra=fields("bus_malformed"))
    return None
