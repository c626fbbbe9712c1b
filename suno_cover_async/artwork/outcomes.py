"""What became of each title of each cover when choices were applied: values only."""

from pathlib import Path
from typing import TypeAlias

import attrs

from suno_cover_async.artwork.convert import Converted
from suno_cover_async.common.records import Record
from suno_cover_async.models import Decision, Track


@attrs.frozen(kw_only=True)
class Applied(Record):
    """A title of a cover has its artwork.

    Attributes:
        track: The title.
        image: The number of the image, from 1.
        file: The file.
        is_new: Whether this run wrote the file or, in a dry run, would; False: it was there.
        converted: Its size and hash; None in a dry run that would write it.
        sidecar: The JSON file beside it, if there is to be one.
    """

    track: Track
    image: int
    file: Path
    is_new: bool
    converted: Converted | None = None
    sidecar: Path | None = None


@attrs.frozen(kw_only=True)
class NotApplied(Record):
    """A title of a cover could not get its artwork; a file that was there is unchanged.

    Attributes:
        track: The title.
        image: The number of the image, from 1.
        reason: Why, in one line.
    """

    track: Track
    image: int
    reason: str


@attrs.frozen(kw_only=True)
class NotChosen(Record):
    """A title of a cover was left alone: no image is chosen.

    Attributes:
        track: The title.
        decision: UNDECIDED, NEITHER or LATER.
    """

    track: Track
    decision: Decision


ApplyOutcome: TypeAlias = Applied | NotApplied | NotChosen
