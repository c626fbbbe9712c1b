"""The events of requests: which facts of a call they hold, and which they never do."""

import asyncio

from suno_cover_async import RequestEnded, RequestRetried, RequestSent, TransportError
from suno_cover_async.emitter import Emitter
from suno_cover_async.http.request_events import RequestEvents
from suno_cover_async.protocol import requests
from suno_cover_async.protocol.gateway import Answer
from suno_cover_async.resilience.limiter import Permit
from tests.support.observed import Seen
from tests.support.virtual_time import run

URL = "https://proxy.example:8443/secret-path"
CALL = requests.submit("music", "https://me.example/secret-token")


def test_an_event_has_no_body_no_query_and_no_path_of_the_base_url() -> None:
    seen = Seen()

    async def scenario() -> None:
        events = RequestEvents(Emitter(seen, str), URL)
        now = asyncio.get_running_loop().time
        for call in (CALL, requests.details("cover")):
            begun = events.sent(call, 2, 1.5)
            await asyncio.sleep(2)
            events.ended(begun, Permit(now() - 2, 0), Answer(200, '{"code": 201}'), None)

    run(scenario())

    submit, details = seen.of(RequestSent)
    assert (submit.method, submit.origin, submit.path) == (
        *("POST", "https://proxy.example:8443"),
        requests.SUBMIT_PATH,
    )
    assert (submit.attempt, submit.waited, submit.music_task_id) == (2, 1.5, "music")
    assert (details.method, details.path) == ("GET", requests.DETAILS_PATH)
    ended = seen.of(RequestEnded)[0]
    assert (ended.duration, ended.http_status, ended.code, ended.error) == (2.0, 200, 201, None)
    assert "secret" not in repr(seen.events)


def test_a_request_whose_coroutine_was_collected_has_ended_too() -> None:
    seen = Seen()

    async def scenario() -> None:
        events = RequestEvents(Emitter(seen, str), URL)
        events.ended(events.sent(CALL, 1, 0.0), Permit(0.0, 0))

    run(scenario())

    assert seen.of(RequestEnded)[0].error == "GeneratorExit"


def test_a_retry_names_the_error_and_the_delay() -> None:
    seen = Seen()

    async def scenario() -> None:
        error = TransportError("no answer", music_task_id="music")
        RequestEvents(Emitter(seen, str), URL).retried(CALL, error, 3, 0.5)

    run(scenario())

    (event,) = seen.of(RequestRetried)
    assert (event.error, event.reason, event.attempt) == ("TransportError", "no answer", 3)
    assert (event.delay, event.music_task_id) == (0.5, "music")
