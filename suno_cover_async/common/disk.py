"""Blocking work on a disk: run in a thread to its end, and names made durable."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


async def in_thread(act: Callable[[], T]) -> T:
    """Call `act` in a thread, and wait for it to end even when cancelled.

    A thread cannot be stopped, and whoever cleans up after a cancellation must find that it no
    longer holds the file. So a cancellation is kept, and raised once the thread has ended.
    """
    work = asyncio.get_running_loop().run_in_executor(None, act)
    cancellation: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        work.exception()  # read it, or asyncio reports an exception that was never retrieved
        raise cancellation
    return work.result()


def sync_directory(directory: Path) -> None:
    """Make a new name in a directory durable, where the system lets a directory be synced."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
