"""A whole catalog: what is durable before what, interruptions, stops, outages, names."""

import asyncio
import itertools
import os
import resource
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from suno_cover_async import (
    AuthenticationError,
    ClientBlockedError,
    ClientUsageError,
    Covered,
    CoverExistsError,
    CoverExpiredError,
    CoverFailedError,
    CoverTimeoutError,
    DownloadError,
    Failed,
    InsufficientCreditsError,
    InvalidRequestError,
    Ledger,
    LedgerEntry,
    LedgerError,
    NotFoundError,
    Outcome,
    PollPolicy,
    RateLimit,
    RetryPolicy,
    ServerError,
    Step,
    SunoCoverClient,
    SunoCoverError,
    Track,
    TrackState,
    UnexpectedResponseError,
    cover_catalog,
    read_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from suno_cover_async.sandbox.scenario import DuplicateId, Fault, Reply
from tests.support import virtual_time
from tests.support.clients import NO_LIMIT, connect, receiving
from tests.support.runs import billed, covered, ended, read_now, states
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

QUICK = Scenario(rate_limit=None, polls=1, image_size=16)
PATIENT = RetryPolicy(initial_delay=0.001, max_delay=0.01, probe_delay=0.005, max_probe_delay=0.02)
HURRIED = RetryPolicy(initial_delay=0.001, max_delay=0.01, max_attempts=1)
SLOW_POLL = PollPolicy(initial_delay=0.01, min_interval=0.01, max_interval=0.02, timeout=0.2)


def client_of(sandbox: Sandbox, **options: Any) -> SunoCoverClient:
    return connect(sandbox, **({"retry": PATIENT} | options))


def entries(ledger: Ledger) -> dict[str, LedgerEntry]:
    return {entry.music_task_id: entry for entry in read_now(ledger)}


async def test_every_track_is_billed_once_and_its_images_are_called_after_it(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(30)
        tracks = [Track(song, title=f"Song {n}") for n, song in enumerate(songs)]
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, tracks, ledger, into=tmp_path / "covers")

            assert billed(sandbox) == Counter(songs)
            assert {outcome.track for outcome in outcomes} == set(tracks)
            found = entries(ledger)
            for outcome in outcomes:
                assert isinstance(outcome, Covered)
                name = f"{outcome.track.title} {outcome.track.music_task_id}"
                assert [file.name for file in outcome.files] == [f"{name}-1.png", f"{name}-2.png"]
                assert all(file.stat().st_size for file in outcome.files)
                assert outcome.details.images
                assert outcome.details.duration is not None
                entry = found[outcome.track.music_task_id]
                assert entry.state is TrackState.SAVED
                assert entry.files == outcome.files
                assert entry.tracks == (outcome.track,)


async def test_a_second_run_asks_for_nothing_and_pays_nothing(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(5)
        for expected in (5, 0):
            before = len(sandbox.journal.arrivals)
            async with (
                client_of(sandbox) as client,
                Ledger(tmp_path / "covers.db") as ledger,
            ):
                outcomes = await covered(client, songs, ledger, into=tmp_path)
            assert len(outcomes) == expected

        assert len(sandbox.journal.arrivals) == before
        assert billed(sandbox) == Counter(songs)


async def test_without_a_ledger_and_a_folder_there_are_details_and_no_files() -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)

        outcomes = await covered(client, iter(songs))

        assert {outcome.track.music_task_id for outcome in outcomes} == set(songs)
        assert all(isinstance(one, Covered) and len(one.details.images) == 2 for one in outcomes)
        assert not sandbox.journal.of("image")


async def test_images_that_an_earlier_run_did_not_want_are_saved_by_one_that_does(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, songs, ledger)
            requests = len(sandbox.journal.arrivals)
            outcomes = await covered(client, songs, ledger, into=tmp_path)

        assert len(outcomes) == 3
        assert all(isinstance(one, Covered) and len(one.files) == 2 for one in outcomes)
        assert {arrival.kind for arrival in sandbox.journal.arrivals[requests:]} == {"image"}


async def test_a_submit_is_on_record_before_it_goes_out_and_its_task_before_anything_else(
    tmp_path: Path,
) -> None:
    scenario = Scenario(rate_limit=None, polls=2, image_size=16, delay=(0.002, 0.01))
    async with Sandbox(scenario) as sandbox, client_of(sandbox, concurrency=7) as client:
        sandbox.add_music(40)
        ledger = Ledger(tmp_path / "covers.db")
        songs = sandbox.add_music(40)
        seen = 0
        async with ledger, cover_catalog(client, songs, ledger=ledger) as outcomes:
            work = asyncio.ensure_future(_all(outcomes))
            while not work.done():
                arrivals = sandbox.journal.arrivals[seen:]
                seen += len(arrivals)
                if arrivals:
                    found = entries(ledger)
                for arrival in arrivals:
                    if arrival.kind == "submit" and arrival.music_task_id:
                        assert found[arrival.music_task_id].state is not TrackState.WAITING
                    if arrival.kind == "details":
                        known = {
                            entry.task and entry.task.cover_task_id for entry in found.values()
                        }
                        assert arrival.cover_task_id in known
                await asyncio.sleep(0)
            assert len(await work) == 40
        assert billed(sandbox) == Counter(songs)


async def _all(outcomes: AsyncIterator[Outcome]) -> list[Outcome]:
    return [outcome async for outcome in outcomes]


async def test_no_more_tracks_are_in_flight_than_the_client_allows(tmp_path: Path) -> None:
    scenario = Scenario(rate_limit=None, polls=3, image_size=16)
    async with Sandbox(scenario) as sandbox, client_of(sandbox, concurrency=3) as client:
        songs = sandbox.add_music(25)
        most = 0
        async with (
            Ledger(tmp_path / "covers.db") as ledger,
            cover_catalog(client, songs, ledger=ledger) as outcomes,
        ):
            work = asyncio.ensure_future(_all(outcomes))
            while not work.done():
                found = states(ledger)
                under_way = found[TrackState.SUBMITTING] + found[TrackState.SUBMITTED]
                most = max(most, under_way)
                assert outcomes.progress.in_flight <= 3
                await asyncio.sleep(0)

        assert most <= 3
        assert billed(sandbox) == Counter(songs)


async def test_a_catalog_shares_the_clients_slots_with_everybody_else(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, concurrency=1) as client:
        (song,) = sandbox.add_music(1)
        async with (
            Ledger(tmp_path / "covers.db") as ledger,
            cover_catalog(client, [song], ledger=ledger) as outcomes,
        ):
            async with client.slot():
                await until(lambda: states(ledger)[TrackState.WAITING])
                await client.credits()
                assert not sandbox.journal.of("submit")
            assert len(await _all(outcomes)) == 1


async def test_any_number_of_outcomes_can_be_read() -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        unknown = [f"unknown-{number}" for number in range(1_100)]

        assert len(await covered(client, unknown)) == 1_100


async def test_the_same_song_twice_is_one_cover_with_two_names(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        (song,) = sandbox.add_music(1)
        names = [
            Track(song, title="One"),
            Track(song, title="Two", columns={"album": "B"}),
            Track(song, title="One"),
        ]
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, names, ledger, into=tmp_path)
            (entry,) = read_now(ledger)

        assert [outcome.track for outcome in outcomes] == names[:2]
        files = [file.name for one in outcomes if isinstance(one, Covered) for file in one.files]
        assert files == [f"{t} {song}-{n}.png" for t in ("One", "Two") for n in (1, 2)]
        assert entry.tracks == tuple(names[:2])
        assert [file.name for file in entry.files] == files
        assert len(sandbox.journal.bills) == 1


async def test_a_name_that_comes_later_gets_its_files_without_a_submit(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        (song,) = sandbox.add_music(1)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, [Track(song, title="One")], ledger, into=tmp_path)
            await covered(client, [Track(song, title="Two")], ledger, into=tmp_path)

        assert {file.name for file in tmp_path.glob("*.png")} >= {f"Two {song}-1.png"}
        assert len(sandbox.journal.of("submit")) == 1


async def test_a_title_is_saved_though_another_ones_files_begin_like_its_own(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        (song,) = sandbox.add_music(1)
        titles = [f"{song}-remix", "", f"{song}-1"]
        names = [f"{title} {song}".strip() for title in titles]
        async with Ledger(tmp_path / "covers.db") as ledger:
            for title, name in zip(titles, names, strict=True):
                track = Track(song, title=title)
                (outcome,) = await covered(client, [track], ledger, into=tmp_path)

                assert isinstance(outcome, Covered)
                assert outcome.track == track
                assert [f.name for f in outcome.files] == [f"{name}-1.png", f"{name}-2.png"]
            assert not await covered(client, [track], ledger, into=tmp_path)
            (entry,) = read_now(ledger)

        assert len(entry.files) == 6
        assert all(file.exists() for file in entry.files)
        assert billed(sandbox) == {song: 1}


async def test_titles_of_any_kind_make_files_that_do_not_collide(tmp_path: Path) -> None:
    titles = [
        "../../etc/passwd",
        "a/b",
        "a\\b",
        "CON",
        "",
        "  ",
        "x" * 300,
        "ß\u0301" * 90,
        "\ud800",
    ]
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(len(titles))
        tracks = [Track(song, title=title) for song, title in zip(songs, titles, strict=True)]
        outcomes = await covered(client, tracks, into=tmp_path / "covers")

        files = [file for one in outcomes if isinstance(one, Covered) for file in one.files]
        assert len(set(files)) == 2 * len(titles)
        assert {file.parent for file in files} == {tmp_path / "covers"}
        assert all(file.is_file() for file in files)


async def test_what_was_paid_for_comes_before_what_is_new(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(6)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song) for song in songs])
            found = await ledger.next_open(TrackState.WAITING, 0, 10)
            async with client_of(sandbox) as client:
                task = await client.submit(songs[5])
            await ledger.submitted(found[5], task)
            await ledger.submitting(found[4])
            await ledger.took_in(None)

            async with client_of(sandbox, concurrency=1) as client:
                outcomes = await covered(client, songs, ledger)

        order = [outcome.track.music_task_id for outcome in outcomes]
        assert order == [songs[5], songs[4], *songs[:4]]
        assert billed(sandbox) == Counter(songs)


