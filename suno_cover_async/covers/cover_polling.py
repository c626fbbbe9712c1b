"""One cover task that is polled: who waits for it, what the last poll saw, when the next is due.

It owns what a poll means for those who wait: pending, changed, finished, unknown, another music's.
It sends nothing; `poller.py` does.
"""

import asyncio
import copy
import math
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

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
"""Seconds that a timer of the event loop may be early."""

_POLLS_WITHOUT_IMAGES = 4  # the first, and three more
_LONGEST_CODE = 20  # digits
_LEAD_SECONDS = 2.0  # from the last poll to the deadline


@attrs.define(eq=False, weakref_slot=False)
class Waiter:
    """One who waits for news of a cover task, inside its `async with` block."""

    _join: "Callable[[Waiter], CoverPolling]"
    _leave: "Callable[[Waiter, CoverPolling, BaseException | None], Awaitable[None]]"
    task: CoverTask | str
    deadline: float
    lead_time: float = attrs.field(init=False)
    _polling: "CoverPolling" = attrs.field(init=False)
    _news: "asyncio.Future[None] | None" = attrs.field(default=None, init=False)
    _timer: asyncio.TimerHandle = attrs.field(init=False)

    @property
    def last_poll(self) -> float:
        """When the cover task is polled for the last time, unless that was done just before."""
        return self.deadline - self.lead_time

    async def __aenter__(self) -> Self:
        """Join those who wait for the cover task."""
        loop = asyncio.get_running_loop()
        self.lead_time = min(_LEAD_SECONDS, (self.deadline - loop.time()) / 5)
        self._polling = self._join(self)
        self._timer = loop.call_at(self.deadline, self.wake)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave; the polls end with the last who does."""
        self._timer.cancel()
        await self._leave(self, self._polling, error)

    async def after(self, seen: CoverDetails | None) -> CoverDetails:
        """Wait for details whose status is another than that of `seen`.

        Args:
            seen: What was seen last, None at first.

        Raises:
            CoverTimeoutError: The deadline passed.
            SunoCoverError: What ended the polls, such as NotFoundError; a copy, since each
                waiter's traceback is its own.
        """
        while (details := self._since(seen)) is None:
            await self._woken()
        return details

    async def finished(self) -> CoverDetails:
        """Wait for the last details, of a success or a failure; raises as `after` does."""
        seen = None
        while seen is None or not seen.finished:
            details = self._since(seen)
            if details is None:
                await self._woken()
            else:
                seen = details
        return seen

    def wake(self) -> None:
        """Have it see for itself what the news are, or that its time is up."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _woken(self) -> "asyncio.Future[None]":
        self._news = asyncio.get_running_loop().create_future()
        return self._news

    def _since(self, seen: CoverDetails | None) -> CoverDetails | None:
        """Return the details if they are news; raise if none will come, or not in time."""
        polling, latest = self._polling, self._polling.latest
        if latest is not None and (seen is None or latest.status is not seen.status):
            check_parent(self.task, latest)
            return latest
        if isinstance(polling.end, SunoCoverError):
            raise copy.copy(polling.end)
        if polling.end is not None:
            raise polling.end
        if asyncio.get_running_loop().time() >= self.deadline - EARLY:
            raise polling.timeout_error(self.task)
        return None


