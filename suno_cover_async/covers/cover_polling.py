"""The polling of one cover task: its waiters, the last poll's result, and when the next is due.

It owns what a poll's result means for the waiters: pending, changed, finished, unknown, or of other
music. It sends nothing; `poller.py` does.
"""

import asyncio
import copy
import math
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import attrs

from suno_cover_async.common.text import printable
from suno_cover_async.covers.notifier import Subscription
from suno_cover_async.errors import (
    ClientUsageError,
    CoverExistsError,
    CoverTimeoutError,
    ImagesMissingError,
    NotFoundError,
    SunoCoverError,
    UnexpectedResponseError,
)
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask
from suno_cover_async.policies import PollPolicy

EARLY = 0.001
"""Seconds by which a timer of the event loop may fire early."""

_POLLS_WITHOUT_IMAGES = 4  # the first, and three more
_LONGEST_CODE = 20  # digits
_LEAD_SECONDS = 2.0  # from the last poll to the deadline


class Polls(Protocol):
    """The polls of many cover tasks; `poller.Poller` documents the methods."""

    def join(self, waiter: "Waiter", /) -> "CoverPolling":
        """Add a waiter."""
        ...

    async def leave(
        self, waiter: "Waiter", polling: "CoverPolling", error: BaseException | None, /
    ) -> None:
        """Remove a waiter."""
        ...


@attrs.define(eq=False, weakref_slot=False)
class Waiter:
    """Waits for changes of a cover task, inside an `async with` block."""

    _polls: Polls
    task: CoverTask | str
    deadline: float
    lead_time: float = attrs.field(init=False)
    _polling: "CoverPolling" = attrs.field(init=False)
    _news: "asyncio.Future[None] | None" = attrs.field(default=None, init=False)
    _timer: asyncio.TimerHandle = attrs.field(init=False)
    operation_id: str | None = attrs.field(default=None, init=False)  # only where there is a hook

    @property
    def last_poll(self) -> float:
        """When the cover task is polled for the last time, unless it was polled just before."""
        return self.deadline - self.lead_time

    async def __aenter__(self) -> Self:
        """Join the polling of the cover task, and set a timer for the deadline."""
        loop = asyncio.get_running_loop()
        self.lead_time = min(_LEAD_SECONDS, (self.deadline - loop.time()) / 5)
        self._polling = self._polls.join(self)
        self._timer = loop.call_at(self.deadline, self.wake)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the polling; it ends with its last waiter."""
        self._timer.cancel()
        await self._polls.leave(self, self._polling, error)

    async def after(self, seen: CoverDetails | None) -> CoverDetails:
        """Wait for details whose status differs from that of `seen`.

        Args:
            seen: The details that the caller has; None if it has none.

        Raises:
            CoverTimeoutError: The deadline passed.
            SunoCoverError: The error that ended the polls, such as NotFoundError; a copy, so that
                each waiter has a traceback of its own.
        """
        while (details := self._since(seen)) is None:
            await self._woken()
        return details

    async def finished(self) -> CoverDetails:
        """Wait for the last details, of a success or a failure; raise as `after` does."""
        seen = None
        while seen is None or not seen.finished:
            details = self._since(seen)
            if details is None:
                await self._woken()
            else:
                seen = details
        return seen

    def wake(self) -> None:
        """Wake the waiter, so that it checks for new details, an error or its deadline."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _woken(self) -> "asyncio.Future[None]":
        self._news = asyncio.get_running_loop().create_future()
        return self._news

    def _since(self, seen: CoverDetails | None) -> CoverDetails | None:
        """Return the details if their status is new; raise if the polls or the time ended."""
        polling, latest = self._polling, self._polling.latest
        if latest is not None:
            check_parent(self.task, latest)
            if seen is None or latest.status is not seen.status:
                return latest
        if isinstance(polling.end, SunoCoverError):
            raise copy.copy(polling.end)
        if polling.end is not None:
            raise polling.end
        if asyncio.get_running_loop().time() >= self.deadline - EARLY:
            raise polling.timeout_error(self.task)
        return None


