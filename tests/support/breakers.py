"""A circuit breaker in virtual time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from suno_cover_async import (
    TransportError,
)
from suno_cover_async.resilience.circuit_breaker import Admission, CircuitBreaker

DOWN = TransportError("no answer")

LONG = 100_000.0


def now() -> float:
    return asyncio.get_running_loop().time()


async def send(
    breaker: CircuitBreaker, outcome: object = None, *, took: float = 0.0, patience: float = LONG
) -> float:
    """Send a request that comes to `outcome`; return when it was let in."""
    admission = breaker.admit() or await breaker.wait_for_admission(patience)
    assert isinstance(admission, Admission), admission
    at = now()
    try:
        await asyncio.sleep(took)
        breaker.record(admission, outcome)
    finally:
        breaker.release(admission)
    return at


async def fail(breaker: CircuitBreaker, times: int = 5) -> None:
    for _ in range(times):
        await send(breaker, DOWN)


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def shut(breaker: CircuitBreaker | None = None) -> AsyncIterator[CircuitBreaker]:
    """Have an armed breaker that has just opened."""
    breaker = breaker or CircuitBreaker()
    with breaker.armed():
        await fail(breaker)
        assert breaker.is_open
        yield breaker


async def at(moment: tuple[int, int]) -> None:
    tenths, number = moment
    await asyncio.sleep(tenths / 10)
    await turns(number)
