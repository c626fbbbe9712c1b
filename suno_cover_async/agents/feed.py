"""The songs of one run, given one at a time, each with the news that the ledger has it.

It knows tracks and futures. It must not know who asks for a song, nor what a run does with it.
"""

import asyncio
from collections.abc import AsyncGenerator

from suno_cover_async.models import Track


class Feed:
    """The songs of one run, which iterates over it once."""

    def __init__(self) -> None:
        """Create an empty feed."""
        self._songs: asyncio.Queue[tuple[Track, asyncio.Future[bool]]] = asyncio.Queue()
        self._untaken: set[asyncio.Future[bool]] = set()
        self._ended = asyncio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether the run takes no further song."""
        return self._ended.is_set()

    async def ended(self) -> None:
        """Wait until the run takes no further song."""
        await self._ended.wait()

    async def add(self, track: Track) -> bool:
        """Give a song to the run; return whether the ledger has it, or the run takes no more."""
        if self.has_ended:
            return False
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._untaken.add(taken)
        self._songs.put_nowait((track, taken))
        return await asyncio.shield(taken)

    def end(self) -> None:
        """Take no further song; those that the ledger does not have are returned to their givers.

        Ending a feed twice is fine.
        """
        self._ended.set()
        for taken in self._untaken:
            taken.set_result(False)
        self._untaken.clear()

    async def __aiter__(self) -> AsyncGenerator[Track, None]:
        """Yield the songs; a run asks for the next one once the ledger has the last."""
        try:
            while True:
                track, taken = await self._songs.get()
                yield track
                self._untaken.discard(taken)
                taken.set_result(True)
        finally:
            self.end()
