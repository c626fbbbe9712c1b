"""Decide what is written for a cover, and where: which image, from which file, to which file.

It owns how a choice becomes an image. It reads and writes no file.
"""

import os
from pathlib import Path, PurePath
from typing import Literal

import attrs

from suno_cover_async.artwork.names import NamePattern, usual_path
from suno_cover_async.artwork.presets import PRESETS, Preset
from suno_cover_async.artwork.saved_files import file_of
from suno_cover_async.common import validation
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError
from suno_cover_async.ledger.entry import LedgerEntry
from suno_cover_async.models import Decision, Track

Default = Literal["first"]
"""What is taken for covers that nobody decided about: their first image."""


@attrs.frozen(kw_only=True)
class ArtworkPlan:
    """Where artwork is written, as what, and under which names.

    Attributes:
        into: The folder.
        preset: What is written.
        pattern: How files are named; None: like the saved images, without their number.
    """

    into: Path
    preset: Preset
    pattern: NamePattern | None

    @classmethod
    def of(
        cls,
        *,
        into: str | os.PathLike[str],
        preset: Preset | str = "original",
        name: str | None = None,
    ) -> "ArtworkPlan":
        """Check the arguments of `apply_choices`.

        Raises:
            ValueError: The folder is invalid, there is no such preset, or the name is no pattern.
        """
        if isinstance(preset, str):
            if preset not in PRESETS:
                raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {preset!r:.80}")
            preset = PRESETS[preset]
        return cls(
            into=validation.folder("into", into),
            preset=validation.instance("preset", preset, Preset),
            pattern=None if name is None else NamePattern.parse(name),
        )

    def path(self, entry: LedgerEntry, track: Track, image: int, suffix: str) -> PurePath:
        """Return where a title's file is written, below the folder.

        Args:
            entry: The cover.
            track: One of its titles.
            image: The number of the image, from 1.
            suffix: That of the image's format, which counts if the preset keeps it.

        Raises:
            ArtworkError: The track has no value for a field of the pattern.
        """
        suffix = self.preset.suffix or suffix
        if self.pattern is None:
            return usual_path(track, suffix)
        return self.pattern.path(entry, track, image, suffix)

    def in_words(self, entry: LedgerEntry) -> tuple[str, ...]:
        """Return a line for each title of a cover: where its artwork goes, or why it has none.

        A cover without a choice is described as if its first image were chosen. No file is read.
        """
        image = entry.choice.image or 1
        lines: list[str] = []
        for track in entry.tracks:
            try:
                suffix = file_of(entry, track, image).suffix
                path = self.into / self.path(entry, track, image, suffix)
                lines.append(f"{printable(str(path))} ({self.preset.in_words})")
            except ArtworkError as error:
                lines.append(error.message)
        return tuple(lines)


def image_of(entry: LedgerEntry, default: Default | None = None) -> int | None:
    """Return the number of the image that is to be used for a cover; None if there is none.

    `default` is for covers that nobody decided about; who chose neither image, or to decide later,
    has decided.
    """
    if entry.choice.decision is Decision.UNDECIDED and default == "first":
        return 1
    return entry.choice.image if entry.choice.decision is Decision.IMAGE else None
