"""Looks at cover tasks: one stream of them for each, shared by all who wait for it.

It owns what a look means for those who wait: pending, changed, finished, unknown, somebody
else's. It knows no HTTP: a look is a callable handed in, and when to look is `policies.py` says.

A callback is a doorbell: it makes the next look due at once, and proves nothing. While one is
awaited, looks are rare. After one that was not true, or not yet, they come in the rhythm of a new
task, and further rings bring them no closer together than `PollSchedule.shortest`.

Whoever waits costs a future and a timer, each stream a timer; only a look that is under way is a
task.
"""

import asyncio
import copy
import math
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Self

import attrs

from suno_cover_async import validation
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
from suno_cover_async.notifier import Bell, Doorbell
from suno_cover_async.policies import PollSchedule
from suno_cover_async.state import Memory
from suno_cover_async.tasks import settled
from suno_cover_async.text import printable

_LOOKS_WITHOUT_IMAGES = 4  # the first, and three more
_LAST_LOOK = 2.0  # seconds before the deadline
_LOOKS_AT_ONCE = 200
_LONGEST_CODE = 20  # digits
_QUEUED_LOOKS = 20  # while the limiter is the bottleneck
_HELD_SECONDS = 1.0
_EARLY = 0.001  # seconds that a timer may be early


@attrs.define(eq=False, kw_only=True)
class PollStream:
    """The looks at one cover task: begun for its first watcher, ended with its last.

    Attributes:
        cover_task_id: The cover task.
        born: When it was submitted, or else when its stream began, by the loop's clock.
        due: When a look is worth it.
        rings: Its callback is counted on, so that looks are for safety only.
        looked: When the last look began; minus infinity when nobody knows, None before the first.
        rang: A callback came, and no look has followed yet.
        rung: When a look last followed one.
        latest: What the last look saw.
        error: The record's own error code and message, as the last look saw them.
        trouble: What the last look met in place of that, and may pass.
        end: Why there will be no further look, for another reason than a last status.
        looking: The look under way.
        watchers: Who waits.
        bell: What brings its callbacks.
        timer: Wakes it for its next look.
        wakes_at: When that is, by the loop's clock; infinity without a timer.
    """

    cover_task_id: str
    born: float
    due: float
    rings: bool
    looked: float | None
    rang: bool = False
    rung: float | None = None
    latest: CoverDetails | None = None
    error: str = ""
    trouble: SunoCoverError | None = None
    end: BaseException | None = None
    looking: "asyncio.Task[CoverDetails | None] | None" = None
    watchers: "list[Watcher]" = attrs.field(factory=list["Watcher"])
    bell: Bell | None = None
    timer: asyncio.TimerHandle | None = None
    wakes_at: float = math.inf
    _imageless_looks: int = 0

    def wake_at(self, moment: float, wake: "Callable[[PollStream], None]") -> None:
        """Have `wake` called at a moment of the loop's clock, in place of any other."""
        if moment == self.wakes_at:
            return
        self.sleep_on()
        if moment < math.inf:
            loop = asyncio.get_running_loop()
            self.timer, self.wakes_at = loop.call_at(moment, wake, self), moment

    def sleep_on(self) -> None:
        """Have nothing called; a timer that has fired is forgotten."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer, self.wakes_at = None, math.inf

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to look for."""
        return self.end is not None or (self.latest is not None and self.latest.finished)

    @property
    def next_look(self) -> float:
        """When to look: when it is worth it, or for the last time before a watcher's deadline."""
        return min([self.due, *self._last_looks])

    @property
    def owes_a_look(self) -> bool:
        """Whether it is time for a watcher's last look."""
        now = asyncio.get_running_loop().time() + _EARLY
        return any(last <= now for last in self._last_looks)

    @property
    def has_time(self) -> bool:
        """Whether anybody is left to tell."""
        now = asyncio.get_running_loop().time()
        return any(now < watcher.deadline for watcher in self.watchers)

    def pause(self, schedule: PollSchedule, *, reliable: bool) -> float:
        """Choose the seconds until another look, callbacks being `reliable` or not."""
        now = asyncio.get_running_loop().time()
        if self.rung is not None:
            return schedule.after(now - self.rung)
        if self.rings and reliable:
            return schedule.after_safety()
        return schedule.after(now - self.born)

    def saw(self, details: CoverDetails | None, grace: float) -> None:
        """Take in what a look saw; None means "not visible yet" until the age of `grace`."""
        self.trouble = None
        self.error = "" if details is None else _error_of(details)
        if details is None:
            if self.looked is not None and self.looked - self.born > grace:
                self.finish(unknown_cover_task(self.cover_task_id))
        elif details.status is CoverStatus.SUCCESS and not details.images:
            self._imageless_looks += 1
            if self._imageless_looks == _LOOKS_WITHOUT_IMAGES:
                self.finish(_images_missing(details))
        else:
            self._imageless_looks = 0
            changed = self.latest is None or self.latest.status is not details.status
            self.latest = details
            if changed:
                self._tell()

    def failed(self, error: BaseException) -> None:
        """Take in what a look came to; trouble that may pass is kept for the deadline's words."""
        if isinstance(error, SunoCoverError) and error.retryable:
            self.trouble = error
        else:
            self.finish(error)

    def finish(self, error: BaseException) -> None:
        """End without a last status."""
        if not self.is_over:
            self.end = error
            self._tell()

    def late(self, task: CoverTask | str) -> CoverTimeoutError:
        """Name the error for a deadline that passed."""
        last = f"; the last look failed: {self.trouble}" if self.trouble else ""
        return CoverTimeoutError(
            f"cover task {self.cover_task_id} is not finished in time{self.error}{last}; "
            "nothing is lost: wait for it again later",
            music_task_id=task.music_task_id if isinstance(task, CoverTask) else None,
            cover_task_id=self.cover_task_id,
        )

    @property
    def _last_looks(self) -> list[float]:
        """When those who have time have their last look, if it was not made yet."""
        now = asyncio.get_running_loop().time()
        looked = -math.inf if self.looked is None else self.looked
        having_time = (one for one in self.watchers if now < one.deadline)
        return [one.last_look for one in having_time if looked < one.last_look - one.spare / 2]

    def _tell(self) -> None:
        for watcher in self.watchers:
            watcher.wake()


