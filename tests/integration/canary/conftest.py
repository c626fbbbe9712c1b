"""Fixtures that the tests of this folder share."""

import asyncio
import gc
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.canary import (
    API_KEY,
    HMAC_KEY,
    SECRET,
    Search,
)
from tests.support.canary_calls import (
    Observing,
)


@pytest.fixture
def observing(caplog: pytest.LogCaptureFixture) -> Observing:
    """Have everything tell all it can: loggers, warnings and the loop; no secret may be in it."""

    @asynccontextmanager
    async def observed(*, debug: bool = False) -> AsyncIterator[Search]:
        caplog.set_level(logging.DEBUG)
        caplog.clear()
        search, complaints = Search(API_KEY, SECRET, HMAC_KEY), list[dict[str, Any]]()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context))
        loop.set_debug(debug)
        loop.slow_callback_duration = 0.0  # in debug mode, each is told of
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield search
            gc.collect()
        loop.set_debug(False)
        search.contexts(complaints)
        search.records(caplog.records)
        for warning in warned:
            search.text("warning", str(warning.message))
        assert search.searched
        assert not search.hits

    return observed
