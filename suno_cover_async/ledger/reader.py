"""Read a ledger without opening it for writing, and change what belongs to no run.

This module owns what any process may do beside the runs of a ledger. `recorder.py` has what a run
does.
"""

import contextlib
from collections.abc import AsyncGenerator
from functools import partial

from suno_cover_async.errors import LedgerError
from suno_cover_async.ledger import run_steps, steps
from suno_cover_async.ledger.choices import Choices
from suno_cover_async.ledger.condition import LedgerCondition
from suno_cover_async.ledger.entry import (
    LedgerEntry,
    LedgerHolder,
    LedgerRun,
    TrackState,
    read_holder,
    read_run,
    read_track,
)
from suno_cover_async.ledger.run_steps import NO_RUN, Others
from suno_cover_async.ledger.steps import Totals
from suno_cover_async.ledger.store import Store, Transaction

_PAGE = 1_000


class LedgerReader:
    """The reading of a ledger; `Recorder` adds the steps of a run."""

    def __init__(self, store: Store) -> None:
        """Read from this store."""
        self._store = store

    @property
    def name(self) -> str:
        """Return the name for messages: its path, or its URL without the password."""
        return self._store.name

    async def entries(self, *states: TrackState) -> AsyncGenerator[LedgerEntry, None]:
        """Iterate over the entries as they are now, in the catalog's order, a page at a time.

        Args:
            states: The states to include; none means all.

        Raises:
            LedgerError: There is no such file or database, or it is no ledger, has a newer version,
                is damaged, or cannot be reached.
        """
        after, wanted = 0, list(dict.fromkeys(states))
        async with self._store.snapshot() as snapshot:
            while page := await snapshot.read(steps.page(wanted, after, _PAGE)):
                for entry in page:
                    yield entry
                after = page[-1].number

    async def find(self, music_task_id: str) -> LedgerEntry | None:
        """Return the entry of a music task; None if there is none. Raises as `entries` does."""
        async with self._store.snapshot() as snapshot:
            return await snapshot.read(partial(_find, music_task_id))

    async def totals(self) -> Totals:
        """Return the number of music tasks in each state; raises as `entries` does."""
        async with self._store.snapshot() as snapshot:
            return await snapshot.read(steps.count)

    async def runs(self, limit: int = 10) -> tuple[LedgerRun, ...]:
        """Return what the latest runs did, the latest first; raises as `entries` does."""
        async with self._store.snapshot() as snapshot:
            rows = await snapshot.read(lambda there: there.runs(limit))
        return tuple(map(read_run, rows))

    async def unsaved(self, limit: int) -> list[LedgerEntry]:
        """Return covers whose images are not saved, oldest first; raises as `entries` does."""
        async with self._store.snapshot() as snapshot:
            return await snapshot.read(steps.unsaved(limit))

    @contextlib.asynccontextmanager
    async def choices(self) -> AsyncGenerator[Choices, None]:
        """Open what people decide about the covers: to read it, and to record decisions.

        It needs no lease and no `async with` of the ledger; other processes may be covering a
        catalog with it.

        Raises:
            LedgerError: There is no such file or database, or it is no ledger, has a newer version,
                is damaged, cannot be reached, or has an older version and is in use.
        """
        async with self._store.share() as access:
            yield Choices(access)

    async def holders(self) -> tuple[LedgerHolder, ...]:
        """Return the runs that share the ledger now; none where one process holds all of it.

        Raises as `entries` does.
        """
        async with self._store.snapshot() as snapshot:
            rows = await snapshot.read(lambda there: there.holders())
        return tuple(map(read_holder, rows))

    async def at_work(self) -> Others:
        """Return which runs are at work now; none where one process holds the whole ledger.

        Raises as `entries` does.
        """
        async with self._store.snapshot() as snapshot:
            return await snapshot.read(run_steps.others(NO_RUN))

    async def check(self, fingerprint: str | None, *, retry_failed: bool) -> None:
        """Find out whether a new run over this catalog would be refused now; nothing is changed.

        Raises:
            LedgerError: Other runs work on another catalog, or on any if `retry_failed` is set;
                or as `entries`.
        """
        work = run_steps.check(fingerprint, self.name, retry_failed=retry_failed)
        async with self._store.snapshot() as snapshot:
            await snapshot.read(work)

    async def condition(self, account: str | None = None) -> LedgerCondition:
        """Find out what would hinder a run that began now; nothing is changed.

        Args:
            account: A fingerprint, such as `SunoCoverClient.account`; None asks for no account.

        Raises as `entries` does.
        """
        return await self._store.condition(account)

    async def give_up(self, run: int) -> None:
        """Give a run up for dead at once: others take its tracks, and it stops at its next step.

        Use it for a run that certainly works no more, as on a machine that was taken away. Where a
        submit of the run is still on its way, another run may repeat it too soon.

        Raises:
            LedgerError: No such run shares the ledger, or it cannot be written.
        """
        async with self._store.share() as access:
            if not await access.write(lambda there: there.give_up(run)):
                raise LedgerError(f"no run {run} is at work with the ledger {self.name}")


def _find(music_task_id: str, there: Transaction) -> LedgerEntry | None:
    try:
        row = there.find(music_task_id)
    except LedgerError:  # there is no such track
        return None
    (entry,) = steps.page([], read_track(row).number - 1, 1)(there)
    return entry
