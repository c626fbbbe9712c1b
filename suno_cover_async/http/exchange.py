"""The exchange: sends one request through aiohttp and returns its answer, without secrets.

It is the only module that speaks HTTP with the API. No exception of aiohttp leaves it:
`failures.py` says what they mean. `transport.py` decides when a request is sent, `responses.py`
what its answer means.
"""

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from suno_cover_async.common.tasks import cancellations_of_this_task
from suno_cover_async.errors import ClientUsageError, SunoCoverError
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.http.failures import Failure, describe, error_of
from suno_cover_async.network.connector import NO_HTTP, Connector, has_large_headers
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.protocol.responses import retry_after

MOST_BYTES = 1 << 18
"""The most bytes of an answer that are read: twice what two songs with the longest lyrics take."""

_BYTE_ORDER_MARK = "\ufeff"
_CONNECT_SECONDS = 10.0
_SESSION_CLOSED = "the session is closed; pass the client an open session"


class Exchange:
    """Sends requests through one session to one host, in one event loop."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        key: ApiKey,
        *,
        seconds: float,
        owned: bool,
        proxy: URL | None = None,
    ) -> None:
        """Use `session`, and leave closing it to its creator.

        Args:
            session: The session to send through.
            base_url: The URL that targets are appended to.
            key: The key to send with each request.
            seconds: The most seconds that one exchange may take.
            owned: Whether the client made the session; without a proxy its default headers have
                the key.
            proxy: The proxy to send through; its URL may contain a password.
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
        self._proxy = proxy
        if proxy is not None:
            self._options["proxy"] = proxy
        if owned:
            self._options["middlewares"] = (_once,)
        # A borrowed session keeps its own middlewares, and gets the key with each request. So does
        # one with a proxy: aiohttp sends a session's default headers to the proxy, in plain text.
        # The attribute holds a function, not the headers: some tools show, with a traceback's
        # frame, the values of the attributes that its source lines name.
        self._headers = _no_headers if owned and proxy is None else key.headers

    def distrust(self) -> None:
        """Reuse none of the open connections, after an answer that belonged to another request.

        The true answer to a request may still arrive on one of them.
        """
        if isinstance(self._session.connector, Connector):
            self._session.connector.distrust()

    async def send(self, target: str, body: "SubmitBody | None") -> Answer | BaseException:
        """Send one request; return its answer or an error, and raise nothing.

        Args:
            target: Path and query.
            body: The body of a POST; None makes the request a GET.

        Returns:
            The answer; an error of this package; or a cancellation or interrupt, to be raised.
        """
        # Nothing is raised here, and no exception of aiohttp is returned: such exceptions, and all
        # frames from here on, may hold the Authorization header, or a part of an answer that
        # repeats it. A raised error would carry them into the caller's traceback and its logs.
        answer: Answer | None = None
        raised: BaseException | None = None
        failure: Failure | None = None
        cancellations = cancellations_of_this_task()
        attempt = asyncio.timeout(self._seconds)
        try:
            async with attempt:
                # Awaited, not entered: that saves a coroutine of aiohttp's for each request.
                response = await self._session.request(
                    "GET" if body is None else "POST",
                    URL(self._base_url + target, encoded=True),
                    data=body,
                    headers=self._headers(),
                    **self._options,
                )
                try:
                    if has_large_headers(response):
                        raise _DroppedError(Failure(f"it came {NO_HTTP}"))
                    content = response.content
                    # Small answers have come as a whole by now.
                    whole = await (response.read() if content.is_eof() else _bounded(content))
                    answer = self._answer(response, whole[:MOST_BYTES], body)
                finally:
                    response.release()
        except _DroppedError as error:
            failure = error.failure
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, ExceptionGroup) as error:
            is_late = attempt.expired()
            failure = Failure(f"nothing for {self._seconds:g} s") if is_late else describe(error)
        except BaseException as error:  # noqa: BLE001 - returned: a cancellation, or an interrupt
            if not self._is_of_closing(error, cancellations):
                raised = error
        if raised is not None:
            return _bare(raised)
        if answer is not None:
            return answer
        withheld = self._withheld(body)
        if withheld is not None:
            return withheld
        try:
            failure = failure or Failure("the client was closed")
            return await error_of(failure, self._base_url, proxy=self._proxy)
        except BaseException as error:  # noqa: BLE001 - as above
            return _bare(error)

    def _withheld(self, body: "SubmitBody | None") -> SunoCoverError | None:
        """Return the error of a request that was not sent for a reason of ours; else None."""
        if body is not None and body.withheld is not None:
            return ClientUsageError(body.withheld, retryable=True)
        if self._session.closed and not (body and body.sent):
            return ClientUsageError(_SESSION_CLOSED)
        return None

    def _is_of_closing(self, error: BaseException, cancellations: int) -> bool:
        """Return whether a CancelledError came from closing the connector, not from a caller."""
        # A connector that is closed during a DNS lookup cancels that lookup, and the CancelledError
        # surfaces here. If it were raised, callers would see a cancellation that none requested, in
        # place of the error that says the client was closed.
        is_cancellation = isinstance(error, asyncio.CancelledError)
        is_ours = cancellations_of_this_task() <= cancellations
        return is_cancellation and self._session.closed and is_ours

    def _answer(
        self, response: aiohttp.ClientResponse, content: bytes, body: "SubmitBody | None"
    ) -> Answer:
        text = self._key.hide_in(content.decode("utf-8", "replace").removeprefix(_BYTE_ORDER_MARK))
        if body is not None:
            text = body.hide(text)
        headers = response.headers
        return Answer(
            status=response.status,
            text=text,
            retry_after=retry_after(headers[hdrs.RETRY_AFTER], date=headers.get(hdrs.DATE))
            if hdrs.RETRY_AFTER in headers
            else None,
            challenged="cf-mitigated" in headers,
        )


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """Read a body up to about MOST_BYTES; a longer one is cut and then no valid JSON."""
    read = bytearray()
    async for chunk in content.iter_any():
        read += chunk
        if len(read) > MOST_BYTES:
            break
    return bytes(read)