async def test_the_oldest_images_are_saved_first(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(24)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song) for song in songs])
            for entry in reversed(await ledger.next_open(TrackState.WAITING, 0, 24)):
                await ledger.submitted(entry, await client.submit(entry.music_task_id))
                await ledger.covered(entry, await client.generate(entry.music_task_id))
            await covered(client, songs, ledger, into=tmp_path)
            owner = {
                image.removeprefix(sandbox.url): entry.number
                for entry in read_now(ledger)
                for image in entry.images
            }

        asked = list(dict.fromkeys(owner[arrival.path] for arrival in sandbox.journal.of("image")))
        for place, number in enumerate(asked):  # eight at a time, the last is the oldest
            assert number > 24 - place - 8


DEAD_ALIVE_FOREIGN = [
    "cover-0123456789abcdef.part",
    "cover-fedcba9876543210.part",
    "x.part",
    "cover-of-my-own-download.part",
    "cover-1.part",
    "cover-0123456789abcdef0.part",
    "cover-0123456789abcdeF.part",
]


async def test_what_dead_processes_left_in_the_folder_is_swept_away(tmp_path: Path) -> None:
    dead, alive, *foreign = (tmp_path / name for name in DEAD_ALIVE_FOREIGN)
    for file in (dead, alive, *foreign):
        file.touch()
    for file in (dead, *foreign):
        os.utime(file, (1, 1))
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        await covered(client, sandbox.add_music(1), into=tmp_path)

    assert [file.exists() for file in (dead, alive)] == [False, True]
    assert all(file.exists() for file in foreign)


