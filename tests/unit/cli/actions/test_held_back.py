"""Why songs are queued: a pause after a refusal, the account's limit, no free slot, other runs."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from suno_cover_async import InFlight, RateLimit, Step, SunoCoverClient, Track
from suno_cover_async.cli.actions.held_back import why_queued
from tests.support.breakers import now
from tests.support.virtual_time import run

ONE = RateLimit(calls=1, seconds=10)


def in_flight(*steps: Step) -> dict[str, InFlight]:
    tracks = [(Track(f"song{number}"), step) for number, step in enumerate(steps)]
    return {
        track.music_task_id: InFlight(track=track, step=step, since=0.0) for track, step in tracks
    }


def client_of(concurrency: int = 500) -> SunoCoverClient:
    return SunoCoverClient("sk-held-1b2c", rate_limit=ONE, concurrency=concurrency)


@asynccontextmanager
async def crowded(client: SunoCoverClient) -> AsyncGenerator[None]:
    """Use the limit up, and have a caller wait for a permit inside the block."""
    client.limiter.acquire_nowait()
    waiting = asyncio.create_task(client.limiter.acquire())
    await asyncio.sleep(0)
    yield
    waiting.cancel()
    await asyncio.wait([waiting])


def test_with_the_limit_used_up_a_submit_waits_for_it() -> None:
    async def scenario() -> tuple[str | None, str | None]:
        client = client_of()
        free = why_queued(client, in_flight(Step.SUBMIT), now())
        async with crowded(client):
            return free, why_queued(client, in_flight(Step.WAIT, Step.SUBMIT), now())

    assert run(scenario()) == (None, "the account's limit of 1 request in 10 s")


def test_a_pause_after_a_refusal_is_told_with_its_end_and_only_while_it_lasts() -> None:
    async def scenario() -> list[str | None]:
        client = client_of()
        client.limiter.pause(now() + 30)
        async with crowded(client):
            songs = in_flight(Step.SUBMIT)
            return [why_queued(client, songs, now() + later) for later in (0, 29, 31)]

    first, last, over = run(scenario())

    for words in (first, last):
        assert re.fullmatch(r"paused after a refusal until \d\d:\d\d:\d\d", words or "")
    assert over == "the account's limit of 1 request in 10 s"


@pytest.mark.parametrize("step", [Step.WAIT, Step.SAVE])
def test_a_limit_that_only_polls_wait_for_queues_no_song(step: Step) -> None:
    async def scenario() -> str | None:
        client = client_of()
        async with crowded(client):
            return why_queued(client, in_flight(step), now())

    assert run(scenario()) is None


def test_with_no_slot_free_songs_wait_for_one() -> None:
    client = client_of(concurrency=2)

    assert why_queued(client, in_flight(Step.WAIT), 0.0) is None
    assert why_queued(client, in_flight(Step.WAIT, Step.WAIT), 0.0) == (
        "the limit of 2 covers in flight at once"
    )


def test_a_run_with_nothing_in_flight_waits_for_the_runs_that_share_its_ledger() -> None:
    client = client_of()

    assert why_queued(client, {}, 0.0, shared=True) == "other runs, which hold these tracks"
    assert why_queued(client, in_flight(Step.WAIT), 0.0, shared=True) is None
    assert why_queued(client, {}, 0.0) is None
