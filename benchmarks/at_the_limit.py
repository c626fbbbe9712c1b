"""How near does a catalog come to what the limit allows, next to polling at a fixed interval?

A sandbox that is `--scale` (100) times as fast as the API, limit and all: 20 requests in any 0.1 s,
covers whose durations are lognormal (median 47 or 146 s, divided by the scale; sigma 0.4). Polls
count against the limit, or do not. Each contender is a process of its own, one at a time, on a
sandbox of its own with the same durations; ours has its rate and polls scaled alike, and runs
`cover_catalog` with images and disk left out (`--generate`: `generate` for every song), by polling
or with callbacks to a port of its own. The other contenders are plain programs on aiohttp: submit,
then poll every 3, 4 or 30 s; when refused, wait one interval more and try again; with and without
an `AsyncLimiter(20, 10)` of aiolimiter before every request that counts.

All figures are the server's. The least is two requests for each cover at the rate when polls
count, and one when they do not. The strict least adds what no client can avoid, the durations of
the last covers: a client that knew every end, and had as many in flight, would submit as early as
the rate allows, and poll once at each end, no earlier than the rate allows. Delays are from a
cover's end to the arrival of the first poll that was told of it, multiplied back into the API's
seconds.

At most 500 covers are in flight, ours and theirs, as is our default: covers of 146 s (158 s in the
mean), 100 at once, are 0.63 a second, which is 1.3 requests where the limit allows 2. So many make
a fixed interval with a limiter seem better than it is: its polls queue for minutes, few come too
early, and the delay pays for it. `--concurrency 50` shows the interval itself.

Bias: answers do not scale. One in 2 ms is one in 0.2 s, and since a slot of ours comes back one
window after the answer, that costs 2 % of the rate; how long answers took meanwhile was measured
beside the contender, ten times a second. What a client assumes of a host that it does not know
(20 s) does not scale either, so ours has covered 20 songs before, uncounted. The server manages
some 2,000 requests a second, 20 of the API's: a contender that would send more is slowed down, and
refused too rarely. Where the CPU of the server is near 100 %, that happened.

Exits with 1 when ours is refused once, bills or notices a cover not exactly once, needs over 2.3
requests for each by polling or 2.05 with callbacks, or takes over 1.10 times the strict least.
"""

import argparse
import asyncio
import heapq
import importlib
import json
import math
import os
import resource
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import contest

sys.path.append(str(Path(__file__).parents[1]))

from suno_cover_async import (
    CallbackReceiver,
    Covered,
    PollPolicy,
    RateLimit,
    SunoCoverClient,
    cover_catalog,
)
from suno_cover_async.sandbox import Arrival, Journal, Kind, Lognormal, Sandbox, Scenario
from suno_cover_async.sandbox.scenario import API_KINDS
from tests.support.catalog_child import policies, song

LIMIT = RateLimit(calls=20, seconds=10)
SIGMA = 0.4
KNOWN = 20  # covers that ours has made before
OTHERS = frozenset(map(song, range(KNOWN)))
PATIENCE = 1200.0  # seconds for one contender

OURS = (
    contest.Contender("ours-polling", "suno-cover-async"),
    contest.Contender("ours-callbacks", "suno-cover-async"),
)
PAUSES = {f"every-{seconds}s": seconds for seconds in (3, 4, 30)}
LIMITED = "-limiter"
RIVALS = tuple(
    contest.Contender(name + suffix, package)
    for name in PAUSES
    for suffix, package in (("", "aiohttp"), (LIMITED, "aiolimiter"))
)
MOST_REQUESTS = {"ours-polling": 2.3, "ours-callbacks": 2.05}
MOST_TIMES = 1.10


@attrs.frozen
class Case:
    """A kind of host: how long covers take there, and whether polls count."""

    median: float
    polls_count: bool

    @property
    def name(self) -> str:
        """Say it in one word."""
        return f"{self.median:g}s-{'counted' if self.polls_count else 'free'}"

    @property
    def counted(self) -> frozenset[Kind]:
        """What counts against the limit."""
        return API_KINDS if self.polls_count else API_KINDS - {"details"}

    def scenario(self, scale: float) -> Scenario:
        """Make such a host."""
        seconds = Lognormal(median=self.median, sigma=SIGMA)
        return Scenario(
            scale=scale, seconds=seconds, rate_limit=LIMIT, counted=self.counted, image_size=16
        )