@pytest.mark.parametrize("days", [1, 15])
async def test_images_that_are_gone_have_expired_unless_they_are_young(
    tmp_path: Path, days: int
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, songs, ledger)
            for entry in read_now(ledger):
                finished = datetime.now(UTC) - timedelta(days=days)
                await ledger.covered(entry, attrs.evolve(entry.details, completed_at=finished))
            sandbox.expire_images()
            outcomes = await covered(client, songs, ledger, into=tmp_path)
            found = read_now(ledger)
            again = await covered(client, songs, ledger, into=tmp_path)

        kinds = [type(one.error) for one in outcomes if isinstance(one, Failed)]
        assert kinds == [CoverExpiredError] * 3
        expected = TrackState.COVERED if days == 1 else TrackState.FAILED
        assert {entry.state for entry in found} == {expected}
        assert len(again) == (3 if days == 1 else 0)
        assert billed(sandbox) == Counter(songs)


async def test_a_new_title_of_images_that_are_gone_leaves_the_files_that_are_there(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        (song,) = sandbox.add_music(1)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, [Track(song, title="Old")], ledger, into=tmp_path)
            (entry,) = read_now(ledger)
            finished = datetime.now(UTC) - timedelta(days=15)
            await ledger.covered(entry, attrs.evolve(entry.details, completed_at=finished))
            await ledger.saved(entry, entry.files)
            sandbox.expire_images()
            (failed,) = await covered(client, [Track(song, title="New")], ledger, into=tmp_path)
            (after,) = read_now(ledger)

        assert isinstance(failed, Failed)
        assert failed.track.title == "New"
        assert (after.state, after.files) == (TrackState.SAVED, entry.files)


async def test_images_put_off_are_saved_by_the_next_catalog_on_the_open_ledger(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2)
        folder = tmp_path / "covers"
        folder.touch()
        async with Ledger(tmp_path / "covers.db") as ledger:
            with pytest.raises(DownloadError):
                await covered(client, songs, ledger, into=folder)
            folder.unlink()
            await covered(client, songs, ledger, into=folder)
            assert states(ledger) == {TrackState.SAVED: 2}


async def test_who_does_not_read_outcomes_holds_up_no_cover_of_anybody_else() -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, concurrency=20) as client:
        (song,) = sandbox.add_music(1)
        unknown = [f"unknown-{number}" for number in range(1_100)]
        async with cover_catalog(client, unknown) as outcomes:
            await until(lambda: outcomes.progress.failed > 1_000)
            assert (await client.generate(song)).images


def test_where_1000_outcomes_are_unread_no_further_track_is_begun() -> None:
    concurrency = 20

    async def scenario() -> tuple[int, int]:
        clock = asyncio.get_running_loop().time
        async with (
            Sandbox(QUICK, clock=clock) as sandbox,
            client_of(sandbox, concurrency=concurrency) as client,
            cover_catalog(client, [f"unknown-{n}" for n in range(1_300)]) as outcomes,
        ):
            await asyncio.sleep(600)
            unread = len(sandbox.journal.of("submit"))
            for _ in range(100):
                await anext(outcomes)
            await asyncio.sleep(600)
            return unread, len(sandbox.journal.of("submit"))

    unread, later = virtual_time.run(scenario())

    assert 1_000 < unread <= 1_000 + concurrency + 1
    assert 1_100 < later <= 1_100 + concurrency + 1


