"""Hold a resource per event loop: opened at first use, closed with its owner or with the loop.

It knows event loops and context managers; it does not know what the resource is.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Generic, TypeVar

T = TypeVar("T")


class LoopLocal(Generic[T]):
    """Holds one resource for one event loop after the other; refuses two running at once."""

    def __init__(
        self,
        make: Callable[[AsyncExitStack], Awaitable[T]],
        refused: Callable[[str], Exception],
    ) -> None:
        """Open nothing yet.

        Args:
            make: Opens the resource and fills the stack that closes it, without suspending; see
                `enter`.
            refused: Makes the error for a caller that must not use it.
        """
        self._make = make
        self._refused = refused
        self._life: AsyncGenerator[T, None] | None = None
        self._thing: T | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def current(self) -> T | None:
        """The resource of the last event loop, while it is open or being closed; else None."""
        return self._thing

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop in which it was opened last, which may be closed by now."""
        return self._loop

    @property
    def opened(self) -> T | None:
        """The resource of the running event loop, if it is open; else None: `enter` opens it."""
        is_here = not self._closed and self._loop is asyncio.get_running_loop()
        return self._thing if is_here else None

    async def enter(self) -> T:
        """Return the running event loop's resource; open it at first use.

        Raises:
            Exception: It was closed, or another running event loop uses it; made by `refused`.
        """
        if (thing := self.opened) is not None:
            return thing
        if self._closed:
            raise self._refused("this client is closed; make a new one")
        loop = asyncio.get_running_loop()
        if self._loop is not None and self._loop is not loop and self._loop.is_running():
            raise self._refused(
                "this client is in use in another running event loop; make one client per loop"
            )
        # `make` must not suspend. If it did, two tasks could both come here before `_thing` is set,
        # and each would open a resource, of which only one is closed.
        self._loop, self._life = loop, self._live()
        self._thing = await anext(self._life)
        return self._thing

    async def aclose(self) -> None:
        """Close the running event loop's resource for good; closing twice is allowed."""
        # A task of its own closes it, and the caller waits behind a shield. A cancelled caller
        # returns at once, while the task goes on: it may have requests to finish that cost money,
        # and a cancellation inside it would drop their answers.
        self._closed = True
        life, self._life = self._life, None
        if self._loop is not asyncio.get_running_loop():
            return
        if life is not None:
            self._closing = asyncio.create_task(self._close(life))
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _close(self, life: AsyncGenerator[T, None]) -> None:
        try:
            await life.aclose()
        finally:
            self._closing = None

    async def _live(self) -> AsyncGenerator[T, None]:
        """Yield the resource, and close it when the generator is closed."""
        # An asynchronous generator, because `asyncio.run` closes all of them when it shuts its loop
        # down: so the resource is closed even if no caller calls `aclose`. They are closed
        # concurrently, in no order, so there must be only one: this.
        thing: T | None = None
        try:
            async with AsyncExitStack() as stack:
                thing = await self._make(stack)
                yield thing
        finally:
            if self._thing is thing:
                self._thing = None
