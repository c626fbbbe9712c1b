"""What takes too long is cancelled, and nothing else: in virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from virtual_time import run

from suno_cover_async.overtime import Overtime


async def worked(overtime: Overtime, seconds: float) -> tuple[str, float]:
    """Work for so long, and tell how it ended, and when."""
    clock = asyncio.get_running_loop().time
    task = overtime.begin(clock())
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if not overtime.end(task):
            raise
        return "late", clock()
    overtime.end(task)
    return "done", clock()


async def after(delay: float, work: Coroutine[Any, Any, tuple[str, float]]) -> tuple[str, float]:
    await asyncio.sleep(delay)
    return await work


def test_each_is_cancelled_at_its_own_end_and_who_is_in_time_is_not() -> None:
    async def scenario() -> list[tuple[str, float]]:
        overtime = Overtime(10)
        plan = ((0, 99), (1, 5), (2, 99), (2, 99), (3, 9.5), (50, 99), (70, 1))
        return await asyncio.gather(
            *(after(delay, worked(overtime, seconds)) for delay, seconds in plan)
        )

    ends = [("late", 10), ("done", 6), ("late", 12), ("late", 12), ("done", 12.5)]
    assert run(scenario()) == [*ends, ("late", 60), ("done", 71)]


def test_who_was_late_is_not_cancelled_any_more() -> None:
    async def scenario() -> list[tuple[str, float]]:
        overtime = Overtime(10)
        ends = [await worked(overtime, seconds) for seconds in (99, 5, 99)]
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        await asyncio.sleep(99)
        return ends

    assert run(scenario()) == [("late", 10), ("done", 15), ("late", 25)]


@pytest.mark.parametrize("moment", [0, 5, 10])
def test_a_cancellation_by_somebody_else_passes_even_in_the_same_moment(moment: float) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(worked(Overtime(10), 99))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(moment, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelling() == 1

    run(scenario())


def test_work_begun_while_a_cancellation_passes_is_late_as_any_other() -> None:
    async def scenario() -> tuple[str, float]:
        async def stubborn() -> tuple[str, float]:
            try:
                await asyncio.sleep(99)
            except asyncio.CancelledError:
                return await worked(Overtime(10), 99)
            return "never", 0

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(1)
        task.cancel()
        return await task

    assert run(scenario()) == ("late", 11)
