"""Make the events of requests to the API, for the client's hook.

It owns which facts of a call they hold: never its body, its query or its headers. `transport.py`
calls it only where there is a hook.
"""

import asyncio
from typing import Any

from yarl import URL

from suno_cover_async.emitter import Emitter
from suno_cover_async.errors import SunoCoverError
from suno_cover_async.events import RequestSent
from suno_cover_async.http.request_log import code_of
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.protocol.requests import Call
from suno_cover_async.resilience.limiter import Permit


class RequestEvents:
    """Emits the events of the requests of one transport, in one event loop."""

    def __init__(self, events: Emitter, base_url: str) -> None:
        """Create it in the event loop of the transport."""
        self._events = events
        self._origin = str(URL(base_url).origin())  # without the path, which may be a secret
        self._clock = asyncio.get_running_loop().time

    def sent(self, call: Call[Any], attempt: int, waited: float) -> RequestSent:
        """Emit that a request is sent, after it waited so many seconds for its permit."""
        return self._events.request_sent(
            method=call.method,
            origin=self._origin,
            path=call.path,
            attempt=attempt,
            waited=waited,
            music_task_id=call.music_task_id,
            cover_task_id=call.cover_task_id,
        )

    def ended(
        self,
        begun: RequestSent,
        permit: Permit,
        answer: Answer | BaseException | None = None,
        outcome: object = None,
    ) -> None:
        """Emit that a request ended; without an answer, its coroutine was collected as garbage."""
        if answer is None:
            answer = outcome = GeneratorExit()
        self._events.request_ended(
            begun,
            duration=self._clock() - permit.acquired_at,
            http_status=answer.status if isinstance(answer, Answer) else None,
            code=code_of(answer, outcome),
            error=outcome if isinstance(outcome, BaseException) else None,
        )

    def retried(self, call: Call[Any], error: SunoCoverError, attempt: int, delay: float) -> None:
        """Emit that a request failed and is sent again."""
        self._events.retried(
            method=call.method,
            origin=self._origin,
            path=call.path,
            attempt=attempt,
            delay=delay,
            error=error,
        )
