"""Waiting for what another task does, and errors thrown at a chosen suspension."""

import asyncio
import itertools
import types
from collections.abc import Callable, Coroutine
from typing import Any


async def until(
    condition: Callable[[], object], *, every: float = 0.0, within: float = 100.0
) -> None:
    """Let other tasks run until a condition is true; fail after `within` seconds.

    Args:
        condition: What to wait for.
        every: The seconds between two checks, where another process does the work.
        within: The most seconds to wait, by the event loop's clock.
    """
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the journal is a list, not an event
            await asyncio.sleep(every)


@types.coroutine
def thrown(work: Coroutine[Any, Any, object], after: int, error: BaseException) -> Any:
    """Drive some work, and throw into its innermost frame at its n-th suspension."""
    for number in itertools.count():
        try:
            waiting = work.throw(error) if number == after else work.send(None)
        except StopIteration as done:
            return done.value
        yield waiting
    return None
