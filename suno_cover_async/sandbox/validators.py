"""Validate the numbers and texts of a scenario; an error names the field."""

import math
from collections.abc import Iterable
from typing import Any

import attrs


def share(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    """Check a number from 0 to 1."""
    _number(attribute.name, value, 0, 1)


def amount(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    """Check a number of at least 0."""
    _number(attribute.name, value, 0)


def spread(_: object, attribute: "attrs.Attribute[Any]", value: float) -> None:
    """Check the standard deviation of a logarithm, from 0 to 5."""
    _number(attribute.name, value, 0, 5)


def fit(names: str, shares: Iterable[tuple[object, float]]) -> None:
    """Check that shares add up to at most 1."""
    total = sum(share for _, share in shares)
    if total > 1 + 1e-9:
        raise ValueError(f"{names} add up to {total:g}, over 1")


def whole(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Check a whole number of at least 0."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{attribute.name} must be a whole number, at least 0, not {value!r}")


def pixels(_: object, attribute: "attrs.Attribute[Any]", value: int) -> None:
    """Check the side of an image: a whole number from 16 to 2048."""
    whole(_, attribute, value)
    _number(attribute.name, value, 16, 2048)


def span(
    _: object, attribute: "attrs.Attribute[Any]", value: float | tuple[float, float] | None
) -> None:
    """Check a number of at least 0, or a pair (lowest, highest) of such; None passes."""
    if value is None:
        return
    validators = value if isinstance(value, tuple) else (value, value)
    for bound in validators:
        _number(attribute.name, bound, 0)
    low, high = validators
    if low > high:
        raise ValueError(f"{attribute.name} must be (lowest, highest), not {value!r}")


def header(_: object, attribute: "attrs.Attribute[Any]", value: str | None) -> None:
    """Check the text of an HTTP header: printable ASCII; None passes."""
    if value is not None and not (value.isascii() and value.isprintable()):
        raise ValueError(f"{attribute.name} must be printable ASCII, not {value!r}")


def _number(name: str, value: object, least: float, most: float = math.inf) -> None:
    if not (isinstance(value, int | float) and math.isfinite(value) and least <= value <= most):
        top = "" if most == math.inf else f" and at most {most:g}"
        raise ValueError(f"{name} must be a number of at least {least:g}{top}, not {value!r}")
