"""A session that notes the `Date` of an answer, to compare the host's clock with this machine's.

It knows aiohttp. A client borrows the session for one request.
"""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TypeAlias
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs

from suno_cover_async.network.connector import HEADER_LIMITS, Connector, open_on_loopback

Session: TypeAlias = aiohttp.ClientSession


def session_that_notes_dates(base_url: str, note: Callable[[float | None], None]) -> Session:
    """Return a session for an API client; whoever makes it closes it.

    Args:
        base_url: The base URL of that client; over plain http only this machine is called.
        note: Called for each answer with the seconds that this machine's clock is ahead of the
            host's, which has whole seconds; or with None if the answer has no valid date.
    """

    async def noted(_: object, __: object, end: aiohttp.TraceRequestEndParams) -> None:
        note(seconds_ahead(end.response.headers.get(hdrs.DATE), time.time()))

    is_plain = urlsplit(base_url).scheme == "http"
    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(noted)
    return aiohttp.ClientSession(
        connector=Connector(socket_factory=open_on_loopback if is_plain else None),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[trace],
        **HEADER_LIMITS,
    )


def seconds_ahead(date: str | None, now: float) -> float | None:
    """Return how far `now` is ahead of a header's date, in seconds; None if it is no date."""
    try:
        moment = parsedate_to_datetime((date or "")[:100])
        return now - moment.timestamp()
    except (ValueError, TypeError, OverflowError, OSError):
        return None
