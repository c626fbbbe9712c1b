"""Find the columns of the id and the title among the names of a header, or the keys of an object.

It owns the spellings; it knows neither cells nor lines.
"""

import re
from collections.abc import Sequence

from suno_cover_async.common.text import printable, trimmed

ID = "music_task_id"
ID_COLUMN_HELP = "--id-column (in code: id_column)"

# In order of preference; compared without case, white space, - and _.
_ID_NAMES = (("musictaskid",), ("taskid",))
_TITLE_NAMES = (("title",), ("songtitle", "tracktitle"))
_LIKE_AN_ID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_LONGEST = 100  # characters of a name that can be one of these


def id_place(names: Sequence[str], wanted: str | None = None) -> int | None:
    """Return which of the names is the column of the ids; None if there is none.

    Args:
        names: The names, as they are written.
        wanted: The name of the column, in any letter case; None finds it by its spellings.

    Raises:
        ValueError: Several names fit equally.
    """
    if wanted is None:
        fitting = _best(names, _ID_NAMES)
    else:
        clean = [trimmed(name) for name in names]
        same = [place for place, name in enumerate(clean) if name == trimmed(wanted)]
        fold = trimmed(wanted).casefold()
        fitting = same or [place for place, name in enumerate(clean) if name.casefold() == fold]
    return _only(names, fitting, f"the id; rename one, or name one with {ID_COLUMN_HELP}")


def title_place(names: Sequence[str]) -> int | None:
    """Return which of the names is the column of the titles; None if there is none.

    Raises:
        ValueError: Several names fit equally.
    """
    return _only(names, _best(names, _TITLE_NAMES), "the title; rename one")


def is_id_name(text: str) -> bool:
    """Return whether a text is a name of the column of the ids, and so no id."""
    return any(folded(text) in same for same in _ID_NAMES)


def no_id_column(names: Sequence[str], wanted: str | None = None) -> str:
    """Say that no name is the column of the ids, what there is, and what to do."""
    seen = printable(", ".join(names)) or "nothing"
    reason = f"no column {printable(wanted or ID, 80)}, but: {seen}"
    name = next((printable(trimmed(name)) for name in names if folded(name) == "id"), None)
    if wanted is not None or not names:
        return reason
    if any(_LIKE_AN_ID.fullmatch(trimmed(name)) for name in names):
        return f"{reason}; the names of the columns are missing: write {ID} above the ids"
    if name is not None:
        return f"{reason}; if {name} holds the ids of the music tasks, pass --id-column {name}"
    return f"{reason}; if another holds the ids of the music tasks, name it with {ID_COLUMN_HELP}"


def _best(names: Sequence[str], ranks: Sequence[Sequence[str]]) -> list[int]:
    plain = [folded(name) for name in names]
    for same in ranks:
        if found := [place for place, name in enumerate(plain) if name in same]:
            return found
    return []


def _only(names: Sequence[str], places: list[int], what: str) -> int | None:
    if len(places) > 1:
        both = " and ".join(printable(trimmed(names[place]), 80) for place in places[:2])
        raise ValueError(f"two columns, {both}, may be that of {what}")
    return places[0] if places else None


def folded(name: str) -> str:
    """Return a name without case, white space, - and _; "" for one that is too long."""
    return re.sub(r"[\s_-]", "", trimmed(name)).casefold() if len(name) <= _LONGEST else ""