@pytest.mark.parametrize("many", [1, 3])
def test_a_catalog_has_a_task_for_each_track_in_flight_and_not_for_each_slot(many: int) -> None:
    async def scenario() -> tuple[int, int]:
        clock = asyncio.get_running_loop().time
        async with (
            Sandbox(Scenario(seconds=60), clock=clock) as sandbox,
            client_of(sandbox, concurrency=500, poll=PollPolicy()) as client,
        ):
            songs = sandbox.add_music(many)

            async def feed() -> AsyncIterator[str]:
                for song in songs:
                    yield song
                await asyncio.sleep(60)

            before = len(asyncio.all_tasks())
            async with cover_catalog(client, feed()) as outcomes:
                await asyncio.sleep(30.5)
                during = len(asyncio.all_tasks()) - before
                assert outcomes.progress.in_flight == many
                return during, len(await _all(outcomes))

    during, covered = virtual_time.run(scenario())

    assert covered == many
    assert during <= 5 + 5 * many  # those of requests, connections and the sandbox are among them


async def test_a_submit_that_an_earlier_process_left_in_doubt_is_completed_from_its_callback(
    tmp_path: Path,
) -> None:
    scenario = Scenario(
        rate_limit=None, seconds=0.3, image_size=16, duplicate_id=DuplicateId.ABSENT
    )
    async with receiving() as receiver, Sandbox(scenario) as sandbox:
        (song,) = sandbox.add_music(1)
        async with client_of(sandbox, callback_url=receiver.url(song)) as earlier:
            await earlier.submit(song)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song)])
            (entry,) = await ledger.next_open(TrackState.WAITING, 0, 1)
            await ledger.submitting(entry)
            async with client_of(sandbox, receiver=receiver) as client:
                (outcome,) = await covered(client, [song], ledger)

        assert isinstance(outcome, Covered)
        assert len(sandbox.journal.bills) == 1


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


