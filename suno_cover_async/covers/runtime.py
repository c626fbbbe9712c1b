"""The runtime: the parts of a client that live in one event loop and end with it.

These are connections, polls, downloads and submits under way. It creates and closes them;
`service.py` uses them.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import attrs
from yarl import URL

from suno_cover_async.common.addresses import Network, is_loopback
from suno_cover_async.common.log_variable import show_log
from suno_cover_async.common.tasks import is_part_of
from suno_cover_async.covers.image_age import ImageAge, image_age
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.covers.poller import Poller
from suno_cover_async.covers.state import CoverState
from suno_cover_async.covers.submitter import Submitter
from suno_cover_async.errors import DownloadError, SunoCoverError
from suno_cover_async.http.account import Account
from suno_cover_async.http.credentials import USER_AGENT
from suno_cover_async.http.exchange import Exchange
from suno_cover_async.http.transport import Transport
from suno_cover_async.images.downloader import ImageDownloader
from suno_cover_async.models import CoverDetails
from suno_cover_async.network.connector import HEADER_LIMITS, Connector, open_on_loopback
from suno_cover_async.network.proxies import Proxies
from suno_cover_async.policies import PollPolicy, RetryPolicy
from suno_cover_async.protocol import requests
from suno_cover_async.resilience.circuit_breaker import Admission, CircuitBreaker
from suno_cover_async.resilience.retry import NOT_SENT, FailedAttempt, NotSent, plainly, retry

_DOWNLOADS_AT_ONCE = 16


@attrs.frozen(kw_only=True, eq=False)
class Runtime:
    """The parts of one client in one event loop.

    Attributes:
        transport: Makes the API calls.
        images: Downloads images.
        poller: Polls cover tasks, for all waiters.
        submitter: Makes the submits.
        retry: How often a download is tried by default.
        image_breaker: Holds downloads back while the image host is in trouble.
        slots: Limits the covers in flight.
        users: Tasks of catalogs, which may still record results of submits after a cancellation.
        downloads: Limits the downloads at once.
        loop: The event loop.
    """

    transport: Transport
    images: ImageDownloader
    poller: Poller
    submitter: Submitter
    retry: RetryPolicy
    image_breaker: CircuitBreaker
    slots: asyncio.Semaphore
    users: set[asyncio.Task[None]]
    downloads: asyncio.Semaphore = attrs.field(
        factory=lambda: asyncio.Semaphore(_DOWNLOADS_AT_ONCE)
    )
    loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop)

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None, None]:
        """Wait for a free slot, and hold it inside the block."""
        await self.transport.closing.unless_closed(self.slots.acquire())
        try:
            yield
        finally:
            self.slots.release()

    async def save(
        self, details: CoverDetails, stem: Path, policy: RetryPolicy | None = None
    ) -> list[Path | BaseException]:
        """Download all images at once, each to its end even if others fail."""
        return await self.transport.closing.unless_closed(self._save(details, stem, policy))

    async def _save(
        self, details: CoverDetails, stem: Path, policy: RetryPolicy | None
    ) -> list[Path | BaseException]:
        age = image_age(details)
        fetches = [
            self._fetch(url, stem.with_name(f"{stem.name}-{number}"), age, policy)
            for number, url in enumerate(details.images, start=1)
        ]
        return await asyncio.gather(*fetches, return_exceptions=True)

    async def stop(self) -> None:
        """End everything that is under way.

        A submit on the wire is finished, and a cancelled catalog records its result, before this
        returns.
        """
        # The order matters. First no new call may begin; then the polls end; then the submits,
        # whose answers must be kept. Catalogs come last: a cancelled one still records what its
        # submits brought, and would lose a paid cover if this returned earlier and the program
        # closed the ledger. A catalog that closes the client itself is not awaited: it would wait
        # for itself.
        self.transport.closing.close()
        await self.poller.stop()
        await self.submitter.stop()
        others = [user for user in self.users if not is_part_of(user)]
        leaving = [user for user in others if user.cancelling() and user.get_loop() is self.loop]
        if leaving:
            await asyncio.wait(leaving)

    async def _fetch(
        self, url: str, target: Path, age: ImageAge, policy: RetryPolicy | None
    ) -> Path:
        missing = 0
        most_missing = self.retry.max_attempts

        async def attempt(admission: Admission) -> Path | FailedAttempt | NotSent:
            nonlocal missing
            async with self.downloads:
                if not self.image_breaker.is_current(admission):
                    return NOT_SENT
                # An image of unknown age is gone if it was missing before and is still missing at
                # the last attempt. A catalog's policy has more attempts, for outages; an image that
                # is missing is left to the next run after as many as a single call makes.
                is_last = 0 < missing == most_missing - 1
                gone = age is ImageAge.OLD or (age is ImageAge.UNKNOWN and is_last)
                began = self.loop.time()
                try:
                    return await self.images.fetch(
                        url, target, gone=gone, attempt=admission.attempt
                    )
                except SunoCoverError as error:
                    missing += isinstance(error, DownloadError) and error.is_missing
                    return FailedAttempt(
                        error=error,
                        took=self.loop.time() - began,
                        is_last=missing >= most_missing,
                    )

        return await retry(
            attempt,
            policy or self.retry,
            self.image_breaker,
            partial(DownloadError, retryable=True),
            plainly,
            on_retry=self.images.retried(url),
        )


async def open_runtime(
    stack: AsyncExitStack,
    *,
    account: Account,
    session: aiohttp.ClientSession | None,
    concurrency: int,
    poll: PollPolicy,
    state: CoverState,
    notifier: Notifier,
    callback_url: Callable[[str], str],
    users: set[asyncio.Task[None]],
    proxies: Proxies,
    fake_ip: Sequence[Network],
) -> Runtime:
    """Open a runtime in the running event loop, without suspending; `stack` closes it."""
    # Nothing awaited here may suspend, and entering a ClientSession does not. If it did, two first
    # callers could each open a runtime, and only one of the two would be used and closed.
    show_log()
    owned = session is None
    proxy = proxies.of(URL(account.base_url))
    if session is None:
        session = await stack.enter_async_context(_own_session(account, proxied=proxy is not None))
    on_loopback = is_loopback(urlsplit(account.base_url).hostname)
    images = ImageDownloader(
        loopback=on_loopback,
        user_agent=USER_AGENT,
        proxies=proxies,
        fake_ip=fake_ip,
        events=account.events,
    )
    stack.push_async_callback(images.close)
    exchange = Exchange(
        session,
        account.base_url,
        account.key,
        seconds=account.retry.attempt_timeout,
        owned=owned,
        proxy=proxy,
    )
    transport = Transport(account, exchange)

    def details(cover_task_id: str) -> Coroutine[Any, Any, CoverDetails | None]:
        return transport.get(
            requests.details(cover_task_id), through=account.poll_limiter, urgent=True
        )

    state.left_under_way()  # submits of an event loop that was closed without ending its tasks
    poller = Poller(
        *(details, poll, state, lambda: account.poll_limiter.busy, notifier),
        events=account.events,
    )
    runtime = Runtime(
        transport=transport,
        images=images,
        poller=poller,
        submitter=Submitter(
            transport=transport,
            poller=poller,
            state=state,
            notifier=notifier,
            callback_url=callback_url,
            poll=poll,
            events=account.events,
        ),
        retry=account.retry,
        image_breaker=account.breakers.images,
        slots=asyncio.Semaphore(concurrency),
        users=users,
    )
    stack.push_async_callback(runtime.stop)
    return runtime


def _own_session(account: Account, *, proxied: bool) -> aiohttp.ClientSession:
    """Make a session without cookies, and without aiohttp's hidden cap of 100 connections.

    With a proxy it does not hold the key, since aiohttp sends a session's headers to the proxy too.
    """
    is_plain = urlsplit(account.base_url).scheme == "http"
    return aiohttp.ClientSession(
        headers={"User-Agent": USER_AGENT} if proxied else account.key.headers(),
        connector=Connector(
            limit=0, ttl_dns_cache=300, socket_factory=open_on_loopback if is_plain else None
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        **HEADER_LIMITS,
    )
