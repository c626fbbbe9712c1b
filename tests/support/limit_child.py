"""One process that makes requests under a shared limit: what the tests start, stop, and kill."""

import asyncio
import os
import signal
import sys

from suno_cover_async import RateLimit, RateLimiter, SharedRateLimiter, SunoCoverClient


async def work(url: str, where: str, seconds: float, requests: int) -> None:
    """Make the requests, at most 1000 at once; the key is in SUNO_API_KEY."""
    left = iter(range(requests))

    async def make_some() -> None:
        for _ in left:
            await client.credits()

    async with SunoCoverClient(base_url=url, rate_limit=_limit(where, seconds)) as client:
        await asyncio.gather(*(make_some() for _ in range(min(requests, 1000))))


async def stop_with_a_permit(url: str, where: str, seconds: float) -> None:
    """Stop this process when a request was given its permit and is not sent yet."""
    limit = SharedRateLimiter(where, calls=20, seconds=seconds)
    async with SunoCoverClient(base_url=url, rate_limit=limit) as client:
        request = asyncio.create_task(client.credits())
        while not limit._held:  # noqa: ASYNC110 - a sleep of 0 is one step of the loop
            await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGSTOP)
        await request


def _limit(where: str, seconds: float) -> SharedRateLimiter | RateLimiter:
    if where:
        return SharedRateLimiter(where, calls=20, seconds=seconds)
    return RateLimiter(RateLimit(calls=20, seconds=seconds))


if __name__ == "__main__":
    _, url, where, seconds, requests = sys.argv
    if int(requests):
        asyncio.run(work(url, where, float(seconds), int(requests)))
    else:
        asyncio.run(stop_with_a_permit(url, where, float(seconds)))
