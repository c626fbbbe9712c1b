"""Tell the log, and the client's hook, of each request for an image once it is sent and ended.

It owns the words of these lines. `downloader.py` makes the requests, one after the other within a
fetch: a redirect is a further request.
"""

import asyncio
import logging

from yarl import URL

from suno_cover_async.emitter import Emitter
from suno_cover_async.errors import SunoCoverError
from suno_cover_async.events import RequestSent
from suno_cover_async.images.urls import parsed, shown
from suno_cover_async.log_fields import fields

_log = logging.getLogger("suno_cover_async")


def image_retried(
    events: Emitter, url: str, error: SunoCoverError, attempt: int, delay: float
) -> None:
    """Tell the hook that a fetch failed, and is made again after a delay."""
    place = parsed(url)
    origin = "" if place is None else str(place.origin())  # it was fetched, so it is a URL
    events.retried(method="GET", origin=origin, path="", attempt=attempt, delay=delay, error=error)


class ImageRequests:
    """The requests of one fetch."""

    def __init__(self, events: Emitter | None, url: URL, attempt: int) -> None:
        """Begin a fetch.

        Args:
            events: Calls the client's hook; None without one.
            url: The image's URL.
            attempt: The number of the attempt, from 1.
        """
        self._events = events
        self._attempt = attempt
        self._clock = asyncio.get_running_loop().time
        self._url = url
        self._fetch_began = self._began = self._clock()
        self._sent: RequestSent | None = None

    def begin(self, url: URL) -> None:
        """Tell that a request is sent."""
        self._began = self._clock()
        if self._events is not None:
            self._sent = self._events.request_sent(
                method="GET", origin=str(url.origin()), path="", attempt=self._attempt
            )

    def answered(self, url: URL, status: int, more: str) -> None:
        """Tell that a request was answered with an image or a redirect."""
        self._write(url, status, self._began, f", {more}", None)
        self._end(status, None)

    def failed(self, error: BaseException) -> None:
        """Tell that the fetch ended with an error, and with it the request that is under way."""
        status = error.http_status if isinstance(error, SunoCoverError) else None
        if isinstance(error, SunoCoverError):
            self._write(self._url, status, self._fetch_began, f": {error.message}", error)
        self._end(status, error)

    def _end(self, status: int | None, error: BaseException | None) -> None:
        sent, self._sent = self._sent, None
        if sent is not None and self._events is not None:
            took = self._clock() - self._began
            self._events.request_ended(sent, duration=took, http_status=status, error=error)

    def _write(
        self, url: URL, status: int | None, began: float, more: str, error: SunoCoverError | None
    ) -> None:
        """Log a request that ended: URL without query, HTTP status and milliseconds."""
        if not _log.isEnabledFor(logging.INFO):
            return
        took = self._clock() - began
        facts = f"{took * 1000:.0f} ms" if status is None else f"{status}, {took * 1000:.0f} ms"
        place = shown(url)
        told = {"method": "GET", "url": place, "http_status": status, "duration": took}
        more_fields = fields("image_request", error, **told)
        _log.info("GET %s: %s%s", place, facts, more, extra=more_fields)
