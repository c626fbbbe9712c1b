"""Run one command in an event loop, end it on signals, and return its exit code.

It knows signals and asyncio; it knows nothing of covers.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

from suno_cover_async.cli.output.console import say, stderr

_PATIENCE = 0.2  # seconds of cleaning up before a message explains the wait
_MONEY = "an answer that may cost money"
_LONGEST_END = 28.0  # seconds; container managers send SIGKILL 30 s after SIGTERM
_ENDING = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
    _ENDING.append(signal.SIGHUP)  # the terminal is gone; nohup ignores that


class Leaving(Protocol):
    """Work that ends in time at SIGTERM, since others wait for what it holds."""

    async def drain(self) -> bool:
        """Begin nothing more, and wait until the work may be cancelled.

        Returns:
            Whether it ends by itself once it is cancelled; otherwise it is abandoned.
        """
        ...

    async def abandon(self) -> None:
        """Give back what can be given back, and report: the process ends after this."""
        ...


def _cannot() -> bool:
    return False


def run(
    work: Coroutine[Any, Any, int],
    *,
    finish: Callable[[], bool] = _cannot,
    leaving: Leaving | None = None,
    waits_for: str = _MONEY,
) -> int:
    """Run a command to its end, or cancel it at the first SIGINT, SIGTERM or SIGHUP.

    A cancelled command is awaited until it has cleaned up; a further signal ends it at once.

    Args:
        work: The command.
        finish: Called when the first signal is a SIGINT. It begins to end the work, and returns
            True if the work will end by itself; then only the next signal cancels.
        leaving: How the work ends at SIGTERM; the process has ended 28 s later, whatever hangs.
            None waits without a limit for what the work cleans up.
        waits_for: What a cancelled command may still wait for, in words.

    Returns:
        The work's exit code, or 128 plus the number of the last signal that ended it.
    """
    # A thread ends the process, since the event loop may hang, or be closed and wait for threads.
    deadline = threading.Timer(_LONGEST_END, _end_process, ["the ledger or a thread hangs"])
    deadline.daemon = True
    try:
        with asyncio.Runner() as runner:
            return runner.run(_until_signal(work, finish, waits_for, leaving, deadline.start))
    finally:
        deadline.cancel()


async def _until_signal(
    work: Coroutine[Any, Any, int],
    finish: Callable[[], bool],
    waits_for: str = _MONEY,
    leaving: Leaving | None = None,
    start_deadline: Callable[[], None] = lambda: None,
) -> int:
    # One Ctrl-C must not lose a cover: a cancelled command still waits for the answer of a submit
    # that was sent, so it is cancelled once and then awaited. Before that wait, the usual signal
    # handlers are restored, so that the next signal ends a process that waits too long. While
    # `finish` works, our handler stays: the next signal is then the one that cancels.
    task = asyncio.ensure_future(work)
    seen: list[signal.Signals] = []
    finishing = False
    left: asyncio.Task[None] | None = None

    def stop(number: signal.Signals) -> None:
        nonlocal finishing, left
        seen.append(number)
        if number is signal.SIGINT and len(seen) == 1 and finish():
            finishing = True
            return
        handle_as_usual()
        if number is signal.SIGTERM and leaving is not None:
            start_deadline()
            left = asyncio.create_task(_leave(task, leaving))
            return
        task.cancel()
        asyncio.get_running_loop().call_later(_PATIENCE, _explain_the_wait, waits_for)

    with _handled(stop) as handle_as_usual:
        try:
            code = await task
        except asyncio.CancelledError:
            if not seen:
                raise
            return 128 + seen[-1]
        finally:
            if left is not None:
                left.cancel()
        return 128 + signal.SIGINT if finishing else code


async def _leave(work: asyncio.Task[int], leaving: Leaving) -> None:
    """Cancel the work once it may be, and end the process if it does not end by that."""
    ends = await leaving.drain()
    work.cancel()
    if not ends:
        await leaving.abandon()
        stderr().show_cursor()  # a live display hides it
        _end_process()


def _end_process(reason: str = "") -> None:
    """End the process at once, as after SIGTERM; no thread and no clean-up is waited for."""
    with contextlib.suppress(OSError, ValueError):
        if reason:  # not by `say`: another thread may hold the console's lock
            os.write(sys.stderr.fileno(), f"stopping at once: {reason}\n".encode())
        sys.stdout.flush()
    os._exit(128 + signal.SIGTERM)


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