@pytest.mark.parametrize("into", ["covers\0", "\ud800"])
async def test_a_folder_that_can_be_nowhere_is_named_before_anything_is_submitted(
    into: str,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        (song,) = sandbox.add_music(1)
        with pytest.raises(ValueError, match="into"):
            await covered(client, [song], into=into)
        assert not sandbox.journal.arrivals

        details = await client.generate(song)
        with pytest.raises(ValueError, match="into"):
            await client.download(details, into)


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


def test_a_feed_that_ends_cancelled_by_nobody_of_us_ends_the_run_with_an_error() -> None:
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


async def test_a_key_that_is_refused_ends_the_waits_of_what_was_paid_for_too(
    tmp_path: Path,
) -> None:
    async with Sandbox(Scenario(rate_limit=None, seconds=3_000)) as sandbox:
        songs = sandbox.add_music(150)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with (
                client_of(sandbox, concurrency=150) as client,
                cover_catalog(client, songs, ledger=ledger),
            ):
                await until(lambda: len(sandbox.journal.bills) == 150)
            refusals = [Reply(body=b'{"code":401,"msg":"no"}')] * 300
            sandbox.script("details", *refusals)
            polls = len(sandbox.journal.of("details"))
            async with client_of(sandbox, concurrency=2) as client:
                with pytest.raises(AuthenticationError):
                    await covered(client, songs, ledger)

            assert len(sandbox.journal.of("details")) <= polls + 2
            assert states(ledger) == {TrackState.SUBMITTED: 150}


async def test_what_an_earlier_run_left_in_doubt_stays_so_until_a_submit_was_answered(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await ledger.take_in([Track(song) for song in songs])
            doubted, _ = await ledger.next_open(TrackState.WAITING, 0, 2)
            await ledger.submitting(doubted)
            sandbox.script("submit", *[Reply(body=b'{"code":401,"msg":"no"}')] * 2)

            with pytest.raises(AuthenticationError):
                await covered(client, songs, ledger)

            assert states(ledger) == {TrackState.SUBMITTING: 1, TrackState.WAITING: 1}


PROCESSED = Reply(body=b'{"code":422,"msg":"The record is being processed"}')


@pytest.mark.parametrize("earlier", ["call", "run"])
def test_a_refusal_of_what_is_in_doubt_needs_attention_and_no_catalog_forgets_it(
    tmp_path: Path, earlier: str
) -> None:
    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        async with Sandbox(QUICK, clock=clock) as sandbox:
            (song,) = sandbox.add_music(1)
            async with Ledger(tmp_path / "covers.db") as ledger:
                if earlier == "run":
                    await _die_possibly_billed(sandbox, ledger, song)
                else:
                    sandbox.script("submit", Fault.LOST_ANSWER)
                sandbox.script("submit", PROCESSED)
                async with (
                    client_of(sandbox, retry=HURRIED) as client,
                    cover_catalog(client, [song], ledger=ledger) as outcomes,
                ):
                    (outcome,) = [one async for one in outcomes]
                (entry,) = read_now(ledger)

                assert isinstance(outcome, Failed)
                assert outcome.error.possibly_billed
                assert entry.state is TrackState.ATTENTION
                assert (entry.error, entry.reason) == ("InvalidRequestError", str(outcome.error))
                assert (outcomes.progress.failed, outcomes.progress.left) == (1, 0)

                async with client_of(sandbox) as client:
                    async with cover_catalog(client, [], ledger=ledger, retry_failed=True) as begun:
                        begun.finish()
                    assert states(ledger) == {TrackState.SUBMITTING: 1}
                    (found,) = await covered(client, [], ledger)

                assert isinstance(found, Covered)
                assert billed(sandbox) == {song: 1}

    virtual_time.run(scenario())


async def _die_possibly_billed(sandbox: Sandbox, ledger: Ledger, song: str) -> None:
    await ledger.take_in([Track(song)])
    (entry,) = await ledger.next_open(TrackState.WAITING, 0, 1)
    await ledger.submitting(entry)
    async with client_of(sandbox) as client:
        await client.submit(song)


async def test_without_credits_what_is_paid_for_is_finished_and_the_rest_waits(
    tmp_path: Path,
) -> None:
    scenario = Scenario(rate_limit=None, polls=4, image_size=16, credits=7)
    async with Sandbox(scenario) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(20)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                seen, reason = await ended(outcomes)
            assert isinstance(reason, InsufficientCreditsError)
            assert [type(outcome) for outcome in seen] == [Covered] * 7
            assert states(ledger) == {TrackState.SAVED: 7, TrackState.WAITING: 13}
            assert (outcomes.progress.billed, outcomes.progress.left) == (7, 13)

            sandbox.scenario = QUICK
            assert len(await covered(client, songs, ledger, into=tmp_path)) == 13

        assert billed(sandbox) == Counter(songs)


async def test_a_failed_cover_is_submitted_again_only_when_that_is_asked_for(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2, fails=True)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, songs, ledger)
            assert [type(o.error) for o in outcomes if isinstance(o, Failed)] == [
                CoverFailedError
            ] * 2
            assert not await covered(client, songs, ledger)
            assert len(sandbox.journal.of("submit")) == 2

            again = await covered(client, songs, ledger, retry_failed=True)

            assert len(again) == 2
            assert len(sandbox.journal.of("submit")) == 4
            assert states(ledger) == {TrackState.FAILED: 2}


async def test_a_failed_cover_is_submitted_again_though_its_callback_is_remembered(
    tmp_path: Path,
) -> None:
    async with receiving() as receiver, Sandbox(Scenario(rate_limit=None)) as sandbox:
        (song,) = sandbox.add_music(1, fails=True)
        async with (
            client_of(sandbox, receiver=receiver) as client,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            await covered(client, [song], ledger)
            await until(lambda: receiver.notifier.named(song))

            await covered(client, [song], ledger, retry_failed=True)

        assert len(sandbox.journal.of("submit")) == 2


@pytest.mark.parametrize(
    ("scenario", "kind", "task_known"),
    [
        (DuplicateId.ABSENT, CoverExistsError, False),
        (DuplicateId.WRONG, CoverExistsError, False),
    ],
    ids=["no id", "another's id"],
)
async def test_a_cover_that_cannot_be_found_needs_attention(
    tmp_path: Path, scenario: DuplicateId, kind: type[SunoCoverError], task_known: bool
) -> None:
    rule = Scenario(rate_limit=None, polls=1, image_size=16, duplicate_id=scenario)
    async with Sandbox(rule) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2)
        async with client_of(sandbox) as somebody_else:
            await somebody_else.generate(songs[0])
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, songs, ledger)
            failed = [one for one in outcomes if isinstance(one, Failed)]
            entry = entries(ledger)[songs[0]]
            assert not await covered(client, songs, ledger)

            assert [type(one.error) for one in failed] == [kind]
            assert (entry.state, entry.error) == (TrackState.ATTENTION, kind.__name__)
            assert (entry.task is not None) is task_known

            sandbox.scenario = QUICK  # now the host says which
            async with client_of(sandbox) as client_of_tomorrow:
                again = await covered(client_of_tomorrow, songs, ledger, retry_failed=True)
            assert [type(one) for one in again] == [Covered]
        assert billed(sandbox) == Counter(songs)


async def test_a_cover_task_that_vanished_needs_attention(tmp_path: Path) -> None:
    poll = PollPolicy(
        initial_delay=0.01, min_interval=0.01, max_interval=0.02, not_found_grace=0.01
    )
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, poll=poll) as client:
        (song,) = sandbox.add_music(1)
        async with Ledger(tmp_path / "covers.db") as ledger:
            sandbox.scenario = Scenario(rate_limit=None, null_polls=1_000)
            (outcome,) = await covered(client, [song], ledger)
            (entry,) = read_now(ledger)

        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, NotFoundError)
        assert entry.state is TrackState.ATTENTION
        assert entry.task is not None


async def test_music_that_the_host_does_not_know_fails_alone(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, [songs[0], "unknown", *songs[1:]], ledger)
            assert entries(ledger)["unknown"].state is TrackState.FAILED

        (failed,) = [one for one in outcomes if isinstance(one, Failed)]
        assert failed.track == Track("unknown")
        assert isinstance(failed.error, InvalidRequestError)
        assert billed(sandbox) == Counter(songs)


