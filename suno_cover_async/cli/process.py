"""Run one command in an event loop, end it on signals, and return its exit code.

It knows signals and asyncio; it knows nothing of covers.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from suno_cover_async.cli.output.console import say, stderr

_PATIENCE = 0.2  # seconds of cleaning up before a message explains the wait
_MONEY = "an answer that may cost money"
_ENDING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
    _ENDING.append(signal.SIGHUP)  # the terminal is gone; nohup ignores that


def _cannot() -> bool:
    return False


def run(
    work: Coroutine[Any, Any, int],
    *,
    finish: Callable[[], bool] = _cannot,
    waits_for: str = _MONEY,
) -> int:
    """Run a command to its end, or cancel it at the first SIGINT, SIGTERM or SIGHUP.

    A cancelled command is awaited until it has cleaned up; a further signal ends it at once.

    Args:
        work: The command.
        finish: Called when the first signal is a SIGINT. It begins to end the work, and returns
            True if the work will end by itself; then only the next signal cancels.
        waits_for: What a cancelled command may still wait for, in words.

    Returns:
        The work's exit code, or 128 plus the number of the last signal that ended it.
    """
    with asyncio.Runner() as runner:
        return runner.run(_until_signal(work, finish, waits_for))


async def _until_signal(
    work: Coroutine[Any, Any, int], finish: Callable[[], bool], waits_for: str = _MONEY
) -> int:
    # One Ctrl-C must not lose a cover: a cancelled command still waits for the answer of a submit
    # that was sent, so it is cancelled once and then awaited. Before that wait, the usual signal
    # handlers are restored, so that the next signal ends a process that waits too long. While
    # `finish` works, our handler stays: the next signal is then the one that cancels.
    task = asyncio.ensure_future(work)
    seen: list[signal.Signals] = []
    finishing = False

    def stop(number: signal.Signals) -> None:
        nonlocal finishing
        seen.append(number)
        if number is signal.SIGINT and len(seen) == 1 and finish():
            finishing = True
            return
        task.cancel()
        handle_as_usual()
        asyncio.get_running_loop().call_later(_PATIENCE, _explain_the_wait, waits_for)

    with _handled(stop) as handle_as_usual:
        try:
            code = await task
        except asyncio.CancelledError:
            if not seen:
                raise
            return 128 + seen[-1]
        return 128 + signal.SIGINT if finishing else code


def _explain_the_wait(waits_for: str) -> None:
    say(stderr(), f"stopping: waiting for {waits_for}; Ctrl-C again stops at once", "yellow")


@contextlib.contextmanager
def _handled(stop: Callable[[signal.Signals], None]) -> Generator[Callable[[], None], None, None]:
    """Call `stop` on the ending signals; yield a function that restores the usual handlers.

    If the event loop cannot handle signals, as on Windows, `asyncio.Runner` turns a Ctrl-C into
    the same cancellation.
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
