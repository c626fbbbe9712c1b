"""A process that shares callbacks and ends, or forks: its arguments are the URL and which."""

import asyncio
import os
import sys
import warnings

from suno_cover_async import CallbackBus, CallbackReceiver
from tests.support.callback_buses import call, waiting, written
from tests.support.callback_requests import MUSIC, make


async def heard(receiver: CallbackReceiver, cover_task_id: str) -> None:
    """Wait for a callback of another process."""
    with waiting(receiver.notifier, MUSIC, cover_task_id) as waiter:
        await waiter.come()


def main(url: str, what: str) -> None:
    """Do what is asked for, and print what came of it."""
    bus = CallbackBus(url)
    receiver = make(bus=bus)
    if what == "end":
        asyncio.run(call(receiver))
        sys.stdout.write("ended")
        return
    asyncio.run(call(receiver, cover_task_id="from-the-parent"))
    while not written(url):
        pass
    read, write = os.pipe()
    with warnings.catch_warnings():  # of threads, which is what this is about
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        asyncio.run(heard(make(bus=bus), "from-the-parent"))
        asyncio.run(call(receiver, cover_task_id="from-the-child"))
        os.write(write, b"child woken, ")
        return
    asyncio.run(heard(receiver, "from-the-child"))
    os.waitpid(child, 0)
    sys.stdout.write(os.read(read, 100).decode() + "parent woken")


if __name__ == "__main__":
    main(*sys.argv[1:])