CASES = {case.name: case for case in (Case(m, c) for m in (47, 146) for c in (True, False))}


# --- a contender's process -----------------------------------------------------------------------


async def contend(given: argparse.Namespace) -> dict[str, float]:
    """Run as one contender; return how many covers it got, and how long answers took."""
    songs = [song(KNOWN + number) for number in range(given.covers)]
    async with answers(given.url) as took:
        if given.contender in MOST_REQUESTS:
            got = await ours(given, songs)
        else:
            got = await rival(given, songs)
    return {"got": got, "answer, ms": 1000 * statistics.fmean(took)}


@asynccontextmanager
async def answers(url: str) -> AsyncGenerator[list[float], None]:
    """Measure how long answers take to something that counts nowhere."""
    took = list[float]()

    async def ask() -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                began = time.perf_counter()
                async with http.get(url) as response:
                    await response.read()
                took.append(time.perf_counter() - began)
                await asyncio.sleep(0.1)

    asking = asyncio.create_task(ask())
    try:
        yield took
    finally:
        asking.cancel()
        await asyncio.wait([asking])


async def ours(given: argparse.Namespace, songs: Sequence[str]) -> int:
    """Cover all songs by polling, or with callbacks."""
    if given.contender == "ours-polling":
        return await covered(given, songs, None)
    port = free_port()
    receiver = CallbackReceiver(public_url=f"http://127.0.0.1:{port}", secret="of this run")
    async with receiver.listen("127.0.0.1", port):
        return await covered(given, songs, receiver)


def free_port() -> int:
    """Find a port: a receiver's URL must be known before it listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


async def covered(
    given: argparse.Namespace, songs: Sequence[str], receiver: CallbackReceiver | None
) -> int:
    """Cover all songs with one client, which has met this host before."""
    counts = CASES[given.case[0]].polls_count
    polls = RateLimit(calls=given.poll_calls, seconds=LIMIT.seconds / given.scale)
    options = policies(given.scale) | {"poll": scaled(given.scale), "receiver": receiver}
    async with SunoCoverClient(
        base_url=given.url,
        concurrency=given.concurrency,
        poll_rate_limit=None if counts else polls,
        **options,
    ) as client:
        await meet(client, given)
        if given.generate:
            ends = await asyncio.gather(*map(client.generate, songs), return_exceptions=True)
            return sum(not isinstance(end, BaseException) for end in ends)
        async with cover_catalog(client, songs) as outcomes:
            return sum([isinstance(outcome, Covered) async for outcome in outcomes])


def scaled(scale: float) -> PollPolicy:
    """Return the usual schedule, so many times as fast; a share of an age is none of seconds."""
    usual = attrs.asdict(PollPolicy())
    return PollPolicy(
        **{
            name: value if value is None or name == "growth" else value / scale
            for name, value in usual.items()
        }
    )


async def meet(client: SunoCoverClient, given: argparse.Namespace) -> None:
    """Let a client learn how long covers take here, and leave the limit's window empty."""
    tasks = await asyncio.gather(*map(client.submit, sorted(OTHERS)))
    await asyncio.sleep(3 * CASES[given.case[0]].median / given.scale)
    await asyncio.gather(*map(client.details, tasks))
    await asyncio.sleep(3 * LIMIT.seconds / given.scale)


async def rival(given: argparse.Namespace, songs: Sequence[str]) -> int:
    """Cover all songs as a plain program does."""
    pause = PAUSES[given.contender.removesuffix(LIMITED)] / given.scale
    limiter: AbstractAsyncContextManager[Any] = nullcontext()
    if given.contender.endswith(LIMITED):
        limiter = importlib.import_module("aiolimiter").AsyncLimiter(
            LIMIT.calls, LIMIT.seconds / given.scale
        )
    headers = {"Authorization": f"Bearer {os.environ['SUNO_API_KEY']}", "User-Agent": "rival"}
    at_once = asyncio.Semaphore(given.concurrency)
    async with aiohttp.ClientSession(given.url, headers=headers) as http:
        plain = Plain(http, pause, limiter, CASES[given.case[0]].counted)

        async def one(music_task_id: str) -> None:
            async with at_once:
                await plain.cover(music_task_id)

        await asyncio.gather(*map(one, songs))
    return len(songs)


