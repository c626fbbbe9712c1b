"""Tracks from an iterator: as they come, broken, endless or cancelled."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    AuthenticationError,
    ClientBlockedError,
    ClientUsageError,
    Covered,
    Ledger,
    Outcome,
    SunoCoverError,
    TrackState,
    UnexpectedResponseError,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from suno_cover_async.sandbox.scenario import Reply
from tests.support import virtual_time
from tests.support.catalog_clients import QUICK, client_of
from tests.support.runs import billed, covered, ended, states
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_a_feed_is_covered_as_it_comes(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, concurrency=2) as client:
        songs = sandbox.add_music(6)
        breakers = [asyncio.Event() for _ in songs]

        async def feed() -> AsyncIterator[str]:
            for song, breaker in zip(songs, breakers, strict=True):
                await breaker.wait()
                yield song

        async with (
            Ledger(tmp_path / "covers.db") as ledger,
            cover_catalog(client, feed(), ledger=ledger, into=tmp_path) as outcomes,
        ):
            for song, breaker in zip(songs, breakers, strict=True):
                breaker.set()
                outcome = await anext(outcomes)
                assert outcome.track.music_task_id == song
                await client.generate(sandbox.add_music(1)[0])  # an idle feed holds no slots
            with pytest.raises(StopAsyncIteration):
                await anext(outcomes)
            assert outcomes.progress.total == outcomes.progress.done == 6


async def test_a_feed_that_breaks_ends_the_run_with_its_own_error(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2)

        async def feed() -> AsyncIterator[str]:
            yield songs[0]
            await until(lambda: sandbox.journal.bills)
            raise KeyError("the feed's own")

        async with Ledger(tmp_path / "covers.db") as ledger:
            with pytest.raises(KeyError, match="the feed's own"):
                await covered(client, feed(), ledger)
            await covered(client, songs, ledger)

        assert billed(sandbox) == Counter(songs)


def test_a_feed_that_breaks_ends_the_run_once_what_was_paid_for_is_finished(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        rule = Scenario(rate_limit=None, seconds=10, image_size=16)
        async with Sandbox(rule, clock=clock) as sandbox, client_of(sandbox) as client:
            songs = sandbox.add_music(3)

            async def feed() -> AsyncIterator[str]:
                yield songs[0]
                yield songs[1]
                await asyncio.sleep(5)
                raise ClientUsageError("the feed's own")

            async with Ledger(tmp_path / "covers.db") as ledger:
                async with cover_catalog(client, feed(), ledger=ledger, into=tmp_path) as outcomes:
                    seen, reason = await ended(outcomes)

                assert [type(one) for one in seen] == [Covered] * 2
                assert str(reason) == "the feed's own"
                assert states(ledger) == {TrackState.SAVED: 2}
                assert billed(sandbox) == Counter(songs[:2])

    virtual_time.run(scenario())


def test_a_track_iterator_cancelled_from_outside_ends_the_run_with_an_error() -> None:
    async def scenario() -> tuple[list[Outcome], BaseException | None]:
        clock = asyncio.get_running_loop().time
        async with Sandbox(QUICK, clock=clock) as sandbox, client_of(sandbox) as client:
            (song,) = sandbox.add_music(1)

            async def feed() -> AsyncIterator[str]:
                yield song
                reader = asyncio.create_task(asyncio.sleep(99))
                asyncio.get_running_loop().call_later(5, reader.cancel)
                await reader

            async with asyncio.timeout(1_000), cover_catalog(client, feed()) as outcomes:
                return await ended(outcomes)

    seen, reason = virtual_time.run(scenario())

    assert [type(one) for one in seen] == [Covered]
    assert isinstance(reason, ClientUsageError)
    assert "the track iterator was cancelled" in str(reason)


def test_a_client_closed_while_images_are_polled_for_ends_the_run_with_an_error(
    tmp_path: Path,
) -> None:
    async def scenario() -> BaseException | None:
        loop = asyncio.get_running_loop()
        lookups: list[Any] = []
        known, second = loop.getaddrinfo, asyncio.Event()

        async def slow(*asked: Any, **options: Any) -> Any:
            lookups.append(asked)
            if len(lookups) > 1:
                second.set()
                await asyncio.sleep(99)
            return await known(*asked, **options)

        vars(loop)["getaddrinfo"] = slow
        async with Sandbox(QUICK, clock=loop.time) as sandbox:
            url = sandbox.url.replace("127.0.0.1", "localhost")
            client = client_of(sandbox, base_url=url)
            async with Ledger(tmp_path / "covers.db") as ledger:
                songs = sandbox.add_music(3)
                async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                    await second.wait()
                    await asyncio.sleep(30)
                    await client.aclose()
                    _, reason = await ended(outcomes)
                assert states(ledger) == {TrackState.COVERED: 3}
        return reason

    assert isinstance(virtual_time.run(scenario()), ClientUsageError)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(body=b'{"code":401,"msg":"no"}'), AuthenticationError),
        (Reply(status=403, body=b"error code: 1010"), ClientBlockedError),
        (Reply(status=302, headers={"Location": "https://example.com/"}), UnexpectedResponseError),
    ],
    ids=["key", "edge", "redirect"],
)
async def test_what_all_submits_would_meet_stops_the_run_and_fails_no_track(
    tmp_path: Path, reply: Reply, kind: type[SunoCoverError]
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, concurrency=5) as client:
        songs = sandbox.add_music(100)
        sandbox.script("submit", *[reply] * 100)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger) as outcomes:
                seen, reason = await ended(outcomes)
            assert isinstance(reason, kind)
            assert not seen
            assert outcomes.progress.left == 100
            sent = len(sandbox.journal.of("submit"))
            assert sent <= 5
            possibly_billed = sent if kind is UnexpectedResponseError else 0  # before its redirect
            assert states(ledger)[TrackState.WAITING] == 100 - possibly_billed
            assert states(ledger)[TrackState.SUBMITTING] == possibly_billed