@attrs.define(eq=False, kw_only=True)
class CoverPolling:
    """The polls of one cover task: begun for its first waiter, ended with its last.

    Attributes:
        cover_task_id: The cover task.
        born: When it was submitted, or else when its polling began, by the loop's clock.
        due: When a poll is worth it.
        expects_callback: Its callback is counted on, so that polls are a fallback only.
        polled_at: When the last poll began; minus infinity when nobody knows, None before the
            first.
        is_notified: A callback came, and no poll has followed yet.
        confirmed_at: When a poll last followed a callback.
        latest: What the last poll saw.
        record_error: The record's own error code and message, as the last poll saw them.
        trouble: What the last poll failed with, where that may pass.
        end: Why there will be no further poll, for another reason than a last status.
        request: The poll under way.
        waiters: Who waits.
        subscription: Brings its callbacks.
        timer: Wakes it for its next poll.
        wakes_at: When that is, by the loop's clock; infinity without a timer.
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
        """Have `wake` called at a moment of the loop's clock, in place of any other."""
        if moment == self.wakes_at:
            return
        self.cancel_timer()
        if moment < math.inf:
            loop = asyncio.get_running_loop()
            self.timer, self.wakes_at = loop.call_at(moment, wake, self), moment

    def cancel_timer(self) -> None:
        """Have nothing called; a timer that has fired is forgotten."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer, self.wakes_at = None, math.inf

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to poll for."""
        return self.end is not None or (self.latest is not None and self.latest.finished)

    @property
    def next_poll(self) -> float:
        """When to poll: when it is worth it, or for the last time before a waiter's deadline."""
        return min([self.due, *self._last_polls])

    @property
    def owes_last_poll(self) -> bool:
        """Whether it is time for a waiter's last poll."""
        now = asyncio.get_running_loop().time() + EARLY
        return any(last <= now for last in self._last_polls)

    @property
    def has_time(self) -> bool:
        """Whether any waiter has time left."""
        now = asyncio.get_running_loop().time()
        return any(now < waiter.deadline for waiter in self.waiters)

    def delay(self, policy: PollPolicy, *, reliable: bool) -> float:
        """Choose the seconds until another poll, callbacks being `reliable` or not."""
        now = asyncio.get_running_loop().time()
        if self.confirmed_at is not None:
            return policy.interval(now - self.confirmed_at)
        if self.expects_callback and reliable:
            return policy.jittered_fallback_interval()
        return policy.interval(now - self.born)

    def record(self, details: CoverDetails | None, grace: float) -> None:
        """Take in what a poll saw; None means "not visible yet" until the age of `grace`."""
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
        """Take in that a poll failed; trouble that may pass is kept for the deadline's message."""
        if isinstance(error, SunoCoverError) and error.retryable:
            self.trouble = error
        else:
            self.finish(error)

    def finish(self, error: BaseException) -> None:
        """End without a last status."""
        if not self.is_over:
            self.end = error
            self._wake_all()

    def timeout_error(self, task: CoverTask | str) -> CoverTimeoutError:
        """Make the error for a deadline that passed."""
        last = f"; the last poll failed: {self.trouble}" if self.trouble else ""
        return CoverTimeoutError(
            f"cover task {self.cover_task_id} is not finished in time{self.record_error}{last}; "
            "nothing is lost: wait for it again later",
            music_task_id=task.music_task_id if isinstance(task, CoverTask) else None,
            cover_task_id=self.cover_task_id,
        )

    @property
    def _last_polls(self) -> list[float]:
        """When waiters who have time have their last poll, if it was not made yet."""
        now = asyncio.get_running_loop().time()
        polled_at = -math.inf if self.polled_at is None else self.polled_at
        having_time = (one for one in self.waiters if now < one.deadline)
        return [
            one.last_poll for one in having_time if polled_at < one.last_poll - one.lead_time / 2
        ]

    def _wake_all(self) -> None:
        for waiter in self.waiters:
            waiter.wake()


def id_of(task: CoverTask | str) -> str:
    """Return the cover task id of what people may wait for."""
    return task.cover_task_id if isinstance(task, CoverTask) else task


def check_parent(task: CoverTask | str, details: CoverDetails) -> None:
    """Refuse details of other music than was submitted.

    The id of an adopted task comes from a refusal whose form nobody has recorded, so there the
    parent must be named in the end; an accepted task's id is believed without.

    Raises:
        CoverExistsError: An adopted task belongs to other music, or names none in the end.
        UnexpectedResponseError: An accepted one belongs to other music.
    """
    if not isinstance(task, CoverTask) or details.music_task_id == task.music_task_id:
        return
    if details.music_task_id is None and not (task.adopted and details.finished):
        return
    kind = CoverExistsError if task.adopted else UnexpectedResponseError
    raise kind(
        f"cover task {task.cover_task_id} is said to belong to music task "
        f"{details.music_task_id}, not {task.music_task_id}; it is not taken for its cover",
        music_task_id=task.music_task_id,
        cover_task_id=task.cover_task_id,
    )


def unknown_cover_task(cover_task_id: str) -> NotFoundError:
    """Make the error for `data: null`, which is how the API says that it knows no such task."""
    return NotFoundError(
        f"the API knows no cover task {cover_task_id}; check the id, the host and the account",
        cover_task_id=cover_task_id,
    )


def closed_while_waiting(cover_task_id: str) -> ClientUsageError:
    """Make the error of waiters whose client was closed."""
    return ClientUsageError(
        f"the client was closed while cover task {cover_task_id} was waited for",
        cover_task_id=cover_task_id,
    )


def _error_of(details: CoverDetails) -> str:
    """Quote the error that a record has, although it is not finished."""
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
