"""Clients that wait as little as a test should, and receivers that a sandbox can call."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from suno_cover_async import (
    CallbackReceiver,
    CoverTask,
    PollPolicy,
    RateLimit,
    RetryPolicy,
    SunoCoverClient,
)
from suno_cover_async.covers.notifier import CallbackEvent, Notifier, Subscription
from suno_cover_async.sandbox import Sandbox, Scenario

FAST_POLL = PollPolicy(initial_delay=0.01, min_interval=0.01, max_interval=0.02, timeout=20)


FAST_RETRY = RetryPolicy(initial_delay=0.001, max_delay=0.01)


NO_LIMIT = RateLimit(calls=1_000_000, seconds=0.1)

# A sandbox that finishes a cover at its first poll, and refuses no call.
FREE = Scenario(rate_limit=None, polls=1)


def connect(sandbox: Sandbox, **options: Any) -> SunoCoverClient:
    """Make a client of a sandbox that waits as little as a test should."""
    defaults: dict[str, Any] = {"rate_limit": NO_LIMIT, "poll": FAST_POLL, "retry": FAST_RETRY}
    place: dict[str, Any] = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    return SunoCoverClient(**(place | defaults | options))


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
    """Subscribe to the notifications of a cover task, as a waiter does."""
    event = CallbackEvent()
    subscription = Subscription.of(task, event.notify)
    notifier.subscribe(subscription)
    try:
        yield event
    finally:
        notifier.unsubscribe(subscription)
