"""Measure the credits that a run uses, from the account's balance.

It knows when to request the balance. If a request fails, the figure is unknown; no error of these
requests ends the run.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from suno_cover_async import Ledger, LedgerError, Progress, SunoCoverError
from suno_cover_async.ledger.entry import credits_used

_REST = 60.0  # seconds between two requests
_PATIENCE = 10.0  # seconds for the last one


class CreditsUsed:
    """The balance before this run's first cover, and the latest one; the ledger records both."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[float]],
        numbers: Progress,
        ledger: Ledger,
        *,
        shared: bool = False,
    ) -> None:
        """Prepare; nothing is requested yet.

        Args:
            ask: Requests the balance and returns it.
            numbers: The progress of the run.
            ledger: Its ledger.
            shared: Whether other runs may work with the ledger.
        """
        self._ask = ask
        self._numbers = numbers
        self._ledger = ledger
        self._shared = shared
        self._runs: list[int] | None = None  # at work at first, if known; none in a file
        self._first: float | None = None
        self._latest: float | None = None

    @property
    def used(self) -> float | None:
        """The credits used so far; None if that is unknown, as after a top-up."""
        return credits_used(self._first, self._latest)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncGenerator[None, None]:
        """Request the balance now, at most once a minute while covers are billed, and at the end.

        The last request is made only if the block ends without an error, so that a cancelled run
        does not wait for it. Where other runs of the ledger are at work, nothing is known: the
        balance has what they use as well.
        """
        watch = asyncio.create_task(self._watch())
        last = None
        try:
            yield
            last = await self._last_balance()
        finally:
            self._latest = last
            watch.cancel()
            await asyncio.wait([watch])
        await self._note(after=last)

    async def _watch(self) -> None:
        balance = await self._balance()
        if self._numbers.billed:
            return  # too late: this balance is already reduced by covers of this run
        self._first = balance
        await self._note(before=balance)
        if not await self._is_alone():
            self._first = None
        known = 0
        while self._first is not None:
            await asyncio.sleep(_REST)
            billed = self._numbers.billed
            if billed != known:
                balance = await self._balance()
                if balance is not None:
                    self._latest, known = balance, billed

    async def _last_balance(self) -> float | None:
        if self._first is None or not await self._is_alone():
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                return await self._balance()
        return None

    async def _is_alone(self) -> bool:
        """Return whether no other run of the ledger was at work, or began, since this one began.

        Of a shared ledger that cannot be read, that is not known.
        """
        with contextlib.suppress(LedgerError):
            if self._runs is None:
                self._runs = [one.run for one in await self._ledger.holders()]
            latest = [run.number for run in await self._ledger.runs(1)] if self._runs else []
            return latest == self._runs
        return not self._shared  # the batch itself reports errors of the ledger

    async def _note(self, **balance: float | None) -> None:
        with contextlib.suppress(LedgerError):  # the batch itself reports errors of the ledger
            await self._ledger.note_balance(**balance)

    async def _balance(self) -> float | None:
        with contextlib.suppress(SunoCoverError):
            return await self._ask()
        return None
