"""Unfinished copies of audio files: a process locks its own, so that others know it is in use.

It owns their names. It does not know what is in them.
"""

import contextlib
import os
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

SUFFIX = ".part"
"""How the names of unfinished files end."""

_NAME = re.compile(r"audio-[0-9a-f]{16}\.part")


@contextlib.contextmanager
def part_file(directory: Path) -> Generator[tuple[Path, BinaryIO], None, None]:
    """Create an unfinished file, to read and to write; at the end it is removed if it is there.

    Raises:
        OSError: It cannot be created.
    """
    path, file = _created(directory)
    with file:
        try:
            yield path, file
        finally:
            with contextlib.suppress(OSError):
                file.close()  # with what a full disk did not take
            with contextlib.suppress(OSError):
                path.unlink()


def sweep(directory: Path) -> None:
    """Remove the unfinished files that processes left which were killed; others stay."""
    for path in directory.glob(f"audio-*{SUFFIX}"):
        if _NAME.fullmatch(path.name):
            with contextlib.suppress(OSError), path.open("rb") as file:
                _lock(file)
                if sys.platform == "win32":
                    file.close()
                path.unlink()


def _lock(file: BinaryIO) -> None:
    """Lock a file for this process; raise OSError if another one has it locked.

    Windows locks by itself: no file can be removed that a process has open.
    """
    if sys.platform != "win32":
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _created(directory: Path) -> tuple[Path, BinaryIO]:
    while True:
        path = directory / f"audio-{os.urandom(8).hex()}{SUFFIX}"
        file = path.open("xb+")
        try:
            _lock(file)
        except BlockingIOError:  # another process or thread is about to sweep it
            file.close()
            continue
        except OSError:  # a file system without locks: nobody can sweep it
            pass
        # Another process may have swept it before it was locked.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return path, file
        file.close()
