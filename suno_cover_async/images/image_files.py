"""Read image files of unknown origin, trusting neither names nor contents.

It owns what is accepted: regular files of up to 64 MiB, in the formats that downloads have.
`decoding.py` decodes them. It must not know what an image is for.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import attrs

from suno_cover_async.common.disk import open_anything
from suno_cover_async.common.text import printable
from suno_cover_async.errors import ArtworkError
from suno_cover_async.images.formats import PNG_END, bytes_needed, suffix_of

LARGEST_FILE = 64 << 20
"""Bytes: twice what a download may have."""

_HEAD = 12  # bytes, which tell how many are needed to tell the format
_END = 1024  # bytes that hold the end marker of a PNG, with some that a tool may have added


@attrs.frozen(kw_only=True)
class ImageFile:
    """The bytes of an image file, whose format is known by its first bytes.

    Attributes:
        path: The file.
        suffix: The suffix for its format.
        data: Its bytes.
    """

    path: Path
    suffix: str
    data: bytes = attrs.field(repr=False)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of its bytes."""
        return hashlib.sha256(self.data).hexdigest()


@contextlib.contextmanager
def opened_file(path: Path) -> Generator[tuple[BinaryIO, str], None, None]:
    """Open an image file; yield it with the suffix for its format.

    Raises:
        ArtworkError: The file is missing, is no regular file, has more than 64 MiB, is no PNG,
            JPEG, WebP, GIF or AVIF image, or is an incomplete PNG; or the system does not let it
            be read, such as for want of file descriptors, which is `retryable`.
    """
    try:
        with open_anything(path) as file:
            yield file, _suffix(file, path)
    except (FileNotFoundError, NotADirectoryError):
        raise ArtworkError(f"the file is missing: {_shown(path)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is not valid"
        raise ArtworkError(
            f"the file cannot be read: {_shown(path)} ({reason})",
            retryable=isinstance(error, OSError),
        ) from None


def read_image(path: Path) -> ImageFile:
    """Read an image file, without decoding it; raises as `opened_file` does."""
    with opened_file(path) as (file, suffix):
        return ImageFile(path=path, suffix=suffix, data=file.read(LARGEST_FILE))


def suffix_of_file(path: Path) -> str:
    """Return the suffix for the format of an image file; raises as `opened_file` does."""
    with opened_file(path) as (_, suffix):
        return suffix


def _suffix(file: BinaryIO, path: Path) -> str:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise ArtworkError(f"it is no regular file: {_shown(path)}")
    if status.st_size > LARGEST_FILE:
        raise ArtworkError(f"the file has more than 64 MiB: {_shown(path)}")
    head = file.read(_HEAD)
    suffix = suffix_of(head + file.read(bytes_needed(head) - len(head)))
    if suffix is None:
        raise ArtworkError(f"the file is no PNG, JPEG, WebP, GIF or AVIF image: {_shown(path)}")
    if suffix == ".png":
        file.seek(max(status.st_size - _END, 0))
        if PNG_END not in file.read(_END):
            raise ArtworkError(f"the image is incomplete: {_shown(path)}")
    file.seek(0)
    return suffix


def _shown(path: Path) -> str:
    return printable(str(path))
