"""What is told of requests for images: their host, never more of their URLs to the hook."""

import logging

import pytest
from yarl import URL

from suno_cover_async import DownloadError, RequestEnded, RequestRetried, RequestSent
from suno_cover_async.emitter import Emitter
from suno_cover_async.images.request_log import ImageRequests, image_retried
from tests.support.observed import Seen

PLACE = URL("https://user:secret@images.example/secret/1.png?signature=secret")
OTHER = URL("https://other.example/2.png")


async def test_the_hook_is_told_the_host_alone() -> None:
    seen = Seen()
    requests = ImageRequests(Emitter(seen, str), PLACE, attempt=2)

    requests.begin(PLACE)
    requests.answered(PLACE, 302, "to another")
    requests.begin(OTHER)
    requests.failed(DownloadError("it is missing", http_status=404))
    image_retried(Emitter(seen, str), str(PLACE), DownloadError("it is missing"), 2, 1.0)

    sent = seen.of(RequestSent)
    assert [one.origin for one in sent] == ["https://images.example", "https://other.example"]
    assert {(one.path, one.attempt) for one in sent} == {("", 2)}
    ended = [(one.http_status, one.error) for one in seen.of(RequestEnded)]
    assert ended == [(302, None), (404, "DownloadError")]
    assert seen.of(RequestRetried)[0].origin == "https://images.example"
    assert "secret" not in repr(seen.events)


async def test_a_fetch_that_fails_before_a_request_is_a_line_and_no_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    seen = Seen()

    ImageRequests(Emitter(seen, str), PLACE, 1).failed(DownloadError("refused"))

    assert not seen.events
    assert caplog.messages == ["GET https://images.example/secret/1.png: 0 ms: refused"]


async def test_without_a_hook_there_is_a_line_with_its_fields(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    requests = ImageRequests(None, OTHER, 1)

    requests.begin(OTHER)
    requests.answered(OTHER, 200, "5 bytes")

    (record,) = caplog.records
    assert record.getMessage() == f"GET {OTHER}: 200, 0 ms, 5 bytes"
    facts = vars(record)
    assert (facts["event_name"], facts["http_status"]) == ("image_request", 200)
    assert facts["url"] == str(OTHER)
