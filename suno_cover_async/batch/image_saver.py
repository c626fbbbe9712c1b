"""Save the images of covers into a folder, and record the files.

It owns the names of the files and what an error while saving means for a track. `images/` downloads
and writes.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from suno_cover_async.batch.error_policy import Consequence, consequence_of
from suno_cover_async.batch.outcomes import Covered, Failed, Outcome, OutcomeQueue, Step
from suno_cover_async.batch.queues import DownloadQueue
from suno_cover_async.batch.run_state import RunState
from suno_cover_async.common.disk import in_thread
from suno_cover_async.covers.service import CoverService
from suno_cover_async.errors import CoverExpiredError, SunoCoverError
from suno_cover_async.images.files import file_stem, sweep
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Track
from suno_cover_async.policies import RetryPolicy

_LONGEST_TITLE = 40  # characters of it in the name of a file


class Folder(NamedTuple):
    """Where images are saved.

    Attributes:
        path: The folder.
        file_name: Returns the stem of a track's files, not safe for file systems yet.
    """

    path: Path
    file_name: Callable[[Track], str]

    def stem(self, track: Track) -> str:
        """Return the stem of a track's files, safe for every file system."""
        name, song = self.file_name(track), track.music_task_id
        return file_stem(name, identifier=song if song in name else "")


class ImageSaver:
    """Saves images for one run; several workers share it."""

    def __init__(
        self,
        covers: CoverService,
        ledger: Ledger,
        run: RunState,
        retry: RetryPolicy,
        folder: Folder,
    ) -> None:
        """Create it for one run; `retry` applies to each image."""
        self._covers = covers
        self._ledger = ledger
        self._run = run
        self._retry = retry
        self._folder = folder

    async def sweep(self) -> None:
        """Remove old unfinished files, which a killed process left in the folder."""
        await in_thread(partial(sweep, self._folder.path))

    async def save_all(self, images: DownloadQueue, unread: OutcomeQueue) -> None:
        """Save the images of each cover in the queue until it ends."""
        while (entry := await images.next()) is not None:
            with self._run.doing(Step.SAVE, entry):
                outcomes = await self._save(entry)
            await unread.put(outcomes)

    async def _save(self, entry: LedgerEntry) -> Sequence[Outcome]:
        """Save the images under each title of the track that has no files yet."""
        stems = {track: self._folder.stem(track) for track in entry.tracks}
        without_files = [
            track for track in entry.tracks if not _is_among(stems[track], entry.files)
        ]
        covered: list[Covered] = []
        try:
            for track in without_files:
                stem = self._folder.path / stems[track]
                files = await self._covers.download(entry.details, stem, policy=self._retry)
                covered.append(Covered(track=track, details=entry.details, files=files))
        except SunoCoverError as error:
            what = consequence_of(error, Step.SAVE)
            if isinstance(error, CoverExpiredError) and entry.is_young:
                # The API still keeps them, so the details that were polled last named a wrong time.
                what, error.retryable = Consequence.LEFT, True
            # The entry stays SAVED if an earlier title of the same music task has files: the user
            # has its images, so it did not fail. Only the outcomes of the new titles say so.
            if entry.files and what in {Consequence.FAILED, Consequence.ATTENTION}:
                await self._ledger.saved(entry, entry.files)
                return [Failed(track=track, error=error) for track in without_files]
            return await self._run.end(entry, error, what)
        saved = [file for one in covered for file in one.files]
        await self._ledger.saved(entry, [*entry.files, *saved])
        self._run.progress.done += 1
        return covered


def name_of(track: Track) -> str:
    """Return the name of a track's files: title and id, since two tracks may share a title."""
    title = track.title[:_LONGEST_TITLE].strip()
    return f"{title} {track.music_task_id}" if title else track.music_task_id


def _is_among(stem: str, files: Sequence[Path]) -> bool:
    """Return whether one of these files has the name of a track."""
    return any(file.stem.rpartition("-")[0] == stem for file in files)  # less `-1`, `-2`
