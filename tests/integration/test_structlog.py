"""The log's records as structlog's own formatter shows them: each fact is a field."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from suno_cover_async import RetryPolicy
from suno_cover_async.sandbox import Fault, Sandbox
from tests.support.clients import FREE, connect
from tests.support.runs import covered


class Lines:
    """What was logged, as JSON objects."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def of(self, event_name: str) -> list[dict[str, Any]]:
        return [line for line in self.all() if line.get("event_name") == event_name]


@pytest.fixture
def lines() -> Iterator[Lines]:
    logger, lines = logging.getLogger("suno_cover_async"), Lines()
    handler = logging.StreamHandler(lines.stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_each_request_has_the_fields_that_the_journal_has(
    lines: Lines, tmp_path: Path
) -> None:
    async with Sandbox(FREE) as sandbox, connect(sandbox) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.LOST_ANSWER)
        details = await client.generate(music)
        await client.download(details, tmp_path)

    arrivals = [one for one in sandbox.journal.arrivals if one.kind != "image"]
    logged = lines.of("request")
    for name, fact in (("http_status", "status"), ("code", "code"), ("path", "path")):
        assert [line.get(name) for line in logged] == [getattr(one, fact) for one in arrivals]
    assert [line.get("music_task_id") for line in logged] == [music, music, None]
    assert [line.get("error") for line in logged] == ["TransportError", None, None]
    assert all(line["duration"] > 0 for line in logged)
    images = lines.of("image_request")
    assert len(images) == len(sandbox.journal.of("image"))
    assert {line["url"].partition("?")[0] for line in images} == set(details.images)
    (unknown,) = lines.of("possibly_billed")
    assert unknown["music_task_id"] == music
    assert all(line["event"] and line["level"] and line["event_name"] for line in lines.all())


async def test_pauses_and_breakers_have_their_facts(lines: Lines) -> None:
    quick = RetryPolicy(initial_delay=0.001, max_delay=0.01, probe_delay=0.01)
    async with Sandbox(FREE) as sandbox, connect(sandbox, retry=quick) as client:
        sandbox.script("submit", Fault.TOO_OFTEN, *[Fault.MAINTENANCE] * 6)
        await covered(client, sandbox.add_music(1))

    (pause,) = lines.of("requests_paused")
    assert (pause["code"], pause["error"], pause["level"]) == (429, "RateLimitError", "warning")
    assert pause["seconds"] > 0
    (opened,) = lines.of("breaker_opened")
    (closed,) = lines.of("breaker_closed")
    assert opened["breaker"] == closed["breaker"] == "the API's submit endpoint"
    assert (opened["error"], opened["code"]) == ("MaintenanceError", 455)
    assert closed["duration"] > 0


async def test_an_error_of_the_hook_is_a_line_with_its_traceback(lines: Lines) -> None:
    def hook(_: object) -> None:
        raise LookupError

    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=hook) as client:
        await client.credits()

    first = lines.of("hook_failed")[0]
    assert (first["level"], first["error"]) == ("error", "LookupError")
