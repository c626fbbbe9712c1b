"""Find and read the user's config file, if nobody else can have written it.

It owns where the file is, and whose file is trusted. `profiles.py` says what the file may hold. The
file names where the API key is sent, so it is read from the user's config folder alone, never from
the working folder, where a cloned repository could have one of its own.
"""

import os
import re
import stat
import sys
import tomllib
from pathlib import Path
from typing import Any, ClassVar

import click
import platformdirs

from suno_cover_async.cli.exit_codes import ExitCode
from suno_cover_async.common.disk import open_regular
from suno_cover_async.common.text import printable

_LARGEST = 1_000_000  # bytes
_PLACE = re.compile(r"line (\d{1,9}), column (\d{1,9})")
_RELATIVE = (
    "the folder of the config file is not an absolute path, so it would be below the working "
    "folder, where others may have put a file; set XDG_CONFIG_HOME and HOME to absolute paths, or "
    "unset XDG_CONFIG_HOME"
)
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class ConfigError(click.ClickException):
    """The config file cannot be used; the message names it and says what to do."""

    exit_code: ClassVar[int] = ExitCode.USAGE


def config_path() -> Path | None:
    """Return where the config file is, whether or not there is one.

    On Linux it is below XDG_CONFIG_HOME or ~/.config.

    Returns:
        None if the user has no home directory, as in some containers.

    Raises:
        ConfigError: The config folder is not an absolute path: it would depend on the working
            folder.
    """
    folder = os.environ.get("XDG_CONFIG_HOME", "").strip()
    if folder and sys.platform != "win32" and not Path(folder).is_absolute():
        raise ConfigError(_RELATIVE)  # some versions of platformdirs ignore it, some follow it
    try:
        path = platformdirs.user_config_path("suno-cover") / "config.toml"
    except RuntimeError:
        return None
    if path.is_absolute():
        return path
    if path.parts[0] == "~":  # what some versions return without a home directory
        return None
    raise ConfigError(_RELATIVE)


def shown(path: Path) -> str:
    """Return a path in printable form, for messages."""
    return printable(str(path))


def read_config(path: Path) -> dict[str, Any] | None:
    """Read the config file at once, or not at all; None if there is none.

    Raises:
        ConfigError: Others could have written it, it is too large, or it is no TOML file.
    """
    try:
        content = _trusted(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _unusable(path, f"it cannot be read: {printable(reason)}") from None
    if len(content) > _LARGEST:
        raise _unusable(path, f"it has more than {_LARGEST:,} bytes; remove what is no setting")
    return _parsed(path, content)


def _trusted(path: Path) -> bytes:
    """Return the content of a file that only its user and root can write to."""
    _check_writers(path.parent, path.parent.stat())
    with open_regular(path) as file:  # what is checked is what is read, wherever a link leads
        _check_writers(path, os.fstat(file.fileno()))
        return file.read(_LARGEST + 1)


def _check_writers(path: Path, found: os.stat_result) -> None:
    if sys.platform == "win32":  # it has no such owners; the user's folder is protected there
        return
    why = "this file says where the API key is sent"
    if found.st_uid not in {0, os.geteuid()}:
        raise _unusable(
            path, f"it belongs to another user, and {why}; make a file of your own in its place"
        )
    if found.st_mode & _OTHERS:
        raise _unusable(
            path,
            f"other users may write to it, and {why}; check it, then: chmod go-w {shown(path)}",
        )


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"line {line} is not UTF-8 text; save the file as UTF-8"
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        # The parser's own words may repeat a part of the file.
        place = _PLACE.search(str(error))
        end = content.count(b"\n") + 1, len(content.rpartition(b"\n")[2]) + 1
        row, column = map(int, place.groups()) if place else end
        problem = (
            f"it is not valid TOML at line {row}, column {column}; correct that: text stands in "
            "quotation marks, and a profile begins with a line such as [profiles.work]"
        )
    raise _unusable(path, problem)


def _unusable(path: Path, problem: str) -> ConfigError:
    what = "folder" if path.is_dir() else "file"
    return ConfigError(f"the config {what} {shown(path)} is not used: {problem}")
