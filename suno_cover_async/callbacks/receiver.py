"""Receive the API's callbacks: verify each, notify its waiters, and answer within milliseconds.

This module owns the time limits and the handlers for aiohttp.web, for ASGI (with `asgi.py`) and for
any other framework. `verification.py` decides which requests are accepted, and `notifier.py` which
waiters are notified.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from functools import partial
from typing import NoReturn, cast

from aiohttp import web

from suno_cover_async.callbacks import asgi
from suno_cover_async.callbacks.handler import CallbackHandler
from suno_cover_async.callbacks.verification import (
    ACCEPTED,
    LARGEST_BODY,
    REFUSED,
    CallbackAnswer,
    Headers,
    Verifier,
    refusing,
)
from suno_cover_async.common import validation
from suno_cover_async.covers.notifier import Bus, Notifier
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.log_fields import fields
from suno_cover_async.models import Callback
from suno_cover_async.protocol import signatures

Secret = str | bytes | Iterable[str | bytes]
_LONGEST_BODY = 5.0  # seconds
_HIGHEST_PORT = 65_535
_KEEP_ALIVE = 5.0
_SHUTDOWN = 0.1
_SILENT = logging.CRITICAL + 1

_log = logging.getLogger("suno_cover_async")


class CallbackReceiver:
    """Receive the API's callbacks and refuse all other requests.

    ::

        receiver = CallbackReceiver(public_url="https://me.example/suno", secret=secret)
        app.router.add_route("*", "/suno/{tail:.*}", receiver.handle)  # aiohttp.web
        app.mount("/suno", receiver.asgi)                              # FastAPI, Starlette
        answer = await receiver.receive(method, path, headers, body)   # anything else

    Every callback URL contains a music task's id and a token that only a holder of the secret can
    create. Generate the secret with `secrets.token_urlsafe(32)` and keep it across restarts, since
    callbacks arrive minutes later. (Anyone who sees a URL can guess a weak secret, and then send
    callbacks.) Any process that holds the secret can check the URLs of another process. One
    receiver may serve several clients.

    A callback is only a notification. It may contain a status and images, but no signature covers
    those, so they are not read: the waiter that is woken polls the API.

    The API allows 15 s for an answer, expects HTTP 200 and stops after 3 failed retries
    [documented: docs.sunoapi.org/suno-api/cover-suno-callbacks]. This receiver answers within
    milliseconds. Every refused request gets the same HTTP 400, whatever the reason; the reason is
    logged at DEBUG.

    With several processes (`--workers`), the process that receives a callback may not be the one
    that waits: give each the same secret and `bus=CallbackBus(url)`, which shares them by a
    PostgreSQL database. Or publish the two ids from `on_callback` over another channel (Redis) and
    call `notify` in the waiting processes. Without either nothing is lost: the waiting client's own
    polls find the cover, only later.

    Args:
        public_url: The URL at which the API reaches this receiver: absolute, http or https, without
            query and fragment, at most 1,832 characters.
        secret: Signs the URLs. Of several, the first signs and all are accepted: to rotate, put
            the new one first and remove the old one a day later.
        hmac_key: kie.ai's webhook key, or several. If set, a callback without a valid signature at
            most 300 s old is refused. The other hosts sign nothing.
        on_callback: Called with the two ids of a callback, and nothing else, after its waiters are
            notified. It may raise or hang. A plain function runs in a separate thread, where it may
            block (pass an asyncio queue's `put`, not its `put_nowait`). An `async def` runs in the
            event loop, starting 0.05 s later; if it blocks, it blocks the whole loop. Pass a plain
            function where a loop ends with its request, as in Flask and in Django under WSGI. It
            may be called several times for one cover, since the API may deliver a callback several
            times [documented]. At most 100 calls run at once; beyond that it is not called, and a
            warning is logged. Calls that still run when the process ends are dropped. With a bus,
            it is called in the process that the API called, and in no other.
        bus: Shares callbacks with other processes, such as a `CallbackBus`. No answer waits for it.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument has a wrong value.
    """

    _public_url = ""  # so that `repr` works when `__init__` raised

    def __init__(
        self,
        *,
        public_url: str,
        secret: Secret,
        hmac_key: Secret | None = None,
        on_callback: Callable[[Callback], Awaitable[None]]
        | Callable[[Callback], None]
        | None = None,
        bus: Bus | None = None,
    ) -> None:
        """Check the arguments; nothing is opened."""
        held = (
            signatures.Secrets(secret),
            None if hmac_key is None else signatures.Secrets(hmac_key),
        )
        del secret, hmac_key  # so that no traceback's locals show them
        self._verifier = Verifier(
            secrets=held[0].check("secret"), hmac_keys=held[1] and held[1].check("hmac_key")
        )
        self._public_url = _public_url(public_url)
        self._handler = None if on_callback is None else CallbackHandler(on_callback)
        if bus is not None:
            _check_bus(bus)
        self._notifier = Notifier(self._public_url, bus)

    def __repr__(self) -> str:
        """Show the public URL, never a secret."""
        return f"CallbackReceiver({self._public_url!r})"

    def __getstate__(self) -> NoReturn:
        """Raise TypeError: a receiver holds secrets and must not be pickled."""
        raise TypeError("a CallbackReceiver holds secrets and is not pickled; make a new one")

    @property
    def notifier(self) -> Notifier:
        """Return the notifier, which wakes the waiters of a callback; clients subscribe to it."""
        return self._notifier

    def url(self, music_task_id: str) -> str:
        """Return the callback URL of a music task.

        Raises:
            TypeError: The id is not a str.
            ValueError: The str is not an id.
        """
        validation.task_id("music_task_id", music_task_id)
        return f"{self._public_url}/{signatures.mint(self._verifier.secrets, music_task_id)}"

    def notify(self, callback: Callback) -> bool:
        """Notify the waiters of a callback that another process or thread received.

        `on_callback` is not called.

        Returns:
            True if the waiters were notified; False, and nothing is done, if the callback
            contradicts a known pair of music task and cover task.

        Raises:
            TypeError: It is not a `Callback`, or an id in it is not a str.
            ValueError: An id in it is not an id.
        """
        validation.instance("callback", callback, Callback)
        validation.task_id("callback.music_task_id", callback.music_task_id)
        validation.task_id("callback.cover_task_id", callback.cover_task_id)
        return self._notifier.notify(callback)

    def read(self, method: str, path: str, headers: Headers, body: bytes) -> Callback:
        """Check a request and return its callback, without notifying any waiter.

        Args:
            method: The HTTP method.
            path: The requested path; only its last segment counts, and a query is ignored.
            headers: All headers, as your framework has them: a mapping, or pairs of str or bytes.
            body: The body as it was sent, at most 65,536 bytes.

        Raises:
            CallbackRefusedError: It is not a valid callback, or not a valid request.
        """
        try:
            with refusing():
                return self._verifier.body(self._verifier.head(method, path, headers), body)
        except CallbackRefusedError as refusal:
            reason = str(refusal)
        del path, headers  # so that no traceback's locals show a token
        raise CallbackRefusedError(reason)

    async def receive(
        self, method: str, path: str, headers: Headers, body: bytes
    ) -> CallbackAnswer:
        """Check a request, notify its waiters if it is valid, return the answer; raise nothing.

        The arguments are those of `read`. Your framework must limit the size of the body and the
        time to read it; `handle` and `asgi` do both themselves.
        """
        return await self._decide(method, path, headers, partial(_at_hand, body))

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Serve a request of aiohttp.web.

        ::

            app.router.add_route("*", "/suno/{tail:.*}", receiver.handle)
        """
        fetch = partial(_gather, request.content.iter_any())
        answer = await self._decide(request.method, request.path, request.headers, fetch)
        response = web.Response(
            status=answer.status, body=answer.body, content_type=answer.content_type
        )
        if answer is REFUSED:
            response.force_close()
            if not request.content.is_eof():
                # otherwise aiohttp reads the rest for 10 s, even if the sender has left
                request.content.set_exception(TimeoutError())
        return response

    @property
    def asgi(self) -> asgi.Application:
        """Return the ASGI application, to mount or to serve directly; it needs asyncio.

        ::

            app.mount("/suno", receiver.asgi)
        """

        async def answer(scope: asgi.Scope, chunks: AsyncIterable[bytes]) -> CallbackAnswer:
            fetch = partial(_gather, chunks)
            return await self._decide(scope["method"], scope["path"], scope["headers"], fetch)

        return asgi.application(answer)

    @contextlib.asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncGenerator[int, None]:
        """Run an HTTP server that accepts callbacks on any path, for scripts and the command line.

        ::

            async with receiver.listen("127.0.0.1", 8481), SunoCoverClient(receiver=receiver) as c:
                details = await c.generate(music_task_id)

        Args:
            host: The address to listen on, such as 127.0.0.1, or 0.0.0.0 for all.
            port: The TCP port, at most 65535; 0 chooses a free one.

        Yields:
            The port.

        Raises:
            OSError: It cannot listen on this address and port.
            ValueError: The host is empty, or the port is not in this range.
        """
        if not host:
            raise ValueError("host must be an address, such as 127.0.0.1, or 0.0.0.0 for all")
        if port not in range(_HIGHEST_PORT + 1):
            raise ValueError(f"port must be a whole number from 0 to {_HIGHEST_PORT}, not {port!r}")
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self.handle)
        runner = web.AppRunner(
            app,
            access_log=None,
            # aiohttp's own logger quotes malformed requests, including URLs with their tokens
            logger=logging.Logger("silent", _SILENT),  # noqa: LOG001
            auto_decompress=False,
            keepalive_timeout=_KEEP_ALIVE,  # the only limit on a sender of slow headers
            shutdown_timeout=_SHUTDOWN,
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            server = cast("web.Server", runner.server)
            # The server is created without serving and registered for closing first. A
            # cancellation while asyncio starts to serve would otherwise leave an open socket that
            # no code can close.
            listener = await asyncio.get_running_loop().create_server(
                server, host, port, start_serving=False
            )
            stack.callback(listener.close)
            await listener.start_serving()
            yield listener.sockets[0].getsockname()[1]

    async def _decide(
        self, method: str, path: str, headers: Headers, fetch: Callable[[], Awaitable[bytes]]
    ) -> CallbackAnswer:
        """Check everything that needs no body, then fetch and check the body; return the answer."""
        # A request without a valid token is refused before its body is read, so a third party
        # cannot make this process read 64 KiB or wait 5 s. All refusals give the same answer, so
        # it does not show which check failed.
        try:
            with refusing():
                head = self._verifier.head(method, path, headers)
                self._accept(self._verifier.body(head, await fetch()))
        except CallbackRefusedError as refusal:
            _log.debug(
                "a callback was refused: %s", refusal, extra=fields("callback_refused", refusal)
            )
            self._notifier.refused(str(refusal))
            return REFUSED
        return ACCEPTED

    def _accept(self, callback: Callback) -> None:
        _log.debug(
            "a callback for music task %s",
            callback.music_task_id,
            extra=fields("callback", music_task_id=callback.music_task_id),
        )
        if not self._notifier.receive(callback):
            raise CallbackRefusedError("it contradicts what is known of the music or the cover")
        if self._handler is not None:
            self._handler.call(callback)


def _public_url(value: str) -> str:
    validation.callback_url("public_url", value)
    if "?" in value or "#" in value:
        raise ValueError("public_url must have no query and no fragment")
    prefix = value.rstrip("/")
    validation.callback_url(
        "public_url, with a token behind it,", prefix + "/" * (1 + signatures.LONGEST)
    )
    return prefix


def _check_bus(bus: object) -> None:
    """Raise a TypeError that does not show the value: a URL in its place may hold a password."""
    if not isinstance(bus, Bus):
        raise TypeError(f"bus must be a CallbackBus, not a {type(bus).__name__}")


async def _at_hand(body: bytes) -> bytes:
    return body


async def _gather(chunks: AsyncIterable[bytes]) -> bytes:
    """Return a body of at most 65,536 bytes, read within 5 s.

    Raises:
        CallbackRefusedError: It is too large.
        TimeoutError: It did not arrive in time.
    """
    body = bytearray()
    async with asyncio.timeout(_LONGEST_BODY):
        async for chunk in chunks:
            if len(body) + len(chunk) > LARGEST_BODY:
                raise CallbackRefusedError("the body is too large")
            body += chunk
    return bytes(body)
