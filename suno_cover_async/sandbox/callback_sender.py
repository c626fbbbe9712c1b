"""Send callbacks: sign, deliver, retry, deliver twice, and forge them.

It owns the tasks that deliver callbacks, and contacts only this machine's own addresses.
"""

import asyncio
import time
from collections.abc import Callable

import aiohttp
import attrs
from yarl import URL

from suno_cover_async.common.addresses import is_loopback
from suno_cover_async.protocol import codec, signatures
from suno_cover_async.sandbox import forged_callbacks
from suno_cover_async.sandbox.journal import Delivery
from suno_cover_async.sandbox.scenario import Mishap, Scenario
from suno_cover_async.sandbox.world import Notice

_TRIES = 4  # documented: delivery stops after 3 failed retries
_PATIENCE = aiohttp.ClientTimeout(total=15)  # documented
_OK = 200
_FAILED = 501


def is_own(url: str) -> bool:
    """Return whether a URL leads to this machine."""
    try:
        parsed = URL(url)
    except (ValueError, IndexError):  # yarl raises IndexError for http://[]@
        return False
    return parsed.scheme in {"http", "https"} and is_loopback(parsed.host)


def signature(hmac_key: str, cover_task_id: str, timestamp: int) -> dict[str, str]:
    """Return the signature headers of kie.ai; they do not cover the body [documented]."""
    return {
        "X-Webhook-Timestamp": str(timestamp),
        "X-Webhook-Signature": signatures.sign(hmac_key.encode(), cover_task_id, timestamp),
    }


def letter(callback: Notice, base_url: str) -> bytes:
    """Return the body of a callback."""
    if callback.images is None:
        return codec.encode_callback(
            _FAILED,
            "Cover generation failed",
            cover_task_id=callback.cover_task_id,
            images=None,
        )
    urls = tuple(base_url + path for path in callback.images)
    return codec.encode_callback(_OK, "success", cover_task_id=callback.cover_task_id, images=urls)


@attrs.define
class CallbackSender:
    """Delivers callbacks until it is closed, and records every attempt."""

    deliveries: list[Delivery]
    _clock: Callable[[], float]
    _session: aiohttp.ClientSession = attrs.field(factory=aiohttp.ClientSession, repr=False)
    _tasks: set[asyncio.Task[None]] = attrs.field(factory=set[asyncio.Task[None]], repr=False)
    _early: dict[str, list[asyncio.Event]] = attrs.field(
        factory=dict[str, list[asyncio.Event]], repr=False
    )

    def send(self, callback: Notice, scenario: Scenario, base_url: str) -> None:
        """Start to deliver a callback, in as many copies as the scenario and its mishap require."""
        # A sandbox must not be usable to send requests to other machines: anyone who can submit
        # chooses the callback URL.
        if not is_own(callback.url):
            self._note(callback, skipped=True)
            return
        copies = scenario.callback_copies + (callback.mishap is Mishap.DOUBLED)
        tried = [asyncio.Event() for _ in range(copies)]
        if callback.mishap is Mishap.EARLY:
            self._early[callback.cover_task_id] = tried
        task = asyncio.create_task(self._carry(callback, scenario, base_url, tried))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def tried(self, cover_task_id: str | None) -> None:
        """Wait until every copy of an early callback was tried once; do not wait for others."""
        for tried in self._early.pop(cover_task_id or "", ()):
            await tried.wait()

    async def aclose(self) -> None:
        """Cancel the deliveries that are under way, and close the session."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()

    async def _carry(
        self, callback: Notice, scenario: Scenario, base_url: str, tried: list[asyncio.Event]
    ) -> None:
        if callback.mishap is Mishap.FORGED:
            await self._forge(callback, scenario, base_url)
        async with asyncio.TaskGroup() as copies:
            for once in tried:
                copies.create_task(self._deliver(callback, scenario, base_url, once))

    async def _forge(self, callback: Notice, scenario: Scenario, base_url: str) -> None:
        forged, key = forged_callbacks.forge(callback), scenario.hmac_key
        wrong_key = None if key is None else forged_callbacks.wrong_key(key)
        status = await self._post(forged, letter(forged, base_url), wrong_key)
        self._note(forged, status=status, forged=True)

    async def _deliver(
        self, callback: Notice, scenario: Scenario, base_url: str, tried: asyncio.Event
    ) -> None:
        body = letter(callback, base_url)
        for left in reversed(range(_TRIES)):
            status = await self._post(callback, body, scenario.hmac_key)
            self._note(callback, status=status)
            tried.set()
            if status == _OK or not left:
                return
            await asyncio.sleep(scenario.callback_pause / scenario.scale)

    async def _post(self, callback: Notice, body: bytes, hmac_key: str | None) -> int | None:
        headers = {"Content-Type": "application/json"}
        if hmac_key is not None:
            headers |= signature(hmac_key, callback.cover_task_id, int(time.time()))
        try:
            async with self._session.post(
                callback.url, data=body, headers=headers, timeout=_PATIENCE, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    def _note(
        self,
        callback: Notice,
        *,
        status: int | None = None,
        skipped: bool = False,
        forged: bool = False,
    ) -> None:
        self.deliveries.append(
            Delivery(
                at=self._clock(),
                cover_task_id=callback.cover_task_id,
                url=callback.url,
                status=status,
                skipped=skipped,
                forged=forged,
            )
        )
