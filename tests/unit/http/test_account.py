"""An account: made from a client's arguments, and paused as a whole."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    KIE,
    SUNOAPI,
    RateLimit,
    RateLimiter,
    RateLimitError,
    RetryPolicy,
    SharedRateLimiter,
)
from suno_cover_async.http.account import Account, account_of
from suno_cover_async.http.credentials import ApiKey
from tests.support.virtual_time import run

KEY = "key-of-a-test"


def made(**options: Any) -> Account:
    key = ApiKey(options.pop("key", KEY))
    key.check()
    usual: dict[str, Any] = {
        "host": SUNOAPI,
        "base_url": None,
        "rate_limit": RateLimit(calls=2, seconds=10),
        "poll_rate_limit": None,
        "retry": RetryPolicy(),
    }
    return account_of(key, **(usual | options))


def test_polls_share_the_limit_unless_they_have_one_of_their_own() -> None:
    shared, apart = made(), made(poll_rate_limit=RateLimit(calls=9, seconds=1))

    assert shared.poll_limiter is shared.limiter
    assert apart.poll_limiter.rate_limit == RateLimit(calls=9, seconds=1)
    assert apart.limiter.rate_limit == RateLimit(calls=2, seconds=10)


def test_a_limiter_that_is_given_is_used_itself() -> None:
    limiter = RateLimiter(RateLimit(calls=1, seconds=1))

    assert made(rate_limit=limiter).limiter is limiter


def test_a_refusal_pauses_polls_and_all_else() -> None:
    async def work() -> list[float]:
        loop = asyncio.get_running_loop()
        account = made(poll_rate_limit=RateLimit(calls=2, seconds=10))
        error = RateLimitError("too often")
        error.retry_after = 30
        account.refused(error, loop.time())
        times: list[float] = []
        for limiter in (account.poll_limiter, account.limiter):
            await limiter.acquire()
            times.append(loop.time())
        return times

    assert run(work()) == [30, 30]


def test_the_fingerprint_tells_keys_and_hosts_apart_and_not_base_urls() -> None:
    same = [made(), made(base_url="https://proxy.example")]
    others = [made(host=KIE), made(key="another-key")]

    assert len({account.fingerprint for account in same}) == 1
    assert len({account.fingerprint for account in [made(), *others]}) == 3


def test_limits_of_polls_and_of_all_else_do_not_meet_in_one_file(tmp_path: Path) -> None:
    async def work() -> float:
        clock = asyncio.get_running_loop().time
        limits = [SharedRateLimiter(tmp_path / "limit.db", calls=1, clock=clock) for _ in range(2)]
        account = made(rate_limit=limits[0], poll_rate_limit=limits[1])
        await account.limiter.acquire()
        await account.poll_limiter.acquire()
        return clock()

    assert run(work()) == 0


def test_refusals_of_one_pause_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse() -> None:
        account, loop = made(), asyncio.get_running_loop()
        error = RateLimitError("too often")
        error.retry_after = 5.0
        began = loop.time()
        for _ in range(3):
            account.refused(error, began)
        await asyncio.sleep(6)
        account.refused(error, loop.time())

    with caplog.at_level(logging.WARNING):
        run(refuse())

    assert [one.getMessage().partition(" (")[0] for one in caplog.records] == [
        "called too often"
    ] * 2


def test_an_argument_that_is_refused_binds_no_limiter(tmp_path: Path) -> None:
    limiter = SharedRateLimiter(tmp_path / "limit.db")
    with pytest.raises(ValueError, match="base_url"):
        made(rate_limit=limiter, base_url="ftp://api.example")

    assert made(rate_limit=limiter, key="another-key").limiter is limiter
