"""Check folders: whether they can be written, what is free, and whether a network is in between.

A folder that exists gets a temporary file without a name, or one that is removed at once; nothing
else is made.
"""

import os
import shutil
import tempfile
from pathlib import Path

from suno_cover_async.cli.doctor.finding import Finding, fault, ok, warning
from suno_cover_async.common import validation
from suno_cover_async.common.text import printable
from suno_cover_async.ledger.sqlite.file_system import network_mount

_PROBE = bytes(65_536)
_LITTLE, _TOO_LITTLE = 1_000_000_000, 20_000_000  # bytes


def check_folder(check: str, folder: Path, *, holds_database: bool = False) -> list[Finding]:
    """Check a folder, or the one that it would be made in; this may block.

    Args:
        check: The name of the check.
        folder: The folder; it need not exist.
        holds_database: Whether a database is in it, which a network file system may damage.
    """
    shown = printable(str(folder))
    try:
        return _checked(check, validation.folder("--out", folder), shown, holds_database)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no valid path"
        return [fault(check, f"{shown} cannot be used: {reason}", "choose another folder")]


def _checked(check: str, folder: Path, shown: str, holds_database: bool) -> list[Finding]:
    there = _existing(folder)
    if not there.is_dir():
        return [fault(check, f"{printable(str(there))} is a file, not a folder", "choose another")]
    if there != folder.absolute():
        shown = f"{shown} does not exist yet; {printable(str(there))}, where it would be made,"
    problem = _problem(there, is_itself=there == folder.absolute())
    if problem:
        return [fault(check, f"{shown} cannot be written: {problem}", "choose another folder")]
    free = shutil.disk_usage(there).free
    words = f"{shown} is writable, {free / 1e9:,.1f} GB free"
    return [_of_space(check, words, free), *_of_network(check, there, holds_database)]


def _of_space(check: str, words: str, free: int) -> Finding:
    if free < _TOO_LITTLE:
        return fault(check, words, "free some space, or paid images cannot be saved")
    if free < _LITTLE:
        return warning(check, words, "free some space; two images of a song take about 4 MB")
    return ok(check, words)


def _of_network(check: str, there: Path, holds_database: bool) -> list[Finding]:
    mount = network_mount(Path(os.path.realpath(there)))
    if not mount:
        return []
    words = f"it is on a network file system ({printable(mount)})"
    if holds_database:
        return [warning(check, words, "put the file on a local disk: locks may fail there")]
    return [ok(check, words)]


def _existing(folder: Path) -> Path:
    """Return the folder itself, or the nearest above it that exists."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _problem(there: Path, *, is_itself: bool) -> str:
    """Return why a folder cannot be written; empty if it can."""
    if not is_itself:
        return "" if os.access(there, os.W_OK | os.X_OK) else "permission denied"
    try:
        with tempfile.TemporaryFile(dir=there, prefix=".suno-cover-") as probe:
            probe.write(_PROBE)
            probe.flush()
    except OSError as error:
        return error.strerror or "not possible"
    return ""
