"""Say why a run holds songs back: an outage, a pause after a refusal, the limit, no free slot.

It knows the client's breakers and limiter; `output/progress.py` shows what it says.
"""

import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from suno_cover_async import CircuitBreaker, InFlight, Step, SunoCoverClient
from suno_cover_async.cli.failures import explain
from suno_cover_async.cli.output.progress import Pause
from suno_cover_async.cli.output.report import count


def pause_of(client: SunoCoverClient) -> Pause | None:
    """Return the outage that requests wait for; None if there is none."""
    breakers = client.breakers
    paused = map(_pause, (breakers.api, breakers.submit, breakers.images))
    return next(filter(None, paused), None)


def why_queued(
    client: SunoCoverClient, in_flight: Mapping[str, InFlight], now: float, *, shared: bool = False
) -> str | None:
    """Return what songs wait for that are not submitted yet; None if nothing holds them back.

    Args:
        client: The client of the run.
        in_flight: The songs in flight, by music task id.
        now: The time, by the event loop's clock.
        shared: Whether other runs may have the songs that this one has not.
    """
    if shared and not in_flight:
        return "other runs, which hold these tracks"
    limiter = client.limiter
    if any(one.step is Step.SUBMIT for one in in_flight.values()):
        if limiter.paused_until > now:
            until = datetime.now().astimezone() + timedelta(seconds=limiter.paused_until - now)
            return f"paused after a refusal until {until:%H:%M:%S}"
        if limiter.busy:
            limit = limiter.rate_limit
            return f"the account's limit of {count(limit.calls, 'request')} in {limit.seconds:g} s"
    if len(in_flight) >= client.concurrency:
        return f"the limit of {client.concurrency:,} covers in flight at once"
    return None


def _pause(breaker: CircuitBreaker) -> Pause | None:
    since, error = breaker.opened_at, breaker.last_error
    if since is None or error is None:
        return None
    ago = timedelta(seconds=time.monotonic() - since)
    return Pause(
        what=breaker.name,
        since=datetime.now().astimezone() - ago,
        trouble=explain(error, alone=True),
    )
