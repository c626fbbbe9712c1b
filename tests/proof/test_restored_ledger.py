"""Ledgers in a database that forgot a part: restored from a backup, or on a standby that lagged.

What a ledger forgot is submitted again. That the API then refuses, and names the cover that the
song has, is documented in words only: no such answer was ever recorded. The sandbox does what is
documented, and its journal is the judge.
"""

import asyncio
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import (
    CoverExistsError,
    Ledger,
    LedgerError,
    RateLimit,
    SharedRateLimiter,
    SunoCoverClient,
    TrackState,
)
from suno_cover_async.sandbox import DuplicateId, Sandbox, Scenario
from tests.support import catalogs
from tests.support.catalog_child import policies
from tests.support.postgres import Server, binaries, standby_of
from tests.support.runs import billed, covered, read_now, states
from tests.support.waiting import until

pytestmark = [pytest.mark.usefixtures("no_task_is_left_behind"), pytest.mark.timeout(300)]

LIMIT = RateLimit(calls=20, seconds=1)
SCENARIO = Scenario(rate_limit=LIMIT, seconds=0.2, image_size=16)
SONGS = 30
USUAL, SOON = 40, 4  # seconds after which a silent run is dead

LOST_STEPS = "the database has forgotten what was committed"


def give_up_after(server: Server, name: str, seconds: float) -> None:
    server.execute("UPDATE suno_cover.ledger SET dead_after = %s", seconds, database=name)


async def run(sandbox: Sandbox, url: str, songs: list[str], into: Path) -> list[LedgerError]:
    """Cover a catalog, again and again until a run comes to its end; return why others did not."""
    stopped: list[LedgerError] = []
    while True:
        limiter = SharedRateLimiter(url, calls=LIMIT.calls, seconds=LIMIT.seconds)
        options: dict[str, Any] = policies(30) | {"base_url": sandbox.url, "rate_limit": limiter}
        try:
            async with (
                Ledger(url) as ledger,
                SunoCoverClient(sandbox.api_key, concurrency=8, **options) as client,
            ):
                await covered(client, songs, ledger, into)
        except LedgerError as error:
            stopped.append(error)
        else:
            return stopped


def forgotten(sandbox: Sandbox, ledger: Ledger) -> set[str]:
    """Name the songs that were billed, and that a ledger takes for such that nothing was sent for.

    The event loop stands still meanwhile, and so does the sandbox.
    """
    waiting = {entry.music_task_id for entry in read_now(ledger, TrackState.WAITING)}
    return waiting & set(billed(sandbox))


def backup(url: str) -> bytes:
    """Back up a ledger; the event loop stands still meanwhile, in the middle of its work."""
    return client_program("pg_dump", "--format=custom", url)


def restore(dump: bytes, url: str) -> None:
    client_program("pg_restore", f"--dbname={url}", given=dump)


def client_program(name: str, *arguments: str, given: bytes = b"") -> bytes:
    folder = binaries()
    assert folder
    command = [str(folder / name), *arguments]
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603


async def from_a_backup(
    server: Server, sandbox: Sandbox, before: str, after: str, into: Path
) -> set[str]:
    """Cover a catalog to its end, and again with its ledger as it was; return what that forgot."""
    songs = sandbox.add_music(SONGS)
    await Ledger(server.url(before)).init()
    work = asyncio.create_task(run(sandbox, server.url(before), songs, into))
    await until(lambda: len(sandbox.journal.bills) >= SONGS // 2)
    dump = backup(server.url(before))
    assert await work == []
    restore(dump, server.url(after))
    give_up_after(server, after, SOON)  # the run that the backup holds
    forgot = forgotten(sandbox, Ledger(server.url(after)))
    assert 0 < len(forgot) < SONGS
    await run(sandbox, server.url(after), songs, into)
    return forgot


@pytest.mark.parametrize("code", [400, 409])
async def test_what_a_ledger_from_a_backup_forgot_is_adopted_and_nothing_is_billed_again(
    postgres_server: Server, tmp_path: Path, code: int
) -> None:
    scenario = attrs.evolve(SCENARIO, duplicate_code=code)
    with postgres_server.database() as before, postgres_server.database() as after:
        async with Sandbox(scenario) as sandbox:
            forgot = await from_a_backup(postgres_server, sandbox, before, after, tmp_path)
        ledger = Ledger(postgres_server.url(after))
        bills = sandbox.journal.bills

        assert len(bills) == SONGS
        assert catalogs.audit(bills, ledger, ended=True) == []
        adopted = {
            entry.music_task_id for entry in read_now(ledger) if entry.task and entry.task.adopted
        }
        assert forgot <= adopted


async def test_where_the_api_names_no_cover_what_a_backup_forgot_needs_attention(
    postgres_server: Server, tmp_path: Path
) -> None:
    scenario = attrs.evolve(SCENARIO, duplicate_id=DuplicateId.ABSENT)
    with postgres_server.database() as before, postgres_server.database() as after:
        async with Sandbox(scenario) as sandbox:
            forgot = await from_a_backup(postgres_server, sandbox, before, after, tmp_path)
        ledger = Ledger(postgres_server.url(after))

        assert len(sandbox.journal.bills) == SONGS
        unknown = read_now(ledger, TrackState.ATTENTION)
        assert forgot <= {entry.music_task_id for entry in unknown}
        assert {entry.error for entry in unknown} == {CoverExistsError.__name__}
        saved = SONGS - len(unknown)
        assert states(ledger) == Counter(
            {TrackState.ATTENTION: len(unknown), TrackState.SAVED: saved}
        )


@pytest.mark.parametrize("lags", [True, False], ids=["asynchronous", "synchronous"])
async def test_when_a_standby_is_promoted_each_song_is_billed_once_and_runs_that_lost_steps_stop(
    own_postgres: Server, tmp_path: Path, *, lags: bool
) -> None:
    with standby_of(own_postgres) as standby:
        async with Sandbox(SCENARIO) as sandbox:
            bills = sandbox.journal.bills
            own_postgres.execute("CREATE DATABASE songs OWNER cover")
            if not lags:
                own_postgres.wait_for_standbys()
            songs = sandbox.add_music(SONGS)
            await Ledger(own_postgres.url("songs")).init()
            give_up_after(own_postgres, "songs", SOON if lags else USUAL)
            first, second = f"127.0.0.1:{own_postgres.port}", f"127.0.0.1:{standby.port}"
            url = own_postgres.url("songs").replace(first, f"{first},{second}")
            runs = [asyncio.create_task(run(sandbox, url, songs, tmp_path)) for _ in range(2)]
            await until(lambda: len(bills) >= SONGS // 4)
            if lags:
                standby.lag_behind()
            await until(lambda: len(bills) >= SONGS // 2)
            await asyncio.to_thread(own_postgres.crash)
            standby.promote()  # the loop stands still until it is known what was forgotten
            ledger = Ledger(standby.url("songs"))
            forgot = forgotten(sandbox, ledger)
            stopped = [error for errors in await asyncio.gather(*runs) for error in errors]

        assert bool(forgot) is lags
        assert len(bills) == SONGS
        assert catalogs.audit(bills, ledger, ended=True) == []
        assert any(LOST_STEPS in str(one) for one in stopped) is lags
        assert lags or not stopped
