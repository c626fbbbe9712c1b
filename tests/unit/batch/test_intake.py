"""Tracks on their way into the ledger: whole catalogs, feeds, and what is refused."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from suno_cover_async import Ledger, Track, TrackState, read_catalog
from suno_cover_async.batch import intake
from suno_cover_async.ledger.run_steps import Intake
from tests.support.ledger_steps import entries


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    async with Ledger(None) as ledger:
        yield ledger


async def ids(ledger: Ledger) -> list[str]:
    return [entry.music_task_id for entry in await entries(ledger)]


async def test_tracks_and_ids_are_added_in_their_order(ledger: Ledger) -> None:
    await intake.add_all(ledger, ["b", Track("a", title="A"), "c"])

    assert await ids(ledger) == ["b", "a", "c"]
    assert (await entries(ledger))[1].tracks == (Track("a", title="A"),)


class Watched(Ledger):
    """Asks before each page which catalog the ledger has completely."""

    def take_in(self, tracks: Sequence[Track]) -> "asyncio.Future[int]":
        self.had = [*getattr(self, "had", []), self._store.do(lambda there: there.catalog())]
        return super().take_in(tracks)


async def test_a_catalog_is_complete_only_after_its_last_page_so_that_a_kill_leaves_none() -> None:
    async with Watched(None) as ledger:
        songs = [f"m{number}" for number in range(10_001)]
        await intake.add_all(ledger, songs)

        assert [await one for one in ledger.had] == [None, None, None]
        assert await ledger.begin_intake(intake._fingerprint(songs)) is Intake.NONE


async def test_each_page_is_read_while_the_one_before_it_is_being_written() -> None:
    class Slow(Ledger):
        def take_in(self, tracks: Sequence[Track]) -> "asyncio.Future[int]":
            writing.append(super().take_in(tracks))
            return writing[-1]

    def read() -> Iterator[str]:
        for number in range(10_001):
            if number % 5_000 == 0:
                under_way.append([not one.done() for one in writing])
            yield f"m{number}"

    writing = list[asyncio.Future[int]]()
    under_way = list[list[bool]]()
    async with Slow(None) as ledger:
        await intake.add_all(ledger, read())

    assert under_way == [[], [True], [False, True]]
    assert [await one for one in writing] == [5_000, 5_000, 1]


async def test_a_catalog_of_several_pages_is_added_whole(ledger: Ledger) -> None:
    songs = [f"m{number}" for number in range(10_001)]

    await intake.add_all(ledger, songs)

    found = await ledger.next_open(TrackState.WAITING, 0, len(songs) + 1)
    assert [entry.music_task_id for entry in found] == songs


@pytest.mark.parametrize("tracks", ["covers.csv", b"m1"])
async def test_a_string_is_a_path_by_mistake(ledger: Ledger, tracks: Any) -> None:
    with pytest.raises(TypeError, match=re.escape("read_catalog(path)")):
        await intake.add_all(ledger, tracks)


@pytest.mark.parametrize(("bad", "error"), [(7, TypeError), ("no id!", ValueError)])
async def test_after_a_bad_track_the_ledger_has_none(
    ledger: Ledger, bad: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await intake.add_all(ledger, [*(f"m{number}" for number in range(6_000)), bad])

    assert await ids(ledger) == []


async def test_after_an_interruption_the_ledger_has_none(ledger: Ledger) -> None:
    def interrupted() -> Iterator[str]:
        yield from (f"m{number}" for number in range(6_000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await intake.add_all(ledger, interrupted())

    assert await ids(ledger) == []


async def test_another_catalog_drops_what_waits_and_keeps_what_may_be_paid_for(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    await intake.add_all(ledger, ["m1", "m2", "m3"])
    await ledger.submitting((await entries(ledger))[0])

    await intake.add_all(ledger, ["m3", "m4"])

    assert sorted(await ids(ledger)) == ["m1", "m3", "m4"]
    assert "2 of its tracks" in caplog.text


async def test_a_file_is_read_again_only_when_it_changed(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "songs.txt"
    file.write_text("m1\nm2\n")
    await intake.add_all(ledger, read_catalog(file))
    known = await ledger.begin_intake(read_catalog(file).fingerprint())
    assert known is Intake.NONE
    await ledger.take_in([Track("m9")])
    await intake.add_all(ledger, read_catalog(file))
    assert await ids(ledger) == ["m1", "m2", "m9"]  # a second reading would have dropped m9

    file.write_text("m1\nm3\n")
    await intake.add_all(ledger, read_catalog(file))
    assert await ids(ledger) == ["m1", "m3"]


async def test_a_feed_tells_how_many_music_tasks_each_track_added(ledger: Ledger) -> None:
    async def feed() -> AsyncIterator[Track | str]:
        yield "m1"
        yield Track("m1", title="Again")
        yield "m2"

    added: list[int] = []
    await intake.add_each(ledger, feed(), added.append)

    assert added == [1, 0, 1]
    assert await ids(ledger) == ["m1", "m2"]


async def test_a_feed_adds_to_the_tracks_that_wait(ledger: Ledger) -> None:
    async def feed() -> AsyncIterator[str]:
        yield "m2"

    await intake.add_all(ledger, ["m1"])
    await intake.add_each(ledger, feed(), lambda _: None)

    assert await ids(ledger) == ["m1", "m2"]


async def test_a_feed_with_a_bad_track_is_closed_before_the_error_is_raised(
    ledger: Ledger,
) -> None:
    closed: list[bool] = []

    async def feed() -> AsyncIterator[Any]:
        try:
            yield "m1"
            yield 7
        finally:
            closed.append(True)

    with pytest.raises(TypeError):
        await intake.add_each(ledger, feed(), lambda _: None)

    assert closed
    assert await ids(ledger) == ["m1"]


def refuse_m2(music_task_id: str) -> None:
    if music_task_id == "m2":
        raise ValueError("not this one")


@pytest.mark.parametrize("bad", ["m2", Track("m2")])
async def test_an_id_that_is_refused_is_never_in_the_ledger(ledger: Ledger, bad: Any) -> None:
    async def feed() -> AsyncIterator[Any]:
        yield "m1"
        yield bad

    for tracks in (["m1", bad], iter(["m1", bad])):
        with pytest.raises(ValueError, match="not this one"):
            await intake.add_all(ledger, tracks, refuse_m2)
        assert await ids(ledger) == []
    with pytest.raises(ValueError, match="not this one"):
        await intake.add_each(ledger, feed(), lambda _: None, refuse_m2)
    assert await ids(ledger) == ["m1"]
