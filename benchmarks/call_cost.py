"""What does a call cost, against raw aiohttp?

Each contender requests the same record of a finished cover from nginx, which is not the
bottleneck: 1, 10 and 50 calls at once, on kept connections, in a process of its own. Reported are
the medians of the rounds, of calls per second and of the process's own CPU per call, and what both
are of raw aiohttp's (the median of each round's ratio). The contenders, as their users write them:

* raw aiohttp: `session.get(text, params=...)` and `json()`; a session with the key, all defaults.
* suno-cover-async: `client.details(id)`, with a limiter that notes each call and never waits.
* aiohttp, tuned: a prepared URL, no cookies, no time-out, `json.loads(await response.read())`.
* httpx: `client.get(text, params=...)` and `json()`, with as many connections as calls.
* openai: `AsyncOpenAI(...).get(path, cast_to=object)`, the way to endpoints it does not know.
* runwayml: `AsyncRunwayML(...).get(path, cast_to=object)`, likewise.
* fal-client: `handle.status()` of a handle with a URL of ours; its record says COMPLETED besides.
* suno-easy: `client.get_task_info(id, endpoint)`, from as many threads, each with a client.

Bias: only ours limits calls, checks whose record came, and bounds its size; ours, openai, runwayml
and fal-client try again. Answers of ours and of fal-client are typed, the others' are what JSON
says. Requesting one record only favours libraries that cache parsed URLs, as aiohttp does. The
real API is far away and behind TLS: there the differences shrink. The time is also nginx's, which
shares the machine; the CPU is not.

Exits with 1 when at 50 calls at once ours makes fewer calls per second than raw aiohttp, or takes
more CPU for each.
"""

import asyncio
import dataclasses
import importlib
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import contest
import nginx
from contest import Contender, Figures
from yarl import URL

from suno_cover_async import CoverDetails, CoverStatus, RateLimit, SunoCoverClient
from suno_cover_async.protocol import codec, requests

LEVELS = (1, 10, 50)
GOAL = max(LEVELS)
KEY = "key-of-a-test"
HEADERS = {"Authorization": f"Bearer {KEY}"}
TASK = "21aee3c3c2a01fa5e030b3799fa4dd56"
QUERY = {"taskId": TASK}
FAL_PATH = "/fal/status"
DETAILS = CoverDetails(
    cover_task_id=TASK,
    music_task_id="73d6128b3523a0079df10da9471017c8",
    status=CoverStatus.SUCCESS,
    images=tuple(
        f"https://tempfile.aiquickdraw.com/s/17605120{second}_{number:032}.png"
        for number, second in enumerate((70, 75), start=1)
    ),
    created_at=datetime(2025, 10, 15, 7, 7, 15, tzinfo=UTC),
    completed_at=datetime(2025, 10, 15, 7, 8, 2, tzinfo=UTC),
)
RECORD = codec.encode_answer(200, "success", codec.encode_details(DETAILS)).decode()
FAL_RECORD = json.dumps({**json.loads(RECORD), "status": "COMPLETED", "logs": None, "metrics": {}})
NGINX = """
default_type application/json;
location = {details} {{ return 200 '{record}'; }}
location = {fal} {{ return 200 '{fal_record}'; }}
"""

Ask = Callable[[], Awaitable[object]]
Crew = Callable[[int, float], Awaitable[int]]
"""Calls with so many workers for so many seconds; returns how many calls there were."""
Opened = AbstractAsyncContextManager[Ask]


@asynccontextmanager
async def raw_aiohttp(url: str) -> AsyncGenerator[Ask]:
    """Ask as people write it."""
    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def ask() -> object:
            async with session.get(url + requests.DETAILS_PATH, params=QUERY) as response:
                return await response.json()

        yield ask


@asynccontextmanager
async def ours(url: str) -> AsyncGenerator[Ask]:
    """Ask with everything that a call of ours has in its path."""
    rate_limit = RateLimit(
        calls=1_000_000, seconds=0.004
    )  # some 20 slots are on their way back, as ever
    async with SunoCoverClient(KEY, base_url=url, rate_limit=rate_limit) as client:
        yield lambda: client.details(TASK)


@asynccontextmanager
async def tuned_aiohttp(url: str) -> AsyncGenerator[Ask]:
    """Ask with nothing that aiohttp can do without."""
    target = URL(f"{url}{requests.DETAILS_PATH}?taskId={TASK}", encoded=True)
    session = aiohttp.ClientSession(
        headers=HEADERS,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
    )
    async with session:

        async def ask() -> object:
            async with session.get(target) as response:
                return json.loads(await response.read())

        yield ask


@asynccontextmanager
async def httpx(url: str) -> AsyncGenerator[Ask]:
    """Ask as people write it."""
    library = importlib.import_module("httpx")
    limits = library.Limits(max_connections=GOAL, max_keepalive_connections=GOAL)
    async with library.AsyncClient(headers=HEADERS, limits=limits) as client:

        async def ask() -> object:
            response = await client.get(url + requests.DETAILS_PATH, params=QUERY)
            return response.json()

        yield ask


