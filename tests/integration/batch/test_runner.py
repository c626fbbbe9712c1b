"""A whole catalog: what is durable before what, interruptions, stops, outages, names."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from suno_cover_async import (
    Covered,
    Ledger,
    LedgerError,
    PollPolicy,
    Step,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import virtual_time
from tests.support.catalog_clients import QUICK, _all, client_of, entries
from tests.support.clients import receiving
from tests.support.runs import billed, covered, read_now, states
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")


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
