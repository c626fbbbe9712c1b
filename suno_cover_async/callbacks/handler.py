"""The user's own function, told of every callback: it may raise, hang or block, and harms nobody.

It knows threads, tasks and `Callback`; what a callback is worth is not its business.
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

from suno_cover_async.models import Callback

_MOST_CALLS = 100
_PATIENCE = 0.5  # seconds between two looks at an event loop that may have ended
_HEAD_START = 0.05  # seconds for the answer to leave before the user's code may block the loop

_log = logging.getLogger("suno_cover_async")


class Hook:
    """The user's function, and all that keeps it from harming anybody."""

    def __init__(self, function: Callable[[Callback], object]) -> None:
        """Check that it can be called.

        Raises:
            TypeError: It cannot.
        """
        if not callable(function):
            raise TypeError(f"on_callback must be callable, not {function!r:.80}")
        self._function = function
        self._free = threading.BoundedSemaphore(_MOST_CALLS)
        self._tasks: set[asyncio.Task[None]] = set()

    def call(self, callback: Callback) -> None:
        """Begin a call, if there is room; raises nothing."""
        if not self._free.acquire(blocking=False):
            _log.warning(
                "on_callback was not called for music task %s: %d calls of it are running",
                callback.music_task_id,
                _MOST_CALLS,
            )
            return
        try:
            self._begin(callback)
        except RuntimeError:
            self._free.release()
            _log.exception("no thread could be started for on_callback")

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
                "on_callback was not called, or not to its end, for music task %s: the event loop "
                "ended. Loops under WSGI end with the request; give a plain function there",
                callback.music_task_id,
            )

    async def _run(self, callback: Callback) -> None:
        await asyncio.sleep(_HEAD_START)
        with _reported(callback):
            await _finished(self._function(callback))

    def _run_in_thread(self, callback: Callback, loop: asyncio.AbstractEventLoop) -> None:
        with _reported(callback), contextlib.ExitStack() as stack:
            stack.callback(self._free.release)
            result = self._function(callback)
            if inspect.isawaitable(result):  # such as a lambda's that calls an `async def`
                time.sleep(_HEAD_START)
                _await_in(loop, _finished(result))


def _await_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
    """Have an event loop do it; whoever waits for one that was stopped and closed waits in vain."""
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
    except (Exception, SystemExit):  # noqa: BLE001 - whatever it is, it ends here
        _log.exception("on_callback failed for music task %s", callback.music_task_id)


async def _finished(result: object) -> None:
    if inspect.isawaitable(result):
        await result
