"""JSON text into JSON values, within bounds that are the same on every Python. No I/O.

It knows nothing of the API: what an object means is for `codec.py` and `responses.py` to say.
"""

import json
import re
from typing import Any, TypeGuard

MOST_LEVELS = 100  # the API's own answers have four


def json_object(text: str, *, allow_duplicate_keys: bool = True) -> dict[str, Any] | None:
    """Parse a JSON object; None for anything else, however deep, long or odd.

    Args:
        text: What to parse.
        allow_duplicate_keys: A key may stand twice in an object; the last counts.
    """
    text = text.strip(_BLANK)
    if text.count("{") + text.count("[") > MOST_LEVELS and _is_too_deep(text):
        return None
    decoder = _JSON if allow_duplicate_keys else _JSON_WITHOUT_DUPLICATE_KEYS
    try:
        body, end = decoder.raw_decode(text)
    except ValueError:
        return None
    return body if end == len(text) and is_object(body) else None


def _is_too_deep(text: str) -> bool:
    """Whether more than 100 lists and objects stand in each other.

    Python bounds the depth by itself, but each version in another place: by its recursion limit
    before 3.14, then by the C stack, and since 3.15 the value that was parsed may be too deep to be
    written again. A bound of our own makes them agree. Brackets are counted without parsing; up to
    the first mistake in the JSON this count is the depth of the parser's recursion.
    """
    level = 0
    for bracket in _BRACKET.findall(_TEXT.sub("", text)):
        level += 1 if bracket in "[{" else -1
        if level > MOST_LEVELS:
            return True
    return False


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key stands twice")
    return record


_BLANK = " \t\r\n"
_BRACKET = re.compile(r"[][{}]")
_TEXT = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)  # or its beginning; never backtracks
_JSON = json.JSONDecoder(parse_constant=_refuse_constant)
_JSON_WITHOUT_DUPLICATE_KEYS = json.JSONDecoder(
    parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicate_keys
)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is an object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether it is a list."""
    return isinstance(value, list)
