"""The circuit breaker: while a host is in trouble, it admits one probe at a time, at intervals.

It owns which errors count as trouble of a host, and which request probes next. It knows seconds and
errors and sends nothing; `transport.py` sends requests, `retry.py` repeats them.
"""

import asyncio
import copy
import logging
import random
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeGuard

import attrs

from suno_cover_async.errors import (
    AddressRefusedError,
    CertificateError,
    ClientUsageError,
    DownloadError,
    MaintenanceError,
    ProxyError,
    RateLimitError,
    ServerError,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
)
from suno_cover_async.log_fields import fields
from suno_cover_async.resilience.delays import doubling

_FAILURES_IN_A_ROW = 5

_log = logging.getLogger("suno_cover_async")


def is_trouble(outcome: object) -> TypeGuard[SunoCoverError]:
    """Return whether an error means that the host, or the network path to it, does not work.

    An image that is missing is one cover's affair: the image host works.
    """
    if isinstance(outcome, CertificateError | ProxyError):  # no retry helps, so no probe would
        return False
    if isinstance(outcome, DownloadError) and outcome.is_missing:
        return False
    return isinstance(outcome, TransportError | ServerError | MaintenanceError) or (
        isinstance(outcome, UnexpectedResponseError | DownloadError)  # a gateway's page
        and outcome.retryable
    )


@attrs.define(eq=False)
class Admission:
    """The right to send one request, given by a breaker.

    Attributes:
        times_opened: How often the breaker had opened when this admission was given.
        waited: The seconds that the request waited for it.
        attempt: The number of this attempt at the request, from 1.
    """

    times_opened: int
    waited: float = 0.0
    attempt: int = 1


