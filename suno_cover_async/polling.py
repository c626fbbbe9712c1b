"""One stream of polls per cover task, shared by all who wait for it.

It owns what a look means for those who wait: pending, changed, finished, unknown, somebody
else's. It knows no HTTP: a look is a callable handed in, and when to look is `pace.py`'s to say.

A callback is a doorbell: it makes the next look due at once, and proves nothing. While one is
awaited, looks are rare. After one that was not true, or not yet, they come in the rhythm of a new
task, and further rings bring them no closer together than `PollSchedule.shortest`.
"""

import asyncio
import copy
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs

from suno_cover_async import arguments
from suno_cover_async.doorbell import Bell, Doorbell
from suno_cover_async.errors import (
    ClientUsageError,
    CoverExistsError,
    CoverTimeoutError,
    ImagesMissingError,
    NotFoundError,
    SunoCoverError,
    UnexpectedResponseError,
)
from suno_cover_async.memory import Memory
from suno_cover_async.models import CoverDetails, CoverStatus, CoverTask
from suno_cover_async.pace import PollSchedule

_LOOKS_WITHOUT_IMAGES = 4  # the first, and three more
_LAST_LOOK = 2.0  # seconds before the deadline
_A_MOMENT = 0.001  # seconds that a timer may be early

Look = Callable[[bool], Awaitable[CoverDetails | None]]
"""Looks at the cover task; told whether a callback asked for it."""


@attrs.frozen(kw_only=True)
class Age:
    """What is known of a cover task's age, by the loop's clock.

    Attributes:
        born: When it was submitted, or else when its stream began.
        first_look: Seconds after `born` at which the first look is worth it.
        rings: Its callback is counted on, so that looks are for safety only.
    """

    born: float
    first_look: float
    rings: bool = False


class PollStream:
    """The looks at one cover task: begun by its first watcher, ended with its last."""

    def __init__(
        self,
        task: CoverTask | str,
        look: Look,
        *,
        schedule: PollSchedule,
        age: Age,
        deadline: float,
        doorbell: Doorbell,
    ) -> None:
        """Begin to look, until `deadline` unless a watcher has a later one."""
        self._cover_task_id = id_of(task)
        self._look = look
        self._schedule = schedule
        self._age = age
        self._deadlines = {deadline}
        self._bell: Bell | None = None
        self._doorbell = doorbell
        self._rung: float | None = None  # when the last ring was followed
        self._latest: CoverDetails | None = None
        self._trouble: SunoCoverError | None = None
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run(task))
        self.watchers = 0

    @property
    def failed(self) -> bool:
        """Whether the looking ended without a last status."""
        return self._task.done() and not (self._latest and self._latest.finished)

    async def after(
        self, seen: CoverDetails | None, task: CoverTask | str, deadline: float
    ) -> CoverDetails:
        """Wait for details whose status is another than that of `seen`.

        Args:
            seen: What the watcher has seen last, None at first.
            task: What the watcher waits for; the details must be of its music.
            deadline: By the loop's clock.

        Raises:
            CoverTimeoutError: The deadline passed.
            SunoCoverError: What ended the stream, such as NotFoundError; a copy, since each
                watcher's traceback is its own.
        """
        self._wait_until(deadline)
        while not (self._latest and (seen is None or self._latest.status is not seen.status)):
            if self._task.done():
                raise self._end()
            if not await self._hear(deadline):
                raise self._late(task)
        _check_parent(task, self._latest)
        return self._latest

    async def finished(self, task: CoverTask | str, deadline: float) -> CoverDetails:
        """Wait for the last details, of a success or a failure; raises as `after` does."""
        details = await self.after(None, task, deadline)
        while not details.finished:
            details = await self.after(details, task, deadline)
        return details

    async def stop(self) -> None:
        """End the looking, and return when it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self._news.set()
        if not self._task.cancelled():
            self._task.exception()  # perhaps nobody is left to hear of it

    def _wait_until(self, deadline: float) -> None:
        """Take in a watcher's deadline; a look is owed just before it."""
        if deadline not in self._deadlines:
            self._deadlines.add(deadline)
            if self._bell is not None:
                self._bell.stir()

    async def _hear(self, deadline: float) -> bool:
        """Wait for news; False when the deadline came first."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _end(self) -> BaseException:
        if self._task.cancelled() or self._trouble is None:
            foreign = None if self._task.cancelled() else self._task.exception()
            return foreign or ClientUsageError(
                f"the client was closed while cover task {self._cover_task_id} was waited for",
                cover_task_id=self._cover_task_id,
            )
        return copy.copy(self._trouble)

    def _late(self, task: CoverTask | str) -> CoverTimeoutError:
        last = f"; the last look failed: {self._trouble}" if self._trouble else ""
        return CoverTimeoutError(
            f"cover task {self._cover_task_id} is not finished in time{last}; "
            "nothing is lost: wait for it again later",
            music_task_id=task.music_task_id if isinstance(task, CoverTask) else None,
            cover_task_id=self._cover_task_id,
        )

    async def _run(self, task: CoverTask | str) -> None:
        try:
            with self._doorbell.listening(task) as self._bell:
                await self._poll(self._bell)
        except SunoCoverError as error:
            self._trouble = error
        finally:
            self._tell()

    async def _poll(self, bell: Bell) -> None:
        clock = asyncio.get_running_loop().time
        rang = await self._rest(bell, self._age.born + self._age.first_look)
        without_images = 0
        while True:
            if clock() >= max(self._deadlines):
                raise self._late(self._cover_task_id)
            details = await self._see(rang=rang)
            if details and details.status is CoverStatus.SUCCESS and not details.images:
                without_images += 1
                if without_images == _LOOKS_WITHOUT_IMAGES:
                    raise _images_missing(details)
            elif details:
                without_images = 0
                self._publish(details)
                if details.finished:
                    if self._age.rings and self._rung is None:
                        self._doorbell.missed()
                    return
            rang = await self._rest(bell, clock() + self._pause(clock()))

    def _pause(self, now: float) -> float:
        if self._rung is not None:
            return self._schedule.after(now - self._rung)
        if self._age.rings and self._doorbell.reliable:
            return self._schedule.after_safety()
        return self._schedule.after(now - self._age.born)

    async def _rest(self, bell: Bell, until: float) -> bool:
        """Sleep until the next look, a ring, or just before the deadline: one look is due there.

        Returns:
            Whether it rang.
        """
        clock = asyncio.get_running_loop().time
        moment = self._or_last(until)
        rang = await bell.heard(moment)
        while not rang and clock() < moment - _A_MOMENT:  # stirred by a new deadline
            moment = min(moment, self._or_last(until))
            rang = await bell.heard(moment)
        if rang:
            if self._rung is not None:
                await asyncio.sleep(self._or_last(self._rung + self._schedule.shortest) - clock())
            self._rung = clock()
        return rang

    def _or_last(self, moment: float) -> float:
        """Choose when to look: at a moment, or at a watcher's last look that comes before it."""
        now, born = asyncio.get_running_loop().time(), self._age.born
        lasts = (end - min(_LAST_LOOK, (end - born) / 5) for end in self._deadlines)
        return min((last for last in lasts if now < last < moment), default=moment)

    async def _see(self, *, rang: bool) -> CoverDetails | None:
        """Look once; trouble that may pass is kept for the deadline's message."""
        age = asyncio.get_running_loop().time() - self._age.born
        try:
            details = await self._look(rang)
        except SunoCoverError as error:
            if not error.retryable:
                raise
            self._trouble = error
            return None
        self._trouble = None
        if details is None and age > self._schedule.grace:
            raise unknown_cover_task(self._cover_task_id)
        return details

    def _publish(self, details: CoverDetails) -> None:
        changed = self._latest is None or self._latest.status is not details.status
        self._latest = details
        if changed:
            self._tell()


