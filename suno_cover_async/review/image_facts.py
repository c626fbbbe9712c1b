"""Remember facts about the image files of covers until the files change.

It knows files, and `images/image_files.py`, which opens them. It must not know who asks.
"""

import hashlib
import threading
from pathlib import Path

import attrs

from suno_cover_async.artwork.saved_files import file_of, find
from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.decoding import open_image
from suno_cover_async.images.image_files import opened_file
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.models import Track

_MOST_KNOWN = 50_000


@attrs.frozen
class ImageFacts:
    """What is known of an image file.

    Attributes:
        version: Changes with the file: a hash of its path, its size and its time of change; empty
            if there is no file, or it cannot be read at present.
        width: In pixels; 0 if unknown.
        height: In pixels; 0 if unknown.
        problem: Why it cannot be shown; None if it can, as far as that is known.
        path: Where it is; None if it was not found.
    """

    version: str
    width: int = 0
    height: int = 0
    problem: str | None = None
    path: Path | None = None


class ImageFiles:
    """Reads facts about image files, and remembers them until the files change."""

    def __init__(self, ledger: Path | None = None) -> None:
        """Start with nothing known; files are also searched for beside this ledger."""
        self._ledger = ledger
        self._known: dict[str, ImageFacts] = {}
        self._lock = threading.Lock()

    def facts_of(self, entry: LedgerEntry, track: Track, image: int) -> ImageFacts:
        """Return the facts about the file of an image, by its number from 1; it blocks."""
        try:
            return self.facts(find(file_of(entry, track, image), entry, self._ledger))
        except ArtworkError as problem:
            return ImageFacts("", problem=problem.message)

    def facts(self, path: Path) -> ImageFacts:
        """Return the facts about a file, from its first and last bytes; it blocks."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return _learned(path, "")
        what = f"{status.st_mtime_ns} {status.st_size} {path}".encode(errors="surrogatepass")
        version = hashlib.blake2b(what, digest_size=8).hexdigest()
        known = self._known.get(version)
        if known is None:
            known = _learned(path, version)
            if known.version:
                self.note(known)
        return known

    def note(self, facts: ImageFacts) -> None:
        """Remember facts, such as a problem that was found when the image was decoded."""
        with self._lock:
            self._known[facts.version] = facts
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]


def _learned(path: Path, version: str) -> ImageFacts:
    try:
        with opened_file(path) as (file, suffix), open_image(file, suffix, path) as image:
            return ImageFacts(version, image.width, image.height, path=path)
    except ArtworkError as problem:
        # What may pass, such as too many open files, does not belong to this version of the file.
        version = "" if problem.retryable else version
        return ImageFacts(version, problem=problem.message, path=path)
