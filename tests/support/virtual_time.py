"""An event loop whose clock jumps to the next timer: hours of waiting in no time.

Sockets work in it as long as both ends are in this loop, and so do threads that the loop itself
waits for, in an executor or a ledger: the clock stands still until they have answered.
"""

import asyncio
import selectors
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from suno_cover_async.ledger.writer import Writer

T = TypeVar("T")

_ON_THE_WAY = 0.0001  # real seconds for what is in the machine's own network
_TOO_LONG = 30.0  # real seconds
_WAITS_FOR_A_THREAD = {
    Writer.do.__code__,
    asyncio.BaseEventLoop.shutdown_default_executor.__code__,
}


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.threads_at_work: set[asyncio.Future[Any]] = set()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.threads_at_work or timeout is None:
            ready = super().select(_TOO_LONG)
            assert ready, "nothing will ever happen in this loop"
        elif len(self.get_map()) == 1 or not (ready := self._arriving()):
            self.now += timeout
        return ready

    def _arriving(self) -> list[tuple[selectors.SelectorKey, int]]:
        time.sleep(_ON_THE_WAY)  # selectors round their time-outs up to 0.001 s
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def create_future(self) -> "asyncio.Future[Any]":
        future = super().create_future()
        if sys._getframe(1).f_code in _WAITS_FOR_A_THREAD:
            self._wait_for(future)
        return future

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        return self._wait_for(super().run_in_executor(executor, func, *args))

    def _wait_for(self, future: "asyncio.Future[T]") -> "asyncio.Future[T]":
        self._jumping.threads_at_work.add(future)
        future.add_done_callback(self._jumping.threads_at_work.discard)
        return future


def run(
    work: Coroutine[Any, Any, T],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = VirtualTimeLoop,
) -> T:
    """Run a coroutine to its end in virtual time; no callback may fail meanwhile."""
    failed: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: failed.append(context))
        result = runner.run(work)
    assert not failed, failed[0]
    return result
