"""A pytest plugin: a sandbox for each test that asks for one, and a client of it.

It is loaded only where it is asked for, by `pytest_plugins = ["suno_cover_async.pytest_plugin"]` in
the top `conftest.py`, or by `-p suno_cover_async.pytest_plugin`. Its fixtures are synchronous, so
they serve plain tests, pytest-asyncio, anyio's plugin (on asyncio) and programs in processes of
their own. The sandbox runs in a thread with an event loop of its own.
"""

import asyncio
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from suno_cover_async.client import SunoCoverClient, covers_of
from suno_cover_async.policies import PollPolicy, RateLimit, RetryPolicy
from suno_cover_async.sandbox import Sandbox, Scenario

_MARKER = (
    "suno_scenario(scenario=None, **changes): how `suno_sandbox` behaves: a `Scenario`, or the "
    "fields of one that differ from the quick one, such as lost_answers=0.2"
)
_QUICK = Scenario(seconds=0.02, image_size=64, rate_limit=None)
_NO_LIMIT = RateLimit(calls=1_000_000, seconds=1)
_POLL = PollPolicy(initial_delay=0.02, min_interval=0.02, max_interval=0.1, timeout=60)
_RETRY = RetryPolicy(initial_delay=0.01, max_delay=0.1)
_CLOSING_SECONDS = 60.0


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker `suno_scenario`."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def suno_scenario(request: pytest.FixtureRequest) -> Scenario:
    """How the sandbox behaves: quick, unless a marker says otherwise; override it for a folder.

    The quick scenario makes a cover in 0.02 s, with images of 64 pixels, and has no rate limit.
    `@pytest.mark.suno_scenario(lost_answers=0.2)` changes fields of it, and
    `@pytest.mark.suno_scenario(Scenario(...))` replaces it.
    """
    marker = request.node.get_closest_marker("suno_scenario")
    return _QUICK if marker is None else _marked(*marker.args, **marker.kwargs)


@pytest.fixture
def suno_sandbox(suno_scenario: Scenario) -> Iterator[Sandbox]:
    """A simulated Cover API that listens on loopback during the test; new for each test.

    Its attributes `url` and `api_key` are what a client needs, `add_music` adds finished songs, and
    `journal` has what arrived and what was billed. All may be used from the test's thread.
    """
    with _running(Sandbox(suno_scenario)) as sandbox:
        yield sandbox


@pytest.fixture
def suno_client(suno_sandbox: Sandbox) -> Iterator[SunoCoverClient]:
    """A client of the sandbox with quick polls, for whichever event loop the test uses.

    It keeps the scenario's rate limit. It is closed after the test, also after one that failed.
    """
    client = SunoCoverClient(
        suno_sandbox.api_key,
        base_url=suno_sandbox.url,
        rate_limit=suno_sandbox.scenario.window or _NO_LIMIT,
        poll=_POLL,
        retry=_RETRY,
    )
    yield client
    _close(client)


@pytest.fixture
def suno_environment(suno_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Point programs at the sandbox: `SUNO_API_KEY` and `SUNO_BASE_URL`, set during the test.

    Clients that are made without arguments read them, and so do processes that the test starts.
    """
    variables = {"SUNO_API_KEY": suno_sandbox.api_key, "SUNO_BASE_URL": suno_sandbox.url}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def _marked(scenario: object = None, /, *more: object, **changes: Any) -> Scenario:
    """Return the scenario of a marker; end the test with one line if it is none."""
    try:
        if more or not isinstance(scenario, Scenario | None):
            raise TypeError("it takes one Scenario, or fields of one by name")
        return attrs.evolve(scenario or _QUICK, **changes)
    except (TypeError, ValueError) as error:
        reason = str(error).removeprefix("Scenario.__init__() ")
    pytest.fail(f"the marker suno_scenario cannot be read: {reason}", pytrace=False)


@contextmanager
def _running(sandbox: Sandbox) -> Generator[Sandbox, None, None]:
    """Run a sandbox in a thread of its own, in whose event loop all requests are answered."""
    # The test's event loop may not exist yet, may change, or may be blocked by the test itself.
    started = Future[_Stop]()
    with ThreadPoolExecutor(1, thread_name_prefix="suno-sandbox") as threads:
        served = threads.submit(asyncio.run, _serve(sandbox, started))
        either: list[Future[Any]] = [started, served]
        wait(either, return_when=FIRST_COMPLETED)
        if served.done():
            served.result()  # raises what kept it from listening
        stop = started.result()
        try:
            yield sandbox
        finally:
            stop.loop.call_soon_threadsafe(stop.event.set)
            served.result()


@attrs.frozen
class _Stop:
    """The event that ends a sandbox, and the event loop that it belongs to."""

    loop: asyncio.AbstractEventLoop
    event: asyncio.Event


async def _serve(sandbox: Sandbox, started: "Future[_Stop]") -> None:
    stop = _Stop(asyncio.get_running_loop(), asyncio.Event())
    async with sandbox:
        started.set_result(stop)
        await stop.event.wait()


def _close(client: SunoCoverClient) -> None:
    """Close a client in the event loop where it was used, unless that loop has closed it."""
    loop = covers_of(client).loop
    if loop is None or loop.is_closed():
        return
    if loop.is_running():  # in a thread of the test's own
        asyncio.run_coroutine_threadsafe(client.aclose(), loop).result(_CLOSING_SECONDS)
    else:
        loop.run_until_complete(client.aclose())
