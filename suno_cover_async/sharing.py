"""One task that several callers await: begun for the first, ended with the last.

It knows tasks and callers; what the task does is not its business.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from suno_cover_async.errors import ClientUsageError

T = TypeVar("T")


class Shared(Generic[T]):
    """A task and those who await it. A caller's cancellation ends it only if no other is left."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        """Begin the work; must be called inside a running event loop."""
        self._task = asyncio.create_task(work)
        self._callers = 0

    @property
    def done(self) -> bool:
        """Whether the work has ended, however it did."""
        return self._task.done()

    async def join(self) -> T:
        """Await the work's result.

        Raises:
            ClientUsageError: The work was stopped, by closing the client.
        """
        self._callers += 1
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
        finally:
            self._callers -= 1
            if not self._callers:
                await self.stop()
        raise ClientUsageError("the client was closed while a submit was under way; see unclaimed")

    async def stop(self) -> None:
        """Cancel the work and return when it has ended; a second cancellation returns at once."""
        if self._task.done():
            return
        self._task.cancel()
        try:
            await asyncio.wait([self._task])
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if not self._task.cancelled():
            self._task.exception()  # nobody is left to hear of it


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
