"""What a run costs, by the account's balance; where that cannot be asked for, nobody knows.

It knows when to ask, and that no error of it may end anything.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from suno_cover_async import Ledger, LedgerError, Progress, SunoCoverError
from suno_cover_async.ledger.entry import credits_used

_REST = 60.0  # seconds between two requests
_PATIENCE = 10.0  # seconds for the last one


class CreditsUsed:
    """The balance before the first cover of this run, and the latest one; the ledger notes both."""

    def __init__(
        self, ask: Callable[[], Awaitable[float]], numbers: Progress, ledger: Ledger
    ) -> None:
        """Ask nothing yet; `ask` brings the balance."""
        self._ask = ask
        self._numbers = numbers
        self._ledger = ledger
        self._first: float | None = None
        self._latest: float | None = None

    @property
    def used(self) -> float | None:
        """The credits used, as far as is known; None when it is not, as after a top-up."""
        return credits_used(self._first, self._latest)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncGenerator[None, None]:
        """Ask now, at most once a minute while covers are billed, and in the end."""
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
            return  # too late: some of it was spent before
        self._first = balance
        await self._note(before=balance)
        known = 0
        while self._first is not None:
            await asyncio.sleep(_REST)
            billed = self._numbers.billed
            if billed != known:
                balance = await self._balance()
                if balance is not None:
                    self._latest, known = balance, billed

    async def _last_balance(self) -> float | None:
        if self._first is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                return await self._balance()
        return None

    async def _note(self, **balance: float | None) -> None:
        with contextlib.suppress(LedgerError):  # the batch itself says what is wrong with it
            await self._ledger.note_balance(**balance)

    async def _balance(self) -> float | None:
        with contextlib.suppress(SunoCoverError):
            return await self._ask()
        return None
