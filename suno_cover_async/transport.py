"""One request out, one decoded answer in; paced, retried, mapped.

The only module that talks HTTP to the API, and the only one that touches the API key. What a
request says is `wire.py`'s, what an answer means `verdict.py`'s, when it may go out `pace.py`'s and
`outage.py`'s, whether again `retry.py`'s.
"""

import asyncio
import logging
import re
import traceback
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import aiohttp
import attrs
from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from suno_cover_async._version import __version__
from suno_cover_async.connections import Connector
from suno_cover_async.errors import (
    ClientUsageError,
    RateLimitError,
    ServerError,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
)
from suno_cover_async.hosts import Host
from suno_cover_async.outage import OutageGate, Passage
from suno_cover_async.overtime import Overtime
from suno_cover_async.pace import Backpressure
from suno_cover_async.retry import RetryPolicy, Trouble, persist
from suno_cover_async.sharing import CLOSED, Closing, settled
from suno_cover_async.text import without, written
from suno_cover_async.verdict import Answer, read, retry_after
from suno_cover_async.window import RequestWindow, Slot
from suno_cover_async.wire import Call

T = TypeVar("T")
V = TypeVar("V")

USER_AGENT = f"suno-cover-async/{__version__}"
"""Sent everywhere: a default one is turned away by the edge (HTTP 403, code 1010) [seen live]."""

MOST_BYTES = 1 << 18
"""Bytes of an answer that are read: twice what two songs with the longest lyrics could take."""

_BYTE_ORDER_MARK = "\ufeff"
_CONNECT_SECONDS = 10.0
_SESSION_CLOSED = "the session is closed; give a client one that is open"
_OTHER_CREDENTIALS = (
    "the borrowed session has credentials of its own for this host, by auth= or, with trust_env, "
    "in the netrc file; nothing was sent: give a session without them"
)

_log = logging.getLogger("suno_cover_async")


