"""The door for callbacks: what comes in is checked, and a true one rings the doorbell.

It owns the order of the checks, the limits on a request, the one answer to everything refused, and
the doors for aiohttp.web and ASGI. Tokens and signatures are `signing.py`'s, the body's words
`wire.py`'s, and who is woken is `doorbell.py`'s.
"""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Mapping,
    MutableMapping,
)
from functools import partial
from typing import Any, NoReturn, cast

import attrs
from aiohttp import web

from suno_cover_async import arguments, signing, wire
from suno_cover_async.doorbell import Doorbell
from suno_cover_async.errors import CallbackRefusedError
from suno_cover_async.hook import Hook
from suno_cover_async.models import Callback

_Pairs = Iterable[tuple[str | bytes, str | bytes]]
Headers = Mapping[str, str] | _Pairs
Secret = str | bytes | Iterable[str | bytes]
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_LARGEST_BODY = 64 * 1024
_LONGEST_BODY = 5.0  # seconds
_LONGEST_TAIL = 1 + 171 + 1 + 43  # a slash, and what is minted of an id of 128 characters
_HIGHEST_PORT = 65_535
_KEEP_ALIVE = 5.0
_SHUTDOWN = 0.1

_TIMESTAMP = "x-webhook-timestamp"  # both headers: documented by kie.ai
_SIGNATURE = "x-webhook-signature"
_READ = {"content-encoding", "content-type", "content-length", _TIMESTAMP, _SIGNATURE}
_JSON = re.compile(
    r"application/([a-z0-9!#$&^_.-]+\+)?json[ \t]*(;.*)?", re.ASCII | re.IGNORECASE | re.DOTALL
)
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)

_log = logging.getLogger("suno_cover_async")


@attrs.frozen(kw_only=True)
class CallbackAnswer:
    """What to answer: status, body and content type, and no header that depends on the caller."""

    status: int
    body: bytes
    content_type: str = "application/json"


_ACCEPTED = CallbackAnswer(status=200, body=b'{"status": "received"}')
_REFUSED = CallbackAnswer(status=400, body=b'{"status": "refused"}')


@attrs.frozen(kw_only=True)
class _Head:
    """What is proven, or promised, before the body was read."""

    music_task_id: str
    signature: signing.Signature | None


