"""One task that several callers await: begun for the first, cancelled when the last one left.

It knows tasks and callers, and how they end when a client closes; what the task does is not its
business.
"""

import asyncio
import copy
import weakref
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

T = TypeVar("T")

# The work of a catalog that the running code is part of. It is held weakly: contexts live on in
# whatever was made in them, such as connections.
_work: "ContextVar[weakref.ref[asyncio.Task[Any]] | None]" = ContextVar("_work", default=None)


def begin_work() -> None:
    """Call the running task a catalog's work: what it awaits and begins is part of it."""
    task = asyncio.current_task()
    _work.set(None if task is None else weakref.ref(task))


def is_part_of(work: asyncio.Task[Any]) -> bool:
    """Whether the running code is part of this work, and so must not wait for its end.

    What brings a catalog's tracks may close the client or the ledger.
    """
    reference = _work.get()
    return reference is not None and reference() is work


class SingleFlight(Generic[T]):
    """A task that belongs to none of its callers.

    Callers leave as soon as they are cancelled, however often that happens: anyio cancels a task
    again and again until it ends. Only the task itself must see one cancellation and no second
    one, since it may have something to finish, such as a request that costs money. So callers
    never await it directly, and it is cancelled once: when no caller is left, or by `stop`.
    """

    def __init__(
        self,
        work: Coroutine[Any, Any, T],
        *,
        ended: Callable[[], None],
        stopped: Callable[[], Exception],
    ) -> None:
        """Begin the work, inside a running event loop.

        Args:
            work: What to do.
            ended: Called once it has ended.
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
        """Whether the work goes on."""
        return not self._stopping and not self._task.done()

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing left to await."""
        return self._task.done()

    async def join(self) -> T:
        """Await the work's result; its error is a copy, since each caller's traceback is its own.

        Raises:
            Exception: The work's own error, or as `stopped` made it.
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
        """Wait until the work has ended, however it did."""
        await asyncio.wait([self._task])

    def stop(self) -> None:
        """Cancel the work, unless it was; it may go on for a while: see `ended`."""
        if not (self._stopping or self._task.get_loop().is_closed()):
            self._stopping = True
            self._task.cancel()


def _copied(error: BaseException) -> BaseException:
    """Copy an error, unless its class cannot be copied."""
    try:
        return copy.copy(error)
    except TypeError:
        return error


def _retrieved(task: asyncio.Task[Any]) -> None:
    """Look at a task's error: asyncio reports one as forgotten where every caller has left."""
    if not task.cancelled():
        task.exception()


class Closing:
    """Ends what callers wait for when a client closes; in one event loop.

    Attributes:
        is_closed: Nothing is waited for any more.
    """

    def __init__(self, closed: Callable[[], Exception]) -> None:
        """Let them wait; `closed` makes the error of those who waited when it closed."""
        self.closed = closed
        self._callers: dict[asyncio.Task[Any], int] = {}
        self.is_closed: bool = False

    async def unless_closed(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work, in the running task, and end when the client closes.

        Raises:
            Exception: It closed; as `closed` made it. A cancellation by anybody else passes.
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
        """End all that is waited for, for good."""
        self.is_closed = True
        callers, self._callers = self._callers, {}
        for task in callers:
            task.cancel()


def cancellations_of_this_task() -> int:
    """Count the cancellations of the running task that are not taken back."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


async def settled(task: "asyncio.Future[Any]") -> None:
    """Wait for a task that was told to end; a cancellation of ours ends it at once."""
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        raise
