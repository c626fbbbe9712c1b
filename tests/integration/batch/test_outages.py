"""Outages of the API and of the image host: they fail no track."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from suno_cover_async import (
    Covered,
    DownloadError,
    Failed,
    Ledger,
    RetryPolicy,
    ServerError,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.catalog_clients import HURRIED, QUICK, SLOW_POLL, client_of, entries
from tests.support.runs import billed, covered, states
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_an_outage_does_not_use_up_the_time_that_a_cover_may_take(tmp_path: Path) -> None:
    healthy = Scenario(rate_limit=None, polls=2, image_size=16)
    async with Sandbox(healthy) as sandbox, client_of(sandbox, poll=SLOW_POLL) as client:
        songs = sandbox.add_music(10)
        async with (
            Ledger(tmp_path / "covers.db") as ledger,
            cover_catalog(client, songs, ledger=ledger) as outcomes,
        ):
            await until(lambda: len(sandbox.journal.bills) == 10)
            sandbox.scenario = Scenario(rate_limit=None, maintenance=1.0)
            clock = asyncio.get_running_loop().time
            ends = clock() + 2 * SLOW_POLL.timeout
            await until(lambda: clock() > ends)
            sandbox.scenario = healthy
            seen = [outcome async for outcome in outcomes]

        assert [type(outcome) for outcome in seen] == [Covered] * 10
        assert len(sandbox.journal.bills) == 10


async def test_an_outage_of_the_image_host_pauses_downloads_and_submits(tmp_path: Path) -> None:
    healthy = Scenario(rate_limit=None, polls=1, image_size=16)
    broken = Scenario(
        rate_limit=None, polls=1, image_size=16, lost_requests=1.0, faults_on=frozenset({"image"})
    )
    async with (
        Sandbox(broken) as sandbox,
        client_of(sandbox, concurrency=5, retry=HURRIED) as client,
    ):
        songs = sandbox.add_music(60)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                await until(lambda: client.breakers.images.is_open)
                bills = len(sandbox.journal.bills)
                images = len(sandbox.journal.of("image"))
                await until(lambda: len(sandbox.journal.of("image")) > images)
                assert len(sandbox.journal.bills) <= bills + 20
                sandbox.scenario = healthy
                seen = [outcome async for outcome in outcomes]

            assert [type(outcome) for outcome in seen] == [Covered] * 60
            assert states(ledger) == {TrackState.SAVED: 60}
        assert billed(sandbox) == Counter(songs)


@asynccontextmanager
async def poisoned(sandbox: Sandbox, poison: str) -> AsyncIterator[str]:
    """Forward everything to a sandbox, but the submits of one song, which break the server."""
    async with ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            body = await request.read()
            if poison.encode() in body:
                return web.Response(status=500)
            async with session.request(
                request.method, sandbox.url + request.raw_path, data=body, headers=request.headers
            ) as answer:
                return web.Response(status=answer.status, body=await answer.read())

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", forward)
        async with TestServer(app) as server:
            yield str(server.make_url("")).rstrip("/")


async def test_a_song_that_breaks_the_server_stops_no_other(tmp_path: Path) -> None:
    retry = RetryPolicy(max_attempts=1, probe_delay=0.005, max_probe_delay=0.02)
    async with Sandbox(Scenario(rate_limit=None, polls=1, image_size=16)) as sandbox:
        songs = sandbox.add_music(30)
        async with (
            poisoned(sandbox, songs[3]) as url,
            client_of(sandbox, base_url=url, concurrency=3, retry=retry) as client,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            outcomes = await covered(client, songs, ledger)
            entry = entries(ledger)[songs[3]]

        (failed,) = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
        assert failed.track.music_task_id == songs[3]
        assert isinstance(failed.error, ServerError)
        assert entry.state is TrackState.SUBMITTING  # possibly billed
        assert len(outcomes) == 30


async def test_a_disk_that_takes_no_images_stops_submitting_and_loses_nothing(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, concurrency=3) as client:
        songs = sandbox.add_music(200)
        blocked = tmp_path / "covers"
        blocked.write_text("a file where the folder should be")
        async with Ledger(tmp_path / "covers.db") as ledger:
            with pytest.raises(DownloadError):
                await covered(client, songs, ledger, into=blocked)
            paid = len(sandbox.journal.bills)
            assert paid < 200
            assert states(ledger) == {
                TrackState.COVERED: paid,
                TrackState.WAITING: 200 - paid,
            }
            blocked.unlink()
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, songs, ledger, into=blocked)
            assert states(ledger) == {TrackState.SAVED: 200}
        assert billed(sandbox) == Counter(songs)
