"""What a catalog's run does next: which track to cover, and which images to save.

It owns the order: what was paid for first, then what may have been, then the rest in the catalog's
order; images by their age. It knows the ledger, and does nothing with what it finds.
"""

import asyncio
from collections import deque

from suno_cover_async.entry import LedgerEntry, TrackState
from suno_cover_async.ledger import Ledger

_PAGE = 100


class Agenda:
    """Hands out the ledger's open entries, each once a run, to any number of workers."""

    def __init__(self, ledger: Ledger, *, complete: bool) -> None:
        """Begin; unless the ledger is `complete`, wait for `grown` and `completed`."""
        self._ledger = ledger
        self._complete = complete
        self._only_paid = False
        self._closed = False
        self._states = deque([TrackState.SUBMITTED, TrackState.SUBMITTING, TrackState.WAITING])
        self._page: deque[LedgerEntry] = deque()
        self._after = 0
        self._turn = asyncio.Lock()
        self._ready = asyncio.Event()
        self._ready.set()

    def grown(self) -> None:
        """Hear that the ledger has further entries."""
        self._ready.set()

    def completed(self) -> None:
        """Hear that the ledger will have no further entries."""
        self._complete = True
        self._ready.set()

    def finish(self) -> None:
        """Turn no further page but of what was paid for."""
        self._only_paid = True
        self.completed()

    def close(self) -> None:
        """Hand out nothing more."""
        self._closed = True
        self.completed()

    async def ready(self) -> bool:
        """Wait until there may be a next entry; False when there will be none."""
        await self._ready.wait()
        return bool(self._states)

    async def next(self) -> LedgerEntry | None:
        """Return the next entry to cover; None if there is none, perhaps only for now."""
        async with self._turn:
            self._ready.clear()  # first: the ledger may grow while it is searched
            while self._states and not self._page:
                state, complete = self._states[0], self._complete
                if self._only_paid and state is not TrackState.SUBMITTED:
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


class Backlog:
    """Hands out the covers whose images are not saved, the oldest first, to several workers."""

    def __init__(self, ledger: Ledger, workers: int) -> None:
        """Begin; wait for `grown` and `completed`. No more than `workers` are under way."""
        self._ledger = ledger
        self._workers = workers
        self._under_way: set[int] = set()
        self._complete = False
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()

    def grown(self) -> None:
        """Hear that there is a further cover."""
        self._news.set()

    def completed(self) -> None:
        """Hear that there will be no further covers."""
        self._complete = True
        self._news.set()

    async def next(self) -> LedgerEntry | None:
        """Wait for the next entry to save, to be given to `leave`; None when there will be none."""
        async with self._turn:
            while True:
                self._news.clear()  # first: there may be news while the ledger is searched
                complete = self._complete
                for entry in await self._ledger.next_unsaved(self._workers):
                    if entry.number not in self._under_way:
                        self._under_way.add(entry.number)
                        return entry
                if complete:
                    return None
                await self._news.wait()

    def leave(self, entry: LedgerEntry) -> None:
        """Be done with an entry: it is saved, or put off."""
        self._under_way.discard(entry.number)
