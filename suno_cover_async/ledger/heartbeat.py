"""Tell a shared ledger every few seconds that a run is alive, and know how long ago that was.

This module owns when the ledger is told. The store decides, by its own clock, when a run that is
silent loses its tracks.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

_FRESH = 2  # beats; a store gives a run up after four


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.time()


class Heartbeat:
    """The beats of one run."""

    def __init__(
        self,
        beat: Callable[[], Awaitable[None]],
        seconds: float,
        clocks: Callable[[], tuple[float, float]] = _clocks,
    ) -> None:
        """Prepare to call `beat` every few seconds; `clocks` are those that `is_fresh` compares."""
        self._beat = beat
        self._seconds = seconds
        self._clocks = clocks
        self._heard = clocks()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def going(self) -> AsyncGenerator[None, None]:
        """Beat inside the block."""
        # It runs in the event loop and not in a thread: a process whose loop hangs does not work on
        # its tracks, and others must get them.
        self._heard = self._clocks()
        self._task = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            self._task.cancel()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            began = self._clocks()
            await self._beat()
            self._heard = began

    @property
    def is_fresh(self) -> bool:
        """Whether the run was alive so lately that its tracks are certainly its own."""
        # A process that was stopped, or whose machine slept, finds out here that time has passed.
        # One of the two clocks stands still while a machine sleeps; the other one may be set.
        longest = _FRESH * self._seconds
        return all(
            now - then < longest for now, then in zip(self._clocks(), self._heard, strict=True)
        )

    async def lost(self) -> None:
        """Wait until a beat fails; return when the block has ended.

        Raises:
            LedgerError: The run was given up for dead, or the ledger cannot be written.
        """
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()
