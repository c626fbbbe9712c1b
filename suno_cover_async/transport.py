"""One request out, one decoded answer in; paced, retried, mapped.

It owns the order in which a request meets limiter, gates and retries, and who learns what from its
answer. What it says is `requests.py`'s, how it is carried `messenger.py`'s, what an answer means
`verdict.py`'s, when it may go out `window.py`'s, `pace.py`'s and `outage.py`'s, whether again
`retry.py`'s.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import attrs

from suno_cover_async.errors import (
    ClientUsageError,
    RateLimitError,
    ServerError,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
    WrongAddressError,
)
from suno_cover_async.gateway import Answer
from suno_cover_async.hosts import BaseUrl, Host
from suno_cover_async.messenger import ApiKey, Messenger, SubmitBody
from suno_cover_async.outage import OutageGate, Passage
from suno_cover_async.pace import Backpressure
from suno_cover_async.requests import Call
from suno_cover_async.retry import RetryPolicy, Trouble, persist
from suno_cover_async.sharing import CLOSED, Closing
from suno_cover_async.verdict import read
from suno_cover_async.window import RequestWindow, Slot

T = TypeVar("T")
V = TypeVar("V")

_log = logging.getLogger("suno_cover_async")


@attrs.frozen(kw_only=True)
class Account:
    """Where requests go and whose limit they count against, in any event loop."""

    host: Host
    api: BaseUrl
    key: ApiKey
    retry: RetryPolicy
    window: RequestWindow
    poll_window: RequestWindow
    backpressure: Backpressure
    outage: OutageGate
    submit_outage: OutageGate
    image_outage: OutageGate

    @property
    def base_url(self) -> str:
        """The base URL."""
        return self.api.url

    def refused(self, error: RateLimitError, entered: float) -> None:
        """Make everybody wait after a refusal."""
        now = asyncio.get_running_loop().time()
        until = self.backpressure.refused(entered=entered, now=now, retry_after=error.retry_after)
        for window in (self.window, self.poll_window):
            window.pause(until)
        _log.warning("called too often (%s); everybody waits %.1f s", error, until - now)


class Transport:
    """Requests of one account, in one event loop."""

    def __init__(self, account: Account, messenger: Messenger) -> None:
        """Send through `messenger`; whoever made it stops it."""
        self._account = account
        self._messenger = messenger
        self.closing: Closing = Closing()

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

        Await it in a task that is cancelled at most once, since a second cancellation would drop
        the answer. Before anything is sent a cancellation takes effect at once; afterwards the
        answer is awaited and kept first.

        Args:
            call: What to ask.
            keep: Told of what was accepted, before anything else happens.
            doubt: Told of every attempt that went out and that the API did not answer.

        Raises:
            SunoCoverError: What the last attempt came to. When it is `retryable`, submitting
                again never pays twice.
        """

        async def attempt() -> T | Trouble:
            body = SubmitBody(call.body or b"")
            work = self._post(call, body, keep, doubt)
            post = asyncio.create_task(work)
            try:
                return await asyncio.shield(post)
            except asyncio.CancelledError:
                if body.withdraw():
                    post.cancel()
                await asyncio.wait([post])  # only the end of the event loop interrupts this
                raise

        return await persist(attempt, self._account.retry)

    async def _post(
        self,
        call: Call[T],
        body: SubmitBody,
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
        elif outcome.ambiguous or outcome.error.perhaps_billed:
            doubt(call)
        return outcome

    async def _attempt(
        self,
        call: Call[T],
        window: RequestWindow,
        body: SubmitBody | None = None,
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
                if self.closing.is_closed:
                    window.give_back(slot)
                    return Trouble(error=_about(call, ClientUsageError(CLOSED)), took=0.0)
                if gate.admits(passage):
                    answered = False
                    try:
                        answer = await self._messenger.send(call.target, body, entered=slot.entered)
                        answered = isinstance(answer, Answer)
                    finally:  # it raises nothing, but perhaps nobody goes on with this coroutine
                        window.leave(slot, answered=answered)
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

    def _wait(
        self, work: Coroutine[Any, Any, V], body: SubmitBody | None
    ) -> Coroutine[Any, Any, V]:
        """Wait in line, no longer than until the client closes; submits are ended at their desk."""
        return self.closing.unless_closed(work) if body is None else work

    def _outcome(
        self, call: Call[T], slot: Slot, body: SubmitBody | None, answer: Answer | SunoCoverError
    ) -> T | Trouble:
        """Tell what became of a request, to all who are to learn from it."""
        value = self._read(call, answer)
        if not isinstance(value, SunoCoverError):
            self._account.backpressure.accepted(entered=slot.entered)
            return value
        took = asyncio.get_running_loop().time() - slot.entered
        if isinstance(value, RateLimitError):
            self._account.refused(value, slot.entered)
        sent = body is not None and body.sent
        ambiguous = sent and _is_unclear(value)
        if sent and isinstance(value, WrongAddressError):
            value.perhaps_billed = True
        _log.debug("%s: %s%s", call.target, value, " (ambiguous)" if ambiguous else "")
        return Trouble(error=value, took=took, ambiguous=ambiguous)

    def _read(self, call: Call[T], answer: Answer | SunoCoverError) -> T | SunoCoverError:
        if isinstance(answer, SunoCoverError):
            return _about(call, answer)
        try:
            return read(call, answer, self._account.host, self._account.api)
        except SunoCoverError as error:
            if isinstance(error, UnexpectedResponseError) and error.retryable:
                self._messenger.distrust()
            return error.with_traceback(None)  # its frames know the whole answer


def _about(call: Call[Any], error: SunoCoverError) -> SunoCoverError:
    """Add whom it is about."""
    error.music_task_id = call.music_task_id
    error.cover_task_id = call.cover_task_id
    return error


def _is_unclear(error: SunoCoverError) -> bool:
    """Whether a submit that went out is worth repeating, since it may have been executed.

    A gateway that answers in place of the API may have passed the request on, also where it says
    429. A `WrongAddressError` may stand for an executed submit too; to repeat it brings it again.
    """
    if isinstance(error, WrongAddressError):
        return False
    if isinstance(error, RateLimitError):
        return error.code is None
    return isinstance(error, TransportError | ServerError | UnexpectedResponseError)
