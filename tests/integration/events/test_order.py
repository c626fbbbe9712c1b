"""What the hook is told, and in which order: the sandbox's journal is the judge."""

import asyncio
from pathlib import Path

import attrs
import pytest

from suno_cover_async import (
    BreakerChanged,
    CoverFinished,
    CoverStatus,
    CoverSubmitted,
    CreditsRead,
    ImagesSaved,
    Operation,
    RateLimit,
    RequestEnded,
    RequestRetried,
    RequestSent,
    RequestsPaused,
    RetryPolicy,
    SunoCoverError,
    TrackEnded,
    TrackOutcome,
)
from suno_cover_async.sandbox import Fault, Reply, Sandbox, Scenario
from tests.support.clients import FREE, connect
from tests.support.observed import Seen, arrived, told
from tests.support.runs import covered
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_a_lost_answer_and_a_429_are_told_as_the_journal_has_them() -> None:
    seen = Seen()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen) as client:
        (music,) = sandbox.add_music(1)
        sandbox.script("submit", Fault.TOO_OFTEN, Fault.LOST_ANSWER)

        await client.generate(music)

    assert told(seen) == arrived(sandbox)
    submits = [one for one in seen.of(RequestSent) if one.method == "POST"]
    assert [one.attempt for one in submits] == [1, 2, 3]
    assert [one.music_task_id for one in submits] == [music] * 3
    errors = [one.error for one in seen.of(RequestEnded) if one.method == "POST"]
    assert errors == ["RateLimitError", "TransportError", None]
    (pause,) = seen.of(RequestsPaused)
    assert pause.seconds > 0
    first, second = seen.of(RequestRetried)
    assert (first.error, first.attempt) == ("RateLimitError", 1)
    assert (second.error, second.attempt, second.delay) == ("TransportError", 2, 1.0)
    (submitted,) = seen.of(CoverSubmitted)
    assert submitted.adopted
    assert submitted.cover_task_id == sandbox.journal.bills[0].cover_task_id


async def test_events_come_in_the_order_of_what_they_tell_of() -> None:
    seen = Seen()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen) as client:
        sandbox.script("submit", Fault.TOO_OFTEN)

        await client.generate(*sandbox.add_music(1))

    assert [type(event).__name__ for event in seen.events] == [
        *("OperationStarted", "OperationStarted"),  # generate, submit
        *("RequestSent", "RequestEnded", "RequestsPaused", "RequestRetried"),
        *("RequestSent", "RequestEnded", "CoverSubmitted", "OperationEnded"),
        *("OperationStarted", "RequestSent", "RequestEnded"),  # wait
        *("CoverFinished", "OperationEnded", "OperationEnded"),
    ]
    seen.check_pairs()


async def test_generate_is_a_submit_and_a_wait_and_a_download_is_of_its_own(tmp_path: Path) -> None:
    seen = Seen()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)
        files = await client.download(details, tmp_path)
        balance = await client.credits()

    (whole,) = seen.started(Operation.GENERATE)
    (submit,) = seen.started(Operation.SUBMIT)
    (wait,) = seen.started(Operation.WAIT)
    (download,) = seen.started(Operation.DOWNLOAD)
    assert whole.parent_id is download.parent_id is None
    assert submit.parent_id == wait.parent_id == whole.operation_id
    assert {one.music_task_id for one in (whole, submit, wait, download)} == {music}
    assert wait.cover_task_id == download.cover_task_id == details.cover_task_id
    owners = {one.path: one.operation_id for one in seen.of(RequestSent)}
    assert set(owners.values()) == {
        *(submit.operation_id, wait.operation_id, download.operation_id, None)
    }
    (finished,) = seen.of(CoverFinished)
    assert (finished.status, finished.operation_id) == (CoverStatus.SUCCESS, wait.operation_id)
    (saved,) = seen.of(ImagesSaved)
    assert (saved.files, saved.operation_id) == (files, download.operation_id)
    assert seen.of(CreditsRead) == [CreditsRead(credits=balance)]
    assert told(seen) == arrived(sandbox)
    seen.check_pairs()


