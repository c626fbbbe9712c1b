"""What does one process pay for 100,000 covers that it waits for: memory and the loop's lag?

A process of its own makes so many tasks of `client.wait`, against a server that finds every cover
GENERATING; a bare task that sleeps is the baseline. Memory is what the process has more (RSS, the
caller's task included; the ids and `CoverTask` values are the caller's and there before): once all
wait, and again after the polls went on for a while, the higher of the two. The lag is how much too
late a sleep of 10 ms ends meanwhile. Covers "by id" are of unknown age, so all polls are due at
once and queue for the limiter; those "just submitted" have an age, and their first polls become
due after 20 s. Bias: submits are not limited, or they would take a day. RSS never sinks: what the
start alone needed is in the memory, and what the submits needed is not, so a few thousand waits
seem cheaper than they are.

Exits with 1 when a wait takes over 3 KB, or the 99th percentile of the lag is over 50 ms.
"""

import argparse
import asyncio
import gc
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import contest

from suno_cover_async import CoverDetails, CoverStatus, CoverTask, RateLimit, SunoCoverClient
from suno_cover_async.protocol import codec, requests

MOST_BYTES = 3000
MOST_LAG_MS = 50.0
STEP = 0.01
PATIENCE = 3600.0
LIMIT = RateLimit(calls=20, seconds=10)
QUICK = RateLimit(calls=1000, seconds=1)
NO_LIMIT = RateLimit(calls=1_000_000, seconds=0.1)
US = "suno-cover-async"
BARE = "bare tasks that sleep"
BY_ID = "wait, by id"
SUBMITTED = "wait, just submitted"
FLOWING = "wait, by id, 1,000 polls/s"
NAMES = (BARE, BY_ID, SUBMITTED, FLOWING)
Waits = Iterator[Coroutine[object, object, object]]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Accept every submit, and find every cover GENERATING, on one connection."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = codec.encode_answer(200, "success", await found(head.decode(), reader))
            size = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + size.encode() + body)
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


async def found(head: str, reader: asyncio.StreamReader) -> dict[str, object]:
    """Return the `data` of one answer."""
    target = urlsplit(head.split(" ", 2)[1])
    if target.path == requests.SUBMIT_PATH:
        size = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
        sent = codec.decode_submission((await reader.readexactly(size)).decode())
        return codec.encode_submitted(f"c{sent.music_task_id}")
    (cover_task_id,) = parse_qs(target.query)["taskId"]
    return codec.encode_details(
        CoverDetails(cover_task_id=cover_task_id, status=CoverStatus.GENERATING)
    )


@asynccontextmanager
async def serving() -> AsyncGenerator[str, None]:
    """Serve in this process; yields the URL."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def prepared(name: str, number: int, url: str) -> AsyncGenerator[Waits, None]:
    """Set up everything that exists before the first wait."""
    if name == BARE:
        yield (asyncio.sleep(PATIENCE) for _ in range(number))
        return
    polls = QUICK if name == FLOWING else LIMIT
    async with SunoCoverClient(
        "key-of-a-test", base_url=url, rate_limit=NO_LIMIT, poll_rate_limit=polls
    ) as client:
        tasks: list[CoverTask] | list[str]
        if name == SUBMITTED:
            tasks = await submitted(client, number)
        else:
            tasks = [f"{one:032x}" for one in range(number)]
        await client.details(tasks[0])  # so that the connection is there
        yield (client.wait(task, timeout=PATIENCE) for task in tasks)


async def submitted(client: SunoCoverClient, number: int) -> list[CoverTask]:
    """Submit so many covers, 100 at once."""
    songs = iter([f"{one:031x}" for one in range(number)])

    async def work() -> list[CoverTask]:
        return [await client.submit(song) for song in songs]

    return [task for some in await asyncio.gather(*(work() for _ in range(100))) for task in some]


async def measure(name: str, number: int, seconds: float, url: str) -> contest.Figures:
    """Wait for so many covers, and return figures."""
    async with prepared(name, number, url) as waits:
        before, began = memory(), time.perf_counter()
        tasks = [asyncio.ensure_future(one) for one in waits]
        await asyncio.sleep(0)  # each has made its first step
        started = time.perf_counter() - began
        await asyncio.sleep(1)
        at_first = memory()
        await asyncio.sleep(0.1)
        cpu = time.process_time()
        lags = await lag(seconds)
        cpu = time.process_time() - cpu
        later = memory()
        if any(task.done() for task in tasks):
            raise RuntimeError("a wait ended too early")
        began = time.perf_counter()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        ended = time.perf_counter() - began
    return {
        "bytes": (max(at_first, later) - before) / number,
        "bytes_at_first": (at_first - before) / number,
        "lag_ms": 1000 * statistics.median(lags),
        "lag_p99_ms": 1000 * statistics.quantiles(lags, n=100)[98],
        "lag_max_ms": 1000 * max(lags),
        "cpu_percent": 100 * cpu / seconds,
        "start_s": started,
        "cancel_s": ended,
    }


async def lag(seconds: float) -> list[float]:
    """Sleep 10 ms again and again; return by how much each was late."""
    clock, lags = time.perf_counter, list[float]()
    end = clock() + seconds
    while (began := clock()) < end:
        await asyncio.sleep(STEP)
        lags.append(clock() - began - STEP)
    return lags


def memory() -> int:
    """Return the bytes that this process has, without garbage (Linux alone tells)."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


async def hold(given: argparse.Namespace) -> dict[str, list[contest.Figures]]:
    """Let all take turns against one server."""
    contenders = [contest.Contender(name, US) for name in given.only or NAMES]
    async with serving() as url:
        options = f"--url={url}", f"--waits={given.waits}", f"--seconds={given.seconds}"
        return await asyncio.to_thread(contest.held, __file__, contenders, given.rounds, *options)


def show(found: dict[str, dict[str, float]]) -> None:
    """Print a table."""
    for name, figures in found.items():
        print(f"{name:27}", *(f"{key} {value:,.2f}" for key, value in figures.items()), sep="  ")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure in turns, and judge."""
    options = contest.parser(__doc__, rounds=3)
    options.add_argument("--waits", type=int, default=100_000)
    options.add_argument("--seconds", type=float, default=25, help="how long all wait")
    options.add_argument("--only", action="append", choices=NAMES, help="one contender; repeatable")
    options.add_argument("--url", help=argparse.SUPPRESS)
    given = options.parse_args(arguments)
    if given.contender:
        return contest.tell(
            asyncio.run(measure(given.contender, given.waits, given.seconds, given.url))
        )
    found = contest.medians(asyncio.run(hold(given)))
    if given.json:
        contest.tell({f"{name}, {key}": x for name, row in found.items() for key, x in row.items()})
    else:
        print(f"{contest.versions([contest.Contender('', US)])}, {given.waits:,} waits")
        show(found)
    ours = [figures for name, figures in found.items() if name != BARE]
    good = all(one["bytes"] <= MOST_BYTES and one["lag_p99_ms"] <= MOST_LAG_MS for one in ours)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
