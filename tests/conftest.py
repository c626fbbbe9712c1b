"""What the tests share: samples, a fast client, a receiver, a look for what was left behind,
and how catalogs and commands are run."""

import asyncio
import itertools
import json
import signal
import socket
import types
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import settings

from suno_cover_async import (
    CallbackReceiver,
    CatalogRun,
    CoverTask,
    Ledger,
    LedgerEntry,
    Outcome,
    PollPolicy,
    RateLimit,
    RetryPolicy,
    SunoCoverClient,
    SunoCoverError,
    TrackState,
    cover_catalog,
)
from suno_cover_async.cli.app import main
from suno_cover_async.covers.notifier import CallbackEvent, Notifier, Subscription
from suno_cover_async.sandbox import Sandbox

settings.register_profile("untimed", deadline=None)  # machines are shared; what hangs has failed
settings.load_profile("untimed")

# What a shell runs in its background ignores interrupts, and so would all that is begun here.
signal.signal(signal.SIGINT, signal.default_int_handler)

KEY = "sk-cli-7f3a9c"

SAMPLES: dict[str, dict[str, Any]] = {
    sample["case"]: sample
    for sample in json.loads((Path(__file__).parent / "samples/api_samples.json").read_text())
}

FAST_POLL = PollPolicy(initial_delay=0.01, min_interval=0.01, max_interval=0.02, timeout=20)
FAST_RETRY = RetryPolicy(initial_delay=0.001, max_delay=0.01)
NO_LIMIT = RateLimit(calls=1_000_000, seconds=0.1)


def connect(sandbox: Sandbox, **options: Any) -> SunoCoverClient:
    """Make a client of a sandbox that waits as little as a test should."""
    defaults: dict[str, Any] = {"rate_limit": NO_LIMIT, "poll": FAST_POLL, "retry": FAST_RETRY}
    place: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    return SunoCoverClient(**(place | defaults | options))


def billed(sandbox: Sandbox) -> Counter[str]:
    """Count the bills of each song."""
    return Counter(bill.music_task_id for bill in sandbox.journal.bills)


def read_now(ledger: Ledger | Path, *states: TrackState) -> list[LedgerEntry]:
    """Read the entries of a ledger's file at this moment; the running event loop stands still."""
    entries = (ledger if isinstance(ledger, Ledger) else Ledger(ledger)).entries(*states)

    async def read() -> list[LedgerEntry]:
        return [entry async for entry in entries]

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, read()).result()


def states(ledger: Ledger) -> Counter[TrackState]:
    """Count the tracks of a ledger in each state."""
    return Counter(entry.state for entry in read_now(ledger))


async def covered(
    client: SunoCoverClient,
    tracks: Any,
    ledger: Ledger | None = None,
    into: Any = None,
    **options: Any,
) -> list[Outcome]:
    """Cover a catalog; what ends it early is raised."""
    async with cover_catalog(client, tracks, ledger=ledger, into=into, **options) as outcomes:
        return [outcome async for outcome in outcomes]


async def covered_to_its_end(
    client: SunoCoverClient, tracks: Any, ledger: Ledger
) -> tuple[list[Outcome], SunoCoverError | None]:
    """Cover a catalog; return its outcomes, and what ended it early."""
    async with cover_catalog(client, tracks, ledger=ledger) as outcomes:
        return await ended(outcomes)


async def ended(outcomes: CatalogRun) -> tuple[list[Outcome], SunoCoverError | None]:
    """Read all outcomes, and what ended them."""
    seen: list[Outcome] = []
    try:
        async for outcome in outcomes:
            seen += [outcome]
    except SunoCoverError as error:
        return seen, error
    return seen, None


async def until(condition: Callable[[], object]) -> None:
    """Let the others run until something is so; what takes 100 s hangs, on any machine."""
    async with asyncio.timeout(100):
        while not condition():  # noqa: ASYNC110 - the journal is a list, not an event
            await asyncio.sleep(0)


@types.coroutine
def thrown(work: Coroutine[Any, Any, object], after: int, error: BaseException) -> Any:
    """Drive some work, and throw into its innermost frame at its n-th suspension."""
    for number in itertools.count():
        try:
            waiting = work.throw(error) if number == after else work.send(None)
        except StopIteration as done:
            return done.value
        yield waiting
    return None


@pytest.fixture
async def no_task_is_left_behind() -> AsyncIterator[None]:
    yield
    for _ in range(10):  # the server's own tasks take some turns to notice that a peer is gone
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left


@contextmanager
def kept_port() -> Iterator[int]:
    """Keep a port for one server after the other, and from other programs."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


@asynccontextmanager
async def receiving(**options: Any) -> AsyncIterator[CallbackReceiver]:
    """Have a receiver listen on loopback, where a sandbox can call it."""

    async def handle(request: web.Request) -> web.Response:
        return await receiver.handle(request)

    app = web.Application()
    app.router.add_route("*", "/suno/{tail:.*}", handle)
    async with TestServer(app) as server:
        public_url = str(server.make_url("/suno"))
        receiver = CallbackReceiver(**({"public_url": public_url, "secret": "s" * 32} | options))
        yield receiver


@contextmanager
def listening(notifier: Notifier, task: CoverTask | str) -> Iterator[CallbackEvent]:
    """Listen as whoever waits for a cover task does."""
    event = CallbackEvent()
    subscription = Subscription.of(task, event.notify)
    notifier.subscribe(subscription)
    try:
        yield event
    finally:
        notifier.unsubscribe(subscription)


@attrs.frozen
class Ended:
    """A command that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Run = Callable[..., Awaitable[Ended]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in a thread of this process, with the key in the environment."""
    monkeypatch.setenv("SUNO_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)

    async def ran(*arguments: str) -> Ended:
        capsys.readouterr()
        code = await asyncio.to_thread(main, list(arguments))
        written = capsys.readouterr()
        return Ended(code, written.out, written.err)

    return ran