class SubmitBody(aiohttp.BytesPayload):
    """The body of a submit, which records whether aiohttp has sent it."""

    # aiohttp calls `write_with_length` when it writes the request, after the headers. If it never
    # called it, the submit was never executed. There is no other reliable sign: `ClientOSError` is
    # raised both when nothing and when everything was sent, and aiohttp's tracing cannot be added
    # to a borrowed session.

    def __init__(
        self,
        content: bytes,
        guard: Callable[[], str | None] | None = None,
        hide: Callable[[str], str] | None = None,
    ) -> None:
        """Store the JSON of a submit.

        Args:
            content: The JSON.
            guard: Returns, at the last moment, why not to send it; None if there is no reason.
            hide: Removes from an answer's text what the JSON holds and nobody may see.
        """
        self.sent: bool = False
        self.hide: Callable[[str], str] = hide or str
        self.withheld: str | None = None
        self._guard = guard
        self._withdrawn = False
        super().__init__(content, content_type="application/json")

    def withdraw(self) -> bool:
        """Prevent the body from being sent; return False if it was sent already."""
        self._withdrawn = not self.sent
        return self._withdrawn

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write the body; aiohttp calls this, and from here on the request counts as sent."""
        if self._withdrawn:
            raise asyncio.CancelledError
        self.withheld = None if self._guard is None else self._guard()
        if self.withheld is not None:
            raise ConnectionAbortedError
        self.sent = True
        await super().write_with_length(writer, content_length)


class _DroppedError(Exception):
    """Describes the error that aiohttp raised for a request; aiohttp does not retry on it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.words)
        self.failure = failure


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a GET by itself, since the limiter would not count that.

    aiohttp repeats a GET after its own and the system's errors, but not after a foreign exception.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientError, OSError) as error:
        failure = describe(error)
    raise _DroppedError(failure)


def _no_headers() -> dict[str, str]:
    return {}


def _bare(error: BaseException) -> BaseException:
    """Return a foreign exception without its frames and causes, which may hold the key."""
    if isinstance(error, asyncio.CancelledError):
        return asyncio.CancelledError(*error.args)
    for frame in traceback.extract_tb(error.__traceback__)[-1:]:
        error.add_note(
            f"raised at {frame.filename}:{frame.lineno}, during an API call; the frames are left "
            "out, since they hold the API key"
        )
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
