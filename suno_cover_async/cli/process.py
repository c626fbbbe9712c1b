"""One command as one process: an event loop, the signals that end it, and its exit code.

It knows signals and asyncio; it knows nothing of covers.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from suno_cover_async.cli.console import say, stderr

_PATIENCE = 0.2  # seconds of cleaning up that need no explanation
_ENDING = (signal.SIGINT, signal.SIGTERM)


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end, or cancel it at the first SIGINT or SIGTERM.

    The work is awaited until it has cleaned up; a second signal does not wait for that.

    Returns:
        The work's exit code, or 128 plus the signal's number.
    """
    with asyncio.Runner() as runner:
        return runner.run(_until_signal(work))


async def _until_signal(work: Coroutine[Any, Any, int]) -> int:
    task = asyncio.ensure_future(work)
    seen: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        seen.append(number)
        task.cancel()
        handle_as_usual()
        asyncio.get_running_loop().call_later(_PATIENCE, _explain_the_wait)

    with _handled(stop) as handle_as_usual:
        try:
            return await task
        except asyncio.CancelledError:
            if not seen:
                raise
            return 128 + seen[0]


def _explain_the_wait() -> None:
    what = "stopping: waiting for an answer that may cost money; Ctrl-C again does not wait"
    say(stderr(), what, "yellow")


@contextlib.contextmanager
def _handled(stop: Callable[[signal.Signals], None]) -> Generator[Callable[[], None], None, None]:
    """Handle the ending signals by `stop`; yields what brings the usual handling back.

    Where an event loop cannot handle signals, as on Windows, `asyncio.Runner` turns a Ctrl-C
    into the same cancellation.
    """
    loop = asyncio.get_running_loop()

    def restore() -> None:
        for number in _ENDING:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)

    for number in _ENDING:
        with contextlib.suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(number, stop, number)
    try:
        yield restore
    finally:
        restore()