@attrs.define(eq=False, kw_only=True, weakref_slot=False)
class CoverPolling:
    """The polls of one cover task: begun for its first waiter, ended with its last.

    Attributes:
        cover_task_id: The cover task.
        born: When it was submitted, or, if that is not known, when its polling began, by the
            loop's clock.
        due: When the next regular poll is due, by the loop's clock.
        expects_callback: Its callback is expected, so that polls are a fallback only.
        polled_at: When the last poll began; None before the first. Minus infinity before the first
            if the task's age is not known.
        is_notified: A callback came, and no poll has followed yet.
        confirmed_at: When a poll last followed a callback.
        latest: The last details that waiters may see; never a success without images.
        record_error: The record's own error code and message, as the last poll returned them.
        trouble: The retryable error of the last poll; None if it succeeded.
        end: The error that ended the polls; None if they go on or ended with a last status.
        request: The poll under way.
        waiters: The waiters.
        subscription: Delivers its callbacks.
        timer: The timer of its next poll.
        wakes_at: When that timer fires, by the loop's clock; infinity without a timer.
    """

    cover_task_id: str
    born: float
    due: float
    expects_callback: bool
    polled_at: float | None
    is_notified: bool = False
    confirmed_at: float | None = None
    latest: CoverDetails | None = None
    record_error: str = ""
    trouble: SunoCoverError | None = None
    end: BaseException | None = None
    request: "asyncio.Task[CoverDetails | None] | None" = None
    waiters: list[Waiter] = attrs.field(factory=list[Waiter])
    subscription: Subscription | None = None
    timer: asyncio.TimerHandle | None = None
    wakes_at: float = math.inf
    _imageless_polls: int = 0

    def wake_at(self, moment: float, wake: "Callable[[CoverPolling], None]") -> None:
        """Set the timer to call `wake` at a moment of the loop's clock; replace any other timer."""
        if moment == self.wakes_at:
            return
        self.cancel_timer()
        if moment < math.inf:
            loop = asyncio.get_running_loop()
            self.timer, self.wakes_at = loop.call_at(moment, wake, self), moment

    def cancel_timer(self) -> None:
        """Cancel the timer, or forget it if it has fired."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer, self.wakes_at = None, math.inf

    @property
    def is_over(self) -> bool:
        """Whether no further poll is needed."""
        return self.end is not None or (self.latest is not None and self.latest.finished)

    @property
    def next_poll(self) -> float:
        """When to poll next: when one is due, or for the last time before a waiter's deadline."""
        return min([self.due, *self._last_polls])

    @property
    def owes_last_poll(self) -> bool:
        """Whether a waiter's last poll is due now."""
        now = asyncio.get_running_loop().time() + EARLY
        return any(last <= now for last in self._last_polls)

    @property
    def has_time(self) -> bool:
        """Whether any waiter has time left."""
        now = asyncio.get_running_loop().time()
        return any(now < waiter.deadline for waiter in self.waiters)

    def delay(self, policy: PollPolicy, *, reliable: bool) -> float:
        """Return the seconds until the next poll; `reliable` says if callbacks can be relied on."""
        now = asyncio.get_running_loop().time()
        if self.confirmed_at is not None:
            return policy.interval(now - self.confirmed_at)
        if self.expects_callback and reliable:
            return policy.jittered_fallback_interval()
        return policy.interval(now - self.born)

    def record(self, details: CoverDetails | None, grace: float) -> None:
        """Record a poll's result; None means "not visible yet" until the age of `grace` seconds."""
        self.trouble = None
        self.record_error = "" if details is None else _error_of(details)
        if details is None:
            if self.polled_at is not None and self.polled_at - self.born > grace:
                self.finish(unknown_cover_task(self.cover_task_id))
        elif details.status is CoverStatus.SUCCESS and not details.images:
            self._imageless_polls += 1
            if self._imageless_polls == _POLLS_WITHOUT_IMAGES:
                self.finish(_images_missing(details))
        else:
            self._imageless_polls = 0
            changed = self.latest is None or self.latest.status is not details.status
            self.latest = details
            if changed:
                self._wake_all()

    def record_failure(self, error: BaseException) -> None:
        """Record a poll's error; a retryable one ends nothing, but is named at a timeout."""
        if isinstance(error, SunoCoverError) and error.retryable:
            self.trouble = error
        else:
            self.finish(error)

    def finish(self, error: BaseException) -> None:
        """End the polls with an error, in place of a last status."""
        if not self.is_over:
            self.end = error
            self._wake_all()

    def timeout_error(self, task: CoverTask | str) -> CoverTimeoutError:
        """Return the error for a deadline that passed."""
        last = f"; the last poll failed: {self.trouble.message}" if self.trouble else ""
        return CoverTimeoutError(
            f"cover task {self.cover_task_id} is not finished in time{self.record_error}{last}; "
            "nothing is lost: wait for it again later",
            music_task_id=task.music_task_id if isinstance(task, CoverTask) else None,
            cover_task_id=self.cover_task_id,
        )

    @property
    def _last_polls(self) -> list[float]:
        """The times of the last polls that are still to be made.

        They are one per waiter whose deadline has not passed and that has not had its last poll.
        """
        now = asyncio.get_running_loop().time()
        polled_at = -math.inf if self.polled_at is None else self.polled_at
        # A poll that began less than half of the lead time before `last_poll` counts as the last
        # one. A second poll so soon after it would cost a request and hardly ever find more.
        having_time = (one for one in self.waiters if now < one.deadline)
        return [
            one.last_poll for one in having_time if polled_at < one.last_poll - one.lead_time / 2
        ]

    def _wake_all(self) -> None:
        for waiter in self.waiters:
            waiter.wake()


