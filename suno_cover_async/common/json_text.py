"""Parse JSON text, with limits that are the same on every Python version. No I/O.

This module knows nothing of the API; `protocol/` decides what an object means.
"""

import json
import re
from typing import Any, TypeGuard

MOST_LEVELS = 100  # the API's own answers have four


def json_object(text: str, *, allow_duplicate_keys: bool = True) -> dict[str, Any] | None:
    """Parse a JSON object; return None for anything else, however deep, long or malformed.

    Args:
        text: The text to parse.
        allow_duplicate_keys: Accept a key that appears twice in an object; the last value counts.
    """
    text = text.strip(_BLANK)
    if is_too_deep(text):
        return None
    decoder = _JSON if allow_duplicate_keys else _JSON_WITHOUT_DUPLICATE_KEYS
    try:
        body, end = decoder.raw_decode(text)
    except ValueError:
        return None
    return body if end == len(text) and is_object(body) else None


def is_too_deep(text: str, most: int = MOST_LEVELS) -> bool:
    """Return whether lists and objects are nested more than `most` levels deep."""
    # Python limits the depth itself, but each version differently: by the recursion limit before
    # 3.14, then by the C stack, and since 3.15 a parsed value may be too deep to be written again.
    # This limit is the same for all. Brackets are counted without parsing; up to the first syntax
    # error, the count equals the depth of the parser's recursion.
    if text.count("{") + text.count("[") <= most:
        return False
    level = 0
    for bracket in _BRACKET.finditer(_TEXT.sub("", text)):
        level += 1 if bracket[0] in "[{" else -1
        if level > most:
            return True
    return False


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _refuse_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key appears twice")
    return record


_BLANK = " \t\r\n"
_BRACKET = re.compile(r"[][{}]")
# A string, closed or not; never backtracks.
_TEXT = re.compile(r'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_JSON = json.JSONDecoder(parse_constant=_refuse_constant)
_JSON_WITHOUT_DUPLICATE_KEYS = json.JSONDecoder(
    parse_constant=_refuse_constant, object_pairs_hook=_refuse_duplicate_keys
)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether it is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether it is a JSON list."""
    return isinstance(value, list)
