"""Check the arguments of tools, which an agent made up, or somebody who prompted it.

An error says in one line which argument is wrong. It must not know the protocol.
"""

from collections.abc import Collection, Mapping
from math import isfinite

from suno_cover_async.common.text import printable, trimmed
from suno_cover_async.common.validation import task_id
from suno_cover_async.models import Track

LONGEST_TITLE = 200
"""Characters of a title; file names hold 40 of them."""

LONGEST_WAIT = 600.0
"""Seconds that a call of `cover` may wait."""

USUAL_WAIT = 45.0
"""Seconds that a call of `cover` waits by default: many programs give a tool 60 s."""

Arguments = Mapping[str, object]


def check_names(arguments: Arguments, known: Collection[str]) -> None:
    """Raise ValueError if there is an argument that the tool does not have."""
    unknown = [name for name in arguments if name not in known]
    if unknown:
        names = ", ".join(known) or "no arguments"
        raise ValueError(f"there is no argument {printable(unknown[0], 40)!r}; there is {names}")


def track_of(arguments: Arguments) -> Track:
    """Return the song of a call; its title is trimmed, and has no invisible characters.

    Raises:
        ValueError: There is no id, or an argument is not valid.
    """
    title = arguments.get("title")
    if title is not None and not isinstance(title, str):
        raise ValueError("title must be text")
    name = trimmed(title or "")
    if len(name) > LONGEST_TITLE:
        raise ValueError(f"title must have at most {LONGEST_TITLE} characters")
    return Track(id_of("music_task_id", arguments), title=printable(name))


def id_of(name: str, arguments: Arguments) -> str:
    """Return an id.

    Raises:
        ValueError: There is none, or it is not valid.
    """
    value = arguments.get(name)
    if isinstance(value, str):
        return task_id(name, value)
    raise ValueError(f"{name} must be given, as text")


def wait_seconds_of(arguments: Arguments) -> float:
    """Return how long a call may wait.

    Raises:
        ValueError: It is no number from 0 to 600.
    """
    value = arguments.get("wait_seconds")
    if value is None:
        return USUAL_WAIT
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError("wait_seconds must be a number")
    if not 0 <= value <= LONGEST_WAIT:
        raise ValueError(f"wait_seconds must be from 0 to {LONGEST_WAIT:g}")
    return float(value)
