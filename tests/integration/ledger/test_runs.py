"""Whose a ledger is, what its runs spent, and how often a submit was begun.

The account is a fingerprint of host and key; the sandbox's journal says what was submitted.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest

from suno_cover_async import (
    KIE,
    SUNOAPI,
    Covered,
    CoverTask,
    Ledger,
    LedgerError,
    LedgerRun,
    SunoCoverClient,
    Track,
    TrackState,
    cover_catalog,
)
from suno_cover_async.http.credentials import ApiKey
from suno_cover_async.ledger.sqlite.store import SqliteStore
from suno_cover_async.sandbox import Fault, Sandbox, Scenario
from tests.support.clients import connect
from tests.support.commands import Run
from tests.support.runs import billed, covered, read_now, states
from tests.support.waiting import until

QUICK = Scenario(rate_limit=None, polls=1, image_size=16)
ACCOUNT = "0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "covers.db"


# The account


def test_an_account_is_a_key_at_a_host_whatever_the_base_url() -> None:
    account = SunoCoverClient("a-key-of-a-test").account
    moved = SunoCoverClient("a-key-of-a-test", base_url="https://proxy.example").account
    others = [
        SunoCoverClient("another-key").account,
        SunoCoverClient("a-key-of-a-test", host=KIE).account,
    ]

    assert len(account) == 16
    assert int(account, 16) >= 0
    assert moved == account
    assert len({account, *others}) == 3


def test_a_fingerprint_stays_what_it_is_from_version_to_version() -> None:
    assert ApiKey("a-key").fingerprint(SUNOAPI.name) == "bedfbb091f760d6b"


async def test_a_ledger_of_another_account_is_refused_and_nothing_is_sent(path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, connect(sandbox) as client:
        songs = sandbox.add_music(2)
        async with Ledger(path) as ledger:
            await covered(client, songs[:1], ledger)
        before = len(sandbox.journal.arrivals)
        async with connect(sandbox, host=KIE) as other_cover, Ledger(path) as ledger:
            with pytest.raises(LedgerError) as refused:
                await covered(other_cover, songs, ledger)
            known = [entry.music_task_id for entry in read_now(ledger)]

        assert f"the ledger {path} belongs to another account" in str(refused.value)
        assert f"suno-cover ledger forget-account {path}" in str(refused.value)
        assert len(sandbox.journal.arrivals) == before
        assert known == songs[:1]
        assert len(await Ledger(path).runs()) == 1


async def test_the_same_account_at_another_base_url_goes_on(path: Path) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(2)
        elsewhere = sandbox.url.replace("127.0.0.1", "localhost")
        async with connect(sandbox) as client, Ledger(path) as ledger:
            await covered(client, songs[:1], ledger)
        async with connect(sandbox, base_url=elsewhere) as client, Ledger(path) as ledger:
            outcomes = await covered(client, songs, ledger)

        assert [type(outcome) for outcome in outcomes] == [Covered]
        assert set(billed(sandbox).values()) == {1}


async def test_a_ledger_whose_account_is_forgotten_is_the_next_ones_and_keeps_its_tracks(
    path: Path,
) -> None:
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(2)
        async with connect(sandbox) as client, Ledger(path) as ledger:
            await covered(client, songs, ledger)
            await ledger.forget_account()
            assert not await ledger.has_answered(client.base_url)
        async with connect(sandbox, host=KIE) as client, Ledger(path) as ledger:
            assert await covered(client, songs, ledger) == []
            with pytest.raises(LedgerError, match="another account"):
                await ledger.lease(ACCOUNT).__aenter__()

        assert set(billed(sandbox).values()) == {1}
        assert len(read_now(path)) == 2


async def test_an_account_is_not_forgotten_while_a_catalog_is_at_work(path: Path) -> None:
    with pytest.raises(LedgerError, match="is not open"):
        await Ledger(path).forget_account()
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        with pytest.raises(LedgerError, match="in use by a catalog"):
            await ledger.forget_account()


async def test_a_ledger_holds_a_fingerprint_and_never_the_key(path: Path) -> None:
    key = "sk-canary-0123456789"
    async with Sandbox(QUICK, api_key=key) as sandbox, connect(sandbox) as client:
        async with Ledger(path) as ledger:
            await covered(client, sandbox.add_music(1), ledger)
        with contextlib.closing(sqlite3.connect(path)) as database:
            (account,) = database.execute("SELECT account FROM ledger").fetchone()

    assert account == client.account
    assert all(key.encode() not in file.read_bytes() for file in path.parent.iterdir())


async def test_the_command_line_refuses_and_forgets_accounts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sandbox(QUICK, api_key="first-key") as sandbox:
        (tmp_path / "catalog.txt").write_text(sandbox.add_music(1)[0])
        batch = ("batch", "catalog.txt", "--base-url", sandbox.url, "--poll", "0.01")
        monkeypatch.setenv("SUNO_API_KEY", "first-key")
        first = await run(*batch)
        monkeypatch.setenv("SUNO_API_KEY", "second-key")
        sandbox.api_key = "second-key"
        refused = await run(*batch)
        forgotten = await run("ledger", "forget-account", "covers.db")
        again = await run(*batch)
        missing = await run("ledger", "forget-account", "other.db")

    assert (first.code, refused.code, forgotten.code, again.code, missing.code) == (0, 1, 0, 0, 1)
    assert "Error: the ledger covers.db belongs to another account" in refused.err
    assert "suno-cover ledger forget-account covers.db" in refused.err
    assert "covers.db belongs to no account now" in forgotten.err
    assert "there is no ledger at" in missing.err
    assert not (tmp_path / "other.db").exists()


# Runs


async def test_each_run_of_a_catalog_says_what_it_submitted_and_when(path: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    async with Sandbox(QUICK) as sandbox:
        songs = sandbox.add_music(5)
        async with connect(sandbox) as earlier:
            await earlier.submit(songs[4])
        for some in (songs[:3], songs):
            async with connect(sandbox) as client, Ledger(path) as ledger:
                await covered(client, some, ledger)
        second, first = await Ledger(path).runs()

    assert (first.number, first.submitted, first.adopted) == (1, 3, 0)
    assert (second.number, second.submitted, second.adopted) == (2, 1, 1)
    assert first.ended_at is not None
    assert second.ended_at is not None
    assert before < first.began_at <= first.ended_at <= second.began_at <= second.ended_at
    assert await Ledger(path).runs(limit=1) == (second,)


async def test_a_run_that_goes_on_or_was_killed_has_not_ended(path: Path) -> None:
    async with Ledger(path) as ledger:
        lease = ledger.lease(ACCOUNT)
        await lease.__aenter__()
        await ledger.take_in([Track("m1")])
        (going_on,) = await ledger.runs()
        await lease.__aexit__(None, None, None)
        (ended,) = await ledger.runs()

    assert going_on.ended_at is None
    assert ended.ended_at is not None


async def test_a_run_counts_a_cover_task_in_the_transaction_that_notes_it(path: Path) -> None:
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        await ledger.take_in([Track("m1")])
        (entry,) = await ledger.next_open(TrackState.WAITING, 0, 1)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute(
                "CREATE TRIGGER refused BEFORE UPDATE OF submitted ON runs "
                "BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        task = CoverTask(cover_task_id="c1", music_task_id="m1")
        with pytest.raises(sqlite3.IntegrityError, match="no"):
            await ledger.submitted(entry, task)
        (after,) = read_now(ledger)

    assert after.task is None


async def test_balances_are_noted_with_the_run_and_credits_are_what_is_between(path: Path) -> None:
    async with Ledger(path) as ledger:
        for before, after in ((100.0, 88.5), (88.5, None), (None, 80.0), (80.0, 200.0)):
            async with ledger.lease(ACCOUNT):
                await ledger.note_balance(before=before)
                await ledger.note_balance(after=after)
        runs = await ledger.runs()

    noted = [(run.balance_before, run.balance_after, run.credits_used) for run in reversed(runs)]
    assert noted == [
        (100.0, 88.5, 11.5),
        (88.5, None, None),
        (None, 80.0, None),
        (80.0, 200.0, None),  # somebody paid in
    ]


async def test_a_damaged_run_is_named(path: Path) -> None:
    async with Ledger(path) as ledger, ledger.lease(ACCOUNT):
        await ledger.take_in([Track("m1")])
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE runs SET began_at = 1e300")

    with pytest.raises(LedgerError, match="run 1 is damaged"):
        await Ledger(path).runs()


async def test_the_command_line_notes_what_a_run_cost_and_shows_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Sandbox(attrs.evolve(QUICK, credits=100)) as sandbox:
        (tmp_path / "catalog.txt").write_text("\n".join(sandbox.add_music(3)))
        monkeypatch.setenv("SUNO_API_KEY", sandbox.api_key)
        await run("batch", "catalog.txt", "--base-url", sandbox.url, "--poll", "0.01")
        shown = await run("ledger", "show", "covers.db")
        async with connect(sandbox) as client:
            left = await client.credits()

    (noted,) = await Ledger(tmp_path / "covers.db").runs()
    assert (noted.balance_before, noted.balance_after) == (100, left)
    assert noted.credits_used == 100 - left > 0
    fields = shown.lines[len(TrackState)].split("\t")
    assert fields[:2] == ["run", "1"]
    assert fields[4:] == ["100.0", f"{float(left)}", "3", "0"]


# How often a submit was begun


async def test_a_catalog_counts_a_submit_for_each_bill(path: Path) -> None:
    async with Sandbox(QUICK) as sandbox, connect(sandbox) as client, Ledger(path) as ledger:
        songs = sandbox.add_music(10)
        sandbox.script("submit", Fault.LOST_ANSWER, Fault.NONE, Fault.LOST_ANSWER)
        await covered(client, songs, ledger)

        assert {entry.submits for entry in read_now(ledger)} == {1}
        assert states(ledger) == {TrackState.COVERED: 10}


# Reading


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_ledger_is_opened_written_and_read_outside_the_event_loops_thread(
    path: Path, *, is_open: bool
) -> None:
    store, here = SqliteStore(path), threading.current_thread()
    await store.open()
    wrote_in = await store.do(lambda _: threading.current_thread())
    if not is_open:
        await store.aclose()
    async with store.snapshot() as snapshot:
        read_in = await snapshot.read(lambda _: threading.current_thread())
    await store.aclose()

    assert here not in {wrote_in, read_in}


async def test_whoever_stops_reading_leaves_nothing_open(path: Path) -> None:
    async with Ledger(path) as ledger:
        await ledger.take_in([Track(f"m{n}") for n in range(2_500)])
        async with contextlib.aclosing(ledger.entries()) as entries:
            async for entry in entries:
                assert entry.music_task_id == "m0"
                break
        await ledger.take_in([Track("late")])
    path.rename(path.with_name("moved.db"))
    await ledger.aclose()

    assert sorted(file.name for file in path.parent.iterdir()) == ["covers.db.lock", "moved.db"]


async def feed(breaker: asyncio.Event, songs: list[str]) -> AsyncIterator[str]:
    for song in songs:
        yield song
    await breaker.wait()


async def test_a_ledger_is_read_while_its_catalog_is_at_work(path: Path) -> None:
    breaker = asyncio.Event()
    async with Sandbox(QUICK) as sandbox, connect(sandbox) as client, Ledger(path) as ledger:
        songs = sandbox.add_music(3)
        async with cover_catalog(client, feed(breaker, songs), ledger=ledger) as outcomes:
            await until(lambda: outcomes.progress.done == 3)
            found = [entry.state async for entry in ledger.entries()]
            totals, (run,) = await ledger.totals(), await ledger.runs()
            breaker.set()

    assert found == [TrackState.COVERED] * 3
    assert totals[TrackState.COVERED] == 3
    assert isinstance(run, LedgerRun)
    assert (run.submitted, run.ended_at) == (3, None)
