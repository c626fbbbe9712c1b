"""Single flight, and the end of waits when a client closes."""

import asyncio

import pytest

from suno_cover_async.common.tasks import Closing, SingleFlight, begin_work, is_part_of, settled


class StoppedError(Exception):
    pass


class Work:
    """Work that ends when it is told to, and counts its cancellations."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.cancelled = 0
        self.ended = 0

    async def run(self) -> str:
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return "done"

    def flight(self) -> SingleFlight[str]:
        def end() -> None:
            self.ended += 1

        return SingleFlight(self.run(), ended=end, stopped=StoppedError)


async def turns(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_all_who_join_get_the_one_result() -> None:
    work = Work()
    flight = work.flight()
    callers = [asyncio.create_task(flight.join()) for _ in range(3)]
    await turns()
    assert flight.joinable
    work.go_on.set()

    assert await asyncio.gather(*callers) == ["done"] * 3
    assert (work.ended, flight.joinable, flight.has_ended) == (1, False, True)


async def test_the_work_is_cancelled_once_when_the_last_caller_has_left() -> None:
    work = Work()
    flight = work.flight()
    first, second = (asyncio.create_task(flight.join()) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    assert (work.cancelled, flight.joinable) == (0, True)
    second.cancel()
    await flight.ended()
    await turns()

    assert (work.cancelled, work.ended) == (1, 1)
    assert first.cancelled()
    assert second.cancelled()


async def test_who_still_waits_for_work_that_is_stopped_gets_the_error() -> None:
    work = Work()
    flight = work.flight()
    caller = asyncio.create_task(flight.join())
    await turns()
    flight.stop()
    flight.stop()

    with pytest.raises(StoppedError):
        await caller
    assert work.cancelled == 1


async def test_each_caller_gets_a_copy_of_the_error() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("a")

    flight = SingleFlight(fail(), ended=lambda: None, stopped=StoppedError)
    errors = await asyncio.gather(flight.join(), flight.join(), return_exceptions=True)

    assert [repr(error) for error in errors] == ["KeyError('a')"] * 2
    assert errors[0] is not errors[1]


async def test_closing_ends_waits_with_an_error_and_begins_none() -> None:
    closing = Closing(StoppedError)
    waiting = asyncio.create_task(closing.unless_closed(asyncio.Event().wait()))
    await turns()
    closing.close()

    with pytest.raises(StoppedError):
        await waiting
    with pytest.raises(StoppedError):
        await closing.unless_closed(asyncio.sleep(0))


async def test_a_cancellation_at_the_moment_of_closing_passes() -> None:
    closing = Closing(StoppedError)
    waiting = asyncio.create_task(closing.unless_closed(asyncio.Event().wait()))
    await turns()
    closing.close()
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_code_knows_whose_work_it_is_part_of() -> None:
    async def work() -> tuple[bool, bool]:
        begin_work()
        own = asyncio.current_task()
        assert own is not None
        inner = await asyncio.create_task(asyncio.sleep(0, is_part_of(own)))
        return is_part_of(own), inner

    task = asyncio.create_task(work())

    assert await task == (True, True)
    assert not is_part_of(task)


async def test_a_cancelled_wait_for_a_cancelled_task_cancels_it_again() -> None:
    work = Work()

    async def stubborn() -> None:
        try:
            await work.run()
        except asyncio.CancelledError:
            await work.run()

    task = asyncio.create_task(stubborn())
    await turns()
    task.cancel()
    waiting = asyncio.create_task(settled(task))
    await turns()
    waiting.cancel()
    await asyncio.wait([task, waiting])

    assert work.cancelled == 2
