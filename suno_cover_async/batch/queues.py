"""The queues of a run: which track it covers next, and which images it saves next.

They own the order. Tracks that are paid for come first, then those possibly billed, then the rest
in the order of the catalog; images are saved oldest cover first. What they return, this run holds
in the ledger, so that other runs which share it get other tracks.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger

_PAGE = 20
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0  # seconds until other runs may have left something
_PAID = [TrackState.SUBMITTED]
_BEGUN = [*_PAID, TrackState.SUBMITTING]
_OPEN = [*_BEGUN, TrackState.WAITING]


class TrackQueue:
    """The open entries of the ledger; each is returned once in a run."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        complete: bool,
        saves_images: bool,
        on_wait: Callable[[], Awaitable[None]],
    ) -> None:
        """Start.

        Args:
            ledger: The ledger.
            complete: Whether the ledger gets no further entries from this run.
            saves_images: Whether covers that other runs save would be this run's if those ended.
            on_wait: Called each time that nothing is left but what other runs work on.
        """
        self._ledger = ledger
        self._complete = complete
        self._awaited = [TrackState.COVERED] if saves_images else []
        self._on_wait = on_wait
        self._states = self._returned = _OPEN
        self._ended = False
        self._page: deque[LedgerEntry] = deque()
        self._turn = asyncio.Lock()
        self._ready = asyncio.Event()
        self._ready.set()
        self._changed = asyncio.Event()
        self._wait_seconds = _FIRST_WAIT

    def grown(self) -> None:
        """Wake `ready`: the ledger has further entries."""
        self._ready.set()

    def completed(self) -> None:
        """Record that the ledger gets no further entries from this run."""
        self._complete = True
        self._ready.set()
        self._changed.set()

    def submit_nothing_new(self) -> None:
        """Return only tracks that are paid for, or possibly billed."""
        self._states = [state for state in self._states if state in _BEGUN]
        self._returned = _BEGUN
        begun = [one for one in self._page if one.state in _BEGUN]
        self._page.clear()
        self._page.extend(begun)
        self.completed()

    def finish(self) -> None:
        """Return only tracks that are paid for, besides the page that is already read."""
        self._states = _PAID
        self.completed()

    def close(self) -> None:
        """Return no further entry."""
        self._states = self._returned = []
        self._page.clear()
        self.completed()

    async def ready(self) -> bool:
        """Wait until there may be a next entry; return False when there are no more."""
        await self._ready.wait()
        return not self._ended

    async def next(self) -> LedgerEntry | None:
        """Return the next entry, or None if there is none now."""
        async with self._turn:
            # Clear the event before the read. Cleared after it, an entry that is added during the
            # read would go unnoticed, and `ready` would wait forever.
            self._ready.clear()
            while not self._page:
                self._changed.clear()  # before all that follows, so that a new order ends the wait
                states, complete = self._states, self._complete
                claimed = await self._ledger.claim(states, _PAGE) if states else []
                self._page.extend(one for one in claimed if one.state in self._returned)
                if self._page:
                    self._wait_seconds = _FIRST_WAIT
                    break
                if states is not self._states:
                    continue
                if not complete:
                    return None
                if not await self._others_may_leave_any(states):
                    break
                await self._wait()
            self._ready.set()
            if self._page:
                return self._page.popleft()
            self._ended = True
            return None

    async def _others_may_leave_any(self, states: list[TrackState]) -> bool:
        """Return whether other runs hold entries that come to this one if those runs end."""
        if states in (_PAID, []):  # this run is about to end
            return False
        return await self._ledger.others_hold([*states, *self._awaited])

    async def _wait(self) -> None:
        """Wait for up to 5 seconds, longer each time, or until this run has another order."""
        await self._on_wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wait_seconds):
                await self._changed.wait()
        self._wait_seconds = min(_LONGEST_WAIT, 2 * self._wait_seconds)


class DownloadQueue:
    """The covers whose images are not saved, oldest first, shared by several workers."""

    def __init__(self, ledger: Ledger, workers: int) -> None:
        """Start; it reads as many entries at once as there are workers."""
        self._ledger = ledger
        self._workers = workers
        self._page: deque[LedgerEntry] = deque()
        self._complete = False
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()

    def grown(self) -> None:
        """Wake `next`: there is a further cover."""
        self._news.set()

    def completed(self) -> None:
        """Record that there are no further covers."""
        self._complete = True
        self._news.set()

    async def next(self) -> LedgerEntry | None:
        """Return the next entry; None when there are no more."""
        async with self._turn:
            while not self._page:
                self._news.clear()  # before the read, so a cover added during it is noticed
                complete = self._complete
                self._page.extend(await self._ledger.claim_unsaved(self._workers))
                if self._page:
                    break
                if complete:
                    return None
                await self._news.wait()
            return self._page.popleft()