async def test_a_cover_that_takes_too_long_is_left_to_the_next_run(tmp_path: Path) -> None:
    async with Sandbox(Scenario(rate_limit=None, seconds=3_000, image_size=16)) as sandbox:
        (song,) = sandbox.add_music(1)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with client_of(sandbox, poll=SLOW_POLL) as client:
                (outcome,) = await covered(client, [song], ledger)
                assert isinstance(outcome, Failed)
                assert isinstance(outcome.error, CoverTimeoutError)
                assert states(ledger) == {TrackState.SUBMITTED: 1}
                polls = len(sandbox.journal.of("details"))
                (outcome,) = await covered(client, [song], ledger)
            assert len(sandbox.journal.of("details")) > polls
            assert len(sandbox.journal.of("submit")) == 1


async def test_finishing_submits_nothing_more_and_collects_what_is_paid_for(
    tmp_path: Path,
) -> None:
    scenario = Scenario(rate_limit=None, polls=3, image_size=16)
    async with Sandbox(scenario) as sandbox, client_of(sandbox, concurrency=4) as client:
        songs = sandbox.add_music(40)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                seen = [await anext(outcomes)]
                outcomes.finish()
                submits = len(sandbox.journal.of("submit"))
                seen += [outcome async for outcome in outcomes]

            assert len(sandbox.journal.of("submit")) <= submits + 4
            assert len(seen) == len(sandbox.journal.bills) < 40
            found = states(ledger)
            assert found == {
                TrackState.SAVED: len(seen),
                TrackState.WAITING: 40 - len(seen),
            }
            assert outcomes.progress.left == 40 - len(seen)


async def test_finishing_takes_back_the_submits_that_wait_for_their_turn(tmp_path: Path) -> None:
    scenario = Scenario(rate_limit=None, polls=1, image_size=16)
    limits = {"rate_limit": RateLimit(calls=5, seconds=3_600), "poll_rate_limit": NO_LIMIT}
    async with Sandbox(scenario) as sandbox, client_of(sandbox, **limits) as client:
        songs = sandbox.add_music(40)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                await until(lambda: len(sandbox.journal.of("submit")) == 5)
                outcomes.finish()
                seen, reason = await ended(outcomes)

            assert len(sandbox.journal.of("submit")) == len(seen) == 5
            assert reason is None
            assert states(ledger) == {TrackState.SAVED: 5, TrackState.WAITING: 35}


async def test_finishing_again_and_again_awaits_what_is_on_the_wire_all_the_same(
    tmp_path: Path,
) -> None:
    slow = Scenario(
        rate_limit=None, polls=1, image_size=16, slow=1.0, slow_seconds=0.1, faults_on={"submit"}
    )
    async with Sandbox(slow) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(5)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                await until(lambda: len(sandbox.journal.bills) == 5)
                for _ in range(3):
                    outcomes.finish()
                    await asyncio.sleep(0)
                assert len(await _all(outcomes)) == 5
            assert states(ledger) == {TrackState.SAVED: 5}


async def test_a_feed_that_goes_on_for_ever_holds_up_no_ending(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(4)

        async def feed() -> AsyncIterator[str]:
            for song in songs:
                yield song
            await asyncio.Event().wait()

        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, feed(), ledger=ledger) as outcomes:
                seen = [await anext(outcomes) for _ in range(3)]
                outcomes.finish()
                seen += await _all(outcomes)
            assert len(seen) == len(sandbox.journal.bills)

            songs += sandbox.add_music(1)
            sandbox.script("submit", *[Reply(body=b'{"code":401,"msg":"no"}')] * 9)
            with pytest.raises(AuthenticationError):
                await covered(client, feed(), ledger)


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


async def test_how_far_it_is_is_known_from_the_start(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(4)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, songs[:2], ledger)
            async with cover_catalog(client, songs, ledger=ledger) as outcomes:
                assert (
                    outcomes.progress.total,
                    outcomes.progress.done,
                    outcomes.progress.left,
                ) == (4, 2, 2)


def test_what_is_done_for_each_track_in_flight_is_known(tmp_path: Path) -> None:
    async def scenario() -> list[dict[str, tuple[str, Step, float]]]:
        clock = asyncio.get_running_loop().time
        slow = Scenario(
            seconds=20, slow=1.0, slow_seconds=5, image_size=16, faults_on={"submit", "image"}
        )
        seen: list[dict[str, tuple[str, Step, float]]] = []
        async with (
            Sandbox(slow, clock=clock) as sandbox,
            client_of(sandbox, concurrency=1, poll=PollPolicy()) as client,
        ):
            one, two = (Track(song, title=song[:3]) for song in sandbox.add_music(["one", "two"]))
            async with cover_catalog(client, [one, two], into=tmp_path) as outcomes:
                for moment in (3, 15, 28, 100):
                    await asyncio.sleep(moment - clock())
                    assert outcomes.progress.in_flight == len(outcomes.in_flight)
                    seen += [
                        {
                            song: (of.track.title, of.step, round(of.since))
                            for song, of in outcomes.in_flight.items()
                        }
                    ]
        return seen

    submitting, waiting, saving, nothing = virtual_time.run(scenario())

    assert submitting == {"one": ("one", Step.SUBMIT, 0)}
    assert waiting == {"one": ("one", Step.WAIT, 5)}
    assert saving == {"one": ("one", Step.SAVE, 25), "two": ("two", Step.SUBMIT, 25)}
    assert nothing == {}


