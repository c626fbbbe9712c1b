"""The files of a download: a tuple of paths that a notebook shows as images."""

from pathlib import Path


class SavedImages(tuple[Path, ...]):
    """The image files of a cover, in the order of its details: a tuple of paths.

    A notebook shows the images themselves, as small copies inside its output, for which it makes
    no request; a file that is missing or damaged by then is a line of text.
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        from suno_cover_async.images.inline import gallery  # noqa: PLC0415 - for notebooks alone

        return gallery(self)
