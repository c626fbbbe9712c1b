"""Converts values to plain data and back, for the rows of a ledger and for written records.

It owns the cattrs converters, and `to_dict` of the public values. A converter is strict in both
directions: datetimes as ISO 8601 or seconds since 1970, paths as text, enums by their value, tuples
as lists, errors by their `to_dict`. This module must not know what the values mean.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

from cattrs import Converter
from cattrs.errors import StructureHandlerNotFoundError

from suno_cover_async.common.json_text import is_too_deep

T = TypeVar("T")

JSON_TEXT = "JSON text"
"""Marks a type, as `Annotated[T, JSON_TEXT]`, that is written as JSON text in one column."""

_MOST_LEVELS = 200  # of a JSON text; twice what a line of a catalog may have


def make_converter(*, datetimes: Literal["ISO 8601", "seconds"]) -> Converter:
    """Return a converter.

    It refuses data that it would not have written: a number in place of text, null in place of an
    empty list. A field declared as `object` holds JSON already, and is not converted.

    Args:
        datetimes: How to write datetimes: as text with a time zone, or as seconds since 1970.
    """
    # Detailed errors of cattrs show the values, which a third party may have written.
    converter = Converter(detailed_validation=False, unstruct_collection_overrides={tuple: list})
    converter.register_structure_hook_func(_is_object, lambda value, _: value)
    converter.register_unstructure_hook_func(_is_object, lambda value: value)
    # cattrs calls this hook for a StrEnum too, since that is a subclass of str.
    converter.register_structure_hook(str, lambda value, kind: kind(_text(value)))
    converter.register_structure_hook(int, lambda value, _: _typed(value, int))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    converter.register_structure_hook(bool, lambda value, _: _boolean(value))
    converter.register_structure_hook(Path, lambda value, _: _path(value))
    converter.register_unstructure_hook(Path, str)
    converter.register_unstructure_hook(StrEnum, lambda value: value.value)
    converter.register_unstructure_hook(Exception, _error)
    converter.register_structure_hook_factory(_is_tuple, _tuples)
    converter.register_structure_hook_factory(_is_json, _from_json)
    converter.register_unstructure_hook_factory(_is_json, _to_json)
    if datetimes == "seconds":
        converter.register_structure_hook(datetime, lambda value, _: _from_seconds(value))
        converter.register_unstructure_hook(datetime, datetime.timestamp)
    else:
        converter.register_structure_hook(datetime, lambda value, _: _from_iso(value))
        converter.register_unstructure_hook(datetime, datetime.isoformat)
    return converter


@cache
def _iso() -> Converter:
    return make_converter(datetimes="ISO 8601")


def to_dict(value: object) -> dict[str, Any]:
    """Return the fields of an attrs value as data for `json.dumps`."""
    return dict(_iso().unstructure(value))


class Record:
    """The base class of the public values: attrs classes that can be written as JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as data for `json.dumps`.

        Times are ISO 8601 text, paths and statuses are text, tuples are lists, an error is what its
        own `to_dict` returns.
        """
        return to_dict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the value that `to_dict` wrote.

        Raises:
            ValueError: The data has no such form, or is of a class that holds an error.
        """
        try:
            return _iso().structure(data, cls)
        except (LookupError, TypeError, ValueError, AttributeError, StructureHandlerNotFoundError):
            reason = f"data is not what {cls.__name__}.to_dict() returns"
        raise ValueError(reason)


def _is_object(kind: Any) -> bool:
    return kind is object


def _is_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _error(error: Any) -> dict[str, Any]:
    written: dict[str, Any] = error.to_dict()
    return written


def _is_json(kind: Any) -> bool:
    return get_origin(kind) is Annotated and JSON_TEXT in kind.__metadata__


def _tuples(kind: Any, converter: Converter) -> Callable[[Any, Any], tuple[Any, ...]]:
    inner = get_args(kind)[0]
    read = converter.get_structure_hook(inner)

    def structure(value: Any, _: Any) -> tuple[Any, ...]:
        _typed(value, list)
        return tuple(read(item, inner) for item in value)

    return structure


def _from_json(kind: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner = get_args(kind)[0]
    read = converter.get_structure_hook(inner)
    return lambda text, _: read(json.loads(_text(text)), inner)


def _to_json(kind: Any, converter: Converter) -> Callable[[Any], str]:
    write = converter.get_unstructure_hook(get_args(kind)[0])

    def written(value: Any) -> str:
        text = json.dumps(write(value))
        if is_too_deep(text, _MOST_LEVELS):
            raise RecursionError  # as Python does at a depth that differs from version to version
        return text

    return written


def _typed(value: Any, kind: type[T]) -> T:
    if type(value) is not kind:
        raise TypeError(f"expected a {kind.__name__}, not a {type(value).__name__}")
    return value


def _text(value: Any) -> str:
    return _typed(value, str)


def _number(value: Any) -> float:
    return float(value) if type(value) is int else _typed(value, float)


def _boolean(value: Any) -> bool:
    if type(value) is not bool and _typed(value, int) not in {0, 1}:  # SQLite stores 0 and 1
        raise ValueError("expected true or false")
    return bool(value)


def _path(value: Any) -> Path:
    if "\0" in _text(value):
        raise ValueError("a path must not contain a NUL character")
    return Path(value)


def _from_seconds(value: Any) -> datetime:
    return datetime.fromtimestamp(_number(value), UTC)


def _from_iso(value: Any) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError("a datetime must have a time zone")
    return moment.astimezone(UTC)