async def test_a_second_cancellation_leaves_no_work_behind(tmp_path: Path) -> None:
    scenario = Scenario(rate_limit=None, polls=1, image_size=16, slow=1.0, slow_seconds=0.2)
    async with Sandbox(scenario) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            work = asyncio.ensure_future(covered(client, songs, ledger))
            await until(lambda: len(sandbox.journal.bills) == 3)
            for _ in range(3):
                work.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await work
            assert not states(ledger)[TrackState.WAITING]  # they are paid for, for all we know
            sandbox.scenario = QUICK
            assert len(await covered(client, songs, ledger)) == 3
        assert billed(sandbox) == Counter(songs)


def test_a_second_cancellation_waits_for_no_answer(tmp_path: Path) -> None:
    async def scenario() -> tuple[float, Counter[TrackState]]:
        clock = asyncio.get_running_loop().time
        slow = Scenario(slow=1.0, slow_seconds=25)
        async with (
            Sandbox(slow, clock=clock) as sandbox,
            client_of(sandbox) as client,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            work = asyncio.ensure_future(covered(client, sandbox.add_music(3), ledger))
            await asyncio.sleep(1)
            for _ in range(2):
                work.cancel()
                await asyncio.sleep(0.1)
            with pytest.raises(asyncio.CancelledError):
                await work
            return clock(), states(ledger)

    ended, left = virtual_time.run(scenario())

    assert ended < 2
    assert left == {TrackState.SUBMITTING: 3}


@pytest.mark.parametrize("catalog_first", [True, False])
def test_a_run_left_while_somebody_else_awaits_its_submit_has_it_on_record(
    tmp_path: Path, catalog_first: bool
) -> None:
    async def scenario() -> tuple[int, Counter[TrackState]]:
        clock = asyncio.get_running_loop().time
        slow = Scenario(slow=1.0, slow_seconds=5)
        async with Sandbox(slow, clock=clock) as sandbox, client_of(sandbox) as client:
            (song,) = sandbox.add_music(1)

            async def left() -> None:
                async with cover_catalog(client, [song], ledger=ledger):
                    await asyncio.sleep(2)

            async with Ledger(tmp_path / "covers.db") as ledger:
                callers: list[Coroutine[Any, Any, object]] = [left(), client.submit(song)]
                begun: list[asyncio.Task[object]] = []
                for caller in callers if catalog_first else reversed(callers):
                    begun.append(asyncio.create_task(caller))
                    await asyncio.sleep(1)
                await asyncio.sleep(1.5)
                at_once = states(ledger)
                await asyncio.gather(*begun)
                return len(sandbox.journal.bills), at_once + states(ledger)

    bills, on_record = virtual_time.run(scenario())

    assert bills == 1
    assert on_record == {TrackState.SUBMITTING: 2}


@pytest.mark.parametrize(
    "trouble",
    [
        Scenario(rate_limit=None, polls=2, image_size=16, maintenance=1.0),
        Scenario(rate_limit=None, polls=2, image_size=16, html=1.0),
        Scenario(rate_limit=None, polls=2, image_size=16, lost_requests=1.0),
        Scenario(rate_limit=None, polls=2, image_size=16, server_errors=1.0),
    ],
    ids=["maintenance", "gateway", "no answers", "500"],
)
async def test_an_outage_is_no_tracks_fate(tmp_path: Path, trouble: Scenario) -> None:
    healthy = Scenario(rate_limit=None, polls=2, image_size=16)
    async with Sandbox(healthy) as sandbox, client_of(sandbox, concurrency=10) as client:
        songs = sandbox.add_music(40)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger, into=tmp_path) as outcomes:
                seen = [await anext(outcomes)]
                sandbox.scenario = trouble
                breakers = client.breakers
                await until(lambda: breakers.api.is_open or breakers.submit.is_open)
                began = len(sandbox.journal.arrivals)
                await until(lambda: len(sandbox.journal.arrivals) >= began + 3)
                sandbox.scenario = healthy
                seen += [outcome async for outcome in outcomes]

            assert [type(outcome) for outcome in seen] == [Covered] * 40
            assert states(ledger) == {TrackState.SAVED: 40}
        assert billed(sandbox) == Counter(songs)
        assert not client.breakers.api.is_open


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


async def test_a_ledger_that_cannot_be_written_stops_everything_and_forgets_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, concurrency=5) as client:
        songs = sandbox.add_music(2_000)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        async with Ledger(path) as ledger:
            async with cover_catalog(client, songs, ledger=ledger) as outcomes:
                for _ in range(5):
                    await anext(outcomes)
                largest = Path(f"{path}-wal").stat().st_size + 40_000
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, limits[1]))
                _, reason = await ended(outcomes)
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            assert isinstance(reason, LedgerError)
            paid = set(billed(sandbox))
            assert 5 <= len(paid) < 2_000
            unwritten = {task.music_task_id for task in ledger.unwritten}  # what is left to write
            found = entries(ledger)  # may be written by now
            known = {one for one, entry in found.items() if entry.task is not None}
            doubted = {one for one, entry in found.items() if entry.state is TrackState.SUBMITTING}
            assert paid <= known | unwritten | doubted
        assert not ledger.unwritten
        assert paid <= {one for one, entry in entries(Ledger(path)).items() if entry.task}

        async with Ledger(path) as ledger:
            rest = await covered(client, songs[:200], ledger)
            assert all(isinstance(one, Covered) for one in rest)
        assert set(billed(sandbox).values()) == {1}


