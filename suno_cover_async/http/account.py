"""An account at a host, made from the arguments of a client."""

import asyncio
import logging
import os
from functools import partial
from urllib.parse import urlsplit

import attrs

from suno_cover_async.common import validation
from suno_cover_async.emitter import Emitter, Hook
from suno_cover_async.errors import RateLimitError
from suno_cover_async.events import BreakerChanged, RequestsPaused
from suno_cover_async.hosts import BaseUrl, Host, host_of
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.log_fields import fields
from suno_cover_async.policies import RateLimit, RetryPolicy
from suno_cover_async.resilience.circuit_breaker import Breakers, CircuitBreaker
from suno_cover_async.resilience.limiter import Limiter
from suno_cover_async.resilience.rate_limiter import Backpressure, RateLimiter

_log = logging.getLogger("suno_cover_async")


@attrs.frozen(kw_only=True)
class Account:
    """One account at one host: its key, limiters, breakers and policies, for any event loop.

    `events` calls the client's hook; None without one, and then no event is made.
    """

    host: Host
    api: BaseUrl
    key: ApiKey
    retry: RetryPolicy
    limiter: Limiter
    poll_limiter: Limiter
    backpressure: Backpressure
    breakers: Breakers
    events: Emitter | None = None

    @property
    def base_url(self) -> str:
        """The base URL."""
        return self.api.url

    @property
    def fingerprint(self) -> str:
        """What identifies the account, and does not reveal its key."""
        return self.key.fingerprint(self.host.name)

    def refused(self, error: RateLimitError, acquired_at: float) -> None:
        """Pause all requests of the account after a refusal, with one warning for each pause."""
        now = asyncio.get_running_loop().time()
        is_new = acquired_at >= self.backpressure.until
        until = self.backpressure.refused(
            acquired_at=acquired_at, now=now, retry_after=error.retry_after
        )
        for limiter in (self.limiter, self.poll_limiter):
            limiter.pause(until)
        level, seconds = logging.WARNING if is_new else logging.DEBUG, until - now
        _log.log(
            level,
            "called too often (%s); all requests paused for %.1f s",
            *(error, seconds),
            extra=fields("requests_paused", error, seconds=seconds),
        )
        if is_new and self.events is not None:
            self.events.emit(RequestsPaused(seconds=seconds, reason=self.events.reason(error)))


def account_of(
    key: ApiKey,
    *,
    host: Host | str,
    base_url: str | None,
    rate_limit: RateLimit | Limiter,
    poll_rate_limit: RateLimit | Limiter | None,
    retry: RetryPolicy,
    on_event: Hook | None = None,
) -> Account:
    """Return the account of a client, from its checked key and its unchecked arguments.

    Raises:
        TypeError: An argument is of the wrong type.
        ValueError: An argument has an invalid value.
    """
    host = host_of(host)
    validation.instance("retry", retry, RetryPolicy)
    limiter = poll_limiter = _limiter("rate_limit", rate_limit)
    if poll_rate_limit is not None:
        poll_limiter = _limiter("poll_rate_limit", poll_rate_limit)
    api = BaseUrl(base_url_of(base_url, host))
    events = None if on_event is None else Emitter(on_event, key.hide_in, urlsplit(api.url).path)
    account = Account(
        host=host,
        api=api,
        key=key,
        retry=retry,
        limiter=limiter,
        poll_limiter=poll_limiter,
        backpressure=Backpressure(limiter.rate_limit, retry.max_retry_after),
        breakers=Breakers(
            api=_breaker(retry, "the API", events, "api"),
            submit=_breaker(retry, "the API's submit endpoint", events, "submit"),
            images=_breaker(retry, "the image host", events, "images"),
        ),
        events=events,
    )
    limiter.bind(account.fingerprint)
    if poll_limiter is not limiter:
        poll_limiter.bind(f"{account.fingerprint} polls")
    return account


def base_url_of(given: str | None, host: Host) -> str:
    """Return the base URL to call; an error names the argument or the variable that gave it."""
    if given is None and (url := os.environ.get("SUNO_BASE_URL")):
        return validation.base_url("SUNO_BASE_URL", url)
    return validation.base_url("base_url", validation.given(given, host.base_url))


def _breaker(
    retry: RetryPolicy, name: str, events: Emitter | None, short_name: str
) -> CircuitBreaker:
    changed = None if events is None else partial(_changed, events, short_name)
    return CircuitBreaker(retry.probe_delay, retry.max_probe_delay, name=name, on_change=changed)


def _changed(events: Emitter, name: str, breaker: CircuitBreaker) -> None:
    error = breaker.last_error
    reason = None if error is None else events.reason(error)
    events.emit(BreakerChanged(breaker=name, is_open=breaker.is_open, reason=reason))


def _limiter(name: str, rate_limit: RateLimit | Limiter) -> Limiter:
    validation.instance(name, rate_limit, RateLimit | Limiter)
    return RateLimiter(rate_limit) if isinstance(rate_limit, RateLimit) else rate_limit
