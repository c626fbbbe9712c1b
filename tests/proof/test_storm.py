"""A thousand covers through a network where a third of all answers is lost or damaged."""

import asyncio
from collections import Counter

import pytest

from suno_cover_async import CoverDetails, RetryPolicy, SunoCoverClient, SunoCoverError
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.clients import connect

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

COVERS = 1_000


async def covered(client: SunoCoverClient, music_task_id: str) -> CoverDetails:
    """Generate, and repeat after each retryable error: this never pays twice."""
    while True:
        try:
            return await client.generate(music_task_id)
        except SunoCoverError as error:
            if not error.retryable:
                raise


async def test_in_a_storm_every_song_is_billed_once_and_every_cover_collected() -> None:
    scenario = Scenario(
        rate_limit=None,
        polls=1,
        lost_answers=0.07,
        resets=0.07,
        truncated=0.07,
        html=0.06,
        server_errors=0.06,
    )
    retry = RetryPolicy(initial_delay=0.001, max_delay=0.01)
    async with Sandbox(scenario) as sandbox:
        songs = sandbox.add_music(COVERS)
        async with connect(sandbox, retry=retry, concurrency=COVERS) as client:
            client.trust_base_url()  # so that a gateway's answer is no sign of a wrong address
            covers = await asyncio.gather(*(covered(client, song) for song in songs))

        bills = {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}
        assert len(sandbox.journal.bills) == COVERS
        assert Counter(bill.music_task_id for bill in sandbox.journal.bills) == Counter(songs)
        assert {cover.music_task_id: cover.cover_task_id for cover in covers} == bills
        assert all(len(cover.images) == 2 for cover in covers)