async def test_one_ledger_serves_one_catalog_at_a_time(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(2)
        async with (
            Ledger(tmp_path / "covers.db") as ledger,
            cover_catalog(client, songs, ledger=ledger) as outcomes,
        ):
            with pytest.raises(LedgerError, match="another catalog"):
                await covered(client, songs, ledger)
            assert len(await _all(outcomes)) == 2
        with pytest.raises(LedgerError, match="not open"):
            await covered(client, songs, ledger)


async def test_who_asks_for_no_outcomes_holds_up_nothing_that_is_paid_for(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(20)
        async with (
            Ledger(tmp_path / "covers.db") as ledger,
            cover_catalog(client, songs, ledger=ledger, into=tmp_path),
        ):
            await until(lambda: states(ledger) == {TrackState.SAVED: 20})


async def test_a_client_closed_meanwhile_ends_the_run_and_leaves_the_rest(tmp_path: Path) -> None:
    async with Sandbox(Scenario(rate_limit=None, polls=50, image_size=16)) as sandbox:
        songs = sandbox.add_music(10)
        client = client_of(sandbox)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(client, songs, ledger=ledger) as outcomes:
                await until(lambda: len(sandbox.journal.of("details")) > 10)
                await client.aclose()
                _, reason = await ended(outcomes)
            assert isinstance(reason, ClientUsageError)
            assert states(ledger) == {TrackState.SUBMITTED: 10}


def test_a_client_closed_while_it_saves_and_waits_for_slots_awaits_the_answers_to_submits(
    tmp_path: Path,
) -> None:
    slow = Scenario(rate_limit=None, seconds=47, image_size=16, slow_seconds=25)
    usual: dict[str, Any] = {"poll": PollPolicy(), "retry": RetryPolicy(), "concurrency": 2}

    async def scenario() -> None:
        clock = asyncio.get_running_loop().time
        async with Sandbox(slow, clock=clock) as sandbox, client_of(sandbox, **usual) as client:
            saved, *others = sandbox.add_music(3)

            async def feed() -> AsyncIterator[str]:
                yield saved
                await asyncio.sleep(50)
                for other in others:
                    yield other

            sandbox.script("image", Fault.SLOW, Fault.SLOW)
            sandbox.script("submit", Fault.NONE, Fault.SLOW)
            async with Ledger(tmp_path / "covers.db") as ledger:
                async with cover_catalog(client, feed(), ledger=ledger, into=tmp_path) as outcomes:
                    await asyncio.sleep(48)
                    async with client.slot():
                        await asyncio.sleep(12)
                        assert len(sandbox.journal.of("image")) == 2
                        assert len(sandbox.journal.of("submit")) == 2
                        await client.aclose()
                        await ended(outcomes)

                assert client.possibly_billed == ()
                assert states(ledger) == {
                    TrackState.COVERED: 1,
                    TrackState.SUBMITTED: 1,
                    TrackState.WAITING: 1,
                }

    virtual_time.run(scenario())


async def test_in_a_storm_every_track_is_saved_and_billed_once(tmp_path: Path) -> None:
    scenario = Scenario(
        rate_limit=None,
        polls=1,
        image_size=16,
        lost_requests=0.05,
        lost_answers=0.05,
        resets=0.05,
        truncated=0.05,
        html=0.05,
        server_errors=0.05,
        faults_on=frozenset({"submit", "details", "image"}),
    )
    async with Sandbox(scenario) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(150)
        await client.credits()  # so that a gateway's answer is no sign of a wrong address
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes = await covered(client, songs, ledger, into=tmp_path)
            found = entries(ledger)

        assert billed(sandbox) == Counter(songs)
        assert [type(outcome) for outcome in outcomes] == [Covered] * 150
        tasks = {bill.music_task_id: bill.cover_task_id for bill in sandbox.journal.bills}
        assert {one: e.task and e.task.cover_task_id for one, e in found.items()} == tasks
        assert len(list(tmp_path.glob("*.png"))) == 300


async def test_with_callbacks_a_catalog_takes_two_requests_a_cover(tmp_path: Path) -> None:
    async with (
        receiving() as receiver,
        Sandbox(Scenario(rate_limit=None, image_size=16)) as sandbox,
    ):
        songs = sandbox.add_music(30)
        poll = PollPolicy(timeout=30)
        async with client_of(sandbox, receiver=receiver, poll=poll) as client:
            outcomes = await covered(client, songs, into=tmp_path)

        assert [type(outcome) for outcome in outcomes] == [Covered] * 30
        requests = len(sandbox.journal.of("submit")) + len(sandbox.journal.of("details"))
        assert requests == 60
