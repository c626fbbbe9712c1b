"""One stream of polls per cover task, shared by all who wait for it.

It owns what a look means for those who wait: pending, changed, finished, unknown. It knows no
HTTP: a look is a callable handed in, and when to look is `pace.py`'s to say.
"""

import asyncio
from collections.abc import Awaitable, Callable

import attrs

from suno_cover_async.errors import (
    ClientUsageError,
    CoverTimeoutError,
    ImagesMissingError,
    NotFoundError,
    SunoCoverError,
)
from suno_cover_async.models import CoverDetails, CoverStatus
from suno_cover_async.pace import PollSchedule

_LOOKS_WITHOUT_IMAGES = 4  # the first, and three more

Look = Callable[[], Awaitable[CoverDetails | None]]


@attrs.frozen(kw_only=True)
class Age:
    """What is known of a cover task's age, by the loop's clock.

    Attributes:
        born: When it was submitted, or else when its stream began.
        first_look: Seconds after `born` at which the first look is worth it.
    """

    born: float
    first_look: float


class PollStream:
    """The looks at one cover task: begun by its first watcher, ended with its last."""

    def __init__(self, cover_task_id: str, look: Look, schedule: PollSchedule, age: Age) -> None:
        """Begin to look; must be called inside a running event loop."""
        self._cover_task_id = cover_task_id
        self._look = look
        self._schedule = schedule
        self._age = age
        self._latest: CoverDetails | None = None
        self._trouble: SunoCoverError | None = None
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self.watchers = 0

    async def after(self, seen: CoverDetails | None, deadline: float) -> CoverDetails:
        """Wait for details whose status is another than that of `seen`.

        Args:
            seen: What the watcher has seen last, None at first.
            deadline: By the loop's clock.

        Raises:
            CoverTimeoutError: The deadline passed.
            SunoCoverError: What ended the stream, such as NotFoundError.
        """
        while True:
            if self._latest and (seen is None or self._latest.status is not seen.status):
                return self._latest
            if self._task.done():
                raise self._end()
            if not await self._hear(deadline):
                raise CoverTimeoutError(self._late(), cover_task_id=self._cover_task_id)

    async def finished(self, deadline: float) -> CoverDetails:
        """Wait for the last details, of a success or a failure; raises as `after` does."""
        details = await self.after(None, deadline)
        while not details.finished:
            details = await self.after(details, deadline)
        return details

    async def stop(self) -> None:
        """End the looking, and return when it has ended."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self._news.set()

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

    def _end(self) -> SunoCoverError:
        return self._trouble or ClientUsageError(
            f"the client was closed while cover task {self._cover_task_id} was waited for",
            cover_task_id=self._cover_task_id,
        )

    def _late(self) -> str:
        last = f"; the last look failed: {self._trouble}" if self._trouble else ""
        return (
            f"cover task {self._cover_task_id} is not finished in time{last}; "
            "nothing is lost: wait for it again later"
        )

    async def _run(self) -> None:
        try:
            await self._poll()
        except SunoCoverError as error:
            self._trouble = error
        finally:
            self._tell()

    async def _poll(self) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._age.born + self._age.first_look - clock())
        without_images = 0
        while True:
            details = await self._see(clock() - self._age.born)
            if details and details.status is CoverStatus.SUCCESS and not details.images:
                without_images += 1
                if without_images == _LOOKS_WITHOUT_IMAGES:
                    raise _images_missing(details)
            elif details:
                self._publish(details)
                if details.finished:
                    return
            await asyncio.sleep(self._schedule.after(clock() - self._age.born))

    async def _see(self, age: float) -> CoverDetails | None:
        """Look once; trouble that may pass is kept for the deadline's message."""
        try:
            details = await self._look()
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
