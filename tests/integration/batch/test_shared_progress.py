"""The numbers of a run whose ledger other runs share, in virtual time."""

import asyncio
from pathlib import Path

from suno_cover_async import (
    Ledger,
    LedgerError,
    Progress,
    RateLimit,
    ServerError,
    TrackState,
    cover_catalog,
)
from suno_cover_async.ledger.ledger import Totals
from suno_cover_async.sandbox import Sandbox, Scenario
from tests.support import virtual_time
from tests.support.catalog_clients import client_of
from tests.support.clients import NO_LIMIT


class Shared(Ledger):
    """A ledger that others may share, and that can be read until a test says otherwise."""

    is_readable = True

    @property
    def is_shared(self) -> bool:
        return True

    def count(self) -> "asyncio.Future[Totals]":
        if self.is_readable:
            return super().count()
        raise LedgerError("no database answers")


def test_what_other_runs_do_is_counted_while_a_run_works(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, int]:
        never = Scenario(rate_limit=None, null_polls=1_000_000)
        clock = asyncio.get_running_loop().time
        async with (
            Sandbox(never, clock=clock) as sandbox,
            client_of(sandbox) as client,
            Shared(tmp_path / "covers.db") as ledger,
            cover_catalog(client, sandbox.add_music(3), ledger=ledger) as outcomes,
        ):
            await asyncio.sleep(3)
            (entry, *_) = await ledger.next_open(TrackState.SUBMITTED, 0, 3)
            await ledger.ended(entry, TrackState.FAILED, ServerError("x"))
            before = outcomes.progress.failed
            await asyncio.sleep(5)
            return before, outcomes.progress.failed

    assert virtual_time.run(scenario()) == (0, 1)


def test_where_the_ledger_cannot_be_read_at_the_end_numbers_are_outdated_and_nothing_is_made_up(
    tmp_path: Path,
) -> None:
    async def scenario() -> tuple[int, int, Progress]:
        clock = asyncio.get_running_loop().time
        limits = {"rate_limit": RateLimit(calls=5, seconds=3_600), "poll_rate_limit": NO_LIMIT}
        never = Scenario(rate_limit=None, null_polls=1_000_000)
        async with (
            Sandbox(never, clock=clock) as sandbox,
            client_of(sandbox, **limits) as client,
            Shared(tmp_path / "covers.db") as ledger,
        ):
            songs = sandbox.add_music(20)
            async with cover_catalog(client, songs, ledger=ledger) as outcomes:
                await asyncio.sleep(12)
                recorded = outcomes.progress.possibly_billed
                assert outcomes.progress.outdated_since is None
                ledger.is_readable = False
            return recorded, len(sandbox.journal.bills), outcomes.progress

    recorded, bills, progress = virtual_time.run(scenario())

    assert (recorded, bills) == (15, 5)  # those that wait for the limit are recorded as begun
    assert progress.possibly_billed == 0
    assert progress.outdated_since is not None
    assert (progress.total, progress.billed) == (20, 5)
