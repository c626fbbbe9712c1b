"""The spans and metrics of runs, in memory: they equal the sandbox's journal."""

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from yarl import URL

from suno_cover_async import RateLimit, RetryPolicy, SunoCoverError
from suno_cover_async.protocol.requests import DETAILS_PATH, SUBMIT_PATH
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.clients import FREE, connect
from tests.support.runs import covered
from tests.support.telemetry import Telemetry
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

SUBMIT, DETAILS = f"POST {SUBMIT_PATH}", f"GET {DETAILS_PATH}"
REQUESTS = "http.client.request.duration"


async def test_a_generate_with_a_lost_answer_and_a_429_is_a_tree_of_spans_as_in_the_journal() -> (
    None
):
    telemetry = Telemetry()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=telemetry.hook) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.TOO_OFTEN, Fault.LOST_ANSWER)
        with telemetry.tracer.start_as_current_span("the user's"):
            await client.generate(music)
        polls = len(sandbox.journal.of("details"))

    outer = ("the user's", "suno_cover.generate")
    assert telemetry.tree() == {
        ("the user's",): 1,
        outer: 1,
        (*outer, "suno_cover.submit"): 1,
        (*outer, "suno_cover.submit", SUBMIT): len(sandbox.journal.of("submit")),
        (*outer, "suno_cover.wait"): 1,
        (*outer, "suno_cover.wait", DETAILS): polls,
    }
    facts = [dict(span.attributes or {}) for span in telemetry.named(SUBMIT)]
    assert [one.get("http.response.status_code") for one in facts] == [
        arrival.status for arrival in sandbox.journal.of("submit")
    ]
    assert [one.get("error.type") for one in facts] == ["RateLimitError", "TransportError", None]
    assert [one.get("http.request.resend_count") for one in facts] == [None, 1, 2]
    assert [one.get("suno_cover.code") for one in facts] == [429, None, 400]
    statuses = [span.status.status_code for span in telemetry.named(SUBMIT)]
    assert statuses == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    (submit,) = telemetry.named("suno_cover.submit")
    assert dict(submit.attributes or {}) == {
        "suno_cover.music_task_id": music,
        "suno_cover.cover_task_id": sandbox.journal.bills[0].cover_task_id,
        "suno_cover.adopted": True,
    }
    assert telemetry.open_spans == 0


async def test_request_spans_follow_the_conventions_for_http_clients() -> None:
    telemetry = Telemetry()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=telemetry.hook) as client:
        await client.credits()

    (span,) = telemetry.spans
    url = URL(sandbox.url)
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": url.port,
        "url.scheme": "http",
        "url.template": "/api/v1/generate/credit",
        "url.full": f"{url.origin()}/api/v1/generate/credit",
        "suno_cover.permit.wait_time": 0.0,
        "suno_cover.code": 200,
    }


async def test_the_tree_and_the_numbers_of_a_small_catalog_equal_the_journal(
    tmp_path: Path,
) -> None:
    telemetry = Telemetry()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=telemetry.hook) as client:
        songs = sandbox.add_music(4)
        sandbox.script("submit", Fault.LOST_ANSWER)
        await client.submit(songs[0])  # adopted after the lost answer, and by the catalog again
        await covered(client, [*songs, "unknown"], into=tmp_path)
        balance = await client.credits()
        journal = sandbox.journal

    top = "suno_cover.catalog"
    tree = telemetry.tree()
    assert tree[top, "suno_cover.submit"] == 5
    assert tree[top, "suno_cover.wait"] == tree[top, "suno_cover.download"] == 4
    assert tree[top, "suno_cover.submit", SUBMIT] == len(journal.of("submit")) - 2
    assert tree[top, "suno_cover.wait", DETAILS] == len(journal.of("details"))
    assert tree[top, "suno_cover.download", "GET"] == len(journal.of("image"))
    arrivals = Counter(one.path for one in journal.arrivals if one.kind != "image")
    requests = telemetry.values(REQUESTS, "url.template")
    assert requests.pop(None) == len(journal.of("image"))
    assert requests == arrivals
    statuses = Counter(one.status for one in journal.arrivals)
    assert telemetry.values(REQUESTS, "http.response.status_code") == statuses
    assert sum(telemetry.values("suno_cover.permit.wait_time").values()) == len(journal.arrivals)
    submitted = telemetry.values("suno_cover.covers.submitted", "suno_cover.outcome")
    assert submitted == {"billed": len(journal.bills) - 1, "adopted": 2}
    assert telemetry.values("suno_cover.covers.finished", "suno_cover.outcome") == {"success": 4}
    assert telemetry.values("suno_cover.covers.saved") == {(): 4}
    assert telemetry.values("suno_cover.tracks", "suno_cover.outcome") == {"saved": 4, "failed": 1}
    assert telemetry.values("suno_cover.request.retries", "error.type") == {"TransportError": 1}
    assert telemetry.values("suno_cover.credits") == {(): balance}
    assert telemetry.open_spans == 0