def id_of(task: CoverTask | str) -> str:
    """Return the cover task id of a cover task, or the id itself."""
    return task.cover_task_id if isinstance(task, CoverTask) else task


def check_parent(task: CoverTask | str, details: CoverDetails) -> None:
    """Check that details belong to the music that was submitted.

    Raises:
        CoverExistsError: An adopted task belongs to other music, or names none once finished.
        UnexpectedResponseError: An accepted task belongs to other music.
    """
    # The id of an adopted task comes from a refusal, whose format is not documented and was never
    # recorded: the id could be of another cover. So its final details must name the music task.
    # An accepted task's id comes from the documented answer, so it needs no such check.
    if not isinstance(task, CoverTask) or details.music_task_id == task.music_task_id:
        return
    if details.music_task_id is None and not (task.adopted and details.finished):
        return
    kind = CoverExistsError if task.adopted else UnexpectedResponseError
    raise kind(
        f"cover task {task.cover_task_id} is said to belong to music task "
        f"{details.music_task_id}, not {task.music_task_id}; its cover is not used",
        music_task_id=task.music_task_id,
        cover_task_id=task.cover_task_id,
    )


def unknown_cover_task(cover_task_id: str) -> NotFoundError:
    """Return the error for `data: null`, by which the API says that it knows no such task."""
    return NotFoundError(
        f"the API knows no cover task {cover_task_id}; check the id, the host and the account",
        cover_task_id=cover_task_id,
    )


def closed_while_waiting(cover_task_id: str) -> ClientUsageError:
    """Return the error of waiters whose client was closed."""
    return ClientUsageError(
        f"the client was closed during the wait for cover task {cover_task_id}; wait for it again "
        "with a new client",
        cover_task_id=cover_task_id,
    )


def _error_of(details: CoverDetails) -> str:
    """Return a phrase with the error of a record that is not finished; empty without one."""
    if details.error_code is None and details.error_message is None:
        return ""
    number = printable(str(details.error_code), _LONGEST_CODE)
    code = "" if details.error_code is None else f" (code {number})"
    return f"; its record says: {details.error_message or 'an error'}{code}"


def _images_missing(details: CoverDetails) -> ImagesMissingError:
    return ImagesMissingError(
        f"cover task {details.cover_task_id} is a success without images; wait for it again later",
        music_task_id=details.music_task_id,
        cover_task_id=details.cover_task_id,
    )
