"""Callers of a limiter, and a server behind a network that delays what they send."""

import asyncio
import bisect
import contextlib
import random
from collections.abc import AsyncIterator

from suno_cover_async import RateLimiter


@contextlib.asynccontextmanager
async def taken(window: RateLimiter, *, urgent: bool = False) -> AsyncIterator[None]:
    slot = await window.acquire(urgent=urgent)
    try:
        yield
    finally:
        window.release(slot, answered=True)


async def arrivals(
    window: RateLimiter, calls: int, delays: random.Random, most: float, *, urgent: bool = False
) -> list[float]:
    """Send `calls` requests through a network with delays both ways; return the server's times."""
    clock = asyncio.get_running_loop().time
    arrived: list[float] = []

    async def request() -> None:
        async with taken(window, urgent=urgent):
            await asyncio.sleep(delays.uniform(0, most))
            bisect.insort(arrived, clock())
            await asyncio.sleep(delays.uniform(0, most))

    await asyncio.gather(*(request() for _ in range(calls)))
    return arrived


def fullest_window(times: list[float], seconds: float) -> int:
    """Count the most arrivals in any half-open window, wherever it begins."""
    return max(bisect.bisect_left(times, at + seconds) - i for i, at in enumerate(times))


async def note(window: RateLimiter, served: list[str], name: str) -> None:
    async with taken(window, urgent=name == "urgent"):
        served.append(name)