class ApiKey:
    """The key, where no repr, pickle or frame shows it."""

    __slots__ = ("_value", "_written")

    def __init__(self, value: object) -> None:
        """Take the key as it is; `check` it before use."""
        self._value: Any = value
        self._written: tuple[str, ...] = ()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied to where we do not look after it."""
        raise TypeError("an API key is not pickled")

    def check(self) -> None:
        """Make sure that it can be sent: printable ASCII without spaces.

        Raises:
            TypeError: It is not a str.
            ValueError: There is none, or it cannot be sent; the message never shows it.
        """
        if self._value is None or self._value == "":
            raise ValueError(
                "no API key: pass api_key, or set the environment variable SUNO_API_KEY"
            )
        if not isinstance(self._value, str):
            raise TypeError("api_key must be a str")
        if not re.fullmatch(r"[!-~]+", self._value):
            raise ValueError(
                "api_key (or SUNO_API_KEY) has characters that no key has; perhaps a space or a "
                "line end at its edge"
            )
        self._written = written(self._value)

    def headers(self) -> dict[str, str]:
        """Return the headers of every API request."""
        return {
            "Authorization": f"Bearer {self._value}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
        }

    def hide_in(self, text: str) -> str:
        """Take the key out of a text that a server sent, in whichever usual way it is written."""
        return without(text, self._written)


@attrs.frozen(kw_only=True)
class Account:
    """Where requests go and whose limit they count against, in any event loop."""

    host: Host
    base_url: str
    key: ApiKey
    retry: RetryPolicy
    window: RequestWindow
    poll_window: RequestWindow
    backpressure: Backpressure
    outage: OutageGate
    submit_outage: OutageGate
    image_outage: OutageGate

    def refused(self, error: RateLimitError, entered: float) -> None:
        """Make everybody wait after a refusal."""
        now = asyncio.get_running_loop().time()
        until = self.backpressure.refused(entered=entered, now=now, retry_after=error.retry_after)
        for window in (self.window, self.poll_window):
            window.pause(until)
        _log.warning("called too often (%s); everybody waits %.1f s", error, until - now)


class Transport:
    """Requests of one account through one session, in one event loop."""

    def __init__(self, account: Account, session: aiohttp.ClientSession, *, owned: bool) -> None:
        """Use `session`; whoever made it closes it. One that is `owned` has the key's headers."""
        self._account = account
        self._session = session
        self.closed = False
        self.closing: Closing = Closing()
        self._overtime = Overtime(account.retry.attempt)
        self._options: dict[str, Any] = {
            "allow_redirects": False,
            "raise_for_status": False,
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        }
        if owned:
            self._options["middlewares"] = (_once,)
        # A borrowed one keeps its own middlewares, and is told the key anew for each request:
        # some tools show, with a frame, the values of the attributes that its lines name.
        self._headers = _no_headers if owned else account.key.headers

    def stop(self) -> None:
        """Leave nothing behind, once all that was under way has ended."""
        self._overtime.stop()

    def get(
        self, call: Call[T], *, through: RequestWindow | None = None, urgent: bool = False
    ) -> Coroutine[Any, Any, T]:
        """Ask for something that may be asked for any number of times.

        Args:
            call: What to ask.
            through: The limiter that it counts against; None is the account's main one.
            urgent: It goes before others there.

        Raises:
            SunoCoverError: What the last attempt came to.
        """
        window = through or self._account.window
        attempt = partial(self._attempt, call, window, urgent=urgent)
        return persist(attempt, self._account.retry, self.closing)

    async def submit(
        self, call: Call[T], *, keep: Callable[[T], None], doubt: Callable[[Call[T]], None]
    ) -> T:
        """Ask for something that costs money.

        A cancellation passes at once while nothing is on the wire; once the request went out, its
        answer is awaited first. A second cancellation passes at once all the same.

        Args:
            call: What to ask.
            keep: Told of what was accepted, before anything else happens.
            doubt: Told of every attempt that went out and whose answer was lost, or a redirect.

        Raises:
            SunoCoverError: What the last attempt came to. When it is `retryable`, submitting
                again never pays twice.
        """

        async def attempt() -> T | Trouble:
            body = _Body(call.body or b"")
            work = self._post(call, body, keep, doubt)
            post = asyncio.create_task(work)
            try:
                return await asyncio.shield(post)
            except asyncio.CancelledError:
                if body.withdraw():
                    post.cancel()
                await settled(post)
                raise

        return await persist(attempt, self._account.retry)

    async def _post(
        self,
        call: Call[T],
        body: "_Body",
        keep: Callable[[T], None],
        doubt: Callable[[Call[T]], None],
    ) -> T | Trouble:
        try:
            outcome = await self._attempt(call, self._account.window, body)
        except BaseException:
            if body.sent:
                doubt(call)
            raise
        if not isinstance(outcome, Trouble):
            keep(outcome)
        elif outcome.ambiguous or (body.sent and _is_redirect(outcome.error)):
            doubt(call)
        return outcome

    async def _attempt(
        self,
        call: Call[T],
        window: RequestWindow,
        body: "_Body | None" = None,
        *,
        urgent: bool = False,
    ) -> T | Trouble:
        """Make one request, in its turn; trouble is returned, since raising would chain it.

        Whoever queued for a slot while an outage began waits for the end of it instead.
        """
        gate = self._account.outage if body is None else self._account.submit_outage
        patience = deadline = self._account.retry.deadline
        while isinstance(
            passage := await (
                gate.enter(patience) if gate.is_open else self._wait(gate.enter(patience), body)
            ),
            Passage,
        ):
            try:
                slot = window.enter_at_once()
                if slot is None:
                    slot = await self._wait(window.enter(urgent=urgent), body)
                if gate.admits(passage):
                    answer = await self._exchange(call, window, slot, body)
                    if isinstance(answer, BaseException) and not isinstance(answer, SunoCoverError):
                        raise answer
                    outcome = self._outcome(call, slot, body, answer)
                    gate.judge(passage, outcome.error if isinstance(outcome, Trouble) else None)
                    return outcome
                window.give_back(slot)
            finally:
                gate.leave(passage)
            patience -= passage.waited
        return Trouble(error=_about(call, passage), took=deadline)

    def _wait(self, work: Coroutine[Any, Any, V], body: "_Body | None") -> Coroutine[Any, Any, V]:
        """Wait in line, no longer than until the client closes; submits are ended at their desk."""
        return self.closing.unless_closed(work) if body is None else work

    def _outcome(
        self, call: Call[T], slot: Slot, body: "_Body | None", answer: Answer | SunoCoverError
    ) -> T | Trouble:
        """Tell what became of a request, to all who are to learn from it."""
        value = self._read(call, answer)
        if not isinstance(value, SunoCoverError):
            self._account.backpressure.accepted(entered=slot.entered)
            return value
        took = asyncio.get_running_loop().time() - slot.entered
        if isinstance(value, RateLimitError):
            self._account.refused(value, slot.entered)
        ambiguous = body is not None and body.sent and _is_unclear(value)
        _log.debug("%s: %s%s", call.target, value, " (ambiguous)" if ambiguous else "")
        return Trouble(error=value, took=took, ambiguous=ambiguous)

    def _read(self, call: Call[T], answer: Answer | SunoCoverError) -> T | SunoCoverError:
        if isinstance(answer, SunoCoverError):
            return _about(call, answer)
        try:
            return read(call, answer, self._account.host)
        except SunoCoverError as error:
            if isinstance(error, UnexpectedResponseError) and error.retryable:
                self._distrust()  # it was not the answer to this request, which may yet come
            return error.with_traceback(None)  # its frames know the whole answer

    def _distrust(self) -> None:
        if isinstance(self._session.connector, Connector):
            self._session.connector.distrust()

    async def _exchange(
        self, call: Call[Any], window: RequestWindow, slot: Slot, body: "_Body | None"
    ) -> Answer | BaseException:
        """Send one request and receive its answer; the slot is given back.

        Nothing is raised, and nothing of aiohttp's returned: its exceptions, and all frames from
        here on, may know the Authorization header, or what an answer made of it.
        """
        if self.closed:
            window.give_back(slot)
            return ClientUsageError(CLOSED)
        answer: Answer | None = None
        raised: BaseException | None = None
        failure = ""
        task = self._overtime.begin(slot.entered)
        try:
            async with self._session.request(
                "GET" if body is None else "POST",
                URL(self._account.base_url + call.target, encoded=True),
                data=body,
                headers=self._headers(),
                **self._options,
            ) as response:
                content = response.content
                # Small answers have come as a whole by now.
                whole = await (response.read() if content.is_eof() else _bounded(content))
                answer = self._answer(response, whole[:MOST_BYTES])
        except _DroppedError as error:
            failure = str(error)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError, ExceptionGroup) as error:
            failure = _describe(error)
        except BaseException as error:  # noqa: BLE001 - returned: a cancellation, or an interrupt
            if not self._is_of_closing(error, task):
                raised = error
        finally:
            is_late = self._overtime.end(task)
            window.leave(slot, answered=answer is not None)
        if raised is not None and not (is_late and isinstance(raised, asyncio.CancelledError)):
            return _bare(raised)
        if answer is not None:
            return answer
        if self._session.closed and not (body and body.sent):
            return ClientUsageError(CLOSED if self.closed else _SESSION_CLOSED)
        if failure == _OTHER_CREDENTIALS:
            return ClientUsageError(failure)
        reason = failure or f"nothing for {self._account.retry.attempt:g} s"
        return TransportError(f"no answer from {self._account.base_url}: {reason}")

    def _is_of_closing(self, error: BaseException, task: "asyncio.Task[Any]") -> bool:
        """Whether it cancels nobody: a connector that is closed ends its look-ups of names so."""
        is_cancellation = isinstance(error, asyncio.CancelledError)
        return is_cancellation and self._session.closed and not self._overtime.was_cancelled(task)

    def _answer(self, response: aiohttp.ClientResponse, content: bytes) -> Answer:
        text = content.decode("utf-8", "replace").removeprefix(_BYTE_ORDER_MARK)
        headers = response.headers
        return Answer(
            status=response.status,
            text=self._account.key.hide_in(text),
            retry_after=retry_after(headers[hdrs.RETRY_AFTER], date=headers.get(hdrs.DATE))
            if hdrs.RETRY_AFTER in headers
            else None,
        )


