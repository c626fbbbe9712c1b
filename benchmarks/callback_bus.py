"""How soon does a callback end a wait in another process, and what does a wait cost beside a bus?

Two processes share a PostgreSQL database. The first receives callbacks one after the other, by
calling its receiver, at a chosen rate; the second waits for each of them. The delay is from the
call of the first receiver to the moment when the waiter's own event loop runs it, by the clock that
both processes share. Beside it is the same within one process, without a bus. Bias: the server is
on this machine, so no network is between.

Memory is what a process with a receiver has more (RSS) for each of so many `client.wait` of covers
that were submitted, as `waiting.py` measures it, once with a bus and once without.

Exits with 1 when the 99th percentile over the bus is above 50 ms, or a wait takes over 3 KB.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path

import waiting

sys.path.append(str(Path(__file__).parents[1]))

from suno_cover_async import CallbackBus, CallbackReceiver, CoverTask, SunoCoverClient
from suno_cover_async.covers.notifier import Subscription
from suno_cover_async.postgres.connection import connect
from suno_cover_async.postgres.tables import CALLBACK_TABLES
from suno_cover_async.postgres.url import DatabaseUrl
from suno_cover_async.protocol import codec
from tests.support.postgres import own_server

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
        here.notifier.subscribe(Subscription(song, None, partial(note, number)))
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


async def memory(url: str | None, count: int) -> float:
    """Return how many bytes each of so many waits takes; without a URL there is no bus."""
    covers = [
        CoverTask(cover_task_id=f"{number:032x}", music_task_id=f"{number:031x}")
        for number in range(count + 1)
    ]
    async with (
        waiting.serving() as base_url,
        SunoCoverClient("key-of-a-test", base_url=base_url, receiver=receiver(url)) as client,
    ):
        await client.details(covers[0])  # so that the connection is there
        first = asyncio.ensure_future(client.wait(covers[0], timeout=waiting.PATIENCE))
        await asyncio.sleep(2)  # and that of the bus
        before = waiting.memory()
        waits = [
            first,
            *(
                asyncio.ensure_future(client.wait(cover, timeout=waiting.PATIENCE))
                for cover in covers[1:]
            ),
        ]
        await asyncio.sleep(10)
        after = waiting.memory()
        if any(wait.done() for wait in waits):
            raise RuntimeError("a wait ended too early")
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
    return (after - before) / count


def memory_of_a_process(url: str, count: int, *, bus: bool) -> float:
    """Return the bytes of each wait in a process of its own."""
    words = ["--idle", str(count), "--memory", "bus" if bus else "none"]
    told = subprocess.run(  # noqa: S603 - ours
        [sys.executable, __file__, url, *words], stdout=subprocess.PIPE, check=True
    )
    return float(told.stdout)


@contextlib.contextmanager
def database(given: str | None) -> Generator[str]:
    """The URL of a database with the bus's table: the one that was given, or of a new server."""
    with contextlib.ExitStack() as stack:
        if given is None:
            server = stack.enter_context(own_server(durable=True))
            given = server.url(stack.enter_context(server.database()))
        parsed = DatabaseUrl.parse(given)
        connection = stack.enter_context(contextlib.closing(connect(parsed, "benchmark")))
        connection.execute(f"CREATE SCHEMA {parsed.schema}".encode())
        try:
            connection.execute(CALLBACK_TABLES)
            yield given
        finally:
            connection.execute(f"DROP SCHEMA {parsed.schema} CASCADE".encode())


def shown(delays: list[float]) -> dict[str, float]:
    """Return the percentiles in milliseconds."""
    cuts = statistics.quantiles(delays, n=100)
    return {f"p{place}": round(1000 * cuts[place - 1], 2) for place in (50, 90, 99)}


def main() -> int:
    """Measure, and print a line of JSON for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "url",
        nargs="?",
        help="a database, where the schema in the URL must not exist yet; else a server is started",
    )
    parser.add_argument("--covers", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=100.0, help="callbacks a second")
    parser.add_argument("--idle", type=int, default=10_000, help="other waiters in the process")
    parser.add_argument("--waits", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory", choices=("bus", "none"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(asyncio.run(memory(options.url if options.memory == "bus" else None, options.idle)))
        return 0
    if options.waits:
        moments = asyncio.run(heard(receiver(options.url), options.covers, options.idle))
        print(json.dumps(moments))
        return 0
    with database(options.url) as url:
        near = asyncio.run(alone(options.covers, options.rate, options.idle))
        far = asyncio.run(together(url, options.covers, options.rate, options.idle))
        costs = {
            "bytes of a wait": memory_of_a_process(url, options.idle, bus=False),
            "beside a bus": memory_of_a_process(url, options.idle, bus=True),
        }
    delays = {"in one process": shown(near), "bus": shown(far)}
    print(json.dumps({"cores": os.cpu_count()} | delays | costs))
    late = statistics.quantiles(far, n=100)[98] > MOST
    return int(late or max(costs.values()) > waiting.MOST_BYTES)


if __name__ == "__main__":
    sys.exit(main())
