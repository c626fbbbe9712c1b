"""Gateways' answers and wrong addresses in catalogs, in ledgers and on the command line."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import attrs
import pytest

from suno_cover_async import (
    KIE,
    Covered,
    CoverTask,
    Host,
    Ledger,
    ServerError,
    SunoCoverClient,
    Track,
    TrackState,
    WrongAddressError,
    cover_catalog,
)
from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.cli.failures import exit_code
from suno_cover_async.errors import AuthenticationError, InsufficientCreditsError
from suno_cover_async.ledger.sqlite.tables import VERSION
from suno_cover_async.sandbox import Fault, Kind
from tests.support.answering import QUICK, Stage, play
from tests.support.clients import connect
from tests.support.commands import Run, at, sandbox_with
from tests.support.gateway_answers import BLOCKED, PASSING
from tests.support.runs import billed, covered_to_its_end, read_now, states

pytestmark = pytest.mark.usefixtures("no_task_is_left_behind")

# --- catalogs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["submit", "details"])
@pytest.mark.parametrize("name", PASSING)
def test_a_catalog_takes_a_gateways_answer_among_good_ones_for_no_songs_outcome(
    name: str, kind: Kind, tmp_path: Path
) -> None:
    odd, _ = PASSING[name]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(6)
        await here.client.credits()
        here.sandbox.script(kind, Fault.NONE, odd, Fault.NONE, odd)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes, reason = await covered_to_its_end(here.client, songs, ledger)

            assert reason is None
            assert [type(outcome) for outcome in outcomes] == [Covered] * 6
            assert states(ledger) == {TrackState.COVERED: 6}
        assert {song: billed(here.sandbox)[song] for song in songs} == dict.fromkeys(songs, 1)

    play(scene, proven=False)


@pytest.mark.parametrize("name", PASSING)
def test_a_wrong_address_ends_the_run_and_marks_no_track(name: str, tmp_path: Path) -> None:
    odd, _ = PASSING[name]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(20)
        here.sandbox.script("submit", *[odd] * 20)
        async with Ledger(tmp_path / "covers.db") as ledger:
            outcomes, reason = await covered_to_its_end(here.client, songs, ledger)
            sent = len(here.moments("submit"))
            left = states(ledger)
            here.sandbox._scripts.clear()
            async with connect(here.sandbox) as client_of_tomorrow:
                again, end = await covered_to_its_end(client_of_tomorrow, songs, ledger)

        assert type(reason) is WrongAddressError
        assert here.sandbox.url in str(reason)
        assert not outcomes
        assert 1 <= sent <= 3
        assert left == {TrackState.SUBMITTING: sent, TrackState.WAITING: 20 - sent}
        assert end is None
        assert [type(outcome) for outcome in again] == [Covered] * 20
        assert {song: billed(here.sandbox)[song] for song in songs} == dict.fromkeys(songs, 1)

    play(scene, proven=False, concurrency=3)


def test_a_ledger_with_a_submitted_track_of_this_base_url_shows_that_the_address_is_right(
    tmp_path: Path,
) -> None:
    odd, _ = PASSING["a bare 404"]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered_to_its_end(here.client, songs[:1], ledger)
        here.sandbox.script("submit", odd)
        async with (
            connect(here.sandbox) as another_process,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            outcomes, reason = await covered_to_its_end(another_process, songs, ledger)

        assert reason is None
        assert [type(outcome) for outcome in outcomes] == [Covered] * 2

    play(scene, proven=False)


def test_the_same_ledger_shows_nothing_of_another_base_url(tmp_path: Path) -> None:
    odd, _ = PASSING["a bare 404"]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(3)
        async with Ledger(tmp_path / "covers.db") as ledger:
            await covered_to_its_end(here.client, songs[:1], ledger)
        here.sandbox.script("submit", *[odd] * 9)
        elsewhere = here.sandbox.url.replace("127.0.0.1", "localhost")
        async with (
            connect(here.sandbox, base_url=elsewhere) as moved,
            Ledger(tmp_path / "covers.db") as ledger,
        ):
            _, reason = await covered_to_its_end(moved, songs, ledger)

        assert type(reason) is WrongAddressError
        assert elsewhere in str(reason)

    play(scene, proven=False)


@pytest.mark.parametrize("name", ["a bare 404", "a redirect", "a login page"])
def test_a_run_that_goes_on_at_a_wrong_address_leaves_what_was_paid_for_as_it_was(
    name: str, tmp_path: Path
) -> None:
    odd, _ = PASSING[name]

    async def scene(here: Stage) -> None:
        songs = here.sandbox.add_music(5)
        here.sandbox.scenario = attrs.evolve(QUICK, polls=None, seconds=1_000)
        async with Ledger(tmp_path / "covers.db") as ledger:
            async with cover_catalog(here.client, songs, ledger=ledger):
                while len(here.sandbox.journal.bills) < 6:  # noqa: ASYNC110 - a list, no event
                    await asyncio.sleep(0.01)
            before = states(ledger)
            here.sandbox.script("details", *[odd] * 50)
            elsewhere = here.sandbox.url.replace("127.0.0.1", "localhost")
            async with connect(here.sandbox, base_url=elsewhere) as moved:
                outcomes, reason = await covered_to_its_end(moved, songs, ledger)

            assert before == {TrackState.SUBMITTED: 5}
            assert states(ledger) == before
        assert type(reason) is WrongAddressError
        assert not outcomes

    play(scene)


SCHEMA_OF_BEFORE = """
    PRAGMA application_id = 1396920150;
    PRAGMA user_version = 1;
    CREATE TABLE runs (number INTEGER NOT NULL, catalog TEXT) STRICT;
    INSERT INTO runs VALUES (3, NULL);
    CREATE TABLE tracks (
        number INTEGER PRIMARY KEY,
        music_task_id TEXT NOT NULL UNIQUE,
        names TEXT NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        cover_task_id TEXT,
        adopted INTEGER NOT NULL DEFAULT 0,
        images TEXT,
        created_at REAL,
        completed_at REAL,
        files TEXT,
        error TEXT,
        reason TEXT,
        put_off INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX tracks_by_state ON tracks (state, number);
    CREATE INDEX tracks_by_age ON tracks (completed_at) WHERE state = 3;
    INSERT INTO tracks (music_task_id, names) VALUES ('old-song', '{"": {}}');
"""


def test_a_ledger_of_before_is_read_as_it_is_and_learns_base_urls_when_it_is_written(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA_OF_BEFORE)
    was = path.read_bytes()

    async def scene(here: Stage) -> None:
        here.sandbox.add_music(["old-song"])
        read = [entry.music_task_id for entry in read_now(Ledger(path))]
        unchanged = path.read_bytes() == was
        async with Ledger(path) as ledger:
            knew = await ledger.has_answered(here.sandbox.url)
            outcomes, _ = await covered_to_its_end(here.client, ["old-song"], ledger)
            knows = await ledger.has_answered(here.sandbox.url)

        assert read == ["old-song"]
        assert unchanged
        assert (knew, knows) == (False, True)
        assert [type(outcome) for outcome in outcomes] == [Covered]

    play(scene)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert len(database.execute("SELECT * FROM base_urls").fetchall()) == 1


async def test_a_base_url_is_noted_with_the_track_that_it_accepted_or_not_at_all(
    tmp_path: Path,
) -> None:
    path = tmp_path / "covers.db"
    async with Ledger(path) as ledger:
        await ledger.take_in([Track("a-song")])
        [entry] = await ledger.next_open(TrackState.WAITING, 0, 1)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(
                "CREATE TRIGGER full BEFORE INSERT ON base_urls "
                "BEGIN SELECT RAISE(ABORT, 'no space'); END"
            )
        task = CoverTask(cover_task_id="its-cover", music_task_id="a-song")
        with pytest.raises(sqlite3.IntegrityError, match="no space"):
            await ledger.submitted(entry, task, base_url="https://api.example.com")
        [after] = read_now(ledger)

    assert after.state is TrackState.WAITING


# --- the command line --------------------------------------------------------------------------

WRONG = [PASSING["a bare 404"][0]] * 50
COMMANDS: dict[str, tuple[tuple[str, ...], Kind]] = {
    "generate": (("generate", "one", "two"), "submit"),
    "details": (("details", "a-cover"), "details"),
    "details --wait": (("details", "a-cover", "--wait"), "details"),
    "credits": (("credits",), "credits"),
    "batch": (("batch", "songs.txt", "--ledger", "covers.db"), "submit"),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_command_at_a_wrong_address_ends_with_2_and_says_which(
    name: str, run: Run, tmp_path: Path
) -> None:
    command, kind = COMMANDS[name]
    (tmp_path / "songs.txt").write_text("one\ntwo\n")
    async with sandbox_with(QUICK) as sandbox:
        sandbox.add_music(["one", "two"])
        for one in {kind, "credits"}:
            sandbox.script(one, *WRONG)

        ended = await run(*command, *at(sandbox))

        assert ended.code == ExitCode.USAGE
        assert f"{sandbox.url} does not answer as the Cover API does" in ended.err
        assert "404 page not found" in ended.err
        assert "next: check --base-url or --host" in ended.err
        if name == "batch":
            left = states(Ledger(tmp_path / "covers.db"))
            assert set(left) <= {TrackState.WAITING, TrackState.SUBMITTING}
            assert left.total() == 2


async def test_generate_stops_at_a_block_and_does_not_try_every_song(run: Run) -> None:
    songs = [f"song-{number}" for number in range(60)]
    async with sandbox_with(QUICK) as sandbox:
        sandbox.add_music(songs)
        sandbox.script("submit", *[BLOCKED["text"]] * len(songs))

        ended = await run("generate", *songs, *at(sandbox))

        assert ended.code == ExitCode.FAILED
        assert len(sandbox.journal.of("submit")) <= 20  # as many as are submitted at once


def test_a_wrong_address_weighs_more_than_all_but_a_bad_key_and_no_credits() -> None:
    wrong, other = WrongAddressError("x"), ServerError("x")

    assert exit_code([other, wrong]) == ExitCode.USAGE
    assert exit_code([other, wrong, InsufficientCreditsError("x")]) == ExitCode.CREDITS
    assert exit_code([wrong, AuthenticationError("x")]) == ExitCode.KEY


# --- a base URL that ends in /api/v1 -----------------------------------------------------------

DOUBLED = {
    "https://api.example.com/api/v1": "https://api.example.com",
    "https://api.example.com/api/v1/": "https://api.example.com",
    "https://api.example.com/API/V1//": "https://api.example.com",
    "https://api.example.com:8443/proxy/api/v1": "https://api.example.com:8443/proxy",
    "https://api.example.com/api/v1/api/v1": "https://api.example.com",
    "http://127.0.0.1:8480//api/v1": "http://127.0.0.1:8480",
}


@pytest.mark.parametrize("url", DOUBLED)
async def test_a_base_url_that_ends_in_api_v1_is_refused_with_the_right_one(
    url: str, run: Run
) -> None:
    for make in (
        lambda: SunoCoverClient("key-of-a-test", base_url=url),
        lambda: Host(name="mine", base_url=url),
    ):
        with pytest.raises(ValueError, match="without /api/v1") as caught:
            make()
        assert str(caught.value).endswith(f"; give {DOUBLED[url]}")

    ended = await run("credits", "--base-url", url)

    assert ended.code == ExitCode.USAGE
    assert DOUBLED[url] in ended.err.split()


@pytest.mark.parametrize(
    "url", ["https://api/v1", "https://a.example/v1", "https://a.example/api/v10", KIE.base_url]
)
def test_a_base_url_that_only_seems_so_is_taken(url: str) -> None:
    assert SunoCoverClient("key-of-a-test", base_url=f"{url}/").base_url == url
