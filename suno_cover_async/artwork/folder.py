"""Write the artwork of covers into one folder, where nothing of others is replaced.

It owns when a file is written, left as it is, or refused. `plan.py` says where it goes,
`convert.py` makes it, `written_files.py` remembers it.
"""

import errno
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePath

import attrs

from suno_cover_async.artwork.convert import decode_for, write_image
from suno_cover_async.artwork.outcomes import Applied, NotApplied
from suno_cover_async.artwork.plan import ArtworkPlan
from suno_cover_async.artwork.saved_files import file_of, find
from suno_cover_async.artwork.sidecar import read_sidecar, sidecar_of, write_sidecar
from suno_cover_async.artwork.written_files import WrittenFile, WrittenFiles
from suno_cover_async.common.disk import open_regular
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError, DownloadError
from suno_cover_async.images.files import PartFile, sweep
from suno_cover_async.images.image_files import ImageFile, read_image, suffix_of_file
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.models import Track


@attrs.frozen(kw_only=True)
class _Planned:
    """What is to be written for one title.

    Attributes:
        entry: Its cover.
        track: The title.
        image: The number of the image.
        source: The file of the image, as the ledger has it.
        found: Where that file is.
        path: Where to write, below the folder.
    """

    entry: LedgerEntry
    track: Track
    image: int
    source: Path
    found: Path
    path: PurePath


@attrs.define(eq=False, kw_only=True)
class ArtworkFolder:
    """Writes the artwork of covers into one folder.

    Attributes:
        plan: What is written, and where.
        files: What was written there before.
        ledger: The ledger's own file.
        upscale: Whether smaller images are enlarged.
        with_sidecar: Whether a JSON file is written beside each.
        dry_run: Whether nothing is written.
    """

    plan: ArtworkPlan
    files: WrittenFiles
    ledger: Path | None
    upscale: bool
    with_sidecar: bool
    dry_run: bool
    _swept: set[Path] = attrs.field(factory=set[Path], init=False)
    _done: dict[Path, Applied] = attrs.field(factory=dict[Path, Applied], init=False)

    def prepare(self, entry: LedgerEntry, image: int) -> Callable[[], list[Applied | NotApplied]]:
        """Claim the names of a cover's files; return the work that writes them. Both block."""
        planned = [self._plan(entry, track, image) for track in entry.tracks]
        return lambda: [self._write(one) if isinstance(one, _Planned) else one for one in planned]

    def _plan(self, entry: LedgerEntry, track: Track, image: int) -> _Planned | NotApplied:
        try:
            source = file_of(entry, track, image)
            found = find(source, entry, self.ledger)
            path = self.plan.path(entry, track, image, suffix_of_file(found))
            self.files.claim(path, track.music_task_id)
        except ArtworkError as error:
            return NotApplied(track=track, image=image, reason=error.message)
        return _Planned(
            entry=entry, track=track, image=image, source=source, found=found, path=path
        )

    def _write(self, one: _Planned) -> Applied | NotApplied:
        try:
            return self._applied(one)
        except (ArtworkError, DownloadError) as error:
            reason = error.message
        except OSError as error:
            place = printable(str(error.filename or self.plan.into / one.path))
            reason = f"cannot write {place}: {error.strerror or error}"
        return NotApplied(track=one.track, image=one.image, reason=reason)

    def _applied(self, one: _Planned) -> Applied:
        """Write a file and its sidecar, as far as they are not there.

        Raises:
            ArtworkError: The image cannot be used, or the file not be replaced.
            OSError, DownloadError: A file cannot be written.
        """
        target = self.plan.into / one.path
        done = self._done.get(target)
        if done is not None:  # by another title of this song
            return attrs.evolve(done, track=one.track, is_new=False)
        self._stay_inside(target)
        if _is_same(target, one.found):
            raise ArtworkError(
                f"{printable(str(target))} is the saved image itself; give another name or folder"
            )
        file = read_image(one.found)
        sidecar = sidecar_of(target) if self.with_sidecar else None
        if sidecar is not None:
            read_sidecar(sidecar, one.track)  # before anything is written
        there = _sha256(target)
        known = self.files.find(one.path)
        written: WrittenFile | None
        if known is not None and self._is_current(known, file, there):
            written, is_new = known, False
        else:
            is_ours = there is None or self.files.wrote(one.path, there)
            if self.dry_run and is_ours:
                decode_for(file, self.plan.preset)
                _check_writable(target.parent)
                written, is_new = None, True
            else:
                written, is_new = self._convert(one, file, target, there, is_ours=is_ours)
        if sidecar is not None and written is not None:
            is_new |= write_sidecar(
                sidecar,
                entry=one.entry,
                track=one.track,
                image=one.image,
                source=one.source,
                written=written,
                dry_run=self.dry_run,
            )
        done = self._done[target] = Applied(
            track=one.track,
            image=one.image,
            file=target,
            is_new=is_new,
            converted=None if written is None else written.converted,
            sidecar=sidecar,
        )
        return done

    def _is_current(self, known: WrittenFile, file: ImageFile, there: str | None) -> bool:
        """Return whether a file is what would be written now."""
        return (
            (known.preset, known.upscale) == (self.plan.preset, self.upscale)
            and known.converted.source_sha256 == file.sha256
            and there == known.converted.sha256
        )

    def _convert(
        self, one: _Planned, file: ImageFile, target: Path, there: str | None, *, is_ours: bool
    ) -> tuple[WrittenFile, bool]:
        """Write a file; return what it is, and whether it is new.

        A file that was not written here, such as after the folder's record was lost, is left as it
        is if it has the same bytes, and refused if not. A dry run makes a file elsewhere for that.
        """
        part = PartFile(Path(tempfile.gettempdir()) if self.dry_run else target.parent)
        try:
            if not self.dry_run and target.parent not in self._swept:
                sweep(target.parent)
                self._swept.add(target.parent)
            written = WrittenFile(
                file=one.path.as_posix(),
                music_task_id=one.track.music_task_id,
                preset=self.plan.preset,
                upscale=self.upscale,
                converted=write_image(file, part, self.plan.preset, upscale=self.upscale),
            )
            if not is_ours and there != written.converted.sha256:
                raise _foreign(target)
            # Before the file gets its name: killed in between, the next run knows whose it is.
            self.files.add(written)
            if is_ours:
                part.finish(target, replace=there is not None)
            else:
                part.discard()
        except FileExistsError as error:
            part.discard()
            raise (_foreign(target) if error.filename2 == str(target) else error) from None
        except BaseException:
            part.discard()
            raise
        return written, is_ours

    def _stay_inside(self, target: Path) -> None:
        """Raise ArtworkError if a link in the folder leads the file out of it."""
        if Path(os.path.realpath(self.plan.into)) not in Path(os.path.realpath(target)).parents:
            shown = printable(str(target))
            raise ArtworkError(f"a link leads {shown} out of the folder; remove it, then run again")


def _foreign(target: Path) -> ArtworkError:
    return ArtworkError(
        f"{printable(str(target))} is there, and is no file that was written here before; move it "
        "away, or give another name or folder"
    )


def _sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file; None if there is none.

    Raises:
        ArtworkError: It is something else, or cannot be read.
    """
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        if os.path.lexists(path):
            raise _foreign(path) from None
        return None


def _is_same(target: Path, source: Path) -> bool:
    try:
        return target.samefile(source)
    except OSError:
        return False


def _check_writable(folder: Path) -> None:
    """Raise OSError if no file can be made in a folder, or the folder not be made."""
    place = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not place.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
