"""The songs that calls asked for, until a run tells what became of them.

It knows tracks and futures. It must not know runs, nor the ledger.
"""

import asyncio
from collections.abc import Iterator

import attrs

from suno_cover_async.models import Track


@attrs.frozen(eq=False)
class Song:
    """A song that a call asked for.

    Attributes:
        track: The song.
        told: Done once it is known what became of it: the error, or None if it has its cover.
    """

    track: Track
    told: "asyncio.Future[Exception | None]"


class Songs:
    """Songs by music task; one that was told is no longer among them."""

    def __init__(self) -> None:
        """Start without songs."""
        self._songs: dict[str, Song] = {}

    def __iter__(self) -> Iterator[Song]:
        """Iterate over the songs as they are now."""
        return iter(list(self._songs.values()))

    def get(self, music_task_id: str) -> Song | None:
        """Return the song of a music task, if it is asked for."""
        return self._songs.get(music_task_id)

    def add(self, track: Track) -> Song:
        """Return the song of a track, inside a running event loop; it is added if it is new."""
        told = asyncio.get_running_loop().create_future()
        return self._songs.setdefault(track.music_task_id, Song(track, told))

    def tell(self, music_task_id: str, error: Exception | None) -> None:
        """Tell all who wait for a song what became of it, if it is asked for."""
        song = self._songs.pop(music_task_id, None)
        if song is not None and not song.told.done():
            song.told.set_result(error)

    def tell_all(self, error: Exception) -> None:
        """Tell all who wait for any song."""
        for song in self:
            self.tell(song.track.music_task_id, error)