@asynccontextmanager
async def openai(url: str) -> AsyncGenerator[Ask]:
    """Ask for an endpoint that it does not know."""
    async with importlib.import_module("openai").AsyncOpenAI(api_key=KEY, base_url=url) as client:
        yield lambda: client.get(requests.DETAILS_PATH, cast_to=object, options={"params": QUERY})


@asynccontextmanager
async def runwayml(url: str) -> AsyncGenerator[Ask]:
    """Ask for an endpoint that it does not know."""
    library = importlib.import_module("runwayml")
    async with library.AsyncRunwayML(api_key=KEY, base_url=url) as client:
        yield lambda: client.get(requests.DETAILS_PATH, cast_to=object, options={"params": QUERY})


@asynccontextmanager
async def fal(url: str) -> AsyncGenerator[Ask]:
    """Ask for the status of a request, at a URL of ours."""
    client = importlib.import_module("fal_client").AsyncClient(key=KEY)
    handle = await client.get_handle("suno/cover", TASK)
    handle = dataclasses.replace(handle, status_url=url + FAL_PATH)
    async with handle.client:
        yield handle.status


def suno_easy(url: str) -> Crew:
    """Ask from threads, with a client for each, since it does not say that they may share one."""
    library = importlib.import_module("suno_easy")
    library.SunoClient.BASE_URL = url
    clients = [library.SunoClient(KEY) for _ in range(GOAL)]

    async def crew(workers: int, seconds: float) -> int:
        end = time.perf_counter() + seconds

        def work(client: Any) -> int:
            calls = 0
            while time.perf_counter() < end:
                client.get_task_info(TASK, requests.DETAILS_PATH)
                calls += 1
            return calls

        with ThreadPoolExecutor(workers) as pool:
            return sum(pool.map(work, clients[:workers]))

    return crew


def tasks(ask: Ask) -> Crew:
    """Make a crew of tasks."""

    async def crew(workers: int, seconds: float) -> int:
        end = time.perf_counter() + seconds

        async def work() -> int:
            calls = 0
            while time.perf_counter() < end:
                await ask()
                calls += 1
            return calls

        return sum(await asyncio.gather(*(work() for _ in range(workers))))

    return crew


RAW = Contender("raw aiohttp", "aiohttp")
OURS = Contender("suno-cover-async", "suno-cover-async")
BY_TASKS: Mapping[Contender, Callable[[str], Opened]] = {
    RAW: raw_aiohttp,
    OURS: ours,
    Contender("aiohttp, tuned", "aiohttp"): tuned_aiohttp,
    Contender("httpx", "httpx"): httpx,
    Contender("openai", "openai"): openai,
    Contender("runwayml", "runwayml"): runwayml,
    Contender("fal-client", "fal-client"): fal,
}
BY_THREADS = Contender("suno-easy, threads", "suno-easy")
CONTENDERS = (*BY_TASKS, BY_THREADS)


async def contend(name: str, url: str, seconds: float) -> Figures:
    """Measure one contender, in this process."""
    if name == BY_THREADS.name:
        return await measured(suno_easy(url), seconds)
    opened = next(opened for one, opened in BY_TASKS.items() if one.name == name)
    async with opened(url) as ask:
        return await measured(tasks(ask), seconds)


async def measured(crew: Crew, seconds: float) -> Figures:
    """Call at all levels; each is warmed up before."""
    figures: dict[str, float] = {}
    for workers in LEVELS:
        await crew(workers, seconds / 4)
        began, cpu = time.perf_counter(), time.process_time()
        calls = await crew(workers, seconds)
        figures[rate_at(workers)] = calls / (time.perf_counter() - began)
        figures[cpu_at(workers)] = 1e6 * (time.process_time() - cpu) / calls
    return figures


def rate_at(workers: int) -> str:
    """Name the calls per second."""
    return f"calls/s at {workers}"


def cpu_at(workers: int) -> str:
    """Name the CPU per call."""
    return f"CPU µs at {workers}"


COLUMNS = [figure(workers) for workers in LEVELS for figure in (rate_at, cpu_at)]


def served() -> AbstractContextManager[str]:
    """Serve the record; yields the URL."""
    paths = {"details": requests.DETAILS_PATH, "fal": FAL_PATH}
    return nginx.serving(NGINX.format(record=RECORD, fal_record=FAL_RECORD, **paths))


def main(arguments: Sequence[str] | None = None) -> int:
    """Let all take turns, and judge."""
    options = contest.parser(__doc__, rounds=5)
    options.add_argument("--seconds", type=float, default=0.5, help="of each level")
    options.add_argument("--url", help="a server to ask, in place of nginx")
    given = options.parse_args(arguments)
    if given.contender:
        return contest.tell(asyncio.run(contend(given.contender, given.url, given.seconds)))
    with served() as url:
        asked = f"--url={given.url or url}", f"--seconds={given.seconds}"
        found = contest.held(__file__, CONTENDERS, given.rounds, *asked)
    speed, cpu = (
        contest.ratio(found, figure(GOAL), OURS.name, RAW.name) for figure in (rate_at, cpu_at)
    )
    if given.json:
        print(json.dumps({"medians": contest.medians(found), "speed": speed, "cpu": cpu}, indent=1))
    else:
        print(contest.versions(CONTENDERS), *contest.table(found, COLUMNS, RAW.name), sep="\n")
    return 1 if speed < 1 or cpu > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
