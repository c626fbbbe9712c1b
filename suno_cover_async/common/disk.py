"""Runs blocking disk work in a thread, opens files safely, makes new file names durable."""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def open_anything(path: Path) -> BufferedReader:
    """Open a file that may be anything, a pipe too, to read it; it waits for no writer."""
    # An opener: the descriptor of a folder, which `os.fdopen` refuses, would stay open.
    return open(path, "rb", opener=lambda name, _: os.open(name, _READING))


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read it; raise OSError for anything else, at once."""
    file = open_anything(path)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


async def in_thread(act: Callable[[], T], *, on_cancel: Callable[[], None] | None = None) -> T:
    """Call `act` in a thread, and wait for its end even if cancelled; then raise the cancellation.

    Args:
        act: What may block.
        on_cancel: Called at a cancellation, to make `act` end sooner.

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
            if on_cancel is not None:
                on_cancel()
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
