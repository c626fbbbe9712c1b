"""Covers over a connection that breaks below HTTP, judged by the sandbox's bills."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import CoverDetails, RetryPolicy, SunoCoverClient, SunoCoverError
from suno_cover_async.sandbox import (
    Arrival,
    FaultProxy,
    Kind,
    Sandbox,
    Scenario,
    Wire,
    WireFault,
    images,
)
from suno_cover_async.sandbox.world import STYLES
from tests.proof import under_fire as under_fire_script
from tests.support.clients import FAST_POLL, FAST_RETRY, NO_LIMIT
from tests.support.runs import billed

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

FREE = Scenario(rate_limit=None, polls=1, image_size=16)
IMPATIENT = RetryPolicy(initial_delay=0.001, max_delay=0.01, attempt_timeout=5.0)
FAULTS = [fault for fault in WireFault if fault is not WireFault.NONE]
NEVER_ARRIVED = {
    WireFault.REFUSED,
    WireFault.RESET_BEFORE,
    WireFault.RESET_IN_REQUEST,
    WireFault.CUT_IN_REQUEST,
}
ANSWERED = {WireFault.TRICKLED, WireFault.ECHOED}
LATE = {WireFault.STALLED_REQUEST, WireFault.STALLED_ANSWER}
COVERS = 200
ALL_KINDS = Wire(
    refused=0.02,
    resets=0.08,
    cuts=0.06,
    stalls=0.02,
    trickles=0.02,
    garbage=0.06,
    echoes=0.04,
    stall=0.05,
)


@asynccontextmanager
async def under_fire(
    wire: Wire | None = None, scenario: Scenario = FREE, **options: Any
) -> AsyncIterator[tuple[Sandbox, FaultProxy, SunoCoverClient]]:
    given: dict[str, Any] = {
        "rate_limit": NO_LIMIT,
        "poll": FAST_POLL,
        "retry": FAST_RETRY,
    } | options
    async with (
        Sandbox(scenario) as sandbox,
        FaultProxy(sandbox.url, wire) as proxy,
        SunoCoverClient(sandbox.api_key, base_url=proxy.url, **given) as client,
    ):
        yield sandbox, proxy, client


def pictures(song: str) -> list[bytes]:
    return [images.draw(song, style, FREE.image_size) for style in STYLES]


def executed(sandbox: Sandbox, kind: Kind) -> list[Arrival]:
    return [arrival for arrival in sandbox.journal.of(kind) if arrival.executed]


async def test_with_any_fault_a_submit_is_billed_once_and_its_cover_collected() -> None:
    async def inject(fault: WireFault) -> None:
        async with under_fire(retry=IMPATIENT) as (sandbox, proxy, client):
            before, song = sandbox.add_music(2)
            await client.generate(before)  # so that the fault meets a kept-alive connection
            proxy.script(fault)

            details = await client.generate(song)

            _, bill = sandbox.journal.bills
            assert (details.music_task_id, details.cover_task_id) == (song, bill.cover_task_id)
            assert billed(sandbox) == {before: 1, song: 1}, fault
            _, *submits = executed(sandbox, "submit")
            assert len(submits) == (1 if fault in ANSWERED | NEVER_ARRIVED else 2), fault
            assert all(late.at - early.at > 0.9 for early, late in pairwise(submits)), fault
            assert proxy.progress[fault] == 1

    await asyncio.gather(*map(inject, FAULTS))


async def test_with_any_fault_a_poll_is_repeated_and_nothing_is_submitted() -> None:
    async def inject(fault: WireFault) -> None:
        async with under_fire(retry=IMPATIENT) as (sandbox, proxy, client):
            (song,) = sandbox.add_music(1)
            task = await client.submit(song)
            proxy.script(fault)

            details = await client.wait(task)

            assert details.music_task_id == song
            assert len(sandbox.journal.of("submit")) == 1
            polls = executed(sandbox, "details")
            assert len(polls) == (1 if fault in ANSWERED | NEVER_ARRIVED else 2), fault

    await asyncio.gather(*map(inject, FAULTS))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.value)
async def test_with_any_fault_a_download_saves_both_files_whole_and_its_own(
    fault: WireFault, tmp_path: Path
) -> None:
    async with under_fire(Wire(stall=0.05, refusal=0.0)) as (sandbox, proxy, client):
        (song,) = sandbox.add_music(1)
        details = await client.generate(song)
        await client.download(details, tmp_path / "before")
        proxy.script(fault, fault, fault)

        files = await client.download(details, tmp_path)

        assert [file.read_bytes() for file in files] == pictures(song)
        assert sorted(tmp_path.glob("*.*")) == sorted(files)
        assert proxy.progress[fault] == (2 if fault in ANSWERED | LATE else 3)


async def test_an_answer_that_comes_when_nobody_waits_any_more_is_nobodys() -> None:
    late = Wire(stall=0.3)
    retry = RetryPolicy(
        initial_delay=0.001, max_delay=0.01, attempt_timeout=0.1, max_attempts=20, total_timeout=60
    )
    async with under_fire(late, retry=retry) as (sandbox, proxy, client):
        songs = sandbox.add_music(10)
        proxy.script(*[WireFault.STALLED_ANSWER, WireFault.STALLED_REQUEST] * 5)

        covers = await asyncio.gather(*map(client.generate, songs))

        bills = {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}
        assert {cover.music_task_id: cover.cover_task_id for cover in covers} == bills
        assert billed(sandbox) == Counter(songs)


async def test_hundreds_of_covers_at_30_percent_are_billed_once_each_and_all_collected() -> None:
    async def covered(song: str) -> CoverDetails:
        while True:
            try:
                return await client.generate(song)
            except SunoCoverError as error:
                if not error.retryable:
                    raise

    retry = RetryPolicy(initial_delay=0.001, max_delay=0.01, attempt_timeout=5)
    async with under_fire(ALL_KINDS, retry=retry) as (sandbox, proxy, client):
        songs = sandbox.add_music(COVERS)

        covers = await asyncio.gather(*map(covered, songs))

        bills = {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}
        assert {cover.music_task_id: cover.cover_task_id for cover in covers} == bills
        assert billed(sandbox) == Counter(songs)
        assert set(proxy.progress) == set(WireFault)
        assert 0.25 < 1 - proxy.progress[WireFault.NONE] / len(proxy.exchanges) < 0.35


async def test_a_catalog_at_30_percent_loses_doubles_and_tears_nothing(tmp_path: Path) -> None:
    figures, findings = await under_fire_script.endure(
        80, concurrency=80, attempt=5.0, stall=0.05, seed=1, folder=tmp_path
    )

    assert findings == []
    assert figures["share_with_a_fault"] > 0.25
    assert figures["recovered"] > 0
