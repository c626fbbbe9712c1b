"""Share a task among several callers (single flight), and end all waits when their owner closes.

It knows tasks, callers and cancellation; it does not know what a task does.
"""

import asyncio
import copy
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# The work that the running code is part of. The reference is weak, since a context lives as long
# as the objects created in it, such as connections, and would keep the task alive.
_work: "ContextVar[weakref.ref[asyncio.Task[Any]] | None]" = ContextVar("_work", default=None)


def begin_work() -> None:
    """Mark the running task as work; code that it awaits or starts is part of it."""
    task = asyncio.current_task()
    _work.set(None if task is None else weakref.ref(task))


def is_part_of(work: asyncio.Task[Any]) -> bool:
    """Return whether the running code is part of this work, and so must not wait for its end.

    It may be: the work may call code of the user, which closes what the work uses.
    """
    reference = _work.get()
    return reference is not None and reference() is work


class SingleFlight(Generic[T]):
    """A task shared by several callers: started for the first, cancelled when the last has left.

    A cancelled caller leaves at once. The task is cancelled once only: when no caller is left, or
    by `stop`.
    """

    # The task may have something to finish after its cancellation, such as a request that costs
    # money, and a second cancellation would interrupt that. Callers may be cancelled any number of
    # times: anyio cancels a task again and again until it ends. So callers never await the task
    # directly, since their cancellation would reach it; they use `asyncio.wait`, which passes none
    # on.

    def __init__(
        self,
        work: Coroutine[Any, Any, T],
        *,
        ended: Callable[[], None],
        stopped: Callable[[], Exception],
    ) -> None:
        """Start the work, inside a running event loop.

        Args:
            work: The work.
            ended: Called once the work has ended.
            stopped: Makes the error of callers whose work was stopped.
        """
        self._stopped = stopped
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(_retrieved)
        self._task.add_done_callback(lambda _: ended())
        self._callers = 0
        self._stopping = False

    @property
    def joinable(self) -> bool:
        """Whether a caller may still join: the work has neither ended nor been stopped."""
        return not self._stopping and not self._task.done()

    @property
    def has_ended(self) -> bool:
        """Whether the work has ended."""
        return self._task.done()

    async def join(self) -> T:
        """Wait for the work, and return its result.

        Raises:
            Exception: A copy of the work's error, so that each caller has a traceback of its own;
                or, if the work was stopped, the error made by `stopped`.
        """
        self._callers += 1
        try:
            await self.ended()
        finally:
            self._callers -= 1
            if not self._callers:
                self.stop()
        if self._task.cancelled():
            raise self._stopped()
        error = self._task.exception()
        if error is not None:
            raise _copied(error)
        return self._task.result()

    async def ended(self) -> None:
        """Wait until the work has ended, with a result, an error or a cancellation."""
        await asyncio.wait([self._task])

    def stop(self) -> None:
        """Cancel the work, once only; `ended` waits for its end, which may come later."""
        if not (self._stopping or self._task.get_loop().is_closed()):
            self._stopping = True
            self._task.cancel()


def _copied(error: BaseException) -> BaseException:
    """Return a copy of an error, or the error itself if its class cannot be copied."""
    try:
        return copy.copy(error)
    except TypeError:
        return error


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Read a task's error; else asyncio logs it as never retrieved if every caller has left."""
    if not task.cancelled():
        task.exception()


class Closing:
    """Ends the waits of callers when their owner closes, in one event loop.

    Attributes:
        is_closed: Whether it is closed; then no wait begins any more.
    """

    # Closing cancels each waiting task, and `unless_closed` turns that cancellation into an error.
    # A caller or a timeout may cancel the same task at that moment, and its cancellation must not
    # be swallowed. So closing removes the task from `_callers` first, which shows whose
    # cancellation it was, and `uncancel` takes exactly one cancellation back: if others remain,
    # the CancelledError passes.

    def __init__(self, closed: Callable[[], Exception]) -> None:
        """Start open; `closed` makes the error of callers that wait when it closes."""
        self.closed = closed
        self._callers: dict[asyncio.Task[Any], int] = {}
        self.is_closed: bool = False

    async def unless_closed(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work in the running task, and end the wait at `close`.

        Raises:
            Exception: It was closed; made by `closed`.
            asyncio.CancelledError: The task was cancelled by other code.
        """
        if self.is_closed:
            work.close()
            raise self.closed()
        task = asyncio.current_task()
        if task is None or task in self._callers:
            return await work
        cancellations = self._callers[task] = task.cancelling()
        try:
            return await work
        except asyncio.CancelledError:
            if task in self._callers or task.uncancel() > cancellations:
                raise
        finally:
            self._callers.pop(task, None)
        raise self.closed()

    def close(self) -> None:
        """End all waits, for good."""
        self.is_closed = True
        callers, self._callers = self._callers, {}
        for task in callers:
            task.cancel()


async def raise_inner_cancellation(
    work: Callable[[], Awaitable[None]], cancelled: Callable[[], Exception]
) -> None:
    """Await work; raise the error made by `cancelled` for a CancelledError from inside the work.

    A CancelledError passes unchanged when this task was cancelled. Otherwise it came from the
    awaited work, such as a DNS lookup cancelled because its client was closed. A TaskGroup would
    take that for a normal end of the task, and the result of the task would silently be missing.
    """
    try:
        await work()
    except asyncio.CancelledError:
        if cancellations_of_this_task():
            raise
        raise cancelled() from None


def cancellations_of_this_task() -> int:
    """Return how often the running task was cancelled, less the cancellations taken back."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


async def settled(task: "asyncio.Future[Any]") -> None:
    """Wait for a task that was cancelled; if the caller is cancelled, cancel the task again."""
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        raise
