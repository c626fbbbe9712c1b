"""One API call: admitted by its breaker, permitted by the limiter, sent, decoded, and retried.

It owns the order in which a call meets them, and what each of them learns from the answer. HTTP
itself is in `exchange.py`, the meaning of an answer in `responses.py`, the retry loop in
`retry.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import attrs

from suno_cover_async.common.tasks import Closing
from suno_cover_async.errors import (
    ClientUsageError,
    RateLimitError,
    ServerError,
    SunoCoverError,
    TransportError,
    UnexpectedResponseError,
    WrongAddressError,
)
from suno_cover_async.hosts import BaseUrl, Host
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.http.exchange import Exchange, SubmitBody
from suno_cover_async.policies import RetryPolicy
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.protocol.requests import Call
from suno_cover_async.protocol.responses import read
from suno_cover_async.resilience.circuit_breaker import Admission, Breakers
from suno_cover_async.resilience.rate_limiter import Backpressure, Permit, RateLimiter
from suno_cover_async.resilience.retry import NOT_SENT, FailedAttempt, NotSent, plainly, retry

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
    limiter: RateLimiter
    poll_limiter: RateLimiter
    backpressure: Backpressure
    breakers: Breakers

    @property
    def base_url(self) -> str:
        """The base URL."""
        return self.api.url

    def refused(self, error: RateLimitError, acquired_at: float) -> None:
        """Make everybody wait after a refusal."""
        now = asyncio.get_running_loop().time()
        until = self.backpressure.refused(
            acquired_at=acquired_at, now=now, retry_after=error.retry_after
        )
        for limiter in (self.limiter, self.poll_limiter):
            limiter.pause(until)
        _log.warning("called too often (%s); everybody waits %.1f s", error, until - now)


class Transport:
    """Requests of one account, in one event loop."""

    def __init__(self, account: Account, exchange: Exchange) -> None:
        """Send through `exchange`."""
        self._account = account
        self._exchange = exchange
        self.closing: Closing = Closing(_closed)

    def get(
        self, call: Call[T], *, through: RateLimiter | None = None, urgent: bool = False
    ) -> Coroutine[Any, Any, T]:
        """Ask for something that may be asked for any number of times.

        Args:
            call: What to ask.
            through: The limiter that it counts against; None is the account's main one.
            urgent: It goes before others there.

        Raises:
            SunoCoverError: The last attempt's error.
        """
        account = self._account
        return retry(
            partial(self._attempt, call, through or account.limiter, None, urgent),
            account.retry,
            account.breakers.api,
            partial(_not_admitted, call),
            self.closing.unless_closed,
        )

    async def submit(
        self,
        call: Call[T],
        *,
        keep: Callable[[T], None],
        on_possibly_billed: Callable[[Call[T]], None],
        policy: RetryPolicy | None = None,
    ) -> T:
        """Ask for something that costs money.

        Await it in a task that is cancelled at most once, since a second cancellation would drop
        the answer. Before anything is sent a cancellation takes effect at once; afterwards the
        answer is awaited and kept first.

        Args:
            call: What to ask.
            keep: Called with what was accepted, before anything else happens.
            on_possibly_billed: Called after every attempt that was sent and not answered by the
                API.
            policy: How often to try; None takes the account's policy.

        Raises:
            SunoCoverError: The last attempt's error. When it is `retryable`, submitting again
                never pays twice.
        """

        async def attempt(admission: Admission) -> T | FailedAttempt | NotSent:
            # The POST runs in a task that no caller's cancellation reaches: once the body was
            # sent, its answer must be read and kept, or a paid cover would be lost.
            body = SubmitBody(call.body or b"")
            work = self._post(call, body, admission, keep, on_possibly_billed)
            post = asyncio.create_task(work)
            try:
                return await asyncio.shield(post)
            except asyncio.CancelledError:
                if body.withdraw():
                    post.cancel()
                await asyncio.wait([post])  # only the end of the event loop interrupts this
                raise

        return await retry(
            attempt,
            policy or self._account.retry,
            self._account.breakers.submit,
            partial(_not_admitted, call),
            plainly,
        )

    async def _post(
        self,
        call: Call[T],
        body: SubmitBody,
        admission: Admission,
        keep: Callable[[T], None],
        on_possibly_billed: Callable[[Call[T]], None],
    ) -> T | FailedAttempt | NotSent:
        try:
            outcome = await self._attempt(call, self._account.limiter, body, False, admission)
        except BaseException:
            if body.sent:
                on_possibly_billed(call)
            raise
        if isinstance(outcome, FailedAttempt):
            if outcome.possibly_billed or outcome.error.possibly_billed:
                on_possibly_billed(call)
        elif not isinstance(outcome, NotSent):
            keep(outcome)
        return outcome

    async def _attempt(
        self,
        call: Call[T],
        limiter: RateLimiter,
        body: SubmitBody | None,
        urgent: bool,
        admission: Admission,
    ) -> T | FailedAttempt | NotSent:
        """Make one request once the limiter has a permit, unless its breaker opened meanwhile.

        Failures are returned: to raise them would chain them to what knows the key.
        """
        breakers = self._account.breakers
        permit = limiter.acquire_nowait()
        if permit is None:
            queueing = limiter.acquire(urgent=urgent)  # submits are ended by their submitter
            permit = await (self.closing.unless_closed(queueing) if body is None else queueing)
        if self.closing.is_closed:
            limiter.return_unused(permit)
            return FailedAttempt(error=_about(call, _closed()), took=0.0)
        if not (breakers.api if body is None else breakers.submit).is_current(admission):
            limiter.return_unused(permit)
            return NOT_SENT
        answered = False
        try:
            answer = await self._exchange.send(call.target, body)
            answered = isinstance(answer, Answer)
        finally:  # it raises nothing, but perhaps nobody goes on with this coroutine
            limiter.release(permit, answered=answered)
        if isinstance(answer, BaseException) and not isinstance(answer, SunoCoverError):
            raise answer
        return self._outcome(call, permit, body, answer)

    def _outcome(
        self,
        call: Call[T],
        permit: Permit,
        body: SubmitBody | None,
        answer: Answer | SunoCoverError,
    ) -> T | FailedAttempt:
        """Tell what became of a request, to all who are to learn from it."""
        value = self._read(call, answer)
        if not isinstance(value, SunoCoverError):
            self._account.backpressure.accepted(acquired_at=permit.acquired_at)
            return value
        took = asyncio.get_running_loop().time() - permit.acquired_at
        if isinstance(value, RateLimitError):
            self._account.refused(value, permit.acquired_at)
        sent = body is not None and body.sent
        possibly_billed = sent and _is_unclear(value)
        if sent and isinstance(value, WrongAddressError):
            value.possibly_billed = True
        _log.debug("%s: %s%s", call.target, value, " (possibly billed)" if possibly_billed else "")
        return FailedAttempt(error=value, took=took, possibly_billed=possibly_billed)

    def _read(self, call: Call[T], answer: Answer | SunoCoverError) -> T | SunoCoverError:
        if isinstance(answer, SunoCoverError):
            return _about(call, answer)
        try:
            return read(call, answer, self._account.host, self._account.api)
        except SunoCoverError as error:
            if isinstance(error, UnexpectedResponseError) and error.retryable:
                self._exchange.distrust()
            return error.with_traceback(None)  # its frames know the whole answer


def _closed() -> ClientUsageError:
    return ClientUsageError("this client was closed")


def _not_admitted(call: Call[Any], reason: str) -> SunoCoverError:
    return _about(call, TransportError(reason))


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
