"""Runs blocking disk work in a thread, and makes new file names durable."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


async def in_thread(act: Callable[[], T]) -> T:
    """Call `act` in a thread, and wait for its end even if cancelled; then raise the cancellation.

    Returns:
        What `act` returns.
    """
    # A thread cannot be stopped. If a cancellation were raised at once, the caller would clean up
    # while the thread still writes: it would delete or replace a file that the thread has open.
    work = asyncio.get_running_loop().run_in_executor(None, act)
    cancellation: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        work.exception()  # else asyncio would log an exception that was never retrieved
        raise cancellation
    return work.result()


def sync_directory(directory: Path) -> None:
    """Make a new name in a directory durable, if the system can sync a directory."""
    with contextlib.suppress(OSError):
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