@attrs.define(eq=False, weakref_slot=False)
class Watcher:
    """One who waits for the news of a cover task, inside its `async with` block."""

    _lookout: "Lookout"
    task: CoverTask | str
    deadline: float
    spare: float = attrs.field(init=False)
    _stream: PollStream = attrs.field(init=False)
    _news: "asyncio.Future[None] | None" = attrs.field(default=None, init=False)
    _timer: asyncio.TimerHandle = attrs.field(init=False)

    @property
    def last_look(self) -> float:
        """When it is looked for the last time, unless that was done just before."""
        return self.deadline - self.spare

    async def __aenter__(self) -> Self:
        """Join the looks at the cover task."""
        loop = asyncio.get_running_loop()
        self.spare = min(_LAST_LOOK, (self.deadline - loop.time()) / 5)
        self._stream = self._lookout.join(self)
        self._timer = loop.call_at(self.deadline, self.wake)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave them; they end with the last who does."""
        self._timer.cancel()
        await self._lookout.leave(self, self._stream, error)

    async def after(self, seen: CoverDetails | None) -> CoverDetails:
        """Wait for details whose status is another than that of `seen`.

        Args:
            seen: What was seen last, None at first.

        Raises:
            CoverTimeoutError: The deadline passed.
            SunoCoverError: What ended the looks, such as NotFoundError; a copy, since each
                watcher's traceback is its own.
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
        stream, latest = self._stream, self._stream.latest
        if latest is not None and (seen is None or latest.status is not seen.status):
            _check_parent(self.task, latest)
            return latest
        if isinstance(stream.end, SunoCoverError):
            raise copy.copy(stream.end)
        if stream.end is not None:
            raise stream.end
        if asyncio.get_running_loop().time() >= self.deadline - _EARLY:
            raise stream.late(self.task)
        return None


