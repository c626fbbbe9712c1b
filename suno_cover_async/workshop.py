"""What lives in one event loop and ends with it: connections, looks, and submits under way.

It puts together what the verbs of `client.py` use; it knows no verb.
"""

import asyncio
import errno
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import attrs

from suno_cover_async import requests
from suno_cover_async.addresses import Address, is_loopback
from suno_cover_async.connections import Connector
from suno_cover_async.doorbell import Doorbell
from suno_cover_async.download import ImageDownloader
from suno_cover_async.errors import DownloadError, SunoCoverError
from suno_cover_async.memory import Memory
from suno_cover_async.messenger import USER_AGENT, Messenger
from suno_cover_async.models import CoverDetails
from suno_cover_async.outage import OutageGate, Passage
from suno_cover_async.pace import PollSchedule
from suno_cover_async.polling import Lookout
from suno_cover_async.retry import RetryPolicy, Trouble, persist
from suno_cover_async.sharing import is_part_of
from suno_cover_async.submitting import SubmitDesk
from suno_cover_async.transport import Account, Transport

_DOWNLOADS_AT_ONCE = 16


@attrs.frozen(kw_only=True, eq=False)
class Workshop:
    """The tools of one client in one event loop.

    Attributes:
        transport: Makes the API calls.
        images: Fetches images.
        lookout: Looks at cover tasks, for all who wait.
        desk: Takes submits.
        image_outage: Holds downloads back while the image host is in trouble.
        slots: The covers that may be in flight.
        users: Tasks that may still record what submits bring after they were cancelled.
        loop: The event loop.
    """

    transport: Transport
    images: ImageDownloader
    lookout: Lookout
    desk: SubmitDesk
    retry: RetryPolicy
    image_outage: OutageGate
    slots: asyncio.Semaphore
    users: set[asyncio.Task[None]]
    downloads: asyncio.Semaphore = attrs.field(
        factory=lambda: asyncio.Semaphore(_DOWNLOADS_AT_ONCE)
    )
    loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.get_running_loop)

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None, None]:
        """Hold a slot, once there is one."""
        await self.transport.closing.unless_closed(self.slots.acquire())
        try:
            yield
        finally:
            self.slots.release()

    async def save(self, images: Sequence[str], stem: Path) -> list[Path | BaseException]:
        """Fetch all images at once, each to its end whatever becomes of the others."""
        return await self.transport.closing.unless_closed(self._save(images, stem))

    async def _save(self, images: Sequence[str], stem: Path) -> list[Path | BaseException]:
        fetches = [
            self._fetch(url, stem.with_name(f"{stem.name}-{number}"))
            for number, url in enumerate(images, start=1)
        ]
        return await asyncio.gather(*fetches, return_exceptions=True)

    async def stop(self) -> None:
        """End all that is under way.

        A submit on the wire is finished, and a catalog that was left records it before this
        returns.
        """
        self.transport.closing.close()
        await self.lookout.stop()
        await self.desk.stop()
        others = [user for user in self.users if not is_part_of(user)]
        leaving = [user for user in others if user.cancelling() and user.get_loop() is self.loop]
        if leaving:
            await asyncio.wait(leaving)

    async def _fetch(self, url: str, target: Path) -> Path:
        async def attempt() -> Path | Trouble:
            async with self.downloads:
                passage = await self.image_outage.enter(self.retry.deadline)
                if not isinstance(passage, Passage):
                    error = DownloadError(str(passage), retryable=True)
                    return Trouble(error=error, took=self.retry.deadline)
                try:
                    return await fetch(passage)
                finally:
                    self.image_outage.leave(passage)

        async def fetch(passage: Passage) -> Path | Trouble:
            began = self.loop.time()
            try:
                file = await self.images.fetch(url, target)
            except SunoCoverError as error:
                self.image_outage.judge(passage, error)
                return Trouble(error=error, took=self.loop.time() - began)
            self.image_outage.judge(passage, file)
            return file

        return await persist(attempt, self.retry)


async def open_workshop(
    stack: AsyncExitStack,
    *,
    account: Account,
    session: aiohttp.ClientSession | None,
    concurrency: int,
    poll: PollSchedule,
    memory: Memory,
    doorbell: Doorbell,
    callback_url: Callable[[str], str],
    users: set[asyncio.Task[None]],
) -> Workshop:
    """Open everything in the running event loop, without suspending; the stack closes it."""
    owned = session is None
    if session is None:
        session = await stack.enter_async_context(_own_session(account))
    on_loopback = is_loopback(urlsplit(account.base_url).hostname)
    images = ImageDownloader(loopback=on_loopback, user_agent=USER_AGENT)
    stack.push_async_callback(images.close)
    messenger = Messenger(
        session, account.base_url, account.key, seconds=account.retry.attempt, owned=owned
    )
    stack.callback(messenger.stop)
    transport = Transport(account, messenger)

    def look(cover_task_id: str) -> Coroutine[Any, Any, CoverDetails | None]:
        return transport.get(
            requests.details(cover_task_id), through=account.poll_window, urgent=True
        )

    memory.left_under_way()  # by an event loop that was closed without ending its tasks
    lookout = Lookout(look, poll, memory, lambda: account.poll_window.busy, doorbell)
    workshop = Workshop(
        transport=transport,
        images=images,
        lookout=lookout,
        desk=SubmitDesk(
            transport=transport,
            lookout=lookout,
            memory=memory,
            doorbell=doorbell,
            callback_url=callback_url,
            poll=poll,
        ),
        retry=account.retry,
        image_outage=account.image_outage,
        slots=asyncio.Semaphore(concurrency),
        users=users,
    )
    stack.push_async_callback(workshop.stop)
    return workshop


def _own_session(account: Account) -> aiohttp.ClientSession:
    """Make a session without cookies, and without aiohttp's hidden cap of 100 connections."""
    is_plain = urlsplit(account.base_url).scheme == "http"
    return aiohttp.ClientSession(
        headers=account.key.headers(),
        connector=Connector(
            limit=0, ttl_dns_cache=300, socket_factory=_open_at_home if is_plain else None
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _open_at_home(address: Address) -> socket.socket:
    """Open a connection's socket, unless a name such as `localhost` leads to another machine."""
    family, kind, protocol, _, place = address
    if not is_loopback(str(place[0])):
        raise PermissionError(errno.EACCES, "it is not on this machine, so http is refused")
    return socket.socket(family=family, type=kind, proto=protocol)