class CallbackReceiver:
    """Lets the API's callbacks in, and nobody else's.

    ::

        receiver = CallbackReceiver(public_url="https://me.example/suno", secret=secret)
        app.router.add_route("*", "/suno/{tail:.*}", receiver.handle)  # aiohttp.web
        app.mount("/suno", receiver.asgi)                              # FastAPI, Starlette
        answer = await receiver.receive(method, path, headers, body)   # anything else

    Every URL it mints holds a music task's id and a token that only a holder of the secret can
    make. Make the secret with `secrets.token_urlsafe(32)` and keep it across restarts: callbacks
    come minutes later. (Whoever sees a URL can guess a weak one, and then ring.) Any process that
    holds the secret can check what another one minted; one receiver may serve several clients.

    A callback is a doorbell, no more. It may name a verdict and images, but those are covered by
    no signature, so they are not even read: whoever is woken asks the API.

    The API gives 15 s to answer, expects HTTP 200 and stops after 3 failed retries [documented:
    docs.sunoapi.org/suno-api/cover-suno-callbacks]. Here an answer takes milliseconds. Whatever is
    refused, for whatever reason, gets one and the same HTTP 400; the reason is logged at DEBUG.

    With several processes (`--workers`), the one that receives need not be the one that waits.
    Publish the two ids from `on_callback`, over what you have (Redis, Postgres), and call `ring` in
    the processes that wait. Without that nothing is lost either: the waiting client's own looks
    find the cover, only later.

    Args:
        public_url: Where the API reaches this receiver: an absolute http or https URL without
            query and fragment, of at most 1,832 characters.
        secret: Signs the URLs. Of several, the first signs and all are believed: to rotate, put
            the new one in front and drop the old one a day later.
        hmac_key: kie.ai's webhook key, or several. When set, a callback without a good signature
            of at most 300 s of age is refused. The other hosts sign nothing.
        on_callback: Called after a callback has rung, with its two ids and nothing else. It may
            raise or hang. A plain function runs in a thread of its own, where it may block (give
            an asyncio queue's `put`, not its `put_nowait`). An `async def` runs in the event loop,
            beginning 0.05 s later; blocking, it would hold up all else there. Where a loop ends
            with its request, as in Flask and in Django under WSGI, give a plain function. It may
            be called several times for one cover, since the API may deliver one callback several
            times [documented]. At most 100 calls run at once; beyond that it is not called, and a
            warning says so. Calls that run when the process ends are dropped.

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
        held = signing.Secrets(secret), None if hmac_key is None else signing.Secrets(hmac_key)
        del secret, hmac_key  # so that no traceback's locals show them
        self._secrets = held[0].check("secret")
        self._hmac_keys = held[1] and held[1].check("hmac_key")
        self._public_url = _public_url(public_url)
        self._hook = None if on_callback is None else Hook(on_callback)
        self._doorbell = Doorbell(self._public_url)

    def __repr__(self) -> str:
        """Show where it is, never a secret."""
        return f"CallbackReceiver({self._public_url!r})"

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled: it holds secrets."""
        raise TypeError("a CallbackReceiver holds secrets and is not pickled; make a new one")

    @property
    def doorbell(self) -> Doorbell:
        """What is rung, and where clients listen."""
        return self._doorbell

    def url(self, music_task_id: str) -> str:
        """Mint the callback URL of a music task.

        Raises:
            TypeError: The id is not a str.
            ValueError: It is no id.
        """
        arguments.task_id("music_task_id", music_task_id)
        return f"{self._public_url}/{signing.mint(self._secrets, music_task_id)}"

    def ring(self, callback: Callback) -> bool:
        """Ring for a callback that came in elsewhere: another process, or another thread.

        `on_callback` is not called.

        Returns:
            Whether it can be true; False, and nothing done, when it contradicts what is known.

        Raises:
            TypeError: It is not a `Callback`, or an id in it is not a str.
            ValueError: An id in it is no id.
        """
        arguments.instance("callback", callback, Callback)
        arguments.task_id("callback.music_task_id", callback.music_task_id)
        arguments.task_id("callback.cover_task_id", callback.cover_task_id)
        return self._doorbell.ring(callback)

    def read(self, method: str, path: str, headers: Headers, body: bytes) -> Callback:
        """Check a request and read it; nobody is rung.

        Args:
            method: The HTTP method.
            path: The path that was asked for; its last segment counts, and a query does not.
            headers: All of them, as your framework has them: a mapping, or pairs of str or bytes.
            body: The body as it was sent, at most 65,536 bytes.

        Raises:
            CallbackRefusedError: It is not a callback to be believed, or no request at all.
        """
        with _refusing():
            return self._read_body(self._read_head(method, path, headers), body)

    async def receive(
        self, method: str, path: str, headers: Headers, body: bytes
    ) -> CallbackAnswer:
        """Check a request, ring for it if it is good, and say what to answer; raises nothing.

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
        if answer is _REFUSED:
            response.force_close()
            if not request.content.is_eof():
                # or aiohttp reads on for 10 s, even if the caller has left; this ends that
                request.content.set_exception(TimeoutError())
        return response

    @property
    def asgi(self) -> Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]:
        """An ASGI application, to be mounted or served by itself; it needs asyncio.

        ::

            app.mount("/suno", receiver.asgi)
        """

        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            match scope["type"]:
                case "http":
                    await self._serve(scope, receive, send)
                case "lifespan":
                    await _live(receive, send)
                case "websocket":
                    await send({"type": "websocket.close"})
                case _:
                    pass

        return application  # a function: uvicorn takes a bound method for ASGI 2

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
            auto_decompress=False,
            keepalive_timeout=_KEEP_ALIVE,  # the only thing that cuts those who send slow heads
            shutdown_timeout=_SHUTDOWN,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    async def _decide(
        self, method: str, path: str, headers: Headers, fetch: Callable[[], Awaitable[bytes]]
    ) -> CallbackAnswer:
        """Check what needs no body before the body is fetched."""
        try:
            with _refusing():
                head = self._read_head(method, path, headers)
                self._accept(self._read_body(head, await fetch()))
        except CallbackRefusedError as refusal:
            _log.debug("a callback was refused: %s", refusal)
            self._doorbell.refused(str(refusal))
            return _REFUSED
        return _ACCEPTED

    def _read_head(self, method: str, path: str, headers: Headers) -> _Head:
        if method != "POST":
            raise CallbackRefusedError("the method is not POST")
        music_task_id = signing.music_task_of(self._secrets, path.partition("?")[0])
        fields = _fields(headers)
        if fields.get("content-encoding", "identity").lower() != "identity":
            raise CallbackRefusedError("the body is compressed")
        if not _JSON.fullmatch(fields.get("content-type", "application/json")):
            raise CallbackRefusedError("the content type is not JSON")
        signature = None
        if self._hmac_keys is not None:
            signature = signing.read_signature(fields.get(_TIMESTAMP), fields.get(_SIGNATURE))
        length = fields.get("content-length", "0")
        if not _LENGTH.fullmatch(length) or int(length) > _LARGEST_BODY:
            raise CallbackRefusedError("the body is too large")
        return _Head(music_task_id=music_task_id, signature=signature)

    def _read_body(self, head: _Head, body: bytes) -> Callback:
        kind: type[object] = type(body)
        if kind is not bytes or len(body) > _LARGEST_BODY:
            raise CallbackRefusedError("the body is too large, or not bytes")
        cover_task_id = wire.decode_callback(body)
        if self._hmac_keys is not None and head.signature is not None:
            signing.verify(self._hmac_keys, head.signature, cover_task_id, now=time.time())
        return Callback(music_task_id=head.music_task_id, cover_task_id=cover_task_id)

    def _accept(self, callback: Callback) -> None:
        _log.debug("a callback for music task %s", callback.music_task_id)
        if not self._doorbell.ring(callback):
            raise CallbackRefusedError("it contradicts what is known of the music or the cover")
        if self._hook is not None:
            self._hook.call(callback)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(_chunks(receive)) as chunks:
            fetch = partial(_gather, chunks)
            answer = await self._decide(scope["method"], scope["path"], scope["headers"], fetch)
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
        ]
        if answer is _REFUSED and scope.get("http_version", "1.1").startswith("1"):
            headers.append((b"connection", b"close"))
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        with contextlib.suppress(OSError):  # the caller left
            await send(start)
            await send({"type": "http.response.body", "body": answer.body})


@contextlib.contextmanager
def _refusing() -> Generator[None, None, None]:
    """Refuse whatever strange input leads to; a cancellation passes."""
    try:
        yield
    except CallbackRefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - of strangers' input, nothing else may come
        kind = type(error).__name__
    else:
        return
    raise CallbackRefusedError(f"it cannot be read: {kind}")


def _public_url(value: str) -> str:
    arguments.callback_url("public_url", value)
    if "?" in value or "#" in value:
        raise ValueError("public_url must have no query and no fragment")
    prefix = value.rstrip("/")
    arguments.callback_url("public_url, with a token behind it,", prefix + "/" * _LONGEST_TAIL)
    return prefix


def _fields(headers: Headers) -> dict[str, str]:
    """Choose the headers that are read, with names in lower case; empty ones count as absent."""
    fields: dict[str, str] = {}
    items: Any = getattr(headers, "items", None)
    for name, value in cast("_Pairs", items() if items else headers):
        known = _text(name).lower()
        if known in fields:
            raise CallbackRefusedError("a header stands twice")
        if known in _READ:
            fields[known] = _text(value).strip(" \t")
    return {name: value for name, value in fields.items() if value}


def _text(value: str | bytes) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return arguments.instance("a header", text, str)


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
            if len(body) + len(chunk) > _LARGEST_BODY:
                raise CallbackRefusedError("the body is too large")
            body += chunk
    return bytes(body)


async def _chunks(receive: Receive) -> AsyncGenerator[bytes, None]:
    """Read the body of an ASGI request."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise CallbackRefusedError("the caller left")
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _live(receive: Receive, send: Send) -> None:
    """Answer the ASGI server's start and end: there is nothing to do at either."""
    ended = False
    while not ended:
        message = await receive()
        ended = message["type"] == "lifespan.shutdown"
        await send({"type": f"{message['type']}.complete"})