class Lookout:
    """Looks at cover tasks, for all who wait in one event loop."""

    def __init__(
        self,
        ask: Callable[[str, bool], Awaitable[CoverDetails | None]],
        schedule: PollSchedule,
        memory: Memory,
        is_busy: Callable[[], bool],
        doorbell: Doorbell,
    ) -> None:
        """Look through `ask`, told whether a callback asks; `is_busy` tells whether looks queue."""
        self._ask = ask
        self._schedule = schedule
        self._memory = memory
        self._is_busy = is_busy
        self._doorbell = doorbell
        self._streams: dict[str, PollStream] = {}

    async def look(self, task: CoverTask | str, *, rang: bool = False) -> CoverDetails | None:
        """Look once; None for `data: null`.

        Raises:
            CoverExistsError: An adopted task belongs to other music.
            UnexpectedResponseError: An accepted one does.
        """
        details = await self._ask(id_of(task), rang)
        if details is not None:
            _check_parent(task, details)
            self._memory.learn(details)
        return details

    @asynccontextmanager
    async def stream(
        self, task: CoverTask | str, deadline: float
    ) -> AsyncGenerator[PollStream, None]:
        """Join the looks at a cover task; they end with the last who leaves, or whose time is up.

        Args:
            task: The cover task.
            deadline: By the loop's clock.
        """
        cover_task_id = id_of(task)
        stream = self._streams.get(cover_task_id)
        if stream is None or stream.failed:
            stream = self._streams[cover_task_id] = self._begin(task, deadline)
        stream.watchers += 1
        try:
            yield stream
        except SunoCoverError as error:
            self._memory.ended(task, error)
            raise
        finally:
            stream.watchers -= 1
            if not stream.watchers:
                if self._streams.get(cover_task_id) is stream:
                    del self._streams[cover_task_id]
                await stream.stop()

    async def stop(self) -> None:
        """End all looks; whoever waits gets a `ClientUsageError`."""
        await asyncio.gather(*(stream.stop() for stream in list(self._streams.values())))

    @property
    def safety_look(self) -> float:
        """The age in seconds at which the callback of a task should have come."""
        learned = self._memory.durations.safety_look(self._schedule.shortest)
        return arguments.given(self._schedule.safety_first, learned)

    def _begin(self, task: CoverTask | str, deadline: float) -> PollStream:
        return PollStream(
            task,
            lambda rang: self.look(id_of(task), rang=rang),
            schedule=self._schedule,
            age=self._age(id_of(task)),
            deadline=deadline,
            doorbell=self._doorbell,
        )

    def _age(self, cover_task_id: str) -> Age:
        """Tell when a first look is worth it: at once for a task whose age is not known."""
        now = asyncio.get_running_loop().time()
        born = self._memory.born(cover_task_id, now)
        if born is None:
            return Age(born=now, first_look=0.0)
        if self._doorbell.reliable:
            return Age(born=born, first_look=self.safety_look, rings=True)
        learned = self._memory.durations.first_look(busy=self._is_busy())
        return Age(born=born, first_look=arguments.given(self._schedule.first, learned))


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


def _images_missing(details: CoverDetails) -> ImagesMissingError:
    return ImagesMissingError(
        f"cover task {details.cover_task_id} is a success without images; wait for it again later",
        music_task_id=details.music_task_id,
        cover_task_id=details.cover_task_id,
    )
