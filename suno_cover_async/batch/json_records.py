"""Read tracks from JSON: an object a line, or an array of objects or of ids.

It knows neither lines nor files; `columns.py` says which key holds the id.
"""

import json
import re
from collections.abc import Iterator

from suno_cover_async.batch.cells import plain_id
from suno_cover_async.batch.columns import ID, id_place, no_id_column, title_place
from suno_cover_async.batch.line_reader import BadLine
from suno_cover_async.common.json_text import MOST_LEVELS, is_too_deep, json_object
from suno_cover_async.common.text import printable, trimmed
from suno_cover_async.models import Track

MOST_ARRAY_BYTES = 2**26

_LONGEST_ELEMENT = 2**20  # characters
_BLANK = re.compile(r"[ \t\r\n]*")
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_element_end = json.JSONDecoder().raw_decode


def track_of(text: str, id_column: str | None = None) -> Track | None:
    """Return the track of an object written as JSON; None for a blank text.

    Raises:
        ValueError: The text is no such object, or names no track.
    """
    text = trimmed(text)
    if not text:
        return None
    record = json_object(text, allow_duplicate_keys=False)
    if text == "{":
        raise ValueError("it must be a JSON object on one line, as jq -c writes it")
    if record is None:
        raise ValueError(
            f"it must be a JSON object, each key once and at most {MOST_LEVELS} levels deep, "
            f'such as {{"{ID}": "7f3a"}}'
        )
    try:
        _encode(record).encode()
    except ValueError:
        raise ValueError(
            "it contains an unpaired surrogate, or a number too large for JSON"
        ) from None
    keys = list(record)
    try:
        id_key = id_place(keys, id_column)
        title_key = title_place(keys)
    except ValueError as error:
        raise ValueError(f"it has {error}") from None
    if id_key is None:
        raise ValueError(f"{ID} must not be empty; it has {no_id_column(keys, id_column)}")
    music_task_id = _text(record, keys[id_key])
    title = "" if title_key in {None, id_key} else _text(record, keys[title_key or 0])
    return Track(plain_id(music_task_id, keys[id_key]), title=title, columns=record)


def array_tracks(name: str, content: bytes, id_column: str | None) -> Iterator[Track | BadLine]:
    """Yield the track of each element of a JSON array, or what is wrong with the element.

    Raises:
        ValueError: The content is no whole JSON array in UTF-8; nothing was yielded then.
    """
    try:
        text = content.decode().lstrip("\ufeff")
    except UnicodeDecodeError:
        raise ValueError(f"{name} is not UTF-8; save the catalog as UTF-8") from None
    if is_too_deep(text, MOST_LEVELS + 1):
        raise ValueError(f"{name} has more than {MOST_LEVELS} levels of lists and objects")
    try:
        for _ in _elements(text):
            pass
    except ValueError as error:
        raise ValueError(f"{name} is no JSON array: {error}") from None
    for number, element in enumerate(_elements(text), 1):
        try:
            if len(element) > _LONGEST_ELEMENT:
                raise ValueError("it is longer than 1 MiB")
            track = _track_of_element(element, id_column)
        except ValueError as error:
            yield BadLine(number=number, reason=printable(str(error)), unit="element")
        else:
            yield track


def _track_of_element(element: str, id_column: str | None) -> Track:
    if element.startswith('"'):
        return Track(plain_id(json.loads(element)))
    track = track_of(element, id_column)
    if track is None:
        raise ValueError("it is blank")
    return track


def _elements(text: str) -> Iterator[str]:
    """Yield the text of each element of an array."""
    place = _after_blanks(text, _after_blanks(text, 0) + 1)
    number = 0
    is_first = True
    while not (is_first and text.startswith("]", place)):
        number += 1
        try:
            end = _element_end(text, place)[1]
        except ValueError:
            raise ValueError(f"element {number} is no JSON, or breaks off") from None
        yield text[place:end]
        place = _after_blanks(text, end)
        if text.startswith("]", place):
            break
        if not text.startswith(",", place):
            raise ValueError(f"there is neither a comma nor a ] after element {number}")
        place = _after_blanks(text, place + 1)
        is_first = False
    if _after_blanks(text, place + 1) < len(text):
        raise ValueError("there is more after its end")


def _after_blanks(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    return match.end() if match else place


def _text(record: dict[str, object], name: str) -> str:
    value = record.pop(name, None)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name[:80]} must be a text in quotes, not {type(value).__name__}")
    return value or ""