@attrs.frozen
class Plain:
    """A program that submits, and polls at a fixed interval until its cover is there."""

    http: aiohttp.ClientSession
    pause: float
    limiter: AbstractAsyncContextManager[Any]
    counted: frozenset[Kind]

    async def cover(self, music_task_id: str) -> None:
        """Make one cover."""
        order = {"taskId": music_task_id, "callBackUrl": "https://example.com/callback"}
        made = await self.ask("submit", "POST", "/api/v1/suno/cover/generate", json=order)
        found = {"successFlag": 0}
        while found["successFlag"] not in {1, 3}:
            await asyncio.sleep(self.pause)
            path = "/api/v1/suno/cover/record-info"
            found = await self.ask("details", "GET", path, params={"taskId": made["taskId"]})

    async def ask(self, kind: Kind, method: str, path: str, **options: Any) -> Any:
        """Ask until it is not refused; return the answer's data."""
        while True:
            async with self.limiter if kind in self.counted else nullcontext():
                pass
            async with self.http.request(method, path, **options) as response:
                body = await response.json()
            if body["code"] == 200:
                return body["data"]
            await asyncio.sleep(self.pause)


# --- the server's process ------------------------------------------------------------------------


async def measure(
    case: Case, contender: contest.Contender, given: argparse.Namespace
) -> dict[str, float]:
    """Let one contender cover its songs on a server of its own; return the server's figures."""
    covers = given.covers if contender in OURS else given.rivals
    async with Sandbox(case.scenario(given.scale)) as sandbox:
        sandbox.add_music(map(song, range(KNOWN + covers)))
        began, cpu, childrens_cpu = time.monotonic(), time.process_time(), of_children()
        told = await child(sandbox, case, contender, covers, given)
        took = time.monotonic() - began
    run = Run(
        journal=sandbox.journal,
        case=case,
        covers=covers,
        scale=given.scale,
        at_once=given.concurrency,
    )
    return {
        "covers": covers,
        **run.figures(),
        **told,
        "CPU, server": (time.process_time() - cpu) / took,
        "CPU, contender": (of_children() - childrens_cpu) / took,
    }


async def child(
    sandbox: Sandbox,
    case: Case,
    contender: contest.Contender,
    covers: int,
    given: argparse.Namespace,
) -> dict[str, float]:
    """Start a contender and wait for what it tells; who takes too long is ended."""
    values = vars(given) | {"covers": covers, "case": case.name, "contender": contender.name}
    names = ("contender", "case", "covers", "scale", "concurrency", "poll_calls")
    words = [f"--{name.replace('_', '-')}={values[name]}" for name in names]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, f"--url={sandbox.url}", *words),
        *(["--generate"] if given.generate else []),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"SUNO_API_KEY": sandbox.api_key},
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
    except TimeoutError:
        return {"got": 0, "answer, ms": 0}
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    if process.returncode:
        raise SystemExit(f"{contender.name} ended with {process.returncode}")
    figures: dict[str, float] = json.loads(said.splitlines()[-1])
    return figures


