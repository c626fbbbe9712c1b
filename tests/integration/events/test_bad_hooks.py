"""Nothing depends on the hook: whatever it does, bills, results and requests are the same."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    CoverDetails,
    Covered,
    Event,
    OperationStarted,
    RequestEnded,
    RequestSent,
    SunoCoverClient,
)
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.clients import FREE, connect
from tests.support.runs import billed, covered
from tests.support.waiting import until

LOSSY = Scenario(rate_limit=None, polls=1, image_size=16, lost_answers=0.3)

Hook = Callable[[Event], object]


def raising(error: type[BaseException]) -> Hook:
    def hook(_: Event) -> None:
        raise error("of the hook")

    return hook


async def later(_: Event) -> None:
    raise AssertionError("nobody awaits it")


def returning(function: Callable[[Event], object], event: Event) -> object:
    return function(event)


HOOKS: dict[str, Hook | None] = {
    "none": None,
    "an error": raising(RuntimeError),
    "a cancellation": raising(asyncio.CancelledError),
    "the end of a generator": raising(GeneratorExit),
    "the end of an iteration": raising(StopIteration),
    "a coroutine": partial(returning, later),
    "a result": lambda event: event,
}


@pytest.mark.usefixtures("no_task_is_left_behind")
@pytest.mark.parametrize("kind", HOOKS)
async def test_a_hook_that_fails_at_every_event_changes_no_bill_and_no_result(
    kind: str, tmp_path: Path
) -> None:
    async with Sandbox(LOSSY) as sandbox, connect(sandbox, on_event=HOOKS[kind]) as client:
        songs = sandbox.add_music(6)
        outcomes = await covered(client, songs, into=tmp_path)
        (more,) = sandbox.add_music(1)
        details = await client.generate(more)
        files = await client.download(details, tmp_path)

        assert not client.unclaimed
        assert not client.possibly_billed
    assert [type(outcome) for outcome in outcomes] == [Covered] * 6
    assert billed(sandbox) == Counter([*songs, more])
    assert all(file.exists() for file in files)
    assert len(list(tmp_path.glob("*.png"))) == 14


@pytest.mark.parametrize("kind", ["an error", "a cancellation", "a coroutine"])
async def test_errors_of_a_hook_are_one_record_with_a_traceback_however_many_there_are(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "suno_cover_async")
    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=HOOKS[kind]) as client:
        await client.generate(*sandbox.add_music(1))

    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.exc_info
    assert "on_event failed for a OperationStarted" in record.getMessage()


@pytest.mark.parametrize("kinds", [Event, RequestEnded], ids=["at every event", "at an answer"])
async def test_a_hook_that_returns_a_coroutine_at_work_changes_no_bill_and_no_result(
    kinds: Any, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = set[asyncio.Task[object]]()
    pushed: list[Event] = []
    seen: list[Event] = []

    async def push(event: Event) -> None:
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)  # so its close() raises
        pushed.append(event)

    def hook(event: Event) -> object:
        if not isinstance(event, kinds):
            return None
        seen.append(event)
        work = push(event)
        work.send(None)  # as the task does at once under asyncio.eager_task_factory
        begin(work, tasks)
        return work

    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=hook) as client:
        (music,) = sandbox.add_music(1)
        details = await client.generate(music)

        assert not client.unclaimed
        assert not client.possibly_billed
        assert details.cover_task_id == sandbox.journal.bills[0].cover_task_id
        assert billed(sandbox) == {music: 1}
    await asyncio.gather(*tasks)
    assert len(pushed) == len(seen) > 1
    assert [one.levelno for one in caplog.records].count(logging.ERROR) == 1


Act = Callable[[SunoCoverClient, str], object]


def begin(work: Coroutine[Any, Any, object], tasks: set["asyncio.Task[object]"]) -> None:
    tasks.add(asyncio.get_running_loop().create_task(work))


async def test_a_hook_that_calls_the_client_again_changes_no_bill() -> None:
    tasks = set[asyncio.Task[object]]()
    seen: list[object] = []
    async with Sandbox(FREE) as sandbox:
        (music,) = sandbox.add_music(1)

        def hook(event: Event) -> None:
            seen.append((client.unclaimed, client.possibly_billed, client.limiter.busy))
            seen.append((client.is_possibly_billed(music), client.breakers.submit.is_open))
            if isinstance(event, OperationStarted | RequestSent) and len(tasks) < 8:
                begin(client.generate(music), tasks)
                begin(client.submit(music), tasks)

        client = connect(sandbox, on_event=hook)
        sandbox.script("submit", Fault.LOST_ANSWER)
        async with client:
            details = await client.generate(music)
            found = await asyncio.gather(*tasks)

        assert len(tasks) == 8
        covers = {one.cover_task_id for one in found if isinstance(one, CoverDetails)}
        assert covers == {details.cover_task_id}
        assert billed(sandbox) == {music: 1}
        assert not client.possibly_billed


async def test_a_hook_that_closes_the_client_in_the_middle_loses_no_cover() -> None:
    tasks = set[asyncio.Task[object]]()
    async with Sandbox(FREE) as sandbox:
        (music,) = sandbox.add_music(1)

        def hook(event: Event) -> None:
            if isinstance(event, RequestSent) and not tasks:
                begin(client.aclose(), tasks)

        client = connect(sandbox, on_event=hook)
        (result,) = await asyncio.gather(client.generate(music), return_exceptions=True)
        await asyncio.gather(*tasks)

        assert isinstance(result, Exception)
        known = {*client.possibly_billed, *(task.music_task_id for task in client.unclaimed)}
        assert {bill.music_task_id for bill in sandbox.journal.bills} <= known


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("moment", [RequestSent, RequestEnded])
def test_an_interrupt_in_the_hook_passes_and_what_was_sent_is_remembered(
    error: type[BaseException], moment: type
) -> None:
    bills: list[str] = []
    known: list[str] = []

    async def scenario() -> None:
        async with Sandbox(FREE) as sandbox:
            songs = sandbox.add_music(1)

            def hook(event: Event) -> None:
                if isinstance(event, moment):
                    raise error

            client = connect(sandbox, on_event=hook)
            try:
                await client.submit(*songs)
            finally:
                bills.extend(bill.music_task_id for bill in sandbox.journal.bills)
                known.extend(client.possibly_billed)
                await client.aclose()

    with pytest.raises(error):
        asyncio.run(scenario())

    assert len(bills) == (0 if moment is RequestSent else 1)
    assert known == bills


async def test_a_permit_is_given_back_although_the_hook_is_interrupted_as_it_is_used() -> None:
    def hook(event: Event) -> None:
        if isinstance(event, RequestSent):
            raise Interrupted

    async with Sandbox(FREE) as sandbox, connect(sandbox, on_event=hook) as client:
        with pytest.raises(Interrupted):
            await client.credits()

        assert not sandbox.journal.arrivals
        permits = client.limiter.rate_limit.calls
        await until(lambda: _free(client) == permits, every=0.01)


class Interrupted(KeyboardInterrupt):
    """Passes, and ends no test run when it is caught."""


def _free(client: SunoCoverClient) -> int:
    limiter: Any = client.limiter
    limiter._has_permit(asyncio.get_running_loop().time())
    free: int = limiter._free
    return free