class Lookout:
    """Looks at cover tasks, for all who wait in one event loop."""

    def __init__(
        self,
        ask: Callable[[str], Awaitable[CoverDetails | None]],
        schedule: PollSchedule,
        memory: Memory,
        is_busy: Callable[[], bool],
        doorbell: Doorbell,
    ) -> None:
        """Look through `ask`; `is_busy` tells whether looks queue for the limiter."""
        self._ask = ask
        self._schedule = schedule
        self._memory = memory
        self._is_busy = is_busy
        self._doorbell = doorbell
        self._streams: dict[str, PollStream] = {}
        self._looks_under_way = 0
        self._held: dict[PollStream, None] = {}  # due while enough looks were under way, in order
        self._held_timer: asyncio.TimerHandle | None = None

    async def look(self, task: CoverTask | str) -> CoverDetails | None:
        """Look once; None for `data: null`.

        Raises:
            CoverExistsError: An adopted task belongs to other music.
            UnexpectedResponseError: An accepted one does.
        """
        details = await self._ask(id_of(task))
        if details is not None:
            _check_parent(task, details)
            self._memory.learn(details)
        return details

    def watching(self, task: CoverTask | str, deadline: float) -> Watcher:
        """Watch a cover task inside an `async with` block.

        Args:
            task: The cover task; the details must be of its music.
            deadline: Until when, by the loop's clock.
        """
        return Watcher(self, task, deadline)

    def join(self, watcher: Watcher) -> PollStream:
        """Take in one more who waits."""
        cover_task_id = id_of(watcher.task)
        stream = self._streams.get(cover_task_id)
        if stream is None or stream.end is not None:
            stream = self._streams[cover_task_id] = self._begin(watcher.task)
        stream.watchers.append(watcher)
        if watcher.last_look < stream.wakes_at:
            self._rest(stream)
        return stream

    async def leave(
        self, watcher: Watcher, stream: PollStream, error: BaseException | None
    ) -> None:
        """Let one go; the looks end with the last."""
        if isinstance(error, SunoCoverError):
            self._memory.ended(watcher.task, error)
        stream.watchers.remove(watcher)
        if stream.watchers:
            return
        if self._streams.get(stream.cover_task_id) is stream:
            del self._streams[stream.cover_task_id]
        if stream.bell is not None:
            self._doorbell.take_down(stream.bell)
        self._stop_waking(stream)
        if stream.looking is not None:
            stream.looking.cancel()
            await settled(stream.looking)

    def ring(self, stream: PollStream) -> None:
        """Have a look follow a callback."""
        self._stop_waking(stream)
        stream.rang = True
        if stream.looking is None:
            self._plan(stream)

    async def stop(self) -> None:
        """End all looks; whoever waits gets a `ClientUsageError`."""
        streams = list(self._streams.values())
        for stream in streams:
            stream.finish(_closed(stream.cover_task_id))
            self._stop_waking(stream)
        looking = [stream.looking for stream in streams if stream.looking is not None]
        for look in looking:
            look.cancel()
        for look in looking:
            await settled(look)

    @property
    def safety_look(self) -> float:
        """The age in seconds at which the callback of a task should have come."""
        learned = self._memory.durations.safety_look(self._schedule.shortest)
        return validation.given(self._schedule.safety_first, learned)

    def _begin(self, task: CoverTask | str) -> PollStream:
        """Begin to look: at once at a task whose age is not known."""
        now = asyncio.get_running_loop().time()
        born = self._memory.born(id_of(task), now)
        rings = born is not None and self._doorbell.reliable
        age = 0.0 if born is None else self.safety_look if rings else self._first_look(busy=False)
        stream = PollStream(
            cover_task_id=id_of(task),
            born=now if born is None else born,
            due=(now if born is None else born) + age,
            rings=rings,
            looked=-math.inf if born is None else None,
        )
        if self._doorbell.may_ring:
            # Weakly, for the waiters of an event loop that nobody closed.
            stream.bell = Bell.of(task, partial(_ring, weakref.ref(self), weakref.ref(stream)))
            self._doorbell.hang(stream.bell)
        return stream

    def _first_look(self, *, busy: bool) -> float:
        learned = self._memory.durations.first_look(busy=busy)
        return validation.given(self._schedule.first, learned)

    def _stop_waking(self, stream: PollStream) -> None:
        stream.sleep_on()
        self._held.pop(stream, None)
        self._watch_held()

    def _are_enough(self) -> bool:
        """Whether no further look may begin, but those that callbacks ask for."""
        under_way = self._looks_under_way
        return under_way >= (_QUEUED_LOOKS if self._is_busy() else _LOOKS_AT_ONCE)

    def _plan(self, stream: PollStream) -> None:
        """Choose when to look next, and rest until then."""
        now = asyncio.get_running_loop().time()
        if not stream.rang:
            stream.due = now + stream.pause(self._schedule, reliable=self._doorbell.reliable)
        elif stream.rung is not None:
            stream.due = stream.rung + self._schedule.shortest
        else:
            stream.due = now
        self._rest(stream)

    def _rest(self, stream: PollStream) -> None:
        is_idle = stream.looking is None and stream not in self._held
        if stream.watchers and is_idle and not stream.is_over:
            stream.wake_at(stream.next_look, self._wake)

    def _wake(self, stream: PollStream) -> None:
        """Look now, unless every watcher has timed out, or enough looks are under way.

        While looks queue in the limiter, one that is not worth it yet is postponed: a look that
        tells nothing new costs another cover's.
        """
        stream.sleep_on()
        if not stream.has_time:
            return
        now = asyncio.get_running_loop().time()
        owes_one = stream.owes_a_look
        if not (owes_one or stream.rang) and self._is_busy():
            stream.due = max(stream.due, self._worth(stream))
        if not (owes_one or stream.due <= now + _EARLY):
            self._rest(stream)
        elif self._are_enough() and not stream.rang:
            self._hold(stream)
        else:
            self._look(stream, now)

    def _hold(self, stream: PollStream) -> None:
        """Postpone a look until fewer are under way, or until the limiter is not busy any more."""
        self._held[stream] = None
        self._watch_held()

    def _watch_held(self) -> None:
        """Have a timer while looks are held: the limiter tells nobody that it is busy no more."""
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
        """Wake who was held, in order, until enough looks are under way again."""
        while self._held and not self._are_enough():
            stream = next(iter(self._held))
            del self._held[stream]
            self._wake(stream)
        self._watch_held()

    def _worth(self, stream: PollStream) -> float:
        """Tell when a look is worth it while looks queue: a useless one costs another cover's."""
        if stream.looked is None:
            return stream.born + self._first_look(busy=True)
        return stream.looked + self._schedule.longest

    def _look(self, stream: PollStream, now: float) -> None:
        rang, stream.rang, stream.looked = stream.rang, False, now
        if rang:
            stream.rung = now
        else:
            self._looks_under_way += 1
        stream.looking = asyncio.create_task(self.look(stream.cover_task_id))
        stream.looking.add_done_callback(partial(self._looked, stream, rang))

    def _looked(
        self, stream: PollStream, rang: bool, look: "asyncio.Task[CoverDetails | None]"
    ) -> None:
        """Tell what a look saw, and choose when to look again."""
        stream.looking = None
        if not rang:
            self._looks_under_way -= 1
        error = _closed(stream.cover_task_id) if look.cancelled() else look.exception()
        if error is not None:
            stream.failed(error)
        else:
            stream.saw(look.result(), self._schedule.grace)
        if not stream.is_over:
            self._plan(stream)
        elif stream.rings and stream.rung is None and stream.end is None:
            self._doorbell.missed()
        self._wake_held()


def _ring(
    lookout: "weakref.ReferenceType[Lookout]", stream: "weakref.ReferenceType[PollStream]"
) -> None:
    here, waited_for = lookout(), stream()
    if here is not None and waited_for is not None:
        here.ring(waited_for)


def id_of(task: CoverTask | str) -> str:
    """Return the cover task id of what people may wait for."""
    return task.cover_task_id if isinstance(task, CoverTask) else task


def _check_parent(task: CoverTask | str, details: CoverDetails) -> None:
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
    """Name the error for `data: null`, which is how the API says that it knows no such task."""
    return NotFoundError(
        f"the API knows no cover task {cover_task_id}; check the id, the host and the account",
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


def _closed(cover_task_id: str) -> ClientUsageError:
    return ClientUsageError(
        f"the client was closed while cover task {cover_task_id} was waited for",
        cover_task_id=cover_task_id,
    )