async def test_spans_nest_rightly_although_generates_run_at_once() -> None:
    telemetry = Telemetry()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=telemetry.hook) as client:
        songs = sandbox.add_music(6)

        async def one(song: str) -> None:
            with telemetry.tracer.start_as_current_span(song):
                await client.generate(song)

        await asyncio.gather(*map(one, songs))

    by_id = {span.context.span_id: span for span in telemetry.spans if span.context}
    for span in telemetry.spans:
        music = (span.attributes or {}).get("suno_cover.music_task_id")
        while span.parent is not None:
            span = by_id[span.parent.span_id]  # noqa: PLW2901 - its parents, up to the user's
        assert music in {None, span.name}
        assert span.name in songs


async def test_a_submit_that_outlives_its_caller_ends_its_span_and_none_is_left_open() -> None:
    telemetry, slow = Telemetry(), Scenario(rate_limit=None, polls=1, slow_seconds=0.2)
    async with Sandbox(slow) as sandbox, connect(sandbox, on_event=telemetry.hook) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.SLOW)
        caller = asyncio.create_task(client.generate(music))
        await until(lambda: sandbox.journal.arrivals)
        caller.cancel()
        await asyncio.wait([caller])

        assert [span.name for span in telemetry.spans] == ["suno_cover.generate"]
        assert (telemetry.spans[0].attributes or {})["error.type"] == "CancelledError"
    assert [span.name for span in telemetry.spans[1:]] == [SUBMIT, "suno_cover.submit"]
    assert len(sandbox.journal.bills) == 1
    assert telemetry.open_spans == 0


async def test_the_time_waited_for_permits_and_pauses_are_measured() -> None:
    telemetry, limit = Telemetry(), RateLimit(calls=1, seconds=0.2)
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, on_event=telemetry.hook, rate_limit=limit) as client,
    ):
        sandbox.script("credits", Fault.TOO_OFTEN)
        await client.credits()

    (point,) = telemetry.points("suno_cover.permit.wait_time")
    assert point.count == len(sandbox.journal.arrivals) == 2
    assert point.sum > 0.1
    assert telemetry.values("suno_cover.pauses") == {(): 1}


async def test_breakers_count_as_open_until_they_close() -> None:
    telemetry = Telemetry()
    quick = RetryPolicy(initial_delay=0.001, max_delay=0.01, probe_delay=0.01)
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, on_event=telemetry.hook, retry=quick) as client,
    ):
        songs = sandbox.add_music(1)
        sandbox.script("submit", *[Fault.MAINTENANCE] * 500)
        run = asyncio.create_task(covered(client, songs))
        await until(lambda: client.breakers.submit.is_open)
        during = telemetry.values("suno_cover.breakers.open", "suno_cover.breaker")
        sandbox._scripts.clear()
        await run
        after = telemetry.values("suno_cover.breakers.open", "suno_cover.breaker")

    assert during == {"submit": 1}
    assert after == {"submit": 0}


async def test_several_clients_may_share_one_hook() -> None:
    telemetry = Telemetry()
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, on_event=telemetry.hook) as one,
        connect(sandbox, on_event=telemetry.hook) as other,
    ):
        first, second = sandbox.add_music(2)
        await asyncio.gather(one.generate(first), other.generate(second))

    assert telemetry.tree()["suno_cover.generate", "suno_cover.submit", SUBMIT] == 2
    assert telemetry.open_spans == 0


async def test_an_error_is_the_type_of_its_operation_without_words_of_the_host() -> None:
    telemetry = Telemetry()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=telemetry.hook) as client:
        with pytest.raises(SunoCoverError):
            await client.generate("unknown")

    for span in telemetry.spans:
        assert (span.attributes or {})["error.type"] == "InvalidRequestError"
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
        assert not span.events


def test_without_the_api_of_opentelemetry_the_error_names_the_extra() -> None:
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "try:\n    import suno_cover_async.telemetry\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    ended = subprocess.run(  # noqa: S603 - this Python
        [sys.executable, "-c", script], stdout=subprocess.PIPE, check=True, text=True
    )

    assert "pip install 'suno-cover-async[otel]'" in ended.stdout
