"""A resource per event loop: opened at first use, closed with its owner or with the loop."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from suno_cover_async.common.loop_local import LoopLocal


class Resources:
    """Numbered resources, and which of them were closed."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed: list[int] = []
        self.local = LoopLocal(self.open, RuntimeError)

    async def open(self, stack: AsyncExitStack) -> int:
        self.opened += 1
        stack.callback(self.closed.append, self.opened)
        return self.opened


def test_one_loop_has_one_resource_and_the_next_another() -> None:
    resources = Resources()

    async def use() -> tuple[int, int]:
        return await resources.local.enter(), await resources.local.enter()

    assert asyncio.run(use()) == (1, 1)
    assert resources.closed == [1]  # by the loop, since nobody closed it
    assert asyncio.run(use()) == (2, 2)
    assert resources.local.current is None


async def test_closing_is_for_good_and_may_be_repeated() -> None:
    resources = Resources()
    await resources.local.enter()
    await asyncio.gather(resources.local.aclose(), resources.local.aclose())
    await resources.local.aclose()

    assert resources.closed == [1]
    with pytest.raises(RuntimeError, match="closed; make a new one"):
        await resources.local.enter()


async def test_another_running_loop_is_refused() -> None:
    resources = Resources()
    await resources.local.enter()

    with pytest.raises(RuntimeError, match="make one client per loop"):
        await asyncio.to_thread(asyncio.run, resources.local.enter())
    await resources.local.aclose()


async def test_a_cancelled_closing_goes_on() -> None:
    resources = Resources()
    go_on = asyncio.Event()

    async def slow(stack: AsyncExitStack) -> int:
        stack.push_async_callback(go_on.wait)
        return await resources.open(stack)

    local = LoopLocal(slow, RuntimeError)
    await local.enter()
    closing = asyncio.create_task(local.aclose())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert local.current == 1
    go_on.set()
    await local.aclose()

    assert resources.closed == [1]
    assert local.current is None
