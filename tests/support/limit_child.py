"""One process that makes requests under a shared limit: what the tests start, and kill."""

import asyncio
import sys

from suno_cover_async import SharedRateLimiter, SunoCoverClient


async def work(url: str, path: str, seconds: float, requests: int) -> None:
    """Make the requests at once; the key is in SUNO_API_KEY."""
    limit = SharedRateLimiter(path, calls=20, seconds=seconds)
    async with SunoCoverClient(base_url=url, rate_limit=limit) as client:
        await asyncio.gather(*(client.credits() for _ in range(requests)))


if __name__ == "__main__":
    _, url, path, seconds, requests = sys.argv
    asyncio.run(work(url, path, float(seconds), int(requests)))
