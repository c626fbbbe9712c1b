"""One thing for each event loop it is used in: opened at first use, closed with owner or loop.

It knows event loops and context managers; what the thing is, is its owner's business.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Generic, TypeVar

T = TypeVar("T")


class LoopLocal(Generic[T]):
    """Serves event loops in turn; two running ones at once are refused."""

    def __init__(
        self,
        make: Callable[[AsyncExitStack], Awaitable[T]],
        refused: Callable[[str], Exception],
    ) -> None:
        """Open nothing yet.

        Args:
            make: Opens the thing and fills the stack, without suspending.
            refused: Makes the error of who may not use it.
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
        """The thing of the event loop it was used in last, while it is open or being closed."""
        return self._thing

    async def enter(self) -> T:
        """Return the running event loop's thing.

        Raises:
            Exception: It was closed, or another event loop that uses it is running; as `refused`
                made it.
        """
        if self._closed:
            raise self._refused("this client is closed; make a new one")
        loop = asyncio.get_running_loop()
        if self._thing is not None and self._loop is loop:
            return self._thing
        if self._loop is not None and self._loop is not loop and self._loop.is_running():
            raise self._refused(
                "this client is in use in another running event loop; make one client per loop"
            )
        self._loop, self._life = loop, self._live()
        self._thing = await anext(self._life)
        return self._thing

    async def aclose(self) -> None:
        """Close what lives in the running event loop, for good; closing twice is fine.

        It is closed in a task of its own. Whoever is cancelled while it waits here leaves at once,
        and that task goes on: it may have requests to finish that cost money.
        """
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
        """Hold the thing open: `asyncio.run` closes generators when it shuts its loop down.

        It closes them all at once, so this must be the only one.
        """
        thing: T | None = None
        try:
            async with AsyncExitStack() as stack:
                thing = await self._make(stack)
                yield thing
        finally:
            if self._thing is thing:
                self._thing = None
