"""The transport: makes API calls, each through breaker, limiter, connection and retry loop.

It owns the order of these steps, and what each of them learns from the answer. `exchange.py` sends
the HTTP request, `responses.py` interprets the answer, `retry.py` repeats the call.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

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
from suno_cover_async.events import RequestSent
from suno_cover_async.http.account import Account
from suno_cover_async.http.exchange import Exchange, SubmitBody
from suno_cover_async.http.request_events import RequestEvents
from suno_cover_async.http.request_log import log_request
from suno_cover_async.log_fields import fields
from suno_cover_async.policies import RetryPolicy
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.protocol.requests import Call
from suno_cover_async.protocol.responses import read
from suno_cover_async.resilience.circuit_breaker import Admission
from suno_cover_async.resilience.limiter import Limiter, Permit
from suno_cover_async.resilience.retry import NOT_SENT, FailedAttempt, NotSent, plainly, retry

T = TypeVar("T")

_log = logging.getLogger("suno_cover_async")


class Transport:
    """Makes the API calls of one account, in one event loop."""

    def __init__(self, account: Account, exchange: Exchange) -> None:
        """Send through `exchange`."""
        self._account = account
        self._exchange = exchange
        events = account.events
        self._events = None if events is None else RequestEvents(events, account.base_url)
        self.closing: Closing = Closing(_closed)

    def get(
        self, call: Call[T], *, through: Limiter | None = None, urgent: bool = False
    ) -> Coroutine[Any, Any, T]:
        """Make a call that costs nothing and may be repeated any number of times.

        Args:
            call: The call.
            through: The limiter that it counts against; None uses the account's main one.
            urgent: Whether it goes ahead of others in that limiter.

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
            on_retry=None if self._events is None else partial(self._events.retried, call),
        )

    async def submit(
        self,
        call: Call[T],
        *,
        keep: Callable[[T], None],
        on_possibly_billed: Callable[[Call[T]], None],
        policy: RetryPolicy | None = None,
    ) -> T:
        """Make a call that costs money.

        Await it in a task that is cancelled at most once, since a second cancellation would drop
        the answer. A cancellation takes effect at once if nothing was sent yet; otherwise the
        answer is first awaited and kept.

        Args:
            call: The call.
            keep: Called with the accepted result, before anything else happens.
            on_possibly_billed: Called after every attempt that was sent and not answered by the
                API.
            policy: How often to try; None uses the account's policy.

        Raises:
            SunoCoverError: The last attempt's error. When it is `retryable`, submitting again
                never pays twice.
        """

        async def attempt(admission: Admission) -> T | FailedAttempt | NotSent:
            # The POST runs in a task that no caller's cancellation reaches: once the body was
            # sent, its answer must be read and kept, or a paid cover would be lost. aiohttp writes
            # the body from yet another task, so `withdraw` settles in one step whether it was sent
            # and, if not, that it never is. Only then may the POST be cancelled.
            body = SubmitBody(call.body or b"", call.guard, call.hide)
            work = self._post(call, body, admission, keep, on_possibly_billed)
            post = asyncio.create_task(work)
            try:
                return await asyncio.shield(post)
            except asyncio.CancelledError:
                if body.withdraw():
                    post.cancel()
                await asyncio.wait([post])  # only the event loop's shutdown cancels this wait
                raise

        return await retry(
            attempt,
            policy or self._account.retry,
            self._account.breakers.submit,
            partial(_not_admitted, call),
            plainly,
            on_retry=None if self._events is None else partial(self._events.retried, call),
        )

    async def _post(
        self,
        call: Call[T],
        body: SubmitBody,
        admission: Admission,
        keep: Callable[[T], None],
        on_possibly_billed: Callable[[Call[T]], None],
    ) -> T | FailedAttempt | NotSent:
        """Make one attempt of a submit, and record its outcome before it is returned."""
        # `keep` is called in this task, which no caller's cancellation reaches, so none can come
        # between a paid cover and its record. If the task is cancelled or its coroutine collected
        # after the body was sent, no answer will be read; the submit may have been executed, so it
        # is recorded as possibly billed.
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
        limiter: Limiter,
        body: SubmitBody | None,
        urgent: bool,
        admission: Admission,
    ) -> T | FailedAttempt | NotSent:
        """Make one request once the limiter has a permit, unless the breaker opened meanwhile.

        Return failures: raising them would chain them to exceptions and frames that hold the key.
        """
        breakers = self._account.breakers
        permit = limiter.acquire_nowait()
        waited, begun = 0.0, None
        if permit is None:
            came = asyncio.get_running_loop().time()
            queueing = limiter.acquire(urgent=urgent)  # the submitter cancels submits on closing
            permit = await (self.closing.unless_closed(queueing) if body is None else queueing)
            waited = asyncio.get_running_loop().time() - came
        if self.closing.is_closed:
            limiter.return_unused(permit)
            return FailedAttempt(error=_about(call, _closed()), took=0.0)
        if not (breakers.api if body is None else breakers.submit).is_current(admission):
            limiter.return_unused(permit)
            return NOT_SENT
        answered: bool | None = None  # until it ended
        try:
            if self._events is not None:
                begun = self._events.sent(call, admission.attempt, waited)
            answer = await self._exchange.send(call.target, body)
            answered = isinstance(answer, Answer)
        finally:  # `send` raises nothing, but this coroutine may be collected before it resumes
            limiter.release(permit, answered=answered is True)
            if begun is not None and answered is None and self._events is not None:
                self._events.ended(begun, permit)
        if isinstance(answer, BaseException) and not isinstance(answer, SunoCoverError):
            if begun is not None or _log.isEnabledFor(logging.INFO):
                self._ended(call, permit, begun, answer, answer)
            raise answer
        return self._outcome(call, permit, body, answer, begun)

    def _ended(
        self,
        call: Call[Any],
        permit: Permit,
        begun: RequestSent | None,
        answer: Answer | BaseException,
        outcome: object,
    ) -> None:
        """Log a request that ended, and call the hook."""
        if _log.isEnabledFor(logging.INFO):
            took = asyncio.get_running_loop().time() - permit.acquired_at
            log_request(call, answer, outcome, took=took, key=self._account.key)
        if begun is not None and self._events is not None:
            self._events.ended(begun, permit, answer, outcome)

    def _outcome(
        self,
        call: Call[T],
        permit: Permit,
        body: SubmitBody | None,
        answer: Answer | SunoCoverError,
        begun: RequestSent | None,
    ) -> T | FailedAttempt:
        """Return the outcome of a request, after the limiters learned from it."""
        value = self._read(call, answer)
        # Asked here: a call more for each poll costs.
        if begun is not None or _log.isEnabledFor(logging.INFO):
            self._ended(call, permit, begun, answer, value)
        if not isinstance(value, SunoCoverError):
            self._account.backpressure.accepted(acquired_at=permit.acquired_at)
            return value
        took = asyncio.get_running_loop().time() - permit.acquired_at
        if isinstance(value, RateLimitError):
            self._account.refused(value, permit.acquired_at)
        sent = body is not None and body.sent
        possibly_billed = sent and _is_possibly_billed(value)
        if sent and isinstance(value, WrongAddressError):
            value.possibly_billed = True
        if possibly_billed:
            _log.debug("%s: possibly billed", call.target, extra=fields("possibly_billed", value))
        return FailedAttempt(error=value, took=took, possibly_billed=possibly_billed)

    def _read(self, call: Call[T], answer: Answer | SunoCoverError) -> T | SunoCoverError:
        if isinstance(answer, SunoCoverError):
            return _about(call, answer)
        try:
            return read(call, answer, self._account.host, self._account.api)
        except SunoCoverError as error:
            if isinstance(error, UnexpectedResponseError) and error.retryable:
                self._exchange.distrust()
            return error.with_traceback(None)  # its frames hold the whole answer


def _closed() -> ClientUsageError:
    return ClientUsageError("this client was closed")


def _not_admitted(call: Call[Any], reason: str) -> SunoCoverError:
    return _about(call, TransportError(reason))


def _about(call: Call[Any], error: SunoCoverError) -> SunoCoverError:
    """Add the call's task ids to an error."""
    error.music_task_id = call.music_task_id
    error.cover_task_id = call.cover_task_id
    return error


def _is_possibly_billed(error: SunoCoverError) -> bool:
    """Return whether a submit that was sent and failed with this error may have been executed."""
    # A refusal by the API itself proves that the submit was not executed. A server error or a
    # gateway's answer proves nothing, not even a gateway's 429: it may have passed the request on.
    # A `WrongAddressError` may hide an executed submit too, but it counts as no: repeating the
    # submit would return the same error again. `_outcome` marks that error itself.
    if isinstance(error, WrongAddressError):
        return False
    if isinstance(error, RateLimitError):
        return error.code is None
    return isinstance(error, TransportError | ServerError | UnexpectedResponseError)