async def test_each_attempt_and_each_redirect_of_an_image_is_a_request(tmp_path: Path) -> None:
    seen = Seen()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen) as client:
        details = await client.generate(*sandbox.add_music(1))
        target = details.images[1].replace("://", "://user:secret@") + "?signature=secret"
        redirect = Reply(status=302, headers={"Location": details.images[1]})
        sandbox.script("image", Fault.GATEWAY, redirect)

        await client.download(details, tmp_path)
        with pytest.raises(SunoCoverError):
            await client.download(attrs.evolve(details, images=(target,)), tmp_path)

    images = [one for one in seen.of(RequestEnded) if not one.path]
    statuses = sorted(one.http_status for one in images if one.http_status)
    assert statuses == sorted(one.status or 0 for one in sandbox.journal.of("image"))
    assert {one.attempt for one in images} == {1, 2}
    assert [one.error for one in seen.of(RequestRetried)] == ["DownloadError"]
    assert "secret" not in repr(seen.events)
    seen.check_pairs()


async def test_the_wait_for_a_permit_is_told() -> None:
    seen, window = Seen(), 0.2
    limit = RateLimit(calls=1, seconds=window)
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen, rate_limit=limit) as one:
        await one.credits()
        await one.credits()

    first, second = seen.of(RequestSent)
    assert first.waited == 0.0
    assert second.waited > 0.5 * window  # less what the answer took


async def test_a_poll_belongs_to_a_wait_that_goes_on() -> None:
    seen = Seen()
    scenario = Scenario(rate_limit=None, polls=6)
    async with Sandbox(scenario) as sandbox, connect(sandbox, on_event=seen) as client:
        task = await client.submit(*sandbox.add_music(1))
        first = asyncio.create_task(client.wait(task))
        second = asyncio.create_task(client.wait(task))
        await until(lambda: len(sandbox.journal.of("details")) >= 2)
        first.cancel()
        await second

    one, other = seen.started(Operation.WAIT)
    polls = [sent.operation_id for sent in seen.of(RequestSent) if sent.method == "GET"]
    assert polls[0] == one.operation_id
    assert polls[-1] == other.operation_id
    assert sorted(str(ended.error) for ended in seen.ended(Operation.WAIT)) == [
        *("CancelledError", "None")
    ]


async def test_an_error_ends_its_operation_by_its_name() -> None:
    seen = Seen()
    scenario = Scenario(rate_limit=None, polls=1, failures=1.0)
    async with Sandbox(scenario) as sandbox, connect(sandbox, on_event=seen) as client:
        with pytest.raises(SunoCoverError):
            await client.generate(*sandbox.add_music(1))

    (whole,) = seen.ended(Operation.GENERATE)
    assert whole.error == "CoverFailedError"
    assert whole.duration > 0
    assert seen.of(CoverFinished)[0].status is CoverStatus.FAILED


async def test_a_catalog_tells_of_each_track_through_its_client(tmp_path: Path) -> None:
    seen = Seen()
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen) as client:
        songs = sandbox.add_music(3)
        await covered(client, [*songs, "unknown"], into=tmp_path)

    (run,) = seen.started(Operation.CATALOG)
    outcomes = {one.music_task_id: (one.outcome, one.error) for one in seen.of(TrackEnded)}
    saved = (TrackOutcome.SAVED, None)
    assert outcomes == {
        **dict.fromkeys(songs, saved),
        "unknown": (TrackOutcome.FAILED, "InvalidRequestError"),
    }
    parts = [*seen.started(Operation.SUBMIT), *seen.started(Operation.DOWNLOAD)]
    assert {part.parent_id for part in parts} == {run.operation_id}
    assert seen.ended(Operation.CATALOG)[0].error is None
    assert told(seen) == arrived(sandbox)
    assert len([one for one in seen.of(CoverSubmitted) if not one.adopted]) == 3
    assert len(sandbox.journal.bills) == 3
    seen.check_pairs()


async def test_a_catalog_that_stops_early_ends_with_the_reason() -> None:
    seen = Seen()
    async with (
        Sandbox(FREE) as sandbox,
        connect(sandbox, on_event=seen, api_key="not-the-right-key") as client,
    ):
        with pytest.raises(SunoCoverError):
            await covered(client, sandbox.add_music(2))

    assert seen.ended(Operation.CATALOG)[0].error == "AuthenticationError"


async def test_breakers_tell_when_they_open_and_close() -> None:
    seen, quick = Seen(), RetryPolicy(initial_delay=0.001, max_delay=0.01, probe_delay=0.01)
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=seen, retry=quick) as client:
        songs = sandbox.add_music(2)
        sandbox.script("submit", *[Fault.MAINTENANCE] * 6)
        await covered(client, songs)

    opened, closed = seen.of(BreakerChanged)
    assert (opened.breaker, opened.is_open) == ("submit", True)
    assert "455" in (opened.reason or "")
    assert (closed.breaker, closed.is_open, closed.reason) == ("submit", False, None)
