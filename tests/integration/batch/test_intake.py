"""What a catalog brings: one that changed or did not, bad tracks, feeds."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import (
    Ledger,
    Track,
    TrackState,
    read_catalog,
)
from suno_cover_async.sandbox import Sandbox
from tests.support import virtual_time
from tests.support.catalog_clients import QUICK, client_of
from tests.support.runs import billed, covered, read_now, states

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


async def test_a_catalog_that_changed_says_what_is_wanted_and_the_ledger_what_was_paid_for(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        kept, dropped, paid, new = sandbox.add_music(4)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(one) for one in (kept, dropped, paid)])
            found = await ledger.next_open(TrackState.WAITING, 0, 10)
            await ledger.submitted(found[2], await client.submit(paid))

            outcomes = await covered(client, [kept, new], ledger)

        assert {outcome.track.music_task_id for outcome in outcomes} == {kept, paid, new}
        assert billed(sandbox) == Counter([kept, paid, new])


async def test_a_catalog_that_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.txt"
    told: list[object] = []
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        catalog.write_text("\n".join([*songs, "not an id"]))
        async with Ledger(tmp_path / "covers.db") as ledger:
            for _ in range(2):
                await covered(client, read_catalog(catalog, on_bad=told.append), ledger)
            with pytest.raises(ValueError, match="line 4"):
                await covered(client, read_catalog(catalog), ledger)

        assert len(told) == 1
        assert billed(sandbox) == Counter(songs)


async def test_a_bad_track_is_named_before_anything_is_submitted(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            for wrong, kind in (("", ValueError), ("two words", ValueError), (7, TypeError)):
                with pytest.raises(kind):
                    await covered(client, [*songs, wrong], ledger)
            many = (f"song-{number}" for number in range(5_001))
            with pytest.raises(ValueError, match="empty"):
                await covered(client, itertools.chain(many, [""]), ledger)
            with pytest.raises(TypeError, match="read_catalog"):
                await covered(client, "catalog.csv", ledger)
            with pytest.raises(TypeError):
                await covered(client, [Track("a", columns={"x": object()})], ledger)

            assert not sandbox.journal.arrivals
            assert states(ledger)[TrackState.WAITING] == 0


def test_a_feed_that_brings_nonsense_is_closed_before_its_error_is_raised() -> None:
    async def scenario() -> list[str]:
        clock = asyncio.get_running_loop().time
        log: list[str] = []

        async def feed() -> AsyncIterator[Any]:
            try:
                yield 5
            finally:
                await asyncio.sleep(1)
                log.append("closed")

        async with Sandbox(QUICK, clock=clock) as sandbox, client_of(sandbox) as client:
            with pytest.raises(TypeError, match="not 5"):
                await covered(client, feed())
            log.append("raised")
        return log

    assert virtual_time.run(scenario()) == ["closed", "raised"]


async def test_what_a_feed_brought_and_nobody_submitted_is_remembered(tmp_path: Path) -> None:
    async def nothing() -> AsyncIterator[str]:
        for song in list[str]():
            yield song

    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(5)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song) for song in songs])

            assert len(await covered(client, nothing(), ledger)) == 5


async def test_retrying_what_failed_forgets_no_cover_when_the_catalog_is_bad(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2, fails=True)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, songs, ledger)
            before = read_now(ledger)
            with pytest.raises(ValueError, match="empty"):
                await covered(client, [*songs, ""], ledger, retry_failed=True)

            assert read_now(ledger) == before
            assert states(ledger) == {TrackState.FAILED: 2}
