"""Call the user's function for every callback; it may raise, hang or block without harm.

This module knows threads, tasks and `Callback`. It does not decide whether a callback is valid.
"""

import asyncio
import concurrent.futures
import contextlib
import inspect
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from suno_cover_async.log_fields import fields
from suno_cover_async.models import Callback

_MOST_CALLS = 100
_PATIENCE = 0.5  # seconds between two checks whether the event loop is closed
_HEAD_START = 0.05  # seconds to send the answer before the user's code may block the loop

_log = logging.getLogger("suno_cover_async")


class CallbackHandler:
    """The user's function, isolated from the receiver: errors are logged, calls are bounded."""

    def __init__(self, function: Callable[[Callback], object]) -> None:
        """Check that the function can be called.

        Raises:
            TypeError: It cannot be called.
        """
        if not callable(function):
            raise TypeError(f"on_callback must be callable, not {function!r:.80}")
        self._function = function
        self._free = threading.BoundedSemaphore(_MOST_CALLS)
        self._tasks: set[asyncio.Task[None]] = set()

    def call(self, callback: Callback) -> None:
        """Start a call, unless 100 calls are running; raise nothing."""
        if not self._free.acquire(blocking=False):
            _log.warning(
                "on_callback was not called for music task %s: %d calls of it are running",
                callback.music_task_id,
                _MOST_CALLS,
                extra=_fields("on_callback_not_called", callback),
            )
            return
        try:
            self._begin(callback)
        except RuntimeError:
            self._free.release()
            _log.exception(
                "no thread could be started for on_callback",
                extra=_fields("on_callback_not_called", callback),
            )

    def _begin(self, callback: Callback) -> None:
        loop = asyncio.get_running_loop()
        if not inspect.iscoroutinefunction(self._function):
            args = (callback, loop)
            threading.Thread(target=self._run_in_thread, args=args, daemon=True).start()
            return
        task = loop.create_task(self._run(callback))
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, callback))

    def _ended(self, callback: Callback, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free.release()
        if task.cancelled():
            _log.warning(
                "on_callback was not called, or did not finish, for music task %s: the event loop "
                "ended. Under WSGI it ends with the request; give a plain function there",
                callback.music_task_id,
                extra=_fields("on_callback_not_called", callback),
            )

    async def _run(self, callback: Callback) -> None:
        await asyncio.sleep(_HEAD_START)
        with _reported(callback):
            await _finished(self._function(callback))

    def _run_in_thread(self, callback: Callback, loop: asyncio.AbstractEventLoop) -> None:
        with _reported(callback), contextlib.ExitStack() as stack:
            stack.callback(self._free.release)
            result = self._function(callback)
            if inspect.isawaitable(result):  # such as a lambda that calls an `async def`
                time.sleep(_HEAD_START)
                _await_in(loop, _finished(result))


def _await_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in an event loop from this thread, and wait for it."""
    # If the loop is stopped and closed first, the future is never done, and a plain `result()`
    # would block this thread forever. So the wait checks every 0.5 s whether the loop is closed.
    done = asyncio.run_coroutine_threadsafe(work, loop)
    while not concurrent.futures.wait([done], _PATIENCE).done:
        if loop.is_closed():
            work.close()
            raise RuntimeError("the event loop was closed before on_callback could run in it")
    done.result()


@contextlib.contextmanager
def _reported(callback: Callback) -> Generator[None, None, None]:
    try:
        yield
    except (Exception, SystemExit):  # noqa: BLE001 - no error may leave the hook
        _log.exception(
            "on_callback failed for music task %s",
            callback.music_task_id,
            extra=_fields("on_callback_failed", callback),
        )


async def _finished(result: object) -> None:
    if inspect.isawaitable(result):
        await result


def _fields(event_name: str, callback: Callback) -> dict[str, object]:
    return fields(event_name, music_task_id=callback.music_task_id)
