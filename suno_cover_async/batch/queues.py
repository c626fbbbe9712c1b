"""The queues of a run: which track it covers next, and which images it saves next.

They own the order. Tracks that are paid for come first, then those possibly billed, then the rest
in the order of the catalog; images are saved oldest cover first. The queues read the ledger and
change nothing.
"""

import asyncio
from collections import deque

from suno_cover_async.ledger.entry import LedgerEntry, TrackState
from suno_cover_async.ledger.ledger import Ledger

_PAGE = 100


class TrackQueue:
    """The open entries of the ledger; each is returned once in a run."""

    def __init__(self, ledger: Ledger, *, complete: bool) -> None:
        """Start; `complete` means that the ledger gets no further entries during the run."""
        self._ledger = ledger
        self._complete = complete
        self._only_paid = False
        self._only_begun = False
        self._closed = False
        self._states = deque([TrackState.SUBMITTED, TrackState.SUBMITTING, TrackState.WAITING])
        self._page: deque[LedgerEntry] = deque()
        self._after = 0
        self._turn = asyncio.Lock()
        self._ready = asyncio.Event()
        self._ready.set()

    def grown(self) -> None:
        """Wake `ready`: the ledger has further entries."""
        self._ready.set()

    def completed(self) -> None:
        """Record that the ledger gets no further entries."""
        self._complete = True
        self._ready.set()

    def submit_nothing_new(self) -> None:
        """Return only tracks that are paid for, or possibly billed."""
        self._only_begun = True
        if self._page and self._page[0].state is TrackState.WAITING:
            self._page.clear()
        self.completed()

    def finish(self) -> None:
        """Return only tracks that are paid for, besides the page that is already read."""
        self._only_paid = True
        self.completed()

    def close(self) -> None:
        """Return no further entry."""
        self._closed = True
        self.completed()

    async def ready(self) -> bool:
        """Wait until there may be a next entry; return False when there are no more."""
        await self._ready.wait()
        return bool(self._states)

    async def next(self) -> LedgerEntry | None:
        """Return the next entry, or None if there is none now."""
        async with self._turn:
            # Clear the event before the read. Cleared after it, an entry that is added during the
            # read would go unnoticed, and `ready` would wait forever.
            self._ready.clear()
            while self._states and not self._page:
                state, complete = self._states[0], self._complete
                if self._only_paid and state is not TrackState.SUBMITTED:
                    break
                if self._only_begun and state is TrackState.WAITING:
                    break
                self._page.extend(await self._ledger.next_open(state, self._after, _PAGE))
                if self._page:
                    self._after = self._page[-1].number
                elif state is TrackState.WAITING and not complete:
                    return None
                else:
                    self._states.popleft()
                    self._after = 0
            self._ready.set()
            if self._page and not self._closed:
                return self._page.popleft()
            self._states.clear()
            return None


class DownloadQueue:
    """The covers whose images are not saved, oldest first, shared by several workers."""

    def __init__(self, ledger: Ledger, workers: int) -> None:
        """Start; at most `workers` entries are taken and not given back by `release`."""
        self._ledger = ledger
        self._workers = workers
        self._under_way: set[int] = set()
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
        """Take the next entry, which must be passed to `release`; None when there are no more."""
        async with self._turn:
            while True:
                self._news.clear()  # before the read, so a cover added during it is noticed
                complete = self._complete
                for entry in await self._ledger.next_unsaved(self._workers):
                    if entry.number not in self._under_way:
                        self._under_way.add(entry.number)
                        return entry
                if complete:
                    return None
                await self._news.wait()

    def release(self, entry: LedgerEntry) -> None:
        """Give back an entry, which is saved or put off."""
        self._under_way.discard(entry.number)