def of_children() -> float:
    """Read the CPU seconds of the contenders that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@attrs.frozen(kw_only=True)
class Run:
    """What a server saw of one contender."""

    journal: Journal
    case: Case
    covers: int
    scale: float
    at_once: int

    def figures(self) -> dict[str, float]:
        """Return all that is to be known; seconds are the API's, not ours."""
        asked, bills = self.asked(), self.billed()
        delays = [late for cover, late in self.journal.delays().items() if cover in bills]
        took = asked[-1].at - asked[0].at
        polls = Counter(one.cover_task_id for one in asked if one.kind == "details")
        return {
            "requests for each": len(asked) / self.covers,
            "took, s": took * self.scale,
            "times the least": took / self.least(),
            "times the strict least": took / self.strict_least(),
            "refused": sum(not one.admitted for one in asked),
            "billed": len(bills),
            "billed again": sum(bills.values()) - len(bills),
            "noticed": len(delays),
            "delay, median, s": statistics.median(delays) * self.scale,
            "delay, p99, s": nearly_all(delays) * self.scale,
            "seen at the first poll": sum(one == 1 for one in polls.values()) / self.covers,
            **self.phases(asked),
        }

    def billed(self) -> Counter[str]:
        """Count the bills of each cover task, those of songs covered before left out."""
        bills = self.journal.bills
        return Counter(one.cover_task_id for one in bills if one.music_task_id not in OTHERS)

    def asked(self) -> list[Arrival]:
        """Choose the requests that the contest is about."""
        before = {one.cover_task_id for one in self.journal.of("submit") if self._is_strange(one)}
        return [
            one
            for one in self.journal.arrivals
            if one.kind in API_KINDS
            and not self._is_strange(one)
            and (one.cover_task_id is None or one.cover_task_id not in before)
        ]

    @staticmethod
    def _is_strange(one: Arrival) -> bool:
        return one.music_task_id in OTHERS

    @property
    def limit(self) -> RateLimit:
        """The limit, as fast as the server."""
        return RateLimit(calls=LIMIT.calls, seconds=LIMIT.seconds / self.scale)

    def least(self) -> float:
        """Return the seconds that the fewest requests need at the rate."""
        requests = self.covers * (2 if self.case.polls_count else 1)
        return requests / self.limit.calls * self.limit.seconds

    def strict_least(self) -> float:
        """Return the seconds from first to last request of a client that knows every end."""
        ends = {
            one.cover_task_id: one.finished_at
            for one in self.asked()
            if one.finished_at is not None
        }
        durations = [
            ends[bill.cover_task_id] - bill.at
            for bill in self.journal.bills
            if bill.cover_task_id in ends
        ]
        counts = self.case.polls_count
        return ideal(durations, self.limit, polls_count=counts, at_once=self.at_once)

    def phases(self, asked: Sequence[Arrival]) -> dict[str, float]:
        """Say how much of the rate was used up to the last submit, and what came after it."""
        first, last = asked[0].at, asked[-1].at
        turn = max(one.at for one in asked if one.kind == "submit")
        let_in = [one.at for one in asked if one.admitted and one.kind in self.case.counted]
        per_second = self.limit.calls / self.limit.seconds
        early = sum(at <= turn for at in let_in)
        return {
            "rate used, submitting": early / per_second / (turn - first),
            "tail, s": (last - turn) * self.scale,
            "rate used, tail": (len(let_in) - early) / per_second / max(last - turn, 1e-9),
        }


def nearly_all(seconds: Sequence[float]) -> float:
    """Return the 99th percentile: the least that 99 in 100 do not exceed."""
    return sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1]


def ideal(
    durations: Sequence[float], rate_limit: RateLimit, *, polls_count: bool, at_once: int
) -> float:
    """Submit as early as may be, poll once at each end: no earlier than places and rate allow.

    Returns:
        When the last poll goes out, the first submit having gone out at 0.
    """
    sent = [-rate_limit.seconds] * rate_limit.calls  # as if a window had just passed
    ends = list[float]()  # of covers in flight, a heap

    def send(earliest: float) -> float:
        sent.append(max(earliest, sent[-1], sent[-rate_limit.calls] + rate_limit.seconds))
        return sent[-1]

    def poll() -> float:
        end = heapq.heappop(ends)
        return send(end) if polls_count else end

    for took in durations:
        least_busy = poll() if len(ends) == at_once else 0.0
        heapq.heappush(ends, send(least_busy) + took)
    return [poll() for _ in range(len(ends))][-1]


# --- what is printed -----------------------------------------------------------------------------

