"""How soon does a callback end a wait in another process, over a bus and in the same process?

Two processes share a PostgreSQL database. The first receives callbacks one after the other, by
calling its receiver, at a chosen rate; the second waits for each of them. The delay is from the
call of the first receiver to the moment when the waiter's own event loop runs it, by the clock that
both processes share. Beside it is the same within one process, without a bus. Bias: the server is
on this machine, so no network is between.

Exits with 1 when the 99th percentile over the bus is above 50 ms.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import time

from suno_cover_async import CallbackBus, CallbackReceiver
from suno_cover_async.covers.notifier import Subscription
from suno_cover_async.postgres.connection import connect
from suno_cover_async.postgres.tables import CALLBACK_TABLES
from suno_cover_async.postgres.url import DatabaseUrl
from suno_cover_async.protocol import codec

MOST = 0.05


def receiver(url: str | None) -> CallbackReceiver:
    """Return a receiver as each process has it."""
    bus = None if url is None else CallbackBus(url)
    return CallbackReceiver(public_url="https://me.example", secret="of this run", bus=bus)


async def heard(here: CallbackReceiver, count: int, idle: int) -> list[float]:
    """Wait for numbered callbacks, beside idle waiters; return when each was heard."""
    moments: dict[int, float] = {}
    all_heard = asyncio.Event()

    def note(number: int) -> None:
        moments.setdefault(number, time.monotonic())
        if len(moments) == count:
            all_heard.set()

    for number in range(idle):
        here.notifier.subscribe(Subscription(f"idle-{number}", None, lambda: None))
    for number in range(count):
        song = f"song-{number}"
        here.notifier.subscribe(Subscription(song, None, lambda number=number: note(number)))
    print("ready", flush=True)
    await all_heard.wait()
    return [moments[number] for number in range(count)]


async def call(here: CallbackReceiver, count: int, rate: float) -> list[float]:
    """Send numbered callbacks; return when each was sent."""
    moments: list[float] = []
    body = codec.encode_callback(200, "success", cover_task_id="cover", images=None)
    json_type = {"Content-Type": "application/json"}
    for number in range(count):
        path = here.url(f"song-{number}").removeprefix("https://me.example")
        moments.append(time.monotonic())
        answer = await here.receive("POST", path, json_type, body)
        if answer.status != 200:
            raise ValueError(answer)
        await asyncio.sleep(1 / rate)
    return moments


async def alone(count: int, rate: float, idle: int) -> list[float]:
    """Return the delays within one process."""
    here = receiver(None)
    with contextlib.redirect_stdout(sys.stderr):
        hearing = asyncio.create_task(heard(here, count, idle))
        await asyncio.sleep(0.1)
        sent = await call(here, count, rate)
        return [at - since for at, since in zip(await hearing, sent, strict=True)]


async def together(url: str, count: int, rate: float, idle: int) -> list[float]:
    """Return the delays from this process to another."""
    other = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, url, "--covers", str(count), "--idle", str(idle), "--waits"),
        stdout=asyncio.subprocess.PIPE,
    )
    if other.stdout is not None:
        await other.stdout.readline()
    await asyncio.sleep(1)  # it is connected
    sent = await call(receiver(url), count, rate)
    told, _ = await other.communicate()
    return [at - since for at, since in zip(json.loads(told), sent, strict=True)]


def shown(delays: list[float]) -> dict[str, float]:
    """Return the percentiles in milliseconds."""
    cuts = statistics.quantiles(delays, n=100)
    return {f"p{place}": round(1000 * cuts[place - 1], 2) for place in (50, 90, 99)}


def main() -> int:
    """Measure, and print a line of JSON for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a database; the schema in the URL must not exist yet")
    parser.add_argument("--covers", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=100.0, help="callbacks a second")
    parser.add_argument("--idle", type=int, default=10_000, help="other waiters in the process")
    parser.add_argument("--waits", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.waits:
        moments = asyncio.run(heard(receiver(options.url), options.covers, options.idle))
        print(json.dumps(moments))
        return 0
    parsed = DatabaseUrl.parse(options.url)
    with contextlib.closing(connect(parsed, "benchmark")) as connection:
        connection.execute(f"CREATE SCHEMA {parsed.schema}".encode())
        try:
            connection.execute(CALLBACK_TABLES)
            near = asyncio.run(alone(options.covers, options.rate, options.idle))
            far = asyncio.run(together(options.url, options.covers, options.rate, options.idle))
        finally:
            connection.execute(f"DROP SCHEMA {parsed.schema} CASCADE".encode())
    print(json.dumps({"cores": os.cpu_count(), "in one process": shown(near), "bus": shown(far)}))
    return int(statistics.quantiles(far, n=100)[98] > MOST)


if __name__ == "__main__":
    sys.exit(main())
