"""What a catalog costs at the limit: requests, time and delay, in virtual time.

The limiter, the polls, what is learned and the notifier are the real ones; requests take 0.2 s,
and covers last lognormally long. `benchmarks/at_the_limit.py` does the same over real sockets.
"""

import asyncio
import math
import random
import statistics
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from suno_cover_async import (
    Callback,
    CoverDetails,
    CoverStatus,
    CoverTask,
    PollPolicy,
    RateLimit,
    RateLimiter,
)
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState
from tests.support.virtual_time import run

COVERS = 2_000
ANSWER = 0.2
PATIENCE = 3_000.0
DAY = datetime(2026, 1, 1, tzinfo=UTC)


@attrs.frozen(kw_only=True)
class Cost:
    """What a catalog came to; seconds."""

    requests_per_cover: float
    times_the_least: float
    delay: float
    most_in_flight: int


class Host:
    """Answers in virtual time, and calls back if there is a notifier."""

    def __init__(self, median: float, notifier: Notifier) -> None:
        self.window = RateLimiter(RateLimit(calls=20, seconds=10))
        self.requests = 0
        self._median = median
        self._dice = random.Random(1)
        self._notifier = notifier
        self._covers: dict[str, tuple[float, float]] = {}

    async def submit(self, song: str) -> CoverTask:
        await self._answer()
        now = asyncio.get_running_loop().time()
        end = now + self._dice.lognormvariate(math.log(self._median), 0.4)
        task = CoverTask(cover_task_id=f"c{song}", music_task_id=song)
        self._covers[task.cover_task_id] = now, end
        news = Callback(music_task_id=song, cover_task_id=task.cover_task_id)
        asyncio.get_running_loop().call_at(end, self._notifier.notify, news)
        return task

    async def poll(self, cover_task_id: str) -> CoverDetails:
        await self._answer(urgent=True)
        born, end = self._covers[cover_task_id]
        is_there = end <= asyncio.get_running_loop().time()
        return CoverDetails(
            cover_task_id=cover_task_id,
            status=CoverStatus.SUCCESS if is_there else CoverStatus.GENERATING,
            images=("u", "v") if is_there else (),
            created_at=DAY + timedelta(seconds=born),
            completed_at=DAY + timedelta(seconds=end) if is_there else None,
        )

    def delay(self, task: CoverTask) -> float:
        return asyncio.get_running_loop().time() - self._covers[task.cover_task_id][1]

    async def _answer(self, *, urgent: bool = False) -> None:
        slot = await self.window.acquire(urgent=urgent)
        self.requests += 1
        await asyncio.sleep(ANSWER)
        self.window.release(slot, answered=True)


async def covered(median: float, *, called_back: bool, concurrency: int = 500) -> Cost:
    clock = asyncio.get_running_loop().time
    notifier = Notifier("https://me.example/suno" if called_back else None)
    host, state = Host(median, notifier), CoverState(grace=60)
    poller = Poller(host.poll, PollPolicy(), state, lambda: host.window.busy, notifier)
    slots = asyncio.Semaphore(concurrency)
    delays: list[float] = []
    in_flight: list[int] = [0]

    async def cover(number: int) -> None:
        async with slots:
            task = await host.submit(str(number))
            state.accepted(task, clock())
            in_flight.append(in_flight[-1] + 1)
            async with poller.waiting(task, clock() + PATIENCE) as waiter:
                await waiter.finished()
            in_flight.append(in_flight[-1] - 1)
            delays.append(host.delay(task))

    await asyncio.gather(*map(cover, range(COVERS)))
    return Cost(
        requests_per_cover=host.requests / COVERS,
        times_the_least=clock() / COVERS,  # two requests for each, at two a second
        delay=statistics.median(delays),
        most_in_flight=max(in_flight),
    )


@pytest.mark.parametrize("median", [47, 146])
def test_by_polls_a_catalog_takes_little_more_than_two_requests_a_cover(median: float) -> None:
    cost = run(covered(median, called_back=False))

    assert cost.requests_per_cover <= 2.3
    assert cost.times_the_least <= 1.10 + 2.5 * median / COVERS  # the last ones take their time
    assert cost.delay <= 1.5 * median


@pytest.mark.parametrize(
    ("median", "most"),
    [(47, 2.05), (146, 2.1)],  # the first 100 are polled in vain, until durations are known
)
def test_with_callbacks_it_takes_two_and_each_cover_is_noticed_soon(
    median: float, most: float
) -> None:
    cost = run(covered(median, called_back=True))

    assert cost.requests_per_cover <= most
    assert cost.times_the_least <= 1.10 + 2.5 * median / COVERS
    assert cost.delay <= 10
    assert cost.most_in_flight <= 2.5 * median


def test_polls_that_are_worth_it_go_before_submits() -> None:
    cost = run(covered(47, called_back=False))

    assert cost.most_in_flight <= 250  # of 500 that may be: the rest would be noticed later only