class CircuitBreaker:
    """Admits requests; while the host is in trouble it is open and admits one probe at a time.

    A breaker works while it is `armed`, in that event loop; otherwise it admits every request. It
    opens at the fifth failure in a row. Then the waiting requests probe one by one, in the order
    they came: `probe_delay` seconds after it opened, and after each failed probe twice as long, up
    to `max_probe_delay`, jittered by a tenth. Any answer of the host closes it, a refusal included.
    A refusal for calling too often changes nothing, nor does an address that was refused.

    Attributes:
        times_opened: How often it has opened so far.
        name: What it protects, as a noun for messages, such as "the API" or "the image host".
    """

    def __init__(
        self,
        probe_delay: float = 1.0,
        max_probe_delay: float = 30.0,
        *,
        name: str = "the API",
        on_change: "Callable[[CircuitBreaker], None] | None" = None,
    ) -> None:
        """Start closed and unarmed.

        Args:
            probe_delay: The seconds until the first probe.
            max_probe_delay: The most seconds between two probes.
            name: For messages.
            on_change: Called each time that it opened or closed.
        """
        self.times_opened: int = 0
        self.name = name
        self._on_change = on_change
        self._probe_delay = probe_delay
        self._max_probe_delay = max_probe_delay
        self._loop: asyncio.AbstractEventLoop | None = None  # where it is armed
        self._armed = 0
        self._failures = 0
        self._outage: _Outage | None = None

    @property
    def is_open(self) -> bool:
        """Whether it holds requests back."""
        return self._outage is not None

    @property
    def is_awaited(self) -> bool:
        """Whether it is open, and a request probes or waits for it to close."""
        return self._outage is not None and self._outage.is_awaited

    @property
    def opened_at(self) -> float | None:
        """When it opened, by the loop's clock; None while it is closed."""
        return self._outage.since if self._outage else None

    @property
    def last_error(self) -> SunoCoverError | None:
        """The error of the last probe, or the one that opened it; None while it is closed."""
        return self._outage.error if self._outage else None

    @contextmanager
    def armed(self) -> Generator[None]:
        """Let the breaker open inside the block; leaving the last such block closes it."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # an outage of another event loop has ended with it
            self._close()
            self._loop, self._armed = loop, 0
        self._armed += 1
        try:
            yield
        finally:
            if loop is self._loop:
                self._armed -= 1
                if not self._armed:
                    self._close()
                    self._loop = None

    async def wait_until_closed(self) -> None:
        """Wait until it is closed, or until no request is left that probes or waits to probe."""
        # Only a probe can close it. If the last request that probes or waits is cancelled, waiting
        # longer would never end, so the condition is checked again every `probe_delay` seconds.
        while (outage := self._here()) and outage.is_awaited:
            await asyncio.wait([outage.over], timeout=self._probe_delay)

    def admit(self) -> Admission | None:
        """Return an admission, to be `release`d after the request; None while it is open."""
        return None if self._here() else Admission(self.times_opened)

    async def wait_for_admission(self, timeout: float | None) -> Admission | str:
        """Wait until the breaker closes, or until it is the caller's turn to probe.

        Args:
            timeout: The most seconds to wait; None waits as long as the outage lasts.

        Returns:
            An admission, to be `release`d after the request; after a timeout, a message that says
            why there is none.
        """
        outage = self._here()
        return await outage.wait(timeout) if outage else Admission(self.times_opened)

    def is_current(self, admission: Admission) -> bool:
        """Return whether a request may still be sent: the breaker is closed, or this is the probe.

        A request may wait for its permit after it was admitted, and the breaker may open meanwhile.
        """
        outage = self._here()
        return outage is None or outage.probe is admission

    def record(self, admission: Admission, outcome: object) -> None:
        """Record the outcome of a request: None for a success, else its error."""
        if self._loop is None or asyncio.get_running_loop() is not self._loop:
            return
        if isinstance(outcome, RateLimitError | ClientUsageError | AddressRefusedError):
            return  # it says nothing of the host
        if not is_trouble(outcome):
            self._recover()
        elif self._outage:
            self._outage.record(admission, outcome)
        elif admission.times_opened == self.times_opened:
            # Requests admitted before the last outage may fail after it ended. Counting them
            # would open the breaker again for an outage that is over.
            self._failures += 1
            if self._failures == _FAILURES_IN_A_ROW:
                self._open(outcome)

    def release(self, admission: Admission) -> None:
        """Give an admission back after its request; after a probe, the next in line may probe."""
        if self._outage:
            self._outage.release(admission)

    def _here(self) -> "_Outage | None":
        """Return the outage, if it belongs to the running event loop."""
        if self._outage is None or asyncio.get_running_loop() is not self._loop:
            return None
        return self._outage

    def _open(self, error: SunoCoverError) -> None:
        self.times_opened += 1
        delays = doubling(self._probe_delay, self._max_probe_delay)
        self._outage = _Outage(self.name, error, self.times_opened, delays)
        _log.warning(
            "%s is in trouble (%s); requests to it pause, with a probe every %g to %g s",
            *(self.name, error, self._probe_delay, self._max_probe_delay),
            extra=fields("breaker_opened", error, breaker=self.name),
        )
        self._changed()

    def _recover(self) -> None:
        if self._outage:
            lasted = asyncio.get_running_loop().time() - self._outage.since
            _log.warning(
                "%s answers again after %.1f s",
                *(self.name, lasted),
                extra=fields("breaker_closed", breaker=self.name, duration=lasted),
            )
        self._close()

    def _close(self) -> None:
        self._failures = 0
        outage, self._outage = self._outage, None
        if outage:
            outage.end()
            self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change(self)


@attrs.frozen(kw_only=True, eq=False)
class Breakers:
    """The three breakers of one client; they work while a catalog runs.

    Attributes:
        api: For all API requests but submits.
        submit: For submits, which may fail while all other requests work.
        images: For downloads of images.
    """

    api: CircuitBreaker
    submit: CircuitBreaker
    images: CircuitBreaker

    @contextmanager
    def armed(self) -> Generator[None]:
        """Arm all three inside the block."""
        with ExitStack() as stack:
            for breaker in (self.api, self.submit, self.images):
                stack.enter_context(breaker.armed())
            yield


class _Outage:
    """One outage: the queue of requests that wait for its end, and the one that probes."""

    # One probe at a time, and the others wait: if all requests retried at once, they would hit a
    # host that is recovering, and use up the account's limit on failures. The probe's place in the
    # queue passes on when it is released, also when its request was cancelled; otherwise a
    # cancelled probe would leave the breaker open, with no request left to close it.

    def __init__(
        self, name: str, error: SunoCoverError, number: int, delays: Iterator[float]
    ) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self.probe: Admission | None = None
        self._number = number
        self._delays = delays
        self._line: deque[asyncio.Future[Admission]] = deque()
        self._postpone(error)

    async def wait(self, timeout: float | None) -> Admission | str:
        came = self._loop.time()
        place: asyncio.Future[Admission] = self._loop.create_future()
        self._line.append(place)
        self._probe_next()
        try:
            await asyncio.wait([place], timeout=timeout)
        except asyncio.CancelledError:
            if not place.cancel():  # the admission came together with the cancellation: pass it on
                self.release(place.result())
            raise
        now = self._loop.time()
        if place.cancel():
            return (
                f"{self._name} has been in trouble for {now - self.since:.0f} s ({self.error}); "
                "nothing was sent: try again later"
            )
        admission = place.result()
        admission.waited = now - came
        return admission

    @property
    def is_awaited(self) -> bool:
        return self.probe is not None or any(not place.done() for place in self._line)

    def record(self, admission: Admission, error: SunoCoverError) -> None:
        if admission is self.probe:
            self._postpone(error)

    def release(self, admission: Admission) -> None:
        if admission is self.probe:
            self.probe = None
            self._probe_next()

    def end(self) -> None:
        """Admit all waiting requests."""
        self._due.cancel()
        if self._loop.is_closed():
            return
        self.over.set_result(None)
        for place in self._line:
            if not place.done():
                place.set_result(Admission(self._number))

    def _postpone(self, error: SunoCoverError) -> None:
        """Set the timer of the next probe."""
        self.error = copy.copy(error)  # raising the original gives it a traceback
        self._is_due = False
        delay = next(self._delays) * random.uniform(0.9, 1.1)
        self._due = self._loop.call_later(delay, self._fall_due)

    def _fall_due(self) -> None:
        self._is_due = True
        self._probe_next()

    def _probe_next(self) -> None:
        """Let the next in line probe if a probe is due and none is under way."""
        while self._line and self._line[0].done():
            self._line.popleft()
        if self._is_due and self._line and self.probe is None:
            self.probe = Admission(self._number)
            self._line.popleft().set_result(self.probe)
