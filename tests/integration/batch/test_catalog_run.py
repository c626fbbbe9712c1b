"""The limit of covers of a run: the sandbox's journal counts what was billed, in all runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import CatalogRun, Covered, Ledger, Track, TrackState, cover_catalog
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support.catalog_clients import QUICK, client_of
from tests.support.catalogs import child, write_catalog
from tests.support.commands import has_billed, needs_posix
from tests.support.runs import billed, states

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

WAITING, SAVED, COVERED = TrackState.WAITING, TrackState.SAVED, TrackState.COVERED


@attrs.frozen
class Ended:
    """A run that ended without an error: its end, and the songs that it covered."""

    run: CatalogRun
    covered: Counter[str]


async def cover(
    sandbox: Sandbox,
    songs: Iterable[str] | AsyncIterator[str],
    ledger: Path,
    max_covers: int | None,
    *,
    concurrency: int = 50,
    **options: Any,
) -> Ended:
    covered: Counter[str] = Counter()
    async with (
        client_of(sandbox, concurrency=concurrency) as client,
        Ledger(ledger) as there,
        cover_catalog(client, songs, ledger=there, max_covers=max_covers, **options) as run,
    ):
        async for outcome in run:
            covered[outcome.track.music_task_id] += isinstance(outcome, Covered)
    return Ended(run, covered)


@pytest.mark.parametrize("concurrency", [1, 50])
async def test_exactly_so_many_covers_are_billed_and_the_others_wait(
    concurrency: int, tmp_path: Path
) -> None:
    ledger = tmp_path / "covers.db"
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(40)

        ended = await cover(
            sandbox, songs, ledger, 3, concurrency=concurrency, into=tmp_path / "art"
        )

        assert sum(billed(sandbox).values()) == 3
        assert len(sandbox.journal.of("submit")) == 3

    assert ended.covered == billed(sandbox)
    assert ended.run.reached_max_covers
    assert (ended.run.progress.left, ended.run.progress.done) == (37, 3)
    assert ended.run.in_flight == {}
    assert states(Ledger(ledger)) == {WAITING: 37, SAVED: 3}


async def test_the_same_number_submits_nothing_more_and_a_larger_one_goes_on(
    tmp_path: Path,
) -> None:
    ledger, totals = tmp_path / "covers.db", list[int]()
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(9)
        for limit in (3, 3, 2, 0, 5, None):
            ended = await cover(sandbox, songs, ledger, limit)
            totals.append(len(sandbox.journal.bills))
            assert ended.run.reached_max_covers is (limit is not None)
            assert ended.run.progress.left == 9 - totals[-1]

    assert totals == [3, 3, 3, 3, 5, 9]
    assert set(billed(sandbox).values()) == {1}


async def test_a_number_that_is_not_reached_changes_nothing(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(3)
        ended = await cover(sandbox, songs, tmp_path / "covers.db", 3)

    assert not ended.run.reached_max_covers
    assert sum(ended.covered.values()) == 3


async def test_0_submits_nothing_and_finishes_what_is_paid_for(tmp_path: Path) -> None:
    ledger = tmp_path / "covers.db"
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(4)
        await cover(sandbox, songs, ledger, 2)  # covered; no images were saved
        assert states(Ledger(ledger)) == {WAITING: 2, COVERED: 2}

        ended = await cover(sandbox, songs, ledger, 0, into=tmp_path / "art")

        assert len(sandbox.journal.of("submit")) == 2
    assert sum(ended.covered.values()) == 2
    assert states(Ledger(ledger)) == {WAITING: 2, SAVED: 2}


@needs_posix
async def test_it_holds_through_sigkill_in_the_middle_of_submits(tmp_path: Path) -> None:
    slow = Scenario(rate_limit=None, seconds=0.05, image_size=16, delay=(0.0, 0.2))
    async with Sandbox(slow) as sandbox:
        songs = sandbox.add_music(20)
        options = {
            "catalog": write_catalog(tmp_path / "catalog.csv", songs),
            "ledger": tmp_path / "covers.db",
            "into": tmp_path / "art",
            "scale": 50,
            "max_covers": 5,
        }
        for bills in (1, 3, 5):
            async with child(sandbox, **options) as process:
                await has_billed(sandbox, bills)
                process.process.kill()
                await process.process.wait()
        async with child(sandbox, **options) as process:
            await process.hear("covered")

        assert billed(sandbox).total() == 5
        assert set(billed(sandbox).values()) == {1}
    assert states(Ledger(tmp_path / "covers.db")) == {WAITING: 15, SAVED: 5}


async def test_possibly_billed_tracks_are_resolved_though_the_number_is_reached(
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "covers.db"
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(5)
        async with client_of(sandbox) as client, Ledger(ledger) as there:  # then the power fails
            await there.take_in(list(map(Track, songs)))
            for entry in await there.next_open(WAITING, 0, 2):
                await there.submitting(entry)
                await client.submit(entry.music_task_id)

        ended = await cover(sandbox, songs, ledger, 1)

        assert billed(sandbox).total() == 2
    assert (ended.run.progress.adopted, ended.run.progress.possibly_billed) == (2, 0)
    assert ended.run.reached_max_covers
    assert states(Ledger(ledger)) == {WAITING: 3, COVERED: 2}


async def test_adopted_covers_count_since_they_were_submitted(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(5)
        async with client_of(sandbox) as client:
            await client.submit(songs[0])

        ended = await cover(sandbox, songs, tmp_path / "covers.db", 2)

    assert (ended.run.progress.adopted, ended.run.progress.billed) == (1, 1)
    assert sum(ended.covered.values()) == 2


async def test_a_failed_cover_that_is_submitted_again_counts_again(tmp_path: Path) -> None:
    ledger = tmp_path / "covers.db"
    async with Sandbox(QUICK) as sandbox:
        songs = [*sandbox.add_music(["doomed"], fails=True), *sandbox.add_music(3)]
        await cover(sandbox, songs, ledger, 2)

        same = await cover(sandbox, songs, ledger, 2, retry_failed=True)
        submits = len(sandbox.journal.of("submit"))
        larger = await cover(sandbox, songs, ledger, 3, retry_failed=True)

        assert submits == 2
        assert len(sandbox.journal.of("submit")) == 3
    assert same.run.reached_max_covers
    assert larger.run.reached_max_covers
    assert larger.run.progress.left == 2


async def test_a_failed_cover_beyond_the_number_keeps_no_possibly_billed_track_back(
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "covers.db"
    async with Sandbox(QUICK) as sandbox:
        songs = [*sandbox.add_music(["doomed"], fails=True), *sandbox.add_music(3)]
        await cover(sandbox, songs, ledger, 1)
        async with client_of(sandbox) as client, Ledger(ledger) as there:  # then the power fails
            for entry in await there.next_open(WAITING, 0, 2):
                await there.submitting(entry)
                await client.submit(entry.music_task_id)

        ended = await cover(sandbox, songs, ledger, 3, concurrency=1, retry_failed=True)

        assert billed(sandbox).total() == 3
    assert ended.run.reached_max_covers
    assert states(Ledger(ledger)) == {TrackState.SUBMITTING: 1, COVERED: 2, WAITING: 1}


async def test_a_refused_submit_leaves_its_place_to_another_song(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = ["nobody", "no-one", *sandbox.add_music(9)]

        ended = await cover(sandbox, songs, tmp_path / "covers.db", 3)

        assert billed(sandbox).total() == 3
    assert ended.run.progress.failed == 2
    assert ended.run.progress.left == 6
    assert ended.run.reached_max_covers


async def test_two_catalogs_in_turn_share_the_number(tmp_path: Path) -> None:
    ledger = tmp_path / "covers.db"
    async with Sandbox(QUICK) as sandbox:
        await cover(sandbox, sandbox.add_music(2), ledger, 3)
        ended = await cover(sandbox, sandbox.add_music(4), ledger, 3)

        assert billed(sandbox).total() == 3
    assert ended.run.progress.left == 3


async def test_a_feed_without_an_end_is_left_once_the_number_is_reached(tmp_path: Path) -> None:
    closed: list[bool] = []

    async def feed(songs: Iterable[str]) -> AsyncIterator[str]:
        try:
            for song in songs:
                yield song
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(8)
        ended = await cover(sandbox, feed(songs), tmp_path / "covers.db", 3)

        assert billed(sandbox).total() == 3
    assert ended.run.reached_max_covers
    assert closed


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "3"])
async def test_a_number_that_is_none_is_refused_before_anything_is_sent(
    wrong: Any, tmp_path: Path
) -> None:
    async with Sandbox(QUICK) as sandbox:
        with pytest.raises(ValueError, match="max_covers must be a whole number of at least 0"):
            await cover(sandbox, sandbox.add_music(1), tmp_path / "covers.db", wrong)

        assert sandbox.journal.arrivals == []
