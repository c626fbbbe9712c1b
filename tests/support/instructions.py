"""Counts the bytecode instructions that one poll takes: by this package, and by aiohttp as usual.

A count says the same on every machine, however busy. A process of its own prints it, since counting
is tracing, which others may do as well; what the server does is in another thread, and not counted.
"""

import asyncio
import json
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Self

import aiohttp

from suno_cover_async import PollPolicy, RateLimit, SunoCoverClient
from suno_cover_async.sandbox import Sandbox, Scenario

CALLS = 60
DETAILS = "/api/v1/suno/cover/record-info"


class Served:
    """A sandbox with one finished cover, in a thread of its own."""

    def __init__(self) -> None:
        self.url = self.key = self.cover_task_id = ""
        self._ready, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        async with Sandbox(Scenario(rate_limit=None, polls=1)) as sandbox:
            self.url, self.key = sandbox.url, sandbox.api_key
            (song,) = sandbox.add_music(1)
            poll = PollPolicy(initial_delay=0.001)
            async with SunoCoverClient(self.key, base_url=self.url, poll=poll) as client:
                self.cover_task_id = (await client.generate(song)).cover_task_id
            self._ready.set()
            await asyncio.to_thread(self._done.wait)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


async def counted(call: Callable[[], Awaitable[object]]) -> int:
    """Return the instructions of this thread for a call, once everything is warm.

    It is the least of many calls: on a busy machine most take a few more, since the event loop
    turns once more before an answer is whole.
    """
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    counts: list[int] = []
    for calls in (3, CALLS):  # Python 3.12 does not count before it was told to twice
        counts.clear()
        for _ in range(calls):
            count = 0
            sys.settrace(trace)
            await call()
            sys.settrace(None)
            counts.append(count)
    return min(counts)


async def by_aiohttp(served: Served) -> int:
    headers = {"Authorization": f"Bearer {served.key}", "User-Agent": "me/1"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def poll() -> object:
            params = {"taskId": served.cover_task_id}
            async with session.get(served.url + DETAILS, params=params) as response:
                return await response.json()

        return await counted(poll)


async def by_us(served: Served) -> int:
    rate_limit = RateLimit(calls=1_000_000, seconds=10)
    async with SunoCoverClient(served.key, base_url=served.url, rate_limit=rate_limit) as client:
        return await counted(lambda: client.details(served.cover_task_id))


def main() -> None:
    with Served() as served:
        found = {
            "aiohttp": asyncio.run(by_aiohttp(served)),
            "ours": asyncio.run(by_us(served)),
        }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
