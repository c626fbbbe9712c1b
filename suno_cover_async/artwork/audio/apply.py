"""Apply the choices in a ledger to audio files: each song's own gets the chosen image.

It owns which image goes into which file. `matching.py` finds the file, `embed.py` changes it.
"""

import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path

import attrs

from suno_cover_async.artwork.apply import run_over
from suno_cover_async.artwork.audio.embed import embed_cover
from suno_cover_async.artwork.audio.folder import AudioFolder
from suno_cover_async.artwork.audio.matching import AudioMatch, match_audio
from suno_cover_async.artwork.convert import Converted, write_image
from suno_cover_async.artwork.outcomes import Applied, ApplyOutcome, NotApplied
from suno_cover_async.artwork.plan import Default
from suno_cover_async.artwork.presets import PRESETS, Preset
from suno_cover_async.artwork.saved_files import file_of, find
from suno_cover_async.common.disk import in_thread
from suno_cover_async.common.validation import folder, instance
from suno_cover_async.errors import ArtworkError, DownloadError
from suno_cover_async.images.files import PartFile
from suno_cover_async.images.image_files import read_image
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.ledger.ledger import Ledger
from suno_cover_async.models import Track

_Title = tuple[int, str]  # the number of a cover, and one of its titles


async def embed_choices(
    ledger: Ledger,
    *,
    audio: str | os.PathLike[str],
    audio_column: str | None = None,
    preset: Preset | str = "player",
    upscale: bool = False,
    default: Default | None = None,
    dry_run: bool = False,
) -> AsyncGenerator[ApplyOutcome, None]:
    """Make the chosen images of the saved covers the front covers of the songs' audio files.

    Yields one outcome for each title of a cover, in the order in which they end; its file is the
    audio file. `match_audio` tells how that is found, `embed_cover` what of it changes. A second
    run writes nothing that is there already. The ledger is only read, so a batch may run
    meanwhile.

    Args:
        ledger: The ledger.
        audio: The folder with the audio files, and all below it. Nothing outside it is written.
        audio_column: The column of the catalog that names the audio file; None finds it.
        preset: What to embed: a name of `PRESETS`, or a `Preset` of your own.
        upscale: Enlarge images that are smaller than the preset's side.
        default: "first" takes the first image of covers that nobody decided about; None leaves
            them alone.
        dry_run: Write nothing, and tell what would be written.

    Raises:
        ValueError: An argument is wrong, or the preset writes WebP, which audio files do not hold.
        LedgerError: The ledger cannot be read.
        ArtworkError: The folder cannot be read, or no track has the column.
    """
    instance("ledger", ledger, Ledger)
    if default not in {None, "first"}:
        raise ValueError(f'default must be None or "first", not {default!r:.80}')
    if isinstance(preset, str):
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r:.80}")
        preset = PRESETS[preset]
    if instance("preset", preset, Preset).format == "WEBP":
        raise ValueError(f"audio files hold no WebP, which the preset {preset.name} writes")
    files = await in_thread(partial(AudioFolder, folder("audio", audio)))
    entries = [entry async for entry in ledger.entries()]
    matches = await in_thread(partial(match_audio, entries, files, column=audio_column))
    target = _AudioFiles(
        matches={(match.entry.number, match.track.title): match for match in matches},
        ledger=ledger.path,
        preset=preset,
        upscale=upscale,
        dry_run=dry_run,
    )
    async with aclosing(run_over(ledger, target.prepare, default=default)) as outcomes:
        async for outcome in outcomes:
            yield outcome


@attrs.frozen(kw_only=True)
class _AudioFiles:
    """The audio files of the tracks, as a target of `run_over`."""

    matches: Mapping[_Title, AudioMatch]
    ledger: Path | None
    preset: Preset
    upscale: bool
    dry_run: bool

    def prepare(self, entry: LedgerEntry, image: int) -> Callable[[], list[Applied | NotApplied]]:
        return lambda: [self._embed(entry, track, image) for track in entry.tracks]

    def _embed(self, entry: LedgerEntry, track: Track, image: int) -> Applied | NotApplied:
        # A track that a batch took in after the files were matched is left for the next run.
        match = self.matches.get((entry.number, track.title))
        reason = "it is new in the ledger; run the command again" if match is None else match.reason
        if match is None or match.file is None:
            return NotApplied(track=track, image=image, reason=reason or "it has no audio file")
        try:
            found = find(file_of(entry, track, image), entry, self.ledger)
            data, converted = self._converted(found)
            is_new = embed_cover(match.file, data, dry_run=self.dry_run)
        except (ArtworkError, DownloadError) as error:
            return NotApplied(track=track, image=image, reason=error.message)
        except (OSError, ValueError) as error:
            return NotApplied(track=track, image=image, reason=f"its image: {error}")
        return Applied(
            track=track,
            image=image,
            file=match.file,
            is_new=is_new,
            converted=None if is_new and self.dry_run else converted,
        )

    def _converted(self, image: Path) -> tuple[bytes, Converted]:
        """Return the bytes to embed. They pass through a file, into which Pillow encodes faster."""
        with tempfile.TemporaryDirectory() as place:
            part = PartFile(Path(place))
            try:
                converted = write_image(read_image(image), part, self.preset, upscale=self.upscale)
                return Path(part.open().name).read_bytes(), converted
            finally:
                part.discard()
