"""Outages: while the host is in trouble, requests go out one at a time, and rarely.

It owns what counts as trouble, and a half-open circuit breaker whose probe is whichever request is
next in line. It knows seconds and errors; it knows no request.
"""

import asyncio
import copy
import logging
import random
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeGuard

import attrs

from suno_cover_async.errors import (
    ClientUsageError,
    DownloadError,
    MaintenanceError,
    RateLimitError,
    ServerError,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
)

_TROUBLES_IN_A_ROW = 5

_log = logging.getLogger("suno_cover_async")


def is_trouble(outcome: object) -> TypeGuard[SunoCoverError]:
    """Whether it is an error that says that the host, or the way to it, is out of order."""
    return isinstance(outcome, TransportError | ServerError | MaintenanceError) or (
        isinstance(outcome, UnexpectedResponseError | DownloadError)  # a gateway's page
        and outcome.retryable
    )


@attrs.define(eq=False)
class Passage:
    """The right to send one request.

    Attributes:
        closures: How often the gate had closed when it was given.
        waited: The seconds spent at the closed gate.
    """

    closures: int
    waited: float = 0.0


class OutageGate:
    """Lets requests through; while the host is in trouble, one at a time, rarely.

    It works while it is `armed`, in that event loop. It closes at the fifth trouble in a row. Then
    those who wait probe one by one, in the order they came: `first` seconds after it closed, and
    after each probe that failed twice as long, up to `longest`, jittered by a tenth. Any good
    answer, a refusal included, opens it for all; calling too often says nothing.

    Attributes:
        closures: How often it has closed so far.
        what: What is in trouble when it is closed.
    """

    def __init__(self, first: float = 1.0, longest: float = 30.0, *, what: str = "the API") -> None:
        """Start open and unarmed; the waits are seconds, `what` is in trouble is for people."""
        self.closures: int = 0
        self.what = what
        self._first = first
        self._longest = longest
        self._loop: asyncio.AbstractEventLoop | None = None  # where it is armed
        self._armed = 0
        self._row = 0
        self._outage: _Outage | None = None

    @property
    def is_open(self) -> bool:
        """Whether everybody may pass."""
        return self._outage is None

    @property
    def since(self) -> float | None:
        """When it closed, by the loop's clock; None while it is open."""
        return self._outage.since if self._outage else None

    @property
    def trouble(self) -> SunoCoverError | None:
        """What the last probe came to, at first what closed it; None while it is open."""
        return self._outage.trouble if self._outage else None

    @contextmanager
    def armed(self) -> Generator[None]:
        """Watch for outages meanwhile; it opens when the last who armed it leaves."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # what another one left behind is over
            self._open()
            self._loop, self._armed = loop, 0
        self._armed += 1
        try:
            yield
        finally:
            if loop is self._loop:
                self._armed -= 1
                if not self._armed:
                    self._open()
                    self._loop = None

    @property
    def waiting(self) -> bool:
        """Whether anybody is in line to probe, or probes."""
        return self._outage is not None and self._outage.is_awaited

    async def opened(self) -> None:
        """Wait until it is open, or nobody is left who could find out."""
        while (outage := self._here()) and outage.is_awaited:
            await asyncio.wait([outage.over], timeout=self._first)

    async def enter(self, patience: float) -> Passage | TransportError:
        """Wait until it opens, or until it is one's turn to probe; whoever enters must `leave`.

        Args:
            patience: The most seconds to wait.

        Returns:
            An error to end with if patience did.
        """
        outage = self._here()
        return await outage.enter(patience) if outage else Passage(self.closures)

    def admits(self, passage: Passage) -> bool:
        """Whether a request may still be sent: it is open, or this is the probe."""
        outage = self._here()
        return outage is None or outage.probe is passage

    def judge(self, passage: Passage, outcome: object) -> None:
        """Learn from what a request came to: an answer, or an error in its place."""
        if self._loop is None or asyncio.get_running_loop() is not self._loop:
            return
        if isinstance(outcome, RateLimitError | ClientUsageError):
            return
        if not is_trouble(outcome):
            self._recover()
        elif self._outage:
            self._outage.judge(passage, outcome)
        elif passage.closures == self.closures:  # others are news of a past outage
            self._row += 1
            if self._row == _TROUBLES_IN_A_ROW:
                self._close(outcome)

    def leave(self, passage: Passage) -> None:
        """Be done, judged or not; the next in line may probe."""
        if self._outage:
            self._outage.leave(passage)

    def _here(self) -> "_Outage | None":
        """Return the outage, if it is one of the running event loop."""
        if self._outage is None or asyncio.get_running_loop() is not self._loop:
            return None
        return self._outage

    def _close(self, error: SunoCoverError) -> None:
        self.closures += 1
        self._outage = _Outage(self.what, error, self.closures, self._first, self._longest)
        _log.warning(
            "%s is in trouble (%s); it pauses, with a probe every %g to %g s",
            *(self.what, error, self._first, self._longest),
        )

    def _recover(self) -> None:
        if self._outage:
            lasted = asyncio.get_running_loop().time() - self._outage.since
            _log.warning("%s goes on again after %.1f s", self.what, lasted)
        self._open()

    def _open(self) -> None:
        self._row = 0
        outage, self._outage = self._outage, None
        if outage:
            outage.end()


class _Outage:
    """One time of trouble: those who wait for its end, and the one among them who probes."""

    def __init__(
        self, what: str, error: SunoCoverError, number: int, first: float, longest: float
    ) -> None:
        self._what = what
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self.over: asyncio.Future[None] = self._loop.create_future()
        self.probe: Passage | None = None
        self._number = number
        self._wait = first
        self._longest = longest
        self._line: deque[asyncio.Future[Passage]] = deque()
        self._suffer(error)

    async def enter(self, patience: float) -> Passage | TransportError:
        came = self._loop.time()
        place: asyncio.Future[Passage] = self._loop.create_future()
        self._line.append(place)
        self._probe_next()
        try:
            await asyncio.wait([place], timeout=patience)
        except asyncio.CancelledError:
            if not place.cancel():  # it was given in the very moment of the cancellation
                self.leave(place.result())
            raise
        now = self._loop.time()
        if place.cancel():
            return TransportError(
                f"{self._what} has been in trouble for {now - self.since:.0f} s ({self.trouble}); "
                "nothing was sent: try again later"
            )
        passage = place.result()
        passage.waited = now - came
        return passage

    @property
    def is_awaited(self) -> bool:
        return self.probe is not None or any(not place.done() for place in self._line)

    def judge(self, passage: Passage, error: SunoCoverError) -> None:
        if passage is self.probe:
            self._suffer(error)

    def leave(self, passage: Passage) -> None:
        if passage is self.probe:
            self.probe = None
            self._probe_next()

    def end(self) -> None:
        """Let everybody in."""
        self._due.cancel()
        if self._loop.is_closed():
            return
        self.over.set_result(None)
        for place in self._line:
            if not place.done():
                place.set_result(Passage(self._number))

    def _suffer(self, error: SunoCoverError) -> None:
        self.trouble = copy.copy(error)  # whoever raises the original gives it a traceback
        self._is_due = False
        wait = min(self._wait, self._longest)
        self._wait = 2 * wait
        self._due = self._loop.call_later(wait * random.uniform(0.9, 1.1), self._fall_due)

    def _fall_due(self) -> None:
        self._is_due = True
        self._probe_next()

    def _probe_next(self) -> None:
        """Let the next in line probe if it is time, and nobody does."""
        while self._line and self._line[0].done():
            self._line.popleft()
        if self._is_due and self._line and self.probe is None:
            self.probe = Passage(self._number)
            self._line.popleft().set_result(self.probe)
