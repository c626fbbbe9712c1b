"""One request out through aiohttp, one answer in, without a word of the key.

It is the only module that talks HTTP to the API, and the only one that keeps the key; it owns what
aiohttp's exceptions come to, and that none gets out. When a request may go out is `transport.py`'s,
what its answer means `responses.py`'s.
"""

import asyncio
import traceback
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from suno_cover_async.common.connector import Connector
from suno_cover_async.common.tasks import cancellations_of_this_task
from suno_cover_async.errors import ClientUsageError, TransportError
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.protocol.responses import retry_after

MOST_BYTES = 1 << 18
"""Bytes of an answer that are read: twice what two songs with the longest lyrics could take."""

_BYTE_ORDER_MARK = "\ufeff"
_CONNECT_SECONDS = 10.0
_SESSION_CLOSED = "the session is closed; give a client one that is open"
_OTHER_CREDENTIALS = (
    "the borrowed session has credentials of its own for this host, by auth= or, with trust_env, "
    "in the netrc file; nothing was sent: give a session without them"
)


class Exchange:
    """Carries requests through one session to one host, in one event loop."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        key: ApiKey,
        *,
        seconds: float,
        owned: bool,
    ) -> None:
        """Use `session`; whoever made it closes it. One that is `owned` has the key's headers.

        Args:
            session: To go through.
            base_url: What targets are appended to.
            key: To show with each request.
            seconds: That one exchange may take.
            owned: The session is this client's own, not a borrowed one.
        """
        self._session = session
        self._base_url = base_url
        self._key = key
        self._seconds = seconds
        self._options: dict[str, Any] = {
            "allow_redirects": False,
            "raise_for_status": False,
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        }
        if owned:
            self._options["middlewares"] = (_once,)
        # A borrowed one keeps its own middlewares, and is told the key anew for each request:
        # some tools show, with a frame, the values of the attributes that its lines name.
        self._headers = _no_headers if owned else key.headers

    def distrust(self) -> None:
        """Use no connection again: an answer was not that of its request, which may yet come."""
        if isinstance(self._session.connector, Connector):
            self._session.connector.distrust()

    async def send(self, target: str, body: "SubmitBody | None") -> Answer | BaseException:
        """Send one request and receive its answer, or what went wrong.

        Nothing is raised, and nothing of aiohttp's returned: its exceptions, and all frames from
        here on, may know the Authorization header, or what an answer made of it.

        Args:
            target: Path and query.
            body: What to post; None makes it a GET.

        Returns:
            The answer; an error of ours; or a cancellation or interrupt, to be raised.
        """
        answer: Answer | None = None
        raised: BaseException | None = None
        failure = ""
        cancellations = cancellations_of_this_task()
        attempt = asyncio.timeout(self._seconds)
        try:
            async with (
                attempt,
                self._session.request(
                    "GET" if body is None else "POST",
                    URL(self._base_url + target, encoded=True),
                    data=body,
                    headers=self._headers(),
                    **self._options,
                ) as response,
            ):
                content = response.content
                # Small answers have come as a whole by now.
                whole = await (response.read() if content.is_eof() else _bounded(content))
                answer = self._answer(response, whole[:MOST_BYTES])
        except _DroppedError as error:
            failure = str(error)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, ExceptionGroup) as error:
            failure = f"nothing for {self._seconds:g} s" if attempt.expired() else _describe(error)
        except BaseException as error:  # noqa: BLE001 - returned: a cancellation, or an interrupt
            if not self._is_of_closing(error, cancellations):
                raised = error
        if raised is not None:
            return _bare(raised)
        if answer is not None:
            return answer
        if self._session.closed and not (body and body.sent):
            return ClientUsageError(_SESSION_CLOSED)
        if failure == _OTHER_CREDENTIALS:
            return ClientUsageError(failure)
        return TransportError(
            f"no answer from {self._base_url}: {failure or 'the client was closed'}"
        )

    def _is_of_closing(self, error: BaseException, cancellations: int) -> bool:
        """Tell whether a CancelledError came from closing the connector, and not from a caller.

        A connector that is closed during a DNS look-up cancels that look-up.
        """
        is_cancellation = isinstance(error, asyncio.CancelledError)
        is_ours = cancellations_of_this_task() <= cancellations
        return is_cancellation and self._session.closed and is_ours

    def _answer(self, response: aiohttp.ClientResponse, content: bytes) -> Answer:
        text = content.decode("utf-8", "replace").removeprefix(_BYTE_ORDER_MARK)
        headers = response.headers
        return Answer(
            status=response.status,
            text=self._key.hide_in(text),
            retry_after=retry_after(headers[hdrs.RETRY_AFTER], date=headers.get(hdrs.DATE))
            if hdrs.RETRY_AFTER in headers
            else None,
            challenged="cf-mitigated" in headers,
        )


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """Read a body, hardly more of it than MOST_BYTES: what is cut short is no JSON."""
    read = bytearray()
    async for chunk in content.iter_any():
        read += chunk
        if len(read) > MOST_BYTES:
            break
    return bytes(read)


class SubmitBody(aiohttp.BytesPayload):
    """The body of a submit, which knows whether it was asked for.

    aiohttp asks for the body when it writes the request, after the headers. What was never asked
    for was never executed; the exception's class tells nothing (`ClientOSError` both when nothing
    and when everything happened), and aiohttp's tracing cannot be added to a borrowed session.
    """

    def __init__(self, content: bytes) -> None:
        """Take the JSON of a submit."""
        self.sent: bool = False
        self._withdrawn = False
        super().__init__(content, content_type="application/json")

    def withdraw(self) -> bool:
        """Never send it, if it was not sent yet; aiohttp writes it from a task of its own."""
        self._withdrawn = not self.sent
        return self._withdrawn

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write it, which aiohttp does; the request is out from here on."""
        if self._withdrawn:
            raise asyncio.CancelledError
        self.sent = True
        await super().write_with_length(writer, content_length)


class _DroppedError(Exception):
    """What aiohttp made of a request, in words."""


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Stop aiohttp from repeating a GET by itself: the limiter would not know of it.

    It does so after errors of its own and the system's, never after one that it does not know.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientError, OSError) as error:
        words = _describe(error)
    raise _DroppedError(words)


def _no_headers() -> dict[str, str]:
    return {}


def _bare(error: BaseException) -> BaseException:
    """Take from a foreign exception what may know the key: its frames, and what it came from."""
    if isinstance(error, asyncio.CancelledError):
        return asyncio.CancelledError(*error.args)
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        error.add_note(
            f"raised at {frame.filename}:{frame.lineno}, beneath an API call; the frames are left "
            "out, since they know the API key"
        )
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _describe(error: Exception) -> str:
    """Name a foreign error by its class and the system's words: its own may hold headers."""
    if type(error) is ValueError and "AUTHORIZATION" in str(error):
        return _OTHER_CREDENTIALS
    words = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__} {words}".strip()
