"""Hosts whose clocks differ by an hour, and from the server's, with one ledger: nobody notices."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import attrs
import pytest

from suno_cover_async import RateLimit
from suno_cover_async.sandbox import Scenario
from tests.proof.shared_fleet import WORKER
from tests.support.batch_commands import catalog
from tests.support.commands import environment, finish, sandbox_with, start
from tests.support.database_commands import Database, make_ledger, without_password
from tests.support.postgres import PASSWORD, Server
from tests.support.runs import billed
from tests.support.wall_clock import made_in, moved

HOUR = 3600
SONGS = 22  # of which a run holds 20
SERVERS = HOUR // 2
LIMIT = RateLimit(calls=100, seconds=1)
CALM = Scenario(seconds=0.02, image_size=16, rate_limit=LIMIT)
LONG_ENOUGH = """
SELECT 1 FROM suno_cover.runs, suno_cover.ledger
HAVING count(*) = 2 AND max(began_at + dead_after) + 2 < extract(epoch FROM clock_timestamp())
"""
KEPT_HOURS = 14 * 24 - 1  # whole hours left of an image that was made just now


async def test_hosts_whose_clocks_differ_by_an_hour_share_a_catalog_and_none_is_given_up(
    own_postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = made_in(own_postgres.folder)
    library.chmod(0o755)
    own_postgres.stop()
    with monkeypatch.context() as there:
        for name, value in moved(library, SERVERS).items():
            there.setenv(name, value)
        own_postgres.start()
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with own_postgres.database() as name:
        database = Database(own_postgres, without_password(own_postgres.url(name)))
        await make_ledger(database, own_postgres.url(name))
        database.execute("UPDATE suno_cover.ledger SET dead_after = 5")
        hosts = [environment() | moved(library, off) for off in (HOUR, -HOUR)]
        async with sandbox_with(attrs.evolve(CALM, null_polls=1_000_000)) as sandbox:
            songs = sandbox.add_music(SONGS)
            catalog(tmp_path, songs)
            given = {
                "url": sandbox.url,
                "catalog": "catalog.csv",
                "ledger": own_postgres.url(name),
                "into": "covers",
                "limit": own_postgres.url(name),
                "calls": LIMIT.calls,
                "seconds": LIMIT.seconds,
                "scale": 30,
                "concurrency": 20,
            }
            options = [f"--{name}={value}" for name, value in given.items()]
            worker = (sys.executable, str(WORKER))
            runs = [await start(*options, program=worker, cwd=tmp_path, env=host) for host in hosts]
            # Both are at work for longer than a silent run may be, so that one would be given up.
            await database.until(LONG_ENOUGH)
            sandbox.scenario = CALM
            ended = await asyncio.gather(*map(finish, runs))

            assert [one.out.split()[-1] for one in ended] == ["ended"] * 2, ended
            assert all(arrival.admitted for arrival in sandbox.journal.arrivals)
            assert billed(sandbox) == Counter(songs)

        assert database.states() == {"saved": SONGS}
        runs_there = database.execute("SELECT began_at, ended_at FROM suno_cover.runs")
        ((now,),) = database.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        assert len(runs_there) == 2
        for began, left in runs_there:  # by the server's clock, whatever the hosts' are
            assert now - HOUR / 4 < began < left <= now
        database.execute("UPDATE suno_cover.tracks SET state = 'covered' WHERE number = 1")
        shows = [
            await finish(await start("ledger", "show", database.url, cwd=tmp_path, env=host))
            for host in hosts
        ]
        lines = [show.out.splitlines() for show in shows]
        hours = [int(show[-1].split("\t")[2]) for show in lines]
        assert hours == [KEPT_HOURS - 1, KEPT_HOURS + 1]
        assert lines[0][:-1] == lines[1][:-1]