COLUMNS = {
    "covers": ("covers", "{:,.0f}"),
    "requests for each": ("requests each", "{:.3f}"),
    "times the least": ("x least", "{:.3f}"),
    "times the strict least": ("x strict", "{:.3f}"),
    "refused": ("refused", "{:,.0f}"),
    "billed": ("billed", "{:,.0f}"),
    "billed again": ("again", "{:,.0f}"),
    "noticed": ("noticed", "{:,.0f}"),
    "delay, median, s": ("delay s", "{:.1f}"),
    "delay, p99, s": ("p99 s", "{:.1f}"),
    "seen at the first poll": ("1st poll", "{:.0%}"),
    "rate used, submitting": ("rate used", "{:.0%}"),
    "tail, s": ("tail s", "{:.0f}"),
    "rate used, tail": ("used then", "{:.0%}"),
    "answer, ms": ("answer ms", "{:.1f}"),
    "CPU, server": ("CPU server", "{:.0%}"),
    "CPU, contender": ("CPU own", "{:.0%}"),
}


def row(name: str, cells: Sequence[str]) -> str:
    """Put cells below their heads."""
    widths = [max(len(head), 7) for head, _ in COLUMNS.values()]
    return "  ".join(
        [f"{name:18}", *(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))]
    )


def shown(figures: contest.Figures) -> list[str]:
    """Write one contender's figures as cells."""
    return [form.format(figures[key]) for key, (_, form) in COLUMNS.items()]


def misses(name: str, found: contest.Figures) -> list[str]:
    """Say what is not as it should be with one of ours."""
    wrong = {
        "refused": found["refused"] > 0,
        "billed": found["billed"] != found["covers"],
        "billed again": found["billed again"] > 0,
        "noticed": found["noticed"] != found["covers"],
        "got": found["got"] != found["covers"],
        "requests for each": found["requests for each"] > MOST_REQUESTS[name],
        "times the strict least": found["times the strict least"] > MOST_TIMES,
    }
    return [f"{name}: {key} {found[key]:.3f}" for key, is_wrong in wrong.items() if is_wrong]


async def compare(
    case: Case, contenders: Sequence[contest.Contender], given: argparse.Namespace
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Let all take turns with one kind of host; return medians of the rounds, and misses."""
    rounds: dict[str, list[contest.Figures]] = {one.name: [] for one in contenders}
    if not given.json:
        counting = "count" if case.polls_count else "do not count"
        print(f"\ncovers of {case.median:g} s (lognormal, sigma {SIGMA}), polls {counting}")
        print(row("", [head for head, _ in COLUMNS.values()]), flush=True)
    for number in range(given.rounds):
        first = number % len(contenders)
        for one in [*contenders[first:], *contenders[:first]]:
            rounds[one.name].append(await measure(case, one, given))
            if not given.json:
                print(row(one.name, shown(rounds[one.name][-1])), flush=True)
    found = contest.medians(rounds)
    missed = [
        what for one in contenders if one in OURS for what in misses(one.name, found[one.name])
    ]
    return found, missed


def options() -> argparse.ArgumentParser:
    """Return the options of the script, and of a contender."""
    parser = contest.parser(__doc__, rounds=1)
    names = [one.name for one in (*OURS, *RIVALS)]
    parser.add_argument("--covers", type=int, default=10_000, help="for each of ours")
    parser.add_argument("--rivals", type=int, default=1_000, help="covers for each other contender")
    parser.add_argument("--scale", type=float, default=100)
    parser.add_argument("--concurrency", type=int, default=500, help="covers in flight")
    parser.add_argument("--poll-calls", type=int, default=20, help="in 10 s, where polls are free")
    parser.add_argument("--generate", action="store_true", help="instead of cover_catalog")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--url", help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and judge; or be a contender."""
    given = options().parse_args(arguments)
    if given.contender:
        return contest.tell(asyncio.run(contend(given)))
    chosen = [one for one in (*OURS, *RIVALS) if one.name in given.only]
    contenders = [one for one in chosen if one.is_here]
    if not given.json:
        print(contest.versions(chosen), f"scale {given.scale:g}", sep=" · ")
        print(f"ours covers {given.covers:,} songs, the others {given.rivals:,} each;", end=" ")
        print(f"{given.concurrency} at once")
    found, missed = dict[str, Any](), list[str]()
    for name in given.case:
        found[name], wrong = asyncio.run(compare(CASES[name], contenders, given))
        missed += [f"{name}, {what}" for what in wrong]
    if given.json:
        versions = contest.versions(chosen)
        print(json.dumps({"versions": versions, "cases": found, "missed": missed}, indent=1))
    else:
        print("", *(f"MISSED {what}" for what in missed), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
