"""The receiver of callbacks: a true one wakes its waiters, and all are answered in milliseconds.

It owns the bounds on time, and the doors for aiohttp.web, for ASGI (with `asgi.py`), and for any
other framework. Who is let in is `verification.py`'s, and who is woken `notifier.py`'s.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from functools import partial
from typing import NoReturn, cast

from aiohttp import web

from suno_cover_async.callbacks import asgi
from suno_cover_async.callbacks.handler import Hook
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
from suno_cover_async.covers.notifier import Notifier
from suno_cover_async.errors import CallbackRefusedError
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
    """Lets the API's callbacks in, and nobody else's.

    ::

        receiver = CallbackReceiver(public_url="https://me.example/suno", secret=secret)
        app.router.add_route("*", "/suno/{tail:.*}", receiver.handle)  # aiohttp.web
        app.mount("/suno", receiver.asgi)                              # FastAPI, Starlette
        answer = await receiver.receive(method, path, headers, body)   # anything else

    Every URL it mints holds a music task's id and a token that only a holder of the secret can
    make. Make the secret with `secrets.token_urlsafe(32)` and keep it across restarts: callbacks
    come minutes later. (Whoever sees a URL can guess a weak one, and then send callbacks.) Any
    process that holds the secret can check what another one minted; one receiver may serve several
    clients.

    A callback is a notifier, no more. It may name a verdict and images, but those are covered by
    no signature, so they are not even read: whoever is woken asks the API.

    The API gives 15 s to answer, expects HTTP 200 and stops after 3 failed retries [documented:
    docs.sunoapi.org/suno-api/cover-suno-callbacks]. Here an answer takes milliseconds. Whatever is
    refused, for whatever reason, gets one and the same HTTP 400; the reason is logged at DEBUG.

    With several processes (`--workers`), the one that receives need not be the one that waits.
    Publish the two ids from `on_callback`, over what you have (Redis, Postgres), and call `notify`
    in the processes that wait. Without that nothing is lost either: the waiting client's own polls
    find the cover, only later.

    Args:
        public_url: Where the API reaches this receiver: an absolute http or https URL without
            query and fragment, of at most 1,832 characters.
        secret: Signs the URLs. Of several, the first signs and all are believed: to rotate, put
            the new one in front and drop the old one a day later.
        hmac_key: kie.ai's webhook key, or several. When set, a callback without a good signature
            of at most 300 s of age is refused. The other hosts sign nothing.
        on_callback: Called after a callback has woken its waiters, with its two ids and nothing
            else. It may raise or hang. A plain function runs in a thread of its own,
            where it may block (give an asyncio queue's `put`, not its `put_nowait`). An
            `async def` runs in the event loop, beginning 0.05 s later; blocking, it
            would hold up all else there. Where a loop ends with its request, as in
            Flask and in Django under WSGI, give a plain function. It may be called
            several times for one cover, since the API may deliver one callback several
            times [documented]. At most 100 calls run at once; beyond that it is not
            called, and a warning says so. Calls that run when the process ends are
            dropped.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument is wrong otherwise.
    """

    _public_url = ""  # so that one whose arguments are wrong can be shown

    def __init__(
        self,
        *,
        public_url: str,
        secret: Secret,
        hmac_key: Secret | None = None,
        on_callback: Callable[[Callback], Awaitable[None]]
        | Callable[[Callback], None]
        | None = None,
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
        self._hook = None if on_callback is None else Hook(on_callback)
        self._notifier = Notifier(self._public_url)

    def __repr__(self) -> str:
        """Show where it is, never a secret."""
        return f"CallbackReceiver({self._public_url!r})"

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled: it holds secrets."""
        raise TypeError("a CallbackReceiver holds secrets and is not pickled; make a new one")

    @property
    def notifier(self) -> Notifier:
        """What wakes the waiters of a callback; clients subscribe to it."""
        return self._notifier

    def url(self, music_task_id: str) -> str:
        """Mint the callback URL of a music task.

        Raises:
            TypeError: The id is not a str.
            ValueError: It is no id.
        """
        validation.task_id("music_task_id", music_task_id)
        return f"{self._public_url}/{signatures.mint(self._verifier.secrets, music_task_id)}"

    def notify(self, callback: Callback) -> bool:
        """Ring for a callback that came in elsewhere: another process, or another thread.

        `on_callback` is not called.

        Returns:
            Whether it can be true; False, and nothing done, when it contradicts what is known.

        Raises:
            TypeError: It is not a `Callback`, or an id in it is not a str.
            ValueError: An id in it is no id.
        """
        validation.instance("callback", callback, Callback)
        validation.task_id("callback.music_task_id", callback.music_task_id)
        validation.task_id("callback.cover_task_id", callback.cover_task_id)
        return self._notifier.notify(callback)

    def read(self, method: str, path: str, headers: Headers, body: bytes) -> Callback:
        """Check a request and read it; nobody is woken.

        Args:
            method: The HTTP method.
            path: The path that was asked for; its last segment counts, and a query does not.
            headers: All of them, as your framework has them: a mapping, or pairs of str or bytes.
            body: The body as it was sent, at most 65,536 bytes.

        Raises:
            CallbackRefusedError: It is not a callback to be believed, or no request at all.
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
        """Check a request, wake its waiters if it is good, and return the answer; raises nothing.

        The arguments are those of `read`. Bounding the body's size and time before it is all
        here is your framework's business; `handle` and `asgi` do it themselves.
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
                # or aiohttp reads on for 10 s, even if the caller has left; this ends that
                request.content.set_exception(TimeoutError())
        return response

    @property
    def asgi(self) -> asgi.Application:
        """An ASGI application, to be mounted or served by itself; it needs asyncio.

        ::

            app.mount("/suno", receiver.asgi)
        """

        async def answer(scope: asgi.Scope, chunks: AsyncIterable[bytes]) -> CallbackAnswer:
            fetch = partial(_gather, chunks)
            return await self._decide(scope["method"], scope["path"], scope["headers"], fetch)

        return asgi.application(answer)

    @contextlib.asynccontextmanager
    async def listen(self, host: str, port: int) -> AsyncGenerator[int, None]:
        """Serve by itself, on any path: for scripts and the command line.

        ::

            async with receiver.listen("127.0.0.1", 8481), SunoCoverClient(receiver=receiver) as c:
                details = await c.generate(music_task_id)

        Args:
            host: The address to listen on, such as 127.0.0.1, or 0.0.0.0 for all.
            port: The TCP port, at most 65535; 0: any free one.

        Yields:
            The port.

        Raises:
            OSError: It cannot listen there.
            ValueError: The host is empty, or the port no such number.
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
            # aiohttp's own quotes what is no HTTP, URLs and all
            logger=logging.Logger("nobody's", _SILENT),  # noqa: LOG001
            auto_decompress=False,
            keepalive_timeout=_KEEP_ALIVE,  # the only thing that cuts those who send slow heads
            shutdown_timeout=_SHUTDOWN,
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            server = cast("web.Server", runner.server)
            # A cancellation while asyncio begins to serve would leave a socket that nobody knows.
            listener = await asyncio.get_running_loop().create_server(
                server, host, port, start_serving=False
            )
            stack.callback(listener.close)
            await listener.start_serving()
            yield listener.sockets[0].getsockname()[1]

    async def _decide(
        self, method: str, path: str, headers: Headers, fetch: Callable[[], Awaitable[bytes]]
    ) -> CallbackAnswer:
        """Check what needs no body before the body is fetched."""
        try:
            with refusing():
                head = self._verifier.head(method, path, headers)
                self._accept(self._verifier.body(head, await fetch()))
        except CallbackRefusedError as refusal:
            _log.debug("a callback was refused: %s", refusal)
            self._notifier.refused(str(refusal))
            return REFUSED
        return ACCEPTED

    def _accept(self, callback: Callback) -> None:
        _log.debug("a callback for music task %s", callback.music_task_id)
        if not self._notifier.notify(callback):
            raise CallbackRefusedError("it contradicts what is known of the music or the cover")
        if self._hook is not None:
            self._hook.call(callback)


def _public_url(value: str) -> str:
    validation.callback_url("public_url", value)
    if "?" in value or "#" in value:
        raise ValueError("public_url must have no query and no fragment")
    prefix = value.rstrip("/")
    validation.callback_url(
        "public_url, with a token behind it,", prefix + "/" * (1 + signatures.LONGEST)
    )
    return prefix


async def _at_hand(body: bytes) -> bytes:
    return body


async def _gather(chunks: AsyncIterable[bytes]) -> bytes:
    """Read a body, of bounded size and in bounded time.

    Raises:
        CallbackRefusedError: It is too large.
        TimeoutError: It dawdles.
    """
    body = bytearray()
    async with asyncio.timeout(_LONGEST_BODY):
        async for chunk in chunks:
            if len(body) + len(chunk) > LARGEST_BODY:
                raise CallbackRefusedError("the body is too large")
            body += chunk
    return bytes(body)