async def _bounded(content: aiohttp.StreamReader) -> bytes:
    """Read a body, hardly more of it than MOST_BYTES: what is cut short is no JSON."""
    read = bytearray()
    async for chunk in content.iter_any():
        read += chunk
        if len(read) > MOST_BYTES:
            break
    return bytes(read)


class _Body(aiohttp.BytesPayload):
    """A request body that knows whether it was asked for.

    aiohttp asks for the body when it writes the request, after the headers. What was never asked
    for was never executed; the exception's class tells nothing (`ClientOSError` both when nothing
    and when everything happened), and aiohttp's tracing cannot be added to a borrowed session.
    """

    sent = False
    _withdrawn = False

    def __init__(self, content: bytes) -> None:
        super().__init__(content, content_type="application/json")

    def withdraw(self) -> bool:
        """Never send it, if it was not sent yet; aiohttp writes it from a task of its own."""
        self._withdrawn = not self.sent
        return self._withdrawn

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
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


def _about(call: Call[Any], error: SunoCoverError) -> SunoCoverError:
    """Add whom it is about."""
    error.music_task_id = call.music_task_id
    error.cover_task_id = call.cover_task_id
    return error


def _is_unclear(error: SunoCoverError) -> bool:
    """Whether a submit that went out is worth repeating, since it may have been executed.

    So may one that was redirected, but it would be redirected again: that is a wrong base URL.
    """
    return isinstance(error, TransportError | ServerError) or (
        isinstance(error, UnexpectedResponseError) and not _is_redirect(error)
    )


def _is_redirect(error: SunoCoverError) -> bool:
    return isinstance(error, UnexpectedResponseError) and error.http_status in range(
        HTTPStatus.MULTIPLE_CHOICES, HTTPStatus.BAD_REQUEST
    )


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
