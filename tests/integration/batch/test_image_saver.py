"""Images of a catalog: their names, titles that come later, images that are gone or put off."""

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from suno_cover_async import (
    AddressRefusedError,
    Covered,
    CoverExpiredError,
    DownloadError,
    Failed,
    Ledger,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.sandbox import Reply, Sandbox
from tests.support.catalog_clients import PATIENT, QUICK, client_of
from tests.support.runs import billed, covered, read_now, states

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

DEAD_ALIVE_FOREIGN = [
    "cover-0123456789abcdef.part",
    "cover-fedcba9876543210.part",
    "x.part",
    "cover-of-my-own-download.part",
    "cover-1.part",
    "cover-0123456789abcdef0.part",
    "cover-0123456789abcdeF.part",
]


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


async def test_ids_that_differ_in_letter_case_alone_share_no_file_where_case_is_ignored(
    tmp_path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(["song-abc", "song-Abc", "SONG-ABC"])
        tracks = [Track(song, title=title) for song in songs for title in ("One", "")]
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, tracks, ledger, into=tmp_path / "covers")
            again = await covered(client, tracks, ledger, into=tmp_path / "covers")
            entries = read_now(ledger)
        for entry in entries:
            assert entry.task is not None
            details = await client.details(entry.task)
            await client.download(details, tmp_path / "downloads")
            await client.download(details, tmp_path / "downloads", name=f"x {entry.music_task_id}")

    assert again == []
    assert len({str(file).lower() for entry in entries for file in entry.files}) == 12
    for folder in ("covers", "downloads"):
        assert len({file.name.lower() for file in (tmp_path / folder).glob("*.png")}) == 12


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
        assert kinds == [DownloadError if days == 1 else CoverExpiredError] * 3
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


async def test_a_refused_address_stops_submitting_before_more_is_paid(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox, concurrency=1) as client:
        first, *others = sandbox.add_music(20)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, [first], ledger)
            (entry,) = read_now(ledger)
            private = attrs.evolve(entry.details, images=("https://10.0.0.1/a.png",))
            await ledger.covered(entry, private)
            with pytest.raises(AddressRefusedError, match="no public address"):
                await covered(client, [first, *others], ledger, into=tmp_path)
            found = states(ledger)

        assert len(sandbox.journal.bills) < 10
        assert found[TrackState.FAILED] == found[TrackState.ATTENTION] == 0
        assert found[TrackState.COVERED] == 1
        assert found[TrackState.WAITING] > 10


async def test_missing_images_are_left_to_the_next_run_which_saves_them(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        songs = sandbox.add_music(1)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered(client, songs, ledger)
            attempts = 2 * PATIENT.max_attempts  # not three times as many, as in an outage
            sandbox.script("image", *[Reply(status=404)] * attempts)
            (left,) = await covered(client, songs, ledger, into=tmp_path)
            assert states(ledger) == {TrackState.COVERED: 1}
            assert len(sandbox.journal.of("image")) == attempts
            (saved,) = await covered(client, songs, ledger, into=tmp_path)

        assert isinstance(left, Failed)
        assert left.error.retryable
        assert isinstance(saved, Covered)
        assert billed(sandbox) == Counter(songs)


async def test_a_run_may_name_the_files_itself(tmp_path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, client_of(sandbox) as client:
        (song,) = sandbox.add_music(1)
        tracks = [Track(song, title="One"), Track(song, title="Two: two")]

        async with cover_catalog(
            client, tracks, into=tmp_path, file_name=lambda track: track.title
        ) as outcomes:
            saved = [one async for one in outcomes]

    assert len(saved) == len(tracks)
    assert {file.stem.partition("-")[0] for file in tmp_path.iterdir()} == {"One", "Two_ two"}
    assert len(list(tmp_path.iterdir())) == 4
