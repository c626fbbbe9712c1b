"""A host that loses its network to the database: it stops submitting before it is taken for dead.

The journal of the host's own connections to the API, and the database's clock, are the judges: both
are the clock of this machine.
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from suno_cover_async import Ledger, RateLimit
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.proof.shared_fleet import WORKER
from tests.support import catalogs
from tests.support.cut_off_host import ROUTER, host_of_its_own
from tests.support.postgres import Server
from tests.support.waiting import until

# So few calls that most of what the host has recorded as begun waits for a permit when it is cut
# off, and would for longer than until it is given up.
LIMIT = RateLimit(calls=3, seconds=1)
OTHERS = RateLimit(calls=100, seconds=1)
SCENARIO = Scenario(rate_limit=None, seconds=0.5, image_size=16)
SONGS = 20  # as many as a run claims at once
DEAD_AFTER = 4  # seconds
# The host's connection to the database hangs until after it was given up, not much longer.
SOON_LOST = "?tcp_user_timeout=6000&connect_timeout=2"
LONGEST = 200.0


@attrs.frozen(eq=False)
class Worker:
    """A process, and the lines that it has said."""

    process: asyncio.subprocess.Process
    said: list[str] = attrs.Factory(list[str])

    async def hear(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(line.decode().strip())

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    @property
    def end(self) -> str:
        """The word by which it ended; empty before."""
        last = self.said[-1].partition(" ")[0] if self.said else ""
        return last if last in {"ended", "given-up", "ledger"} else ""


def command(sandbox: Sandbox, ledger: str, folder: Path, limit: RateLimit) -> list[str]:
    given = {
        "url": sandbox.url,
        "catalog": folder / "catalog.csv",
        "ledger": ledger,
        "into": folder / "covers",
        "limit": folder / f"limit-{limit.calls}.db",
        "calls": limit.calls,
        "seconds": limit.seconds,
        "scale": 10,
        "concurrency": 20,
    }
    return [sys.executable, str(WORKER), *(f"--{name}={value}" for name, value in given.items())]


@pytest.mark.timeout(2 * LONGEST)
async def test_a_host_that_is_cut_off_from_the_database_submits_nothing_once_it_is_given_up(
    own_postgres: Server, tmp_path: Path
) -> None:
    with own_postgres.database() as name:
        url = own_postgres.url(name)
        await Ledger(url).init()

        def ask(statement: str, *values: object) -> Any:
            return own_postgres.execute(statement, *values, database=name)

        def given_up_at() -> float | None:
            query = "SELECT extract(epoch FROM released_at)::float8 FROM suno_cover.runs"
            moment: float | None = ask(f"{query} ORDER BY number")[0][0]
            return moment

        ask("UPDATE suno_cover.ledger SET dead_after = %s", DEAD_AFTER)
        async with Sandbox(SCENARIO) as sandbox, contextlib.AsyncExitStack() as stack:
            catalogs.write_catalog(tmp_path / "catalog.csv", sandbox.add_music(SONGS))
            environ = {**os.environ, "SUNO_API_KEY": sandbox.api_key}
            environ["PYTHONPATH"] = str(WORKER.parents[2])
            host = await stack.enter_async_context(
                host_of_its_own(
                    command(sandbox, url.replace("127.0.0.1", ROUTER) + SOON_LOST, tmp_path, LIMIT),
                    environ,
                    api=int(sandbox.url.rpartition(":")[2]),
                    server=own_postgres,
                    folder=tmp_path,
                )
            )
            far = Worker(host.process)
            hearing = [asyncio.create_task(far.hear())]
            await until(lambda: len(host.submits) >= LIMIT.calls, every=0.01, within=LONGEST)
            near = Worker(
                await asyncio.create_subprocess_exec(
                    *command(sandbox, url, tmp_path, OTHERS),
                    stdout=asyncio.subprocess.PIPE,
                    env=environ,
                )
            )
            stack.callback(near.stop)
            hearing.append(asyncio.create_task(near.hear()))
            await until(lambda: "began" in near.said, every=0.01, within=LONGEST)

            await host.cut_off()
            host.is_answered.set()
            await until(given_up_at, every=0.1, within=LONGEST)
            given_up = given_up_at()
            await until(lambda: near.end, every=0.05, within=LONGEST)
            await host.reconnect()
            await until(lambda: far.end, every=0.05, within=LONGEST)

            assert given_up is not None
            assert max(host.submits) < given_up
            assert (far.end, near.end) == ("given-up", "ended")
            assert len(sandbox.journal.bills) == SONGS
            assert catalogs.audit(sandbox.journal.bills, Ledger(url), ended=True) == []
            host.process.kill()
            await asyncio.gather(*hearing)
